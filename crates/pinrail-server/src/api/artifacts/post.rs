//! `POST /api/v1/artifacts`: the body is the artifact, whatever its content type.
//!
//! The name is the content, so sending it twice is sending it once; an `Idempotency-Key` adds nothing.

use pinrail_api::artifacts::Artifact;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn store(call: Call) -> Answer {
    call.idempotency()?;
    let digest = call.control().artifact_put(&call.body).await.map_err(|error| problem::store(&error))?;
    reply::json(&Artifact { digest, bytes: call.body.len() as u64 })
}

#[cfg(test)]
mod tests {
    use pinrail_domain::digest::Digest;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn an_artifact_is_named_by_its_content_and_given_back_as_it_was() {
        let bench = Bench::open().await;
        let stored = bench.post_bytes("/api/v1/artifacts", b"be kind\0\xff").await.ok();
        let digest = Digest::of(b"be kind\0\xff").to_string();
        assert_eq!(stored["digest"], digest);
        assert_eq!(stored["bytes"], 9);
        assert_eq!(bench.post_bytes("/api/v1/artifacts", b"be kind\0\xff").await.ok(), stored);
        let shown = bench.get(&format!("/api/v1/artifacts/{digest}")).await;
        assert_eq!((shown.status, &shown.body[..]), (200, &b"be kind\0\xff"[..]));
    }
}

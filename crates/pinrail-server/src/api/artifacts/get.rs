//! `GET /api/v1/artifacts/{digest}`.

use axum::body::Body;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use pinrail_domain::digest::Digest;

use crate::call::Call;
use crate::problem;
use crate::reply::{Answer, with_type};

pub async fn show(call: Call) -> Answer {
    let digest: Digest = call.param("digest")?;
    let bytes = call.control().artifact_get(digest).await.map_err(|error| problem::store(&error))?;
    let bytes = bytes.ok_or_else(|| {
        problem::not_found(
            format!("artifact {digest}"),
            "store it: POST /api/v1/artifacts with its bytes; `pinrail release create` does",
        )
    })?;
    let mut response = with_type("application/octet-stream", Body::from(bytes));
    // Anybody may have stored anything: a browser must not run it, and it never changes.
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use pinrail_domain::digest::Digest;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_or_damaged_is_said() {
        let bench = Bench::open().await;
        bench.get("/api/v1/artifacts/sha256:12").await.problem("bad_name");
        let digest = Digest::of(b"x");
        bench.get(&format!("/api/v1/artifacts/{digest}")).await.problem("not_found");
        bench.post_bytes("/api/v1/artifacts", b"x").await.ok();
        bench.memory.damage_artifact(digest);
        bench.get(&format!("/api/v1/artifacts/{digest}")).await.problem("store_damaged");
    }
}

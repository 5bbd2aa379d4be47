//! `POST /api/v1/deployments/{deployment}/gate`: the verdict of an eval that was run elsewhere.

use pinrail_api::deployments::rollout::RecordGate;
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::deployment::Gate;

use super::{flip, id, rollout};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn record(call: Call) -> Answer {
    let id = id(&call)?;
    let RecordGate { verdict, report, reason } = call.json()?;
    if let Some(digest) = report {
        let stored = call.control().artifact_get(digest).await.map_err(|error| problem::store(&error))?;
        if stored.is_none() {
            return Err(Problem::new(Code::MissingArtifact, format!("the report {digest} is not stored"))
                .next_step(
                    "store it first: `pinrail gate record --report FILE` does (POST /api/v1/artifacts)",
                )
                .fact("missing", digest.to_string()));
        }
    }
    let done = call.control().record_gate(call.by(reason)?, id, Gate { verdict, report }).await;
    let done = done.map_err(|error| problem::commit(error, rollout::refused))?;
    flip(&call, done).await
}

#[cfg(test)]
mod tests {
    use pinrail_domain::digest::Digest;
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_verdict_is_kept_with_its_report_and_moves_the_gate() {
        let bench = Bench::open().await;
        let id = bench.roll_out(json!({ "steps": [{ "gate": null }, { "canary": { "percent": 1 } }] })).await;
        let path = format!("/api/v1/deployments/{id}/gate");
        let digest = Digest::of(b"42 of 50").to_string();
        let wish = json!({ "verdict": "inconclusive", "report": digest });
        assert_eq!(bench.post(&path, wish.clone()).await.problem("missing_artifact")["missing"], digest);
        bench.post_bytes("/api/v1/artifacts", b"42 of 50").await.ok();
        bench.post(&path, wish).await.ok();
        let shown = bench.get(&format!("/api/v1/deployments/{id}")).await.ok();
        assert_eq!(shown["gate"], json!({ "verdict": "inconclusive", "report": digest }));
        let stands = bench.get(&format!("/api/v1/deployments/{id}/rollout")).await.ok();
        assert_eq!(stands["waits"], json!(["a gate that passes: the last one was inconclusive"]));
        bench.post(&path, json!({ "verdict": "perhaps" })).await.problem("bad_request");
        bench.post(&path, json!({ "verdict": "pass" })).await.ok();
        bench.control.conduct_once().await;
        assert_eq!(bench.get(&format!("/api/v1/deployments/{id}/rollout")).await.ok()["step"], 2);
        bench.roll_back(id).await.ok();
        bench.post(&path, json!({ "verdict": "pass" })).await.problem("not_a_candidate");
    }
}

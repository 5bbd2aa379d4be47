//! `POST /api/v1/deployments/{deployment}/commit`: what a data job wrote counts from here on.

use pinrail_api::deployments::Because;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Committed;
use pinrail_control::deploy::Flipped;
use pinrail_domain::id::DeploymentId;

use super::promote::{is_ingest, refused};
use super::{flip, id};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn commit(call: Call) -> Answer {
    let done = committed(&call, id(&call)?, call.json_or_default()?).await?;
    flip(&call, done).await
}

/// Commits a data job.
pub async fn committed(call: &Call, id: DeploymentId, why: Because) -> Result<Committed<Flipped>, Problem> {
    let Because { reason } = why;
    if call.control().snapshot().world.deployments.contains_key(&id) && !is_ingest(call, id) {
        return Err(Problem::new(Code::WrongKind, format!("deployment {id} holds releases: it is promoted"))
            .next_step(format!(
                "promote it: `pinrail deployment promote {id}` (POST /api/v1/deployments/{id}/promote)"
            ))
            .fact("deployment", id.0));
    }
    let done = call.control().promote(call.by(reason)?, id, false).await;
    done.map_err(|error| problem::commit(error, refused))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_data_job_is_committed_and_taken_back_as_one() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let opened = bench.open_deployment(json!({ "ingest": "docs", "reason": "nightly" })).await.ok();
        assert_eq!((&opened["state"], &opened["ingest"]), (&json!("open"), &json!("docs")));
        assert_eq!(
            bench.open_deployment(json!({ "ingest": "docs" })).await.problem("ingest_open")["deployment"],
            2
        );
        bench.open_deployment(json!({ "ingest": "x", "now": true })).await.problem("bad_request");
        bench.open_deployment(json!({ "ingest": "x y" })).await.problem("bad_request");
        bench.open_deployment(json!({})).await.problem("bad_request");
        let shown = bench.get("/api/v1/deployments/2").await.ok();
        assert_eq!((&shown["kind"], &shown["conflicts"]["count"]), (&json!("ingest"), &json!(0)));

        let hint = bench.post("/api/v1/deployments/2/promote", json!({})).await.problem("wrong_kind");
        assert!(hint["next_step"].as_str().unwrap().contains("`pinrail deployment commit 2`"), "{hint}");
        bench.post("/api/v1/deployments/1/commit", json!({})).await.problem("wrong_kind");
        bench.post("/api/v1/deployments/9/commit", json!({})).await.problem("not_found");
        bench.post("/api/v1/deployments/2/commit", json!({ "lift_hold": true })).await.problem("bad_request");
        let done = bench.send("POST", "/api/v1/deployments/2/commit", &[], None).await.ok();
        assert_eq!(done["state"], "committed");
        bench.post("/api/v1/deployments/2/commit", json!({})).await.problem("not_a_candidate");
        assert_eq!(bench.roll_back(2).await.ok()["state"], "rolled back");
        // A data job sets no hold: what is deployed goes on, and the name is free again.
        bench.open_deployment(json!({ "ingest": "docs" })).await.ok();
        let listed = bench.get("/api/v1/deployments").await.ok();
        let states: Vec<_> = listed["items"].as_array().unwrap().iter().map(|d| d["state"].clone()).collect();
        assert_eq!(states, ["open", "rolled back", "active"]);
    }
}

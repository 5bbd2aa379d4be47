//! `POST /api/v1/deployments/{deployment}/approve`: the caller approves the step that the rollout is at.

use pinrail_api::deployments::Because;
use pinrail_api::problem::Problem;
use pinrail_control::Committed;
use pinrail_control::deploy::Flipped;
use pinrail_domain::id::DeploymentId;

use super::{flip, id, rollout};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn approve(call: Call) -> Answer {
    let done = approved(&call, id(&call)?, call.json_or_default()?).await?;
    flip(&call, done).await
}

/// Approves the step that a rollout is at.
pub async fn approved(call: &Call, id: DeploymentId, why: Because) -> Result<Committed<Flipped>, Problem> {
    let done = call.control().approve(call.by(why.reason)?, id).await;
    done.map_err(|error| problem::commit(error, rollout::refused))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn an_approval_belongs_to_a_step_that_asks_for_one() {
        let bench = Bench::open().await;
        let id =
            bench.roll_out(json!({ "steps": [{ "gate": null }, { "approve": { "by": ["ana"] } }] })).await;
        let path = format!("/api/v1/deployments/{id}");
        let problem = bench.post(&format!("{path}/approve"), json!({})).await.problem("rollout_state");
        assert!(problem["detail"].as_str().unwrap().contains("step 1"), "{problem}");
        bench.post(&format!("{path}/gate"), json!({ "verdict": "pass" })).await.ok();
        bench.control.conduct_once().await;
        bench.post(&format!("{path}/approve"), json!({ "reason": "read it all" })).await.ok();
        let stands = bench.get(&format!("{path}/rollout")).await.ok();
        // Somebody approved, but not the one who must.
        assert_eq!(stands["approvals"].as_array().unwrap().len(), 1);
        assert_eq!(stands["waits"], json!(["the approval of the holder of key `ana`"]));
    }
}

//! `POST /api/v1/deployments/{deployment}/freeze`: nothing widens by itself any more; guardrails go on watching.

use pinrail_api::deployments::Because;
use pinrail_api::problem::Problem;
use pinrail_control::Committed;
use pinrail_control::deploy::Flipped;
use pinrail_domain::id::DeploymentId;

use super::{flip, id, rollout};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn freeze(call: Call) -> Answer {
    let done = frozen(&call, id(&call)?, call.json_or_default()?).await?;
    flip(&call, done).await
}

/// Stops a rollout.
pub async fn frozen(call: &Call, id: DeploymentId, why: Because) -> Result<Committed<Flipped>, Problem> {
    let done = call.control().freeze(call.by(why.reason)?, id).await;
    done.map_err(|error| problem::commit(error, rollout::refused))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_rollout_stops_once_and_never_blocks_its_rollback() {
        let bench = Bench::open().await;
        let id = bench.roll_out(json!({ "steps": [{ "canary": { "percent": 5 } }] })).await;
        let path = format!("/api/v1/deployments/{id}");
        let problem =
            bench.post(&format!("{path}/weight"), json!({ "weight": 900 })).await.problem("rollout_state");
        assert!(problem["next_step"].as_str().unwrap().contains("freeze"), "{problem}");
        bench.post(&format!("{path}/freeze"), json!({ "reason": "a fair is on" })).await.ok();
        let stands = bench.get(&format!("{path}/rollout")).await.ok();
        assert_eq!(stands["stopped"]["words"], "frozen by a person: a fair is on");
        assert!(stands["waits"][0].as_str().unwrap().contains("to resume, promote or roll back"), "{stands}");
        let problem = bench.post(&format!("{path}/freeze"), json!({})).await.problem("rollout_state");
        assert!(problem["next_step"].as_str().unwrap().contains("pinrail deployment resume"), "{problem}");
        // By hand while it stands.
        bench.post(&format!("{path}/weight"), json!({ "weight": 900 })).await.ok();
        bench.roll_back(id).await.ok(); // I7
        bench.post(&format!("{path}/freeze"), json!({})).await.problem("not_a_candidate");
        bench.post("/api/v1/deployments/9/freeze", json!({})).await.problem("not_found");
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_rollout_has_nothing_to_stop() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let release = bench.release("sim-large-2026-04-01").await;
        bench.open_deployment(json!({ "releases": { "support": release }, "weight": 500 })).await.ok();
        for verb in ["freeze", "resume", "approve"] {
            let problem = bench.post(&format!("/api/v1/deployments/2/{verb}"), json!({})).await;
            let next = problem.problem("rollout_state")["next_step"].to_string();
            assert!(next.contains("pinrail deployment weight 2 20%"), "{next}");
        }
    }
}

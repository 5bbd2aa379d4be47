//! `POST /api/v1/deployments/{deployment}/resume`: a stopped rollout goes on, with the whole time of its step before it; a pause ends.

use pinrail_api::deployments::Because;
use pinrail_api::problem::Problem;
use pinrail_control::Committed;
use pinrail_control::deploy::Flipped;
use pinrail_domain::id::DeploymentId;

use super::{flip, id, rollout};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn resume(call: Call) -> Answer {
    let done = resumed(&call, id(&call)?, call.json_or_default()?).await?;
    flip(&call, done).await
}

/// Lets a rollout go on.
pub async fn resumed(call: &Call, id: DeploymentId, why: Because) -> Result<Committed<Flipped>, Problem> {
    let done = call.control().resume(call.by(why.reason)?, id).await;
    done.map_err(|error| problem::commit(error, rollout::refused))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_and_what_goes_on_by_itself_is_left_alone() {
        let bench = Bench::open().await;
        let plan = json!({ "steps": [{ "pause": {} }, { "canary": { "percent": 5 } }] });
        let id = bench.roll_out(plan).await;
        let path = format!("/api/v1/deployments/{id}");
        bench.post(&format!("{path}/resume"), json!({ "reason": "back from lunch" })).await.ok();
        let stands = bench.get(&format!("{path}/rollout")).await.ok();
        assert_eq!((&stands["step"], &stands["weights"]["everywhere"]), (&json!(2), &json!(500)));
        assert_eq!(stands["steps"][0]["standing"], "done");
        let problem = bench.post(&format!("{path}/resume"), json!({})).await.problem("rollout_state");
        assert!(problem["next_step"].as_str().unwrap().contains("pinrail deployment show"), "{problem}");
        // The same request again has one effect and one answer.
        bench.post(&format!("{path}/freeze"), json!({})).await.ok();
        let headers = [("idempotency-key", "resume-1")];
        let again = async || bench.send("POST", &format!("{path}/resume"), &headers, Some(&json!({}))).await;
        let (first, second) = (again().await, again().await);
        assert_eq!(second.header("idempotency-replayed"), Some("true"));
        assert_eq!(first.ok()["seq"], second.ok()["seq"]);
    }
}

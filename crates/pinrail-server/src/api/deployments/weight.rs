//! `POST /api/v1/deployments/{deployment}/weight`.

use pinrail_api::deployments::SetWeight;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Committed;
use pinrail_control::deploy::Flipped;
use pinrail_domain::deploy::WeightRefused;
use pinrail_domain::id::DeploymentId;

use super::{flip, id, no_deployment, not_a_candidate};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn set(call: Call) -> Answer {
    let done = weighted(&call, id(&call)?, call.json()?).await?;
    flip(&call, done).await
}

/// Sets a candidate's share.
pub async fn weighted(call: &Call, id: DeploymentId, wish: SetWeight) -> Result<Committed<Flipped>, Problem> {
    let SetWeight { weight, reason } = wish;
    let done = call.control().set_weight(call.by(reason)?, id, weight).await;
    done.map_err(|error| problem::commit(error, refused))
}

fn refused(refused: WeightRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        WeightRefused::NoDeployment(id) => no_deployment(id),
        WeightRefused::NotACandidate { id, state } => not_a_candidate(detail, id, state),
        WeightRefused::Rollout { id } => Problem::new(Code::RolloutState, detail)
            .next_step(format!(
                "freeze it first, `pinrail deployment freeze {id} --reason …` (POST /api/v1/deployments/{id}/freeze); \
                 resuming it later goes on with the step's share"
            ))
            .fact("deployment", id.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn only_a_candidate_has_a_weight() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        bench.post("/api/v1/deployments/1/weight", json!({ "weight": 100 })).await.problem("not_a_candidate");
        bench.post("/api/v1/deployments/7/weight", json!({ "weight": 100 })).await.problem("not_found");
        let id = bench.release("sim-large-2026-04-01").await;
        bench.open_deployment(json!({ "releases": { "support": id }, "weight": 500 })).await.ok();
        bench.post("/api/v1/deployments/2/weight", json!({ "weight": 2_500 })).await.ok();
        assert_eq!(bench.get("/api/v1/pointers").await.ok()["pointers"][0]["weight"], 2_500);
    }
}

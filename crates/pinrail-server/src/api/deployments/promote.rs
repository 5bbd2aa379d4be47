//! `POST /api/v1/deployments/{deployment}/promote`.

use pinrail_api::deployments::Promote;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Committed;
use pinrail_control::deploy::Flipped;
use pinrail_domain::deploy::{Grounds, PromoteRefused};
use pinrail_domain::id::DeploymentId;

use super::{flip, gate_missing, held, id, no_deployment, not_a_candidate};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn promote(call: Call) -> Answer {
    let done = promoted(&call, id(&call)?, call.json_or_default()?).await?;
    flip(&call, done).await
}

/// Promotes a candidate.
pub async fn promoted(call: &Call, id: DeploymentId, wish: Promote) -> Result<Committed<Flipped>, Problem> {
    let Promote { reason, lift_hold, overridden } = wish;
    if is_ingest(call, id) {
        return Err(Problem::new(
            Code::WrongKind,
            format!("deployment {id} is a data job: it has no traffic to promote"),
        )
        .next_step(format!(
            "commit it: `pinrail deployment commit {id}` (POST /api/v1/deployments/{id}/commit)"
        ))
        .fact("deployment", id.0));
    }
    if overridden.as_ref().is_some_and(|why| why.trim().is_empty()) {
        return Err(Problem::new(Code::BadRequest, "an override needs a reason: the ledger keeps it")
            .next_step(format!(
                "`pinrail deployment promote {id} --override 'why'` ({{\"override\": \"why\"}})"
            )));
    }
    let seen = call.control().seen(id);
    let grounds = Grounds::Person { overridden, seen };
    let done = call.control().promote_on(call.by(reason)?, id, &grounds, lift_hold).await;
    done.map_err(|error| problem::commit(error, refused))
}

pub(super) fn is_ingest(call: &Call, id: DeploymentId) -> bool {
    let snapshot = call.control().snapshot();
    snapshot.world.deployments.get(&id).is_some_and(|deployment| deployment.ingest.is_some())
}

pub(super) fn refused(refused: PromoteRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        PromoteRefused::NoDeployment(id) => no_deployment(id),
        PromoteRefused::NotACandidate { id, state } => not_a_candidate(detail, id, state),
        PromoteRefused::Model(refused) => problem::model(&refused),
        PromoteRefused::Held { agent, segment, hold } => held(detail, &agent, &segment, &hold),
        PromoteRefused::Gate { id, missing } => gate_missing(detail, Some(id), &missing),
        PromoteRefused::Unproven { id, step, steps } => Problem::new(Code::Unproven, detail)
            .next_step(format!(
                "see what it waits for: `pinrail deployment show {id}` (GET /api/v1/deployments/{id}/rollout); or promote it \
                 all the same: `pinrail deployment promote {id} --override 'why'` ({{\"override\": \"why\"}})"
            ))
            .fact("deployment", id.0)
            .fact("step", step)
            .fact("steps", steps),
        PromoteRefused::Stale { id, generation } => Problem::new(Code::RolloutState, detail)
            .next_step(format!("look again: `pinrail deployment show {id}` (GET /api/v1/deployments/{id}/rollout)"))
            .fact("deployment", id.0)
            .fact("generation", generation),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_candidate_becomes_what_its_segment_runs() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let id = bench.release("sim-large-2026-04-01").await;
        bench.open_deployment(json!({ "releases": { "support": id }, "weight": 500 })).await.ok();
        // No body and no content type: nothing needs to be said.
        let flip = bench.send("POST", "/api/v1/deployments/2/promote", &[], None).await.ok();
        assert_eq!((&flip["state"], &flip["active"]["support"]), (&json!("active"), &json!(2)));
        let problem = bench.post("/api/v1/deployments/2/promote", json!({})).await.problem("not_a_candidate");
        assert_eq!(problem["state"], "active");
        bench.post("/api/v1/deployments/9/promote", json!({})).await.problem("not_found");
    }
}

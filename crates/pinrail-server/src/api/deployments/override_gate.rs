//! `POST /api/v1/deployments/{deployment}/override` and `…/override/second`: a promotion without a part of its gate.

use pinrail_api::deployments::Because;
use pinrail_api::deployments::rollout::OverrideGate;
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::gate::acts::OverrideRefused;

use super::{flip, id, no_deployment, not_a_candidate};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn override_gate(call: Call) -> Answer {
    let id = id(&call)?;
    let OverrideGate { kinds, reason } = call.json()?;
    let done = call.control().override_gate(call.by(reason)?, id, &kinds).await;
    flip(&call, done.map_err(|error| problem::commit(error, refused))?).await
}

pub async fn second(call: Call) -> Answer {
    let id = id(&call)?;
    let Because { reason } = call.json_or_default()?;
    let done = call.control().second_override(call.by(reason)?, id).await;
    flip(&call, done.map_err(|error| problem::commit(error, refused))?).await
}

fn refused(refused: OverrideRefused) -> Problem {
    let detail = problem::chain(&refused);
    let problem = |id: u64, next: String| {
        Problem::new(Code::GateOverride, detail.clone()).next_step(next).fact("deployment", id)
    };
    match refused {
        OverrideRefused::NoDeployment(id) => no_deployment(id),
        OverrideRefused::Over { id, state } => not_a_candidate(detail, id, state),
        OverrideRefused::NoReason => Problem::new(Code::BadRequest, detail)
            .next_step("say why: --reason 'why' (\"reason\": \"why\"); the ledger keeps it"),
        OverrideRefused::Nothing { id } => problem(
            id.0,
            format!("see what it waits for: `pinrail deployment show {id}` (GET /api/v1/deployments/{id}/rollout)"),
        ),
        OverrideRefused::NeedsKey { id } => problem(
            id.0,
            "make keys for two people, `pinrail key create NAME --scope deploy` (POST /api/v1/keys), and use them".to_owned(),
        ),
        OverrideRefused::NothingToSecond { id } => problem(
            id.0,
            format!("somebody must ask first: `pinrail gate override {id} --reason 'why'` (POST /api/v1/deployments/{id}/override)"),
        ),
        OverrideRefused::OwnWord { id } => problem(
            id.0,
            format!("let the holder of another key do it: `pinrail gate second {id}` (POST /api/v1/deployments/{id}/override/second)"),
        ),
    }
}

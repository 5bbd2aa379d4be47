//! `POST /api/v1/gates/{gate}/resume`: takes a gate up that was stopped or failed. What it has isn't asked again, but for
//! answers that are missing for an error.

use pinrail_api::deployments::Because;
use pinrail_api::gates::Gate;
use pinrail_api::problem::Problem;

use super::{act_refused, id, shown};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn resume(call: Call) -> Answer {
    reply::json(&run(&call, call.json_or_default()?).await?)
}

/// Takes up the gate that the path names.
pub async fn run(call: &Call, why: Because) -> Result<Gate, Problem> {
    let id = id(call)?;
    let Because { reason } = why;
    call.idempotency()?;
    let looked = call.state.gates.resume(id).await.map_err(act_refused)?;
    tracing::info!(gate = %id, caller = call.caller().id(), reason, "a gate was taken up again");
    Ok(shown(looked))
}

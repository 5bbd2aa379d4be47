//! `POST /api/v1/gates/{gate}/cancel`: stops a gate; what it has is kept.

use pinrail_api::deployments::Because;
use pinrail_api::gates::Gate;
use pinrail_api::problem::Problem;

use super::{act_refused, id, shown};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn cancel(call: Call) -> Answer {
    reply::json(&run(&call, call.json_or_default()?).await?)
}

/// Stops the gate that the path names.
pub async fn run(call: &Call, why: Because) -> Result<Gate, Problem> {
    let id = id(call)?;
    // The server's log has who it was; nothing that counts for a promotion changes, so the ledger has no entry of it.
    let Because { reason } = why;
    call.idempotency()?;
    let looked = call.state.gates.cancel(id).await.map_err(act_refused)?;
    tracing::info!(gate = %id, caller = call.caller().id(), reason, "a gate was stopped");
    Ok(shown(looked))
}

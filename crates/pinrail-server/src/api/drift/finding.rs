//! `GET /api/v1/drift/{finding}`: an open finding.

use pinrail_api::drift::DriftFinding;
use pinrail_api::problem::Problem;

use super::{found, no_finding, seq};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    reply::json(&value(&call)?)
}

/// The finding that the path names, if it is open.
pub fn value(call: &Call) -> Result<DriftFinding, Problem> {
    let seq = seq(call)?;
    let snapshot = call.control().snapshot();
    let finding = snapshot.world.findings.get(&seq).ok_or_else(|| no_finding(seq))?;
    Ok(found(&snapshot.world, finding))
}

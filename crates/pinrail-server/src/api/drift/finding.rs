//! `GET /api/v1/drift/{finding}`: an open finding.

use super::{found, no_finding, seq};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let seq = seq(&call)?;
    let snapshot = call.control().snapshot();
    let finding = snapshot.world.findings.get(&seq).ok_or_else(|| no_finding(seq))?;
    reply::json(&found(&snapshot.world, finding))
}

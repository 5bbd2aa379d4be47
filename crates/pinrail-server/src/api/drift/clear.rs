//! `POST /api/v1/drift/{finding}/clear`: a person says that a finding is dealt with; its watch calibrates anew.

use pinrail_api::deployments::Because;
use pinrail_api::drift::DriftCleared;
use pinrail_api::problem::Problem;
use pinrail_control::Committed;
use pinrail_domain::drift::DriftRefused;

use super::{no_finding, seq};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn clear(call: Call) -> Answer {
    let Because { reason } = call.json_or_default()?;
    let done = run(&call, reason).await?;
    reply::changed(done.replayed, &done.value)
}

/// Clears the finding that the path names.
pub async fn run(call: &Call, reason: String) -> Result<Committed<DriftCleared>, Problem> {
    let finding = seq(call)?;
    let subject = call.control().snapshot().world.findings.get(&finding).map(|known| known.subject.clone());
    let cleared = call.control().clear_drift(call.by(reason)?, finding).await;
    let cleared = cleared.map_err(|error| {
        problem::commit(error, |refused| match refused {
            DriftRefused::NoFinding(_) | DriftRefused::TooMany(_) => no_finding(finding),
        })
    })?;
    let Committed { value, replayed, seq, took_us } = cleared;
    Ok(Committed { value: DriftCleared { finding, seq: value, subject }, replayed, seq, took_us })
}

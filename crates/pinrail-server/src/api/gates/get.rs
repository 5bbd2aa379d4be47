//! `GET /api/v1/gates/{gate}`: what it was told to do, how far it is, and how it ended, with the whole report.

use pinrail_api::problem::Problem;
use serde_json::Value;

use super::{id, look, shown};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let id = id(&call)?;
    let mut gate = shown(look(&call, id).await?);
    if let Some(digest) = gate.ended.as_ref().and_then(|ended| ended.report) {
        gate.report = report(&call, digest).await?;
    }
    reply::json(&gate)
}

async fn report(call: &Call, digest: pinrail_domain::digest::Digest) -> Result<Option<Value>, Problem> {
    let bytes = call.control().artifact_get(digest).await.map_err(|error| problem::store(&error))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

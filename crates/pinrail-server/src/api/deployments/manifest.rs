//! `GET /api/v1/deployments/{deployment}/manifest`: the state as it was when the deployment was opened.

use pinrail_api::deployments::proof::Manifest;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::proof::verify::CannotVerify;
use pinrail_domain::state::manifest;

use super::{id, no_deployment};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let (digest, recorded) = call.control().manifest(id(&call)?).await.map_err(refused)?;
    let manifest::Manifest { deployment, at, pointers, spaces } = recorded;
    reply::json(&Manifest { deployment, digest, at, pointers, spaces })
}

/// Why a manifest can't be shown, or nothing verified against it.
pub(super) fn refused(refused: CannotVerify) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        CannotVerify::NoDeployment(id) => no_deployment(id),
        CannotVerify::NotYet(_) => {
            Problem::new(Code::ManifestPending, detail).next_step("ask again in a moment")
        }
        CannotVerify::Never(id) | CannotVerify::Collected { deployment: id, .. } => {
            Problem::new(Code::NoManifest, detail).next_step(format!(
                "`pinrail deployment report {id}` (GET /api/v1/deployments/{id}/report) says what can be said without it"
            ))
        }
        CannotVerify::Damaged { .. } => Problem::new(Code::StoreDamaged, detail)
            .next_step("run `pinrail ledger verify`, and restore from a backup (docs/operations.md)"),
        CannotVerify::Store(error) => problem::store(&error),
    }
}

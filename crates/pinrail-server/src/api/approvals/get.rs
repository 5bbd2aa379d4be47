//! `GET /api/v1/approvals/{approval}`.

use pinrail_api::approvals::Approval;
use pinrail_api::problem::Problem;
use pinrail_domain::id::ApprovalId;

use super::{no_approval, shown};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    reply::json(&value(&call).await?)
}

/// The call that the path names.
pub async fn value(call: &Call) -> Result<Approval, Problem> {
    let id: ApprovalId = call.param("approval")?;
    let found =
        call.control().approval(id, &call.tenants()?).await.map_err(|error| problem::store(&error))?;
    Ok(shown(found.ok_or_else(|| no_approval(id))?, call.state.clock.now()))
}

//! `GET /api/v1/approvals/{approval}`.

use pinrail_domain::id::ApprovalId;

use super::{no_approval, shown};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let id: ApprovalId = call.param("approval")?;
    let found =
        call.control().approval(id, &call.tenants()?).await.map_err(|error| problem::store(&error))?;
    reply::json(&shown(found.ok_or_else(|| no_approval(id))?, call.state.clock.now()))
}

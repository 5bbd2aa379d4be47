//! `DELETE /api/v1/members/{member}`: ends a lease, at the member's own wish or at an admin's.

use pinrail_api::members::MemberLeft;

use super::id;
use crate::call::Call;
use crate::problem::{self, not_found};
use crate::reply::{self, Answer};

pub async fn leave(call: Call) -> Answer {
    let member = id(&call)?;
    let left = call.control().members().leave(call.caller(), member).await;
    let name = left.map_err(|error| problem::store(&error))?.ok_or_else(|| {
        not_found(
            format!("member {member} that this key may end"),
            "list the members: `pinrail member list` (GET /api/v1/members)",
        )
    })?;
    reply::json(&MemberLeft { member, name })
}

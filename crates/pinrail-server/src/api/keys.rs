//! Keys: made, listed, revoked. A token is shown once, to whoever made it (I15).

use pinrail_api::problem::{Code, Problem};
use pinrail_control::CommitError;
use pinrail_control::keys::KeyRefused;

use crate::problem;

pub mod delete;
pub mod list;
pub mod post;

pub(crate) fn refused(error: CommitError<KeyRefused>) -> Problem {
    problem::commit(error, |refused| {
        let detail = problem::chain(&refused);
        let bad = |next_step: &str| Problem::new(Code::BadRequest, detail.clone()).next_step(next_step);
        match refused {
            KeyRefused::Name => {
                bad("give the key a short name, such as who uses it: `pinrail key create NAME --scope SCOPE`")
            }
            KeyRefused::NoScope => bad("name what it may do: --scope run ({\"scopes\": [\"run\"]})"),
            KeyRefused::NoTenant => {
                bad("name its tenants with --tenant, or leave it (`tenants`) out for all")
            }
            KeyRefused::TenantScope(_) => {
                bad("leave --tenant (`tenants`) out, or give it only the scopes run and read")
            }
            KeyRefused::FirstNotAdmin => {
                bad("make an admin key first: `pinrail key create admin --scope admin`")
            }
            KeyRefused::NoKey(id) => {
                problem::not_found(format!("key {id}"), "list them: `pinrail key list` (GET /api/v1/keys)")
            }
            KeyRefused::TooMany => Problem::new(Code::LimitReached, detail)
                .next_step("revoke keys that nobody uses: `pinrail key list`, `pinrail key revoke ID`"),
            KeyRefused::LastAdmin => Problem::new(Code::InUse, detail)
                .next_step("make another admin key first: `pinrail key create NAME --scope admin`"),
        }
    })
}

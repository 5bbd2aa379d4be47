//! Members: who follows the epoch, and what it costs not to.

use pinrail_api::problem::{Code, Problem};
use pinrail_control::members::{AdmitRefused, Fenced, Unasked};
use pinrail_domain::id::Generation;
use pinrail_domain::member::MemberId;

use crate::call::Call;
use crate::problem;

pub mod ack;
pub mod delete;
pub mod list;
pub mod post;

/// The member that the path names.
fn id(call: &Call) -> Result<MemberId, Problem> {
    call.param("member")
}

/// Refuses what a member that doesn't count any more wants to write.
pub async fn admit(call: &Call, member: MemberId, generation: Option<Generation>) -> Result<(), Problem> {
    match call.control().members().admit(call.caller(), member, generation).await {
        Ok(()) => Ok(()),
        Err(AdmitRefused::Fenced(why)) => Err(fenced(&why)),
        Err(AdmitRefused::Store(Unasked(error))) => Err(problem::store(&error)),
    }
}

/// What it means to be fenced: one code, one way back.
pub fn fenced(refused: &Fenced) -> Problem {
    const REGISTER: &str = "drop what you have cached, register again (POST /api/v1/members), follow GET /api/v1/watch from the \
         epoch in the answer, and decide again whether this write is still right";
    let problem = Problem::new(Code::Fenced, problem::chain(refused));
    match refused {
        Fenced::Unknown(member) => {
            problem.next_step(REGISTER).fact("why", "unknown").fact("member", member.to_string())
        }
        Fenced::Lapsed { member, for_ms, .. } => problem
            .next_step(REGISTER)
            .fact("why", "lapsed")
            .fact("member", member.to_string())
            .fact("for_ms", *for_ms),
        Fenced::Replaced { member, current, .. } => problem
            .next_step("stop: another process goes by this name now; register under a name of your own")
            .fact("why", "replaced")
            .fact("member", member.to_string())
            .fact("generation", current.0),
        Fenced::Behind { member, acknowledged, epoch, for_ms, .. } => problem
            .next_step(format!(
                "drop what you have cached, acknowledge the newest epoch (POST /api/v1/members/{member}/ack), follow GET \
                 /api/v1/watch, and decide again whether this write is still right"
            ))
            .fact("why", "behind")
            .fact("member", member.to_string())
            .fact("acknowledged", acknowledged.0)
            .fact("epoch", epoch.0)
            .fact("for_ms", *for_ms),
    }
}

#[cfg(test)]
mod tests;

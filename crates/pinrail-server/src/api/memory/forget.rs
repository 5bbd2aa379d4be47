//! `DELETE /api/v1/memory/{agent}/{session}/{key}`: forgets a turn, until its deployment is taken back.

use pinrail_api::memory::Forgotten;
use pinrail_control::state::memory::ForgetRefused;
use pinrail_domain::state::{Moment, StateKey};

use super::{named, space};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};
use crate::state_call::{NoMore, write_error};

pub async fn forget(call: Call) -> Answer {
    let (agent, session) = named(&call)?;
    let key: StateKey = call.param("key")?;
    let (pen, NoMore {}) = call.pen_in_query().await?;
    let space = space(&call, pen.tenant.clone())?;
    let author = call.author(&pen).await?;
    let states = call.control().states();
    let forgot = states.forget_turn(&author, &space, &key, call.idempotency()?.as_ref()).await;
    let forgot = forgot.map_err(|error| {
        write_error(error, |refused| match refused {
            ForgetRefused::Nothing(key) => problem::not_found(
                format!("turn `{key}` that this writer sees in session {session} of {agent}"),
                &format!(
                    "look at the session: `pinrail memory show {agent} {session}` (GET \
                     /api/v1/memory/{agent}/{session})"
                ),
            ),
        })
    })?;
    let appended = forgot.appended.expect("a delete was appended, now or before");
    let moment = Moment { state: appended.last, ledger: appended.ledger };
    let deployment = author.author.deployment;
    reply::changed(forgot.replayed, &Forgotten { key, seq: appended.first, moment, deployment })
}

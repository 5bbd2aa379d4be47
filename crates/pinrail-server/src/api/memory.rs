//! Memory: what agents know of their conversations, turn by turn.

use pinrail_api::memory::Turn;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::state::memory::RememberRefused;
use pinrail_domain::id::{AgentName, SessionId, TenantId};
use pinrail_domain::state::{Content, Record, Space, VALUE_BYTES_MAX};
use serde_json::Map;

use crate::call::Call;
use crate::{problem, state_call};

pub mod append;
pub mod forget;
pub mod replay;
pub mod show;

/// The space that the path names.
fn space(call: &Call, tenant: TenantId) -> Result<Space, Problem> {
    let (agent, session) = named(call)?;
    Ok(Space::memory(tenant, &agent, &session))
}

fn named(call: &Call) -> Result<(AgentName, SessionId), Problem> {
    Ok((call.param("agent")?, call.param("session")?))
}

/// A record as a turn.
fn turn(record: Record) -> Turn {
    let Record { operation, at, origin, run, parents, content, .. } = record;
    let (said, erased) = match content {
        // What isn't an object wasn't written by this API.
        Content::Value(value) => (serde_json::from_str(&value.json).unwrap_or_default(), false),
        Content::Nothing => (Map::new(), false),
        Content::Erased => (Map::new(), true),
    };
    Turn {
        seq: operation.seq,
        key: operation.key,
        at,
        run,
        deployment: operation.deployment,
        origin,
        parents,
        op: None,
        hidden: None,
        erased,
        said,
    }
}

fn refused(refused: RememberRefused) -> Problem {
    let detail = problem::chain(&refused);
    let bad = |next_step: &str| Problem::new(Code::BadTurns, detail.clone()).next_step(next_step);
    match refused {
        RememberRefused::Count(0) => bad("put at least one turn into `turns`"),
        RememberRefused::Count(_) => bad("send the turns in several requests, in their order"),
        RememberRefused::TooLong { index, bytes } => Problem::new(Code::TooLarge, detail)
            .next_step("store what is long as an artifact (POST /api/v1/artifacts) and remember its digest")
            .fact("index", index)
            .fact("bytes", bytes)
            .fact("bytes_max", VALUE_BYTES_MAX),
        RememberRefused::SameKey { index } => {
            bad("leave out the turn that is replaced, or give it a key of its own").fact("index", index)
        }
        RememberRefused::Told { index, why: _ } => {
            bad("leave `external` out, or remember that turn in a run's or an operator's name")
                .fact("index", index)
        }
        RememberRefused::Parents(error) => state_call::bad_parents(error),
        RememberRefused::Writer(error) => state_call::no_writer(error),
    }
}

#[cfg(test)]
mod tests;

//! `GET /api/v1/memory/{agent}/{session}`: what a reader remembers; with `history=true`, all that was ever remembered.

use pinrail_api::memory::{Memory, Turn};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::state::Reader;
use pinrail_domain::id::StateSeq;
use pinrail_domain::state::Space;
use serde::Deserialize;

use super::{space, turn};
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::read_error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    history: bool,
    before: Option<StateSeq>,
    after: Option<StateSeq>,
    limit: Option<usize>,
}

pub async fn show(call: Call) -> Answer {
    let (eyes, query) = call.eyes::<Query>().await?;
    let Query { history, before, after, limit } = query;
    let limit = call.page(limit)?;
    let space = space(&call, eyes.tenant)?;
    match (history, before, after) {
        (false, before, None) => recalled(&call, &space, &eyes.reader, before, limit).await,
        (true, None, after) => told(&call, &space, &eyes.reader, after.unwrap_or_default(), limit).await,
        (false, _, Some(_)) => Err(direction("a session is read from its end", "use `before` (--before)")),
        (true, Some(_), _) => Err(direction("a history is read from its start", "use `after` (--after)")),
    }
}

async fn recalled(
    call: &Call,
    space: &Space,
    reader: &Reader,
    before: Option<StateSeq>,
    limit: usize,
) -> Answer {
    let recalled = call.control().states().recall(space, reader, before, limit).await.map_err(read_error)?;
    let turns: Vec<Turn> = recalled.turns.into_iter().map(turn).collect();
    let next = if recalled.more { turns.first().map(|turn| turn.seq) } else { None };
    let (count, more) = (Some(recalled.count), recalled.more);
    reply::json(&Memory { moment: recalled.at, count, more, next, turns })
}

async fn told(call: &Call, space: &Space, reader: &Reader, after: StateSeq, limit: usize) -> Answer {
    let told = call.control().states().history(space, reader, after, limit + 1).await;
    let (moment, mut told) = told.map_err(read_error)?;
    let more = told.len() > limit;
    told.truncate(limit);
    let turns: Vec<Turn> = told
        .into_iter()
        .map(|told| {
            let op = Some(told.record.operation.op);
            Turn { op, hidden: told.hidden, ..turn(told.record) }
        })
        .collect();
    let next = if more { turns.last().map(|turn| turn.seq) } else { None };
    reply::json(&Memory { moment, count: None, more, next, turns })
}

fn direction(detail: &str, next_step: &str) -> Problem {
    Problem::new(Code::BadRequest, detail).next_step(next_step)
}

//! `GET /api/v1/memory/{agent}/{session}/replay`: what the session was told from outside, in order.

use pinrail_api::memory::{Memory, Turn};
use pinrail_domain::id::StateSeq;
use serde::Deserialize;

use super::{space, turn};
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::read_error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    after: StateSeq,
    limit: Option<usize>,
}

pub async fn replay(call: Call) -> Answer {
    let (eyes, query) = call.eyes::<Query>().await?;
    let limit = call.page(query.limit)?;
    let space = space(&call, eyes.tenant)?;
    let told = call.control().states().replay(&space, &eyes.reader, query.after, limit + 1).await;
    let (moment, mut told) = told.map_err(read_error)?;
    let more = told.len() > limit;
    told.truncate(limit);
    let turns: Vec<Turn> = told.into_iter().map(turn).collect();
    let next = if more { turns.last().map(|turn| turn.seq) } else { None };
    reply::json(&Memory { moment, count: None, more, next, turns })
}

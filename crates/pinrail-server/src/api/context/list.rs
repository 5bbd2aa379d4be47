//! `GET /api/v1/context/{space}`: the keys that a reader sees, in their order, without their values.

use pinrail_api::context::{ContextList, ContextValue};
use pinrail_domain::state::StateKey;
use serde::Deserialize;

use super::{accepts, space, value};
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::read_error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    accepts: Option<String>,
    #[serde(default)]
    prefix: String,
    after: Option<StateKey>,
    limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let (eyes, query) = call.eyes::<Query>().await?;
    let (limit, accepts) = (call.page(query.limit)?, accepts(&call, &eyes, query.accepts.as_deref())?);
    let space = space(&call, eyes.tenant)?;
    let states = call.control().states();
    let listed =
        states.context_list(&space, &eyes.reader, &query.prefix, query.after.as_ref(), limit + 1).await;
    let (moment, mut listed) = listed.map_err(read_error)?;
    let more = listed.len() > limit;
    listed.truncate(limit);
    let items: Vec<ContextValue> = listed
        .into_iter()
        .map(|listed| ContextValue { value: None, ..value(listed.record, listed.stored, &accepts) })
        .collect();
    let next = if more { items.last().map(|item| item.key.to_string()) } else { None };
    reply::json(&ContextList { moment, items, next })
}

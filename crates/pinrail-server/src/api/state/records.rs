//! `GET /api/v1/state/records`: the records of a space, in sequence order, with the reason why each is hidden.

use pinrail_api::problem::Problem;
use pinrail_api::spaces::{Record, Records};
use pinrail_control::state::Reader;
use pinrail_control::state::inspect::{Looked, Which};
use pinrail_domain::id::{StateSeq, TenantId};
use pinrail_domain::state::{Content, Space, StateKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::read_error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    space: String,
    tenant: Option<TenantId>,
    key: Option<StateKey>,
    #[serde(default)]
    history: bool,
    #[serde(default)]
    after: StateSeq,
    limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let (eyes, Query { space, tenant, key, history, after, limit }) = call.eyes::<Query>().await?;
    let limit = call.page(limit)?;
    let tenant = tenant.map(|tenant| call.tenant(Some(tenant))).transpose()?.unwrap_or(eyes.tenant);
    let space = super::space(tenant, &space)?;
    reply::json(&gather(&call, &space, &eyes.reader, Which { key, history, after, limit }).await?)
}

/// A page of what the reader sees of a space.
pub async fn gather(call: &Call, space: &Space, reader: &Reader, which: Which) -> Result<Records, Problem> {
    let limit = which.limit;
    let which = Which { limit: limit + 1, ..which };
    let seen = call.control().states().inspect(space, reader, &which).await.map_err(read_error)?;
    let mut items: Vec<Record> = seen.records.into_iter().map(shown).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(|record| record.seq.to_string()) } else { None };
    Ok(Records { tenant: space.tenant.clone(), space: space.to_string(), moment: seen.at, items, next })
}

/// A record as it is told.
pub fn shown(looked: Looked) -> Record {
    let Looked { record, hidden, erased } = looked;
    let pinrail_domain::state::Record { operation, at, origin, run, parents, content, digest, .. } = record;
    let is_erased = content == Content::Erased;
    let (value, dims) = match content {
        Content::Value(value) => (RawValue::from_string(value.json).ok(), value.vector.map(|it| it.len())),
        Content::Nothing | Content::Erased => (None, None),
    };
    Record {
        seq: operation.seq,
        key: operation.key,
        op: operation.op,
        at,
        ledger: operation.ledger,
        deployment: operation.deployment,
        origin,
        run,
        parents,
        value,
        dims,
        erased: is_erased,
        erased_by: erased,
        hidden,
        digest,
    }
}

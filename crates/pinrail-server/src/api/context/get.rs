//! `GET /api/v1/context/{space}/{key}`: the value that a reader sees; `version=` an earlier one; `history=true` all.

use http::StatusCode;
use http::header::IF_NONE_MATCH;
use pinrail_api::context::{ContextList, ContextValue};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::state::context::{Accepts, GetRefused, stored};
use pinrail_domain::id::{CollectionName, StateSeq};
use pinrail_domain::state::StateKey;
use serde::Deserialize;
use serde_json::json;

use super::{accepts, named, no_value, space, tagged, value};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};
use crate::state_call::{Eyes, read_error};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    accepts: Option<String>,
    version: Option<StateSeq>,
    #[serde(default)]
    history: bool,
    #[serde(default)]
    after: StateSeq,
    limit: Option<usize>,
}

pub async fn show(call: Call) -> Answer {
    let (name, key): (_, StateKey) = (named(&call)?, call.param("key")?);
    let (eyes, query) = call.eyes::<Query>().await?;
    let accepts = accepts(&call, &eyes, query.accepts.as_deref())?;
    if query.history {
        return history(&call, &eyes, &key, &accepts, &query).await;
    }
    let (space, states) = (space(&call, eyes.tenant.clone())?, call.control().states());
    let got = match query.version {
        Some(version) => states.context_version(&space, &key, version, &eyes.reader, &accepts).await,
        None => states.context_get(&space, &key, &eyes.reader, &accepts).await,
    };
    let got = got.map_err(|error| refused(error, &name, &key, &accepts))?;
    let version = got.record.operation.seq;
    if call.header(&IF_NONE_MATCH)? == Some(&format!("\"{version}\"")) {
        let mut response = axum::response::Response::new(axum::body::Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(tagged(response, version));
    }
    let value = value(got.record, Some(got.stored), &accepts);
    Ok(tagged(reply::json(&ContextValue { moment: Some(got.at), ..value })?, version))
}

async fn history(call: &Call, eyes: &Eyes, key: &StateKey, accepts: &Accepts, query: &Query) -> Answer {
    let limit = call.page(query.limit)?;
    let (space, states) = (space(call, eyes.tenant.clone())?, call.control().states());
    let told = states.context_history(&space, key, &eyes.reader, query.after, limit + 1).await;
    let (moment, mut told) = told.map_err(read_error)?;
    let more = told.len() > limit;
    told.truncate(limit);
    let items: Vec<ContextValue> = told
        .into_iter()
        .map(|told| {
            let (op, stored) = (Some(told.record.operation.op), stored(&told.record));
            ContextValue { op, hidden: told.hidden, ..value(told.record, stored, accepts) }
        })
        .collect();
    let next = if more { items.last().map(|item| item.version.to_string()) } else { None };
    reply::json(&ContextList { moment, items, next })
}

fn refused(refused: GetRefused, space: &CollectionName, key: &StateKey, accepts: &Accepts) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        GetRefused::Nothing { at: _ } => no_value(space, key),
        GetRefused::Protocol { at: _, version, protocol, last_accepted } => {
            let earlier = last_accepted.map_or(String::new(), |version| {
                format!(", or read the last version that you accept: `pinrail context get {space} {key} --version {version}` (?version={version})")
            });
            let accepts = match accepts {
                Accepts::All => json!([]),
                Accepts::These(these) => json!(these),
            };
            Problem::new(Code::ProtocolMismatch, detail)
                .next_step(format!(
                    "ask the writers to write again in a protocol that you accept: `pinrail context resync {space} --key {key}` \
                     (POST /api/v1/context/{space}/resync){earlier}"
                ))
                .fact("protocol", protocol)
                .fact("version", version.0)
                .fact("accepts", accepts)
                .fact("last_accepted", last_accepted.map(|version| version.0))
                .fact("resync", json!({ "method": "POST", "path": format!("/api/v1/context/{space}/resync") }))
        }
        GetRefused::Erased { version } => Problem::new(Code::Erased, detail)
            .next_step("write the key again, or delete it; `pinrail ledger show` (GET /api/v1/ledger) says why it was erased")
            .fact("version", version.0),
        GetRefused::Read(error) => read_error(error),
    }
}

//! `DELETE /api/v1/context/{space}/{key}?expected=`: deletes a value, until the delete's deployment is taken back.

use pinrail_api::context::ContextChanged;
use pinrail_control::state::context::Set;
use pinrail_domain::id::StateSeq;
use pinrail_domain::state::{Moment, StateKey};
use serde::Deserialize;

use super::{expected, named, refused, space};
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::write_error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    expected: Option<StateSeq>,
}

pub async fn delete(call: Call) -> Answer {
    let (name, key): (_, StateKey) = (named(&call)?, call.param("key")?);
    let (pen, query) = call.pen_in_query::<Query>().await?;
    let expected = expected(&call, query.expected)?;
    let set = Set { key: key.clone(), value: None, expected, parents: Vec::new() };
    let (space, author) = (space(&call, pen.tenant.clone())?, call.author(&pen).await?);
    let wrote = call.control().states().context_set(&author, &space, set, call.idempotency()?.as_ref()).await;
    let wrote = wrote.map_err(|error| write_error(error, |error| refused(error, &name, &key)))?;
    let appended = wrote.appended.expect("a delete appends, now or before");
    let changed = ContextChanged {
        key,
        version: appended.first,
        moment: Moment { state: appended.last, ledger: appended.ledger },
        deployment: author.author.deployment,
        protocol: None,
    };
    reply::changed(wrote.replayed, &changed)
}

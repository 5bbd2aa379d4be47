//! `PUT /api/v1/context/{space}/{key}`: writes a value, over any version or over the one that the writer saw.

use pinrail_api::context::{ContextChanged, PutContext};
use pinrail_control::state::context::{Set, Stored};
use pinrail_domain::state::{Moment, StateKey};

use super::{expected, named, protocol, refused, space, tagged};
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::write_error;

pub async fn put(call: Call) -> Answer {
    let (name, key): (_, StateKey) = (named(&call)?, call.param("key")?);
    let request: PutContext = call.json()?;
    let pen = call.pen(request.by()).await?;
    let protocol = protocol(&call, &pen.hand, request.protocol)?;
    let expected = expected(&call, request.expected)?;
    let value = Some(Stored { protocol, value: request.value });
    let set = Set { key: key.clone(), value, expected, parents: request.parents };
    let (space, author) = (space(&call, pen.tenant.clone())?, call.author(&pen).await?);
    let wrote = call.control().states().context_set(&author, &space, set, call.idempotency()?.as_ref()).await;
    let wrote = wrote.map_err(|error| write_error(error, |error| refused(error, &name, &key)))?;
    let appended = wrote.appended.expect("a put appends, now or before");
    let changed = ContextChanged {
        key,
        version: appended.first,
        moment: Moment { state: appended.last, ledger: appended.ledger },
        deployment: author.author.deployment,
        protocol: Some(protocol),
    };
    Ok(tagged(reply::changed(wrote.replayed, &changed)?, changed.version))
}

//! Shared context: what agents tell each other, as versioned keys and as messages.
//!
//! A reader accepts the protocols that its run's release names, or those that the request names (`accepts`), or any.

use std::collections::BTreeSet;

use axum::response::Response;
use http::HeaderValue;
use http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use pinrail_api::context::{ContextValue, Message, Resync};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::state::context::{self, Accepts, OWN_PROTOCOL, SetRefused, Stored, protocol_of};
use pinrail_domain::id::{CollectionName, StateSeq, TenantId};
use pinrail_domain::journal::Stamp;
use pinrail_domain::release::Manifest;
use pinrail_domain::state::{Record, Space, StateKey, VALUE_BYTES_MAX};

use crate::call::Call;
use crate::problem;
use crate::state_call::{Eyes, Hand, bad_parents};

pub mod delete;
pub mod get;
pub mod list;
pub mod messages;
pub mod put;
pub mod resync;
pub mod send;
pub mod watch;

/// The space that the path names.
fn named(call: &Call) -> Result<CollectionName, Problem> {
    call.param("space")
}

fn space(call: &Call, tenant: TenantId) -> Result<Space, Problem> {
    Ok(Space::context(tenant, &named(call)?))
}

/// What the run's release says of shared context.
fn contract<T>(call: &Call, stamp: &Stamp, read: impl FnOnce(&Manifest) -> T) -> Option<T> {
    let snapshot = call.control().snapshot();
    snapshot.world.releases.get(&stamp.release).map(|release| read(&release.manifest))
}

/// The protocols that a reader accepts: those that it names, as `1,2`, else its release's, else all.
fn accepts(call: &Call, eyes: &Eyes, named: Option<&str>) -> Result<Accepts, Problem> {
    let Some(named) = named else {
        let of_release = eyes.run.as_ref().and_then(|stamp| contract(call, stamp, Accepts::of));
        return Ok(of_release.unwrap_or(Accepts::All));
    };
    let these: Result<BTreeSet<u32>, _> = named.split(',').map(|one| one.trim().parse()).collect();
    let these = these.map_err(|_| {
        Problem::new(Code::BadRequest, format!("accepts `{named}` is no list of protocol versions"))
            .next_step("name them as numbers: accepts=1,2 (--accepts 1,2)")
    })?;
    Ok(Accepts::These(these))
}

/// The protocol that a writer writes: the one that it names, else its release's, else 1.
fn protocol(call: &Call, hand: &Hand, named: Option<u32>) -> Result<u32, Problem> {
    let bad =
        |detail: String, next_step: &str| Err(Problem::new(Code::BadRequest, detail).next_step(next_step));
    let of_run =
        |stamp: &Stamp| contract(call, stamp, |manifest| (protocol_of(manifest), Accepts::of(manifest)));
    let of_run = hand.run().and_then(|stamp| of_run(stamp));
    match (named, of_run) {
        (Some(OWN_PROTOCOL), _) => {
            bad("protocol 0 is Pinrail's own".to_owned(), "count your protocols from 1")
        }
        (Some(named), Some((_, accepts))) if !accepts.accept(named) => bad(
            format!("the run's release neither writes nor accepts protocol {named}"),
            "leave `protocol` out, or name it in the release's state.context.accepts",
        ),
        (Some(named), _) => Ok(named),
        (None, Some((protocol, _))) => Ok(protocol),
        (None, None) => Ok(1),
    }
}

/// The version that a writer expects, from its body or query and from its conditional headers.
fn expected(call: &Call, said: Option<StateSeq>) -> Result<Option<StateSeq>, Problem> {
    let matches = call.header(&IF_MATCH)?.map(version_of).transpose()?;
    let none = match call.header(&IF_NONE_MATCH)? {
        None => None,
        Some("*") => Some(StateSeq(0)),
        Some(_) => {
            return Err(conditions("a writer's If-None-Match is `*`: only where there is no value yet"));
        }
    };
    let all: BTreeSet<StateSeq> = [said, matches, none].into_iter().flatten().collect();
    if all.len() > 1 {
        return Err(conditions("`expected`, If-Match and If-None-Match say different things"));
    }
    Ok(all.first().copied())
}

/// The version in an entity tag.
fn version_of(tag: &str) -> Result<StateSeq, Problem> {
    let digits = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let version = digits.and_then(|digits| digits.parse().ok()).map(StateSeq);
    version
        .ok_or_else(|| conditions("If-Match must be one version as the header ETag gave it, such as \"17\""))
}

fn conditions(detail: &str) -> Problem {
    Problem::new(Code::BadRequest, detail)
        .next_step("say it once: \"expected\": VERSION (--expect VERSION), 0 for a new key")
}

/// An answer with its version as entity tag.
fn tagged(mut response: Response, version: StateSeq) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{version}\"")).expect("digits in quotes are a header");
    response.headers_mut().insert::<HeaderName>(ETAG, tag);
    response
}

/// A record as a value, for a reader that accepts it or not.
fn value(record: Record, stored: Option<Stored>, accepts: &Accepts) -> ContextValue {
    let Record { operation, at, origin, run, parents, content, .. } = record;
    let erased = matches!(content, pinrail_domain::state::Content::Erased);
    let protocol = stored.as_ref().map(|stored| stored.protocol);
    let unaccepted = protocol.is_some_and(|protocol| !accepts.accept(protocol));
    ContextValue {
        moment: None,
        key: operation.key,
        version: operation.seq,
        protocol,
        value: stored.filter(|_| !unaccepted).map(|stored| stored.value),
        unaccepted,
        erased,
        at,
        run,
        deployment: operation.deployment,
        origin,
        parents,
        op: None,
        hidden: None,
    }
}

/// A record as a message, for a reader that accepts it or not.
fn message(record: Record, said: Option<context::Message>, accepts: &Accepts) -> Message {
    let Record { operation, at, run, parents, .. } = record;
    let empty = Message {
        seq: operation.seq,
        at,
        protocol: None,
        unaccepted: false,
        erased: false,
        kind: None,
        from: None,
        to: None,
        body: None,
        run: None,
        deployment: None,
        parents: Vec::new(),
    };
    match said {
        None => Message { erased: true, ..empty },
        Some(said) if !accepts.accept(said.protocol) => {
            Message { protocol: Some(said.protocol), unaccepted: true, ..empty }
        }
        Some(context::Message { protocol, kind, from, to, body }) => Message {
            protocol: Some(protocol),
            kind: Some(kind),
            from,
            to,
            body: Some(body),
            run,
            deployment: Some(operation.deployment),
            parents,
            ..empty
        },
    }
}

/// How a reader asks for what it doesn't accept.
fn resync_of(space: &CollectionName, accepts: &Accepts) -> Resync {
    let accepts = match accepts {
        Accepts::All => BTreeSet::new(),
        Accepts::These(these) => these.clone(),
    };
    Resync { method: "POST".to_owned(), path: format!("/api/v1/context/{space}/resync"), accepts }
}

fn no_value(space: &CollectionName, key: &StateKey) -> Problem {
    problem::not_found(
        format!("value of `{key}` in context {space} that this reader sees"),
        &format!("list what it sees: `pinrail context list {space}` (GET /api/v1/context/{space})"),
    )
}

/// Why a key isn't written.
fn refused(refused: SetRefused, space: &CollectionName, key: &StateKey) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        SetRefused::Reserved => Problem::new(Code::BadName, detail)
            .next_step(format!("take another key, or send a message: `pinrail context send {space}` (POST /api/v1/context/{space}/messages)")),
        SetRefused::Moved { expected, current } => Problem::new(Code::VersionMoved, detail)
            .next_step(format!(
                "read it again, decide again, and write over that version: `pinrail context get {space} {key}` (GET \
                 /api/v1/context/{space}/{key})"
            ))
            .fact("expected", expected.0)
            .fact("current", current.unwrap_or_default().0),
        SetRefused::Nothing => no_value(space, key),
        SetRefused::TooLong { bytes } => Problem::new(Code::TooLarge, detail)
            .next_step("store what is long as an artifact (POST /api/v1/artifacts) and share its digest")
            .fact("bytes", bytes)
            .fact("bytes_max", VALUE_BYTES_MAX),
        SetRefused::Parents(error) => bad_parents(error),
    }
}

#[cfg(test)]
mod tests;

//! Who calls, for whom, in which run: read from headers and body, before anything is decided.
//!
//! Where each is named, and how ties break:
//! - run, session, tenant: header `x-pinrail-…`, the body's `pinrail` object, its `metadata.pinrail_…`;
//! - attributes: `x-pinrail-attributes: plan=beta,region=eu`, `pinrail.attributes`, `metadata.pinrail_attr_<name>`;
//! - prompt variables: `pinrail.variables`, `metadata.pinrail_var_<name>`.
//!
//! In the body the `pinrail` object wins over `metadata`. A header and the body must not contradict each other:
//! proxies set headers, applications set bodies, and nobody may guess whom to believe. Without a session or a tenant, the
//! agent's own sources are asked (`sources`); a value that can't stand in a session's name stands as its digest.
//! A name of ours that doesn't exist is refused, since a mistyped session would silently be none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::LazyLock;

use http::StatusCode;
use http::header::{HeaderMap, HeaderName};
use pinrail_domain::agent::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, RunId, SessionId, TenantId};
use pinrail_domain::identity::{IdentitySpec, KEY_BYTES_MAX, Source};
use pinrail_domain::key::Tenants;
use pinrail_wire::Dialect;
use pinrail_wire::dialect::Request;
use pinrail_wire::embeddings::EmbeddingsRequest;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::gateway::Shared;
use crate::port::Call;

mod body;
mod sources;

/// What a call says about itself.
#[derive(Debug)]
pub struct Identity {
    pub call: Call,
    pub variables: BTreeMap<String, Value>,
    /// Who goes on from the answer stays where it was given.
    pub follows: bool,
}

/// A request, as far as it says who calls.
pub trait Says<'a> {
    /// A top-level field as it stood in the body.
    fn field(&self, name: &str) -> Option<&'a RawValue>;

    /// Where the body names the end user.
    fn user_at(&self) -> &'static str;

    /// Whether calls may go on from the answer by its id.
    fn may_be_followed(&self) -> bool;
}

/// A text with the place it was found in, for errors.
#[derive(Clone, Debug)]
struct Named<'a> {
    text: Cow<'a, str>,
    place: &'static str,
}

/// Where sessions are read from by agents that don't say.
static SOURCES: LazyLock<IdentitySpec> = LazyLock::new(IdentitySpec::default);

const RUN: &str = "x-pinrail-run";
const SESSION: &str = "x-pinrail-session";
const TENANT: &str = "x-pinrail-tenant";
const ATTRIBUTES: &str = "x-pinrail-attributes";
const PREFIX: &str = "x-pinrail-";

impl Identity {
    /// Reads and checks everything that says who calls a model. Refuses a tenant that is not the caller's (I11).
    pub fn read(
        headers: &HeaderMap,
        request: &Request<'_>,
        tenants: &Tenants,
        shared: &Shared,
    ) -> Result<Identity, Failure> {
        Identity::of(headers, request, request.model(), tenants, shared)
    }

    /// Does as [`Identity::read`], for a request that names its agent in a form of its own.
    pub fn of<'a>(
        headers: &HeaderMap,
        request: &impl Says<'a>,
        agent_name: &str,
        tenants: &Tenants,
        shared: &Shared,
    ) -> Result<Identity, Failure> {
        check_names(headers)?;
        let said = body::Said::read(request, &shared.limits)?;
        let run = agree(header(headers, RUN)?, said.run)?;
        let session = agree(header(headers, SESSION)?, said.session)?;
        let tenant = agree(header(headers, TENANT)?, said.tenant)?;
        let mut attributes = header_attributes(headers)?;
        merge_attributes(&mut attributes, said.attributes)?;

        let run = run.map(|run| parse::<RunId>(&run)).transpose()?;
        let spec = shared.runs.agent(agent_name);
        let sources = spec.as_ref().and_then(|spec| spec.identity.as_ref());
        let sources = sources.unwrap_or_else(|| LazyLock::force(&SOURCES));
        let session = match session {
            Some(session) => Some(parse::<SessionId>(&session)?),
            None => {
                sources::first(&sources.session, headers, request)?.map(|(from, value)| named(from, &value))
            }
        };
        let tenant = match tenant {
            Some(tenant) => Some(parse::<TenantId>(&tenant)?),
            None => sources::first(&sources.tenant, headers, request)?
                .map(|(from, value)| sources::tenant(from, &value))
                .transpose()?,
        };
        let tenant = tenants.choose(tenant).map_err(|refused| {
            let message = format!("{refused}; use a key of that tenant, or name a tenant of this key");
            Failure::client(StatusCode::FORBIDDEN, "tenant_refused", message).about(TENANT)
        })?;
        let agent = agent(agent_name)?;
        let call = Call { agent, tenant, run, session, attributes };
        let follows = request.may_be_followed() && sources.follows_answers();
        Ok(Identity { call, variables: said.variables, follows })
    }
}

/// The agent that `model` names. What can't be a name is refused here: it may be of any length.
fn agent(model: &str) -> Result<String, Failure> {
    AgentName::new(model).map(|name| name.as_str().to_owned()).map_err(|bad| {
        let message =
            format!("`model` names an agent, and `{}` is {bad}; GET /v1/models lists them", shown(model));
        Failure::client(StatusCode::NOT_FOUND, "model_not_found", message).about("model")
    })
}

impl<'a> Says<'a> for Request<'a> {
    fn field(&self, name: &str) -> Option<&'a RawValue> {
        self.param(name)
    }

    fn user_at(&self) -> &'static str {
        match self.dialect() {
            Dialect::Chat | Dialect::Responses => "user",
            Dialect::Messages => "metadata.user_id",
        }
    }

    fn may_be_followed(&self) -> bool {
        self.dialect() == Dialect::Responses
    }
}

impl<'a> Says<'a> for EmbeddingsRequest<'a> {
    fn field(&self, name: &str) -> Option<&'a RawValue> {
        self.param(name)
    }

    fn user_at(&self) -> &'static str {
        "user"
    }

    fn may_be_followed(&self) -> bool {
        false
    }
}

/// The session that stands for what a source says.
fn named(from: &Source, value: &str) -> SessionId {
    if *from == Source::PreviousResponseId {
        return answer_session(value);
    }
    session_of(&from.to_string(), value)
}

/// The session of those who go on from an answer.
pub fn answer_session(id: &str) -> SessionId {
    session_of("response", id)
}

fn session_of(from: &str, value: &str) -> SessionId {
    SessionId::new(&format!("{from}:{value}")).unwrap_or_else(|_| {
        let from = &from[..from.floor_char_boundary(KEY_BYTES_MAX)];
        let text = format!("{from}:{}", Digest::of(value.as_bytes()));
        SessionId::new(&text).expect("a source and a digest are short and visible ASCII")
    })
}

fn check_names(headers: &HeaderMap) -> Result<(), Failure> {
    let known = [RUN, SESSION, TENANT, ATTRIBUTES];
    let ours = |name: &&HeaderName| name.as_str().starts_with(PREFIX);
    match headers.keys().filter(ours).find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let message = format!("there is no header `{name}`; there are {}", known.join(", "));
            Err(Failure::bad_request("unknown_header", message).about(name.as_str().to_owned()))
        }
    }
}

/// One of our headers, which must be there at most once.
fn header<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<Named<'h>>, Failure> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        let message = format!("header {name} is given twice; send it once");
        return Err(Failure::bad_request("duplicate_header", message).about(name));
    }
    let Ok(text) = value.to_str() else {
        let message = format!("header {name} must be visible ASCII");
        return Err(Failure::bad_request("invalid_header", message).about(name));
    };
    Ok(Some(Named { text: Cow::Borrowed(text.trim()), place: name }))
}

/// What header and body say together.
fn agree<'a>(header: Option<Named<'a>>, body: Option<Named<'a>>) -> Result<Option<Named<'a>>, Failure> {
    match (header, body) {
        (Some(header), Some(body)) if header.text != body.text => Err(contradiction(
            header.place,
            &format!("header {} says `{}`", header.place, shown(&header.text)),
            &format!("`{}` in the body says `{}`", body.place, shown(&body.text)),
        )),
        (Some(header), _) => Ok(Some(header)),
        (None, body) => Ok(body),
    }
}

fn contradiction(param: &'static str, header: &str, body: &str) -> Failure {
    let message = format!("{header} and {body}; send one of the two, or the same in both");
    Failure::bad_request("contradiction", message).about(param)
}

fn parse<T: FromStr<Err: std::fmt::Display>>(named: &Named<'_>) -> Result<T, Failure> {
    named.text.parse().map_err(|error| {
        let message = format!("{}: {error}; it is `{}`", named.place, shown(&named.text));
        Failure::bad_request("invalid_identity", message).about(named.place)
    })
}

fn header_attributes(headers: &HeaderMap) -> Result<BTreeMap<String, String>, Failure> {
    let Some(Named { text, .. }) = header(headers, ATTRIBUTES)? else { return Ok(BTreeMap::new()) };
    let mut attributes = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let message = format!("header {ATTRIBUTES}: `{}` is not name=value", shown(pair));
            return Err(Failure::bad_request("invalid_attributes", message).about(ATTRIBUTES));
        };
        let (name, value) = (name.trim_end(), value.trim_start());
        if attributes.insert(name.to_owned(), value.to_owned()).is_some() {
            let message = format!("header {ATTRIBUTES} names `{}` twice", shown(name));
            return Err(Failure::bad_request("invalid_attributes", message).about(ATTRIBUTES));
        }
    }
    Ok(attributes)
}

fn merge_attributes(
    header: &mut BTreeMap<String, String>,
    body: BTreeMap<String, String>,
) -> Result<(), Failure> {
    for (name, value) in body {
        match header.get(&name) {
            Some(other) if *other != value => {
                let name = shown(&name);
                return Err(contradiction(
                    ATTRIBUTES,
                    &format!("header {ATTRIBUTES} says {name}=`{}`", shown(other)),
                    &format!("attribute `{name}` in the body is `{}`", shown(&value)),
                ));
            }
            Some(_) => {}
            None => {
                header.insert(name, value);
            }
        }
    }
    let too_long = |text: &String| text.len() > ATTRIBUTE_BYTES_MAX;
    if header.len() > ATTRIBUTES_MAX {
        let message =
            format!("the call has {} attributes; at most {ATTRIBUTES_MAX} are allowed", header.len());
        return Err(Failure::bad_request("too_many_attributes", message).about(ATTRIBUTES));
    }
    match header.iter().find(|(name, value)| too_long(name) || too_long(value)) {
        None => Ok(()),
        Some((name, _)) => {
            let name = shown(name);
            let message = format!("attribute `{name}` is longer than {ATTRIBUTE_BYTES_MAX} bytes");
            Err(Failure::bad_request("attribute_too_long", message).about(ATTRIBUTES))
        }
    }
}

/// A value as far as an error repeats it.
fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}

//! Who calls, for whom, in which run: read from headers and body, before anything is decided.
//!
//! Where each is named, and how ties break:
//! - run, session, tenant: header `x-pinrail-…`, the body's `pinrail` object, its `metadata.pinrail_…`;
//! - attributes: `x-pinrail-attributes: plan=beta,region=eu`, `pinrail.attributes`, `metadata.pinrail_attr_<name>`;
//! - prompt variables: `pinrail.variables`, `metadata.pinrail_var_<name>`.
//!
//! In the body the `pinrail` object wins over `metadata`. A header and the body must not contradict each other:
//! proxies set headers, applications set bodies, and nobody may guess whom to believe. Without a session, the
//! body's `user` names one, as `user:<value>`; a value that can't stand in a session's name stands as its digest.
//! A name of ours that doesn't exist is refused, since a mistyped session would silently be none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use http::StatusCode;
use http::header::{HeaderMap, HeaderName};
use pinrail_domain::agent::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, RunId, SessionId, TenantId};
use pinrail_domain::key::Tenants;
use pinrail_wire::chat::ChatRequest;
use serde_json::Value;

use crate::failure::Failure;
use crate::limits::Limits;
use crate::port::Call;

mod body;

/// What a call says about itself.
#[derive(Debug)]
pub struct Identity {
    pub call: Call,
    pub variables: BTreeMap<String, Value>,
}

/// A text with the place it was found in, for errors.
#[derive(Clone, Debug)]
struct Named<'a> {
    text: Cow<'a, str>,
    place: &'static str,
}

const RUN: &str = "x-pinrail-run";
const SESSION: &str = "x-pinrail-session";
const TENANT: &str = "x-pinrail-tenant";
const ATTRIBUTES: &str = "x-pinrail-attributes";
const PREFIX: &str = "x-pinrail-";

impl Identity {
    /// Reads and checks everything that says who calls. Refuses a tenant that is not the caller's (I11).
    pub fn read(
        headers: &HeaderMap,
        request: &ChatRequest<'_>,
        tenants: &Tenants,
        limits: &Limits,
    ) -> Result<Identity, Failure> {
        check_names(headers)?;
        let said = body::Said::read(request, limits)?;
        let run = agree(header(headers, RUN)?, said.run)?;
        let session = agree(header(headers, SESSION)?, said.session)?;
        let tenant = agree(header(headers, TENANT)?, said.tenant)?;
        let mut attributes = header_attributes(headers)?;
        merge_attributes(&mut attributes, said.attributes)?;

        let run = run.map(|run| parse::<RunId>(&run)).transpose()?;
        let session = match session {
            Some(session) => Some(parse::<SessionId>(&session)?),
            None => request.user().filter(|user| !user.is_empty()).map(session_of),
        };
        let tenant = tenant.map(|tenant| parse::<TenantId>(&tenant)).transpose()?;
        let tenant = tenants.choose(tenant).map_err(|refused| {
            let message = format!("{refused}; use a key of that tenant, or name a tenant of this key");
            Failure::client(StatusCode::FORBIDDEN, "tenant_refused", message).about(TENANT)
        })?;
        let agent = agent(request.model())?;
        let call = Call { agent, tenant, run, session, attributes };
        Ok(Identity { call, variables: said.variables })
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

/// The session that stands for the body's `user`.
fn session_of(user: &str) -> SessionId {
    SessionId::new(&format!("user:{user}")).unwrap_or_else(|_| {
        let text = format!("user:{}", Digest::of(user.as_bytes()));
        SessionId::new(&text).expect("a digest is short and visible ASCII")
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

//! What happens to every API request, in this order: the method is looked up; the caller is told and let in or not;
//! only then the body is read, within its limits; a member that no longer counts is refused what it wants to write; the
//! endpoint runs; its answer gets the epoch; a mutation is logged, what workers send all the time only at level debug.
//!
//! An endpoint runs as a task of its own. A mutation's task goes on when the client leaves: between the store's commit
//! and the flip of the snapshot nothing may stop it. A read's task is dropped with the client. A panic, which is a
//! mistake of ours, ends the task and becomes an `internal` problem.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::keys::Caller;
use tokio::task::{JoinError, JoinSet};

use crate::call::{Call, bad_name};
use crate::limits::Limits;
use crate::problem;
use crate::reply::Answer;
use crate::routes::{Access, Route, Takes};
use crate::state::State;
use crate::{api, auth, pages, routes, unread};

/// Says how many changes of pointers this server has seen.
pub const EPOCH: HeaderName = HeaderName::from_static("x-pinrail-epoch");
/// What workers send all the time, by the bodies.
const FREQUENT: [&str; 8] = [
    "McpMessage",
    "Acknowledge",
    "AppendEvents",
    "Remember",
    "UpsertVectors",
    "SearchVectors",
    "CountVectors",
    "DeleteVectors",
];

/// Answers a request to an address whose routes, one per method, are `routes`.
pub async fn answer(
    state: Arc<State>,
    routes: Arc<[&'static Route]>,
    params: Result<RawPathParams, String>,
    request: Request,
) -> Response {
    let start = state.clock.ticks();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut who = String::from("-");
    let answered = attempt(&state, &routes, params, request, &mut who).await;
    let mut response = finish(&state, answered);
    if method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    if method != Method::GET && method != Method::HEAD {
        let took_us = state.clock.ticks().us_since(start);
        let status = response.status().as_u16();
        if routes::by_method(&routes, &method).is_some_and(is_frequent) {
            tracing::debug!(%method, path, status, caller = who, took_us, "request");
        } else {
            tracing::info!(%method, path, status, caller = who, took_us, "request");
        }
    }
    response
}

/// The answer to an address that there isn't.
pub async fn no_route(state: Arc<State>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    unread::discard(body).await;
    let path = head.uri.path();
    let path = &path[..path.floor_char_boundary(128)];
    let problem = Problem::new(Code::NoRoute, format!("there is no address {path}"))
        .next_step("GET /openapi.json lists every address");
    if pages::is_browser(&head) {
        return pages::wrong(&state, head, problem);
    }
    finish(&state, Err(problem))
}

fn finish(state: &State, answered: Answer) -> Response {
    let mut response = answered.unwrap_or_else(|problem| problem::response(&problem));
    response.headers_mut().insert(EPOCH, HeaderValue::from(state.control.snapshot().world.epoch.0));
    response
}

async fn attempt(
    state: &Arc<State>,
    routes: &[&'static Route],
    params: Result<RawPathParams, String>,
    request: Request,
    who: &mut String,
) -> Answer {
    let (head, body) = request.into_parts();
    let (route, caller, params) = match admit(state, routes, params, &head, who) {
        Ok(admitted) => admitted,
        Err(problem) => {
            unread::discard(body).await;
            return Err(problem);
        }
    };
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let body = read(route, &head.headers, body, &state.limits).await?;
    let call = Call { state: Arc::clone(state), caller, params, head, body };
    if route.is_fenced()
        && let Some((member, generation)) = call.member()?
    {
        // After the body, which may have taken longer than a lease.
        api::members::admit(&call, member, generation).await?;
    }
    let ended = if route.is_mutation() {
        tokio::spawn((route.handler)(call)).await
    } else {
        // Dropping the set drops the task.
        let mut task = JoinSet::new();
        task.spawn((route.handler)(call));
        task.join_next().await.expect("the set holds one task")
    };
    ended.unwrap_or_else(|error| Err(internal(route, error)))
}

/// What can be said of a request by its head alone: whether there is such a route, and whether the caller may use it.
fn admit(
    state: &State,
    routes: &[&'static Route],
    params: Result<RawPathParams, String>,
    head: &Parts,
    who: &mut String,
) -> Result<(&'static Route, Option<Caller>, RawPathParams), Problem> {
    let route = routes::by_method(routes, &head.method).ok_or_else(|| wrong_method(routes, &head.method))?;
    let caller = match &route.access {
        Access::Public => None,
        Access::Key { .. } if state.metrics.open && route.path == api::metrics::PATH => None,
        Access::Key { .. } => Some(auth::caller(&state.control, &head.headers, &head.uri)?),
    };
    if let Some(caller) = &caller {
        *who = caller.id();
        auth::authorize(caller, &route.access)?;
    }
    Ok((route, caller, params.map_err(bad_name)?))
}

/// Our own mistake: the log has its cause, the client learns only that it wasn't theirs.
fn internal(route: &Route, error: JoinError) -> Problem {
    let cause = match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
        }
        Err(cancelled) => cancelled.to_string(),
    };
    tracing::error!(route = route.path, cause, "an endpoint failed: this is a bug in Pinrail");
    Problem::new(Code::Internal, "an endpoint of this server failed; its log says why")
        .next_step("look whether the change was made before you send it again, and report the log line")
}

/// Whether the route is one that workers call all the time, and whose effect the journal or the state itself shows.
fn is_frequent(route: &Route) -> bool {
    match route.takes {
        Takes::Json(name) | Takes::JsonOrNothing(name) | Takes::LargeJson(name) => FREQUENT.contains(&name),
        Takes::Nothing | Takes::Bytes => false,
    }
}

fn wrong_method(routes: &[&'static Route], method: &Method) -> Problem {
    let allowed: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    let (path, allowed) = (routes[0].path, allowed.join(", "));
    Problem::new(Code::MethodNotAllowed, format!("{path} takes no {method}"))
        .next_step(format!("use {allowed}"))
        .fact("allow", allowed)
}

/// Reads the body that the route takes. What its headers rule out is refused before a byte is read.
async fn read(route: &Route, headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Bytes, Problem> {
    let bytes_max = match route.takes {
        Takes::Nothing | Takes::Json(_) | Takes::JsonOrNothing(_) => limits.json_bytes_max,
        Takes::LargeJson(_) => limits.large_json_bytes_max,
        Takes::Bytes => limits.artifact_bytes_max,
    };
    let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.unwrap_or(0) > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let limited = tokio::time::timeout(limits.body_wait, Limited::new(body, bytes_max).collect());
    let bytes = match limited.await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(bytes_max)),
        Ok(Err(error)) => {
            let detail = format!("the body broke off: {}", problem::chain(&*error));
            return Err(Problem::new(Code::BadRequest, detail).next_step("send the request again"));
        }
        Err(_) => {
            let seconds = limits.body_wait.as_secs();
            return Err(Problem::new(
                Code::RequestTimeout,
                format!("the body did not arrive within {seconds} s"),
            )
            .next_step("send the request again, over a faster line or in smaller parts"));
        }
    };
    check_content(route, headers, &bytes)?;
    Ok(bytes)
}

fn check_content(route: &Route, headers: &HeaderMap, body: &Bytes) -> Result<(), Problem> {
    let (wants_json, may_be_absent) = match route.takes {
        Takes::Json(_) | Takes::LargeJson(_) => (true, false),
        Takes::JsonOrNothing(_) => (true, true),
        Takes::Nothing | Takes::Bytes => (false, true),
    };
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase());
    let unsupported = |detail: String, next_step: &str| {
        Err(Problem::new(Code::UnsupportedContent, detail).next_step(next_step))
    };
    if let Some(encoding) = text(CONTENT_ENCODING).filter(|encoding| encoding != "identity") {
        return unsupported(format!("the body is encoded as `{encoding:.32}`"), "send it as it is");
    }
    if !wants_json || (may_be_absent && body.is_empty()) {
        return Ok(());
    }
    let said = text(CONTENT_TYPE).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    match essence {
        "application/json" => Ok(()),
        "" => unsupported("the body has no content type".to_owned(), "send `Content-Type: application/json`"),
        other => {
            let detail = format!("the body is said to be `{other:.64}`, not JSON");
            unsupported(detail, "send `Content-Type: application/json`")
        }
    }
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Code::TooLarge, format!("the body is larger than {bytes_max} bytes"))
        .next_step("send less in one request")
        .fact("bytes_max", bytes_max)
}

#[cfg(test)]
mod tests;

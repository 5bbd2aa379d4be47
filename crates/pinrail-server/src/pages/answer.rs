//! What happens to a request for a page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::keys::Caller;
use pinrail_dashboard::problem::Wrong;
use tokio::task::JoinSet;

use super::serve::View;
use super::{PageRoute, form, serve};
use crate::auth;
use crate::call::{Call, bad_name};
use crate::reply::{self, Answer};
use crate::routes::Access;
use crate::state::State;
use crate::unread;

/// No inline script or style, nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// A form's fields: a reason, a handful of choices, an agent's name.
const FORM_BYTES_MAX: usize = 64 << 10;

/// Who looks, and whether they showed a key with the request itself.
struct Visitor {
    caller: Option<Caller>,
    by_bearer: bool,
}

/// Answers a request for the page whose methods are `routes`.
pub async fn answer(
    state: Arc<State>,
    routes: Arc<[&'static PageRoute]>,
    params: Result<RawPathParams, String>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let looked = head.clone();
    let mut caller = None;
    let answered = attempt(&state, &routes, params, head, body, &mut caller).await;
    let mut response = match answered {
        Ok(response) => response,
        Err(problem) => refuse(&state, caller, looked.clone(), problem),
    };
    if looked.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    guard(response)
}

/// The page of a problem, for a browser that asked for what there isn't.
pub fn wrong(state: &Arc<State>, head: Parts, problem: Problem) -> Response {
    let caller = visitor(state, &head).ok().and_then(|visitor| visitor.caller);
    guard(refuse(state, caller, head, problem))
}

async fn attempt(
    state: &Arc<State>,
    routes: &[&'static PageRoute],
    params: Result<RawPathParams, String>,
    head: Parts,
    body: Body,
    caller: &mut Option<Caller>,
) -> Answer {
    let (route, visitor, params) = match admit(state, routes, params, &head, caller) {
        Ok(admitted) => admitted,
        Err(problem) => {
            unread::discard(body).await;
            return Err(problem);
        }
    };
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let is_form = route.method == Method::POST;
    let body = if is_form { read(state, body).await? } else { Bytes::new() };
    let mut call = Call { state: Arc::clone(state), caller: visitor.caller, params, head, body };
    if is_form {
        form::open(&mut call, visitor.by_bearer)?;
        if route.needs_reason {
            form::reasoned(&call)?;
        }
        tracing::debug!(path = route.path, caller = call.caller.as_ref().map(Caller::id), "form");
    }
    let ended = if is_form {
        // Goes on when the browser leaves: between the commit and the flip nothing may stop it.
        tokio::spawn((route.handler)(call)).await
    } else {
        let mut task = JoinSet::new();
        task.spawn((route.handler)(call));
        task.join_next().await.expect("the set holds one task")
    };
    ended.unwrap_or_else(|error| {
        tracing::error!(page = route.path, cause = %error, "a page failed: this is a bug in Pinrail");
        Err(Problem::new(Code::Internal, "a page of this server failed; its log says why").next_step(
            "look whether the change was made before you send the form again, and report the log line",
        ))
    })
}

fn admit(
    state: &State,
    routes: &[&'static PageRoute],
    params: Result<RawPathParams, String>,
    head: &Parts,
    caller: &mut Option<Caller>,
) -> Result<(&'static PageRoute, Visitor, RawPathParams), Problem> {
    let wanted = if head.method == Method::HEAD { &Method::GET } else { &head.method };
    let route = routes.iter().find(|route| route.method == wanted).copied().ok_or_else(|| {
        Problem::new(Code::MethodNotAllowed, format!("this page takes no {}", head.method))
            .next_step("open it with GET")
            .fact("allow", "GET, POST")
    })?;
    let visitor = match (visitor(state, head), route.access) {
        (Ok(visitor), _) => visitor,
        (Err(_), Access::Public) => Visitor { caller: None, by_bearer: false },
        (Err(problem), Access::Key { .. }) => return Err(problem),
    };
    caller.clone_from(&visitor.caller);
    match (&visitor.caller, route.access) {
        (Some(caller), access) => auth::authorize(caller, &access)?,
        (None, Access::Public) => {}
        (None, Access::Key { .. }) => {
            return Err(Problem::new(Code::Unauthenticated, "this server needs a key")
                .next_step("sign in at /login, or send `Authorization: Bearer <key>`"));
        }
    }
    Ok((route, visitor, params.map_err(bad_name)?))
}

/// Tells who looks: by the request's own key, else by the session's cookie; everyone where there are no keys.
fn visitor(state: &State, head: &Parts) -> Result<Visitor, Problem> {
    if head.headers.contains_key(AUTHORIZATION) || !state.control.is_keyed() {
        let by_bearer = head.headers.contains_key(AUTHORIZATION);
        let caller = auth::caller(&state.control, &head.headers, &head.uri)?;
        return Ok(Visitor { caller: Some(caller), by_bearer: by_bearer && state.control.is_keyed() });
    }
    let session = state.sessions.of(&head.headers, state.clock.now());
    let caller = session.and_then(|session| state.control.caller_of(&session.key));
    Ok(Visitor { caller, by_bearer: false })
}

async fn read(state: &State, body: Body) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(state.limits.body_wait, Limited::new(body, FORM_BYTES_MAX).collect());
    match read.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Problem::new(
            Code::TooLarge,
            format!("the form broke off, or is larger than {FORM_BYTES_MAX} bytes"),
        )
        .next_step("say it in fewer words")),
        Err(_) => {
            Err(Problem::new(Code::RequestTimeout, "the form did not arrive in time")
                .next_step("send it again"))
        }
    }
}

/// A problem as what was asked for: a page, or, for a twin, JSON.
fn refuse(state: &Arc<State>, caller: Option<Caller>, head: Parts, problem: Problem) -> Response {
    let view = serve::view(&head);
    let to_login = problem.status == 401 && view == View::Html;
    if to_login && head.method != Method::POST {
        return see_other(&format!("/login?next={}", pinrail_dashboard::ui::url(serve::address(&head))));
    }
    if view != View::Html {
        return crate::problem::response(&problem);
    }
    let status = StatusCode::from_u16(problem.status).expect("a code's status is an HTTP status");
    let shell = serve::shell(state, caller.as_ref(), &head);
    let html = pinrail_dashboard::page::document(&Wrong { problem }, &shell);
    let mut response = reply::with_type("text/html; charset=utf-8", Body::from(html));
    *response.status_mut() = status;
    response
}

/// Leads a browser on.
pub fn see_other(to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, to);
    response
}

/// The headers that every page has.
fn guard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

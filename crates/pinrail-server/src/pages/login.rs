//! `/login`, `/logout`: a key for a session.

use axum::body::Body;
use http::StatusCode;
use http::header::SET_COOKIE;
use pinrail_domain::ledger::Actor;
use serde::Deserialize;

use super::answer::see_other;
use super::session::{Sessions, needs_https};
use super::{form, serve};
use crate::call::Call;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
struct Next {
    next: Option<String>,
}

#[derive(Deserialize)]
struct Shown {
    key: Option<String>,
    next: Option<String>,
}

pub async fn show(call: Call) -> Answer {
    let Next { next } = form::query(&call)?;
    let next = local(next.as_deref());
    if call.caller.is_some() {
        return Ok(see_other(&next));
    }
    ask(&call, None, &next)
}

pub async fn sign_in(call: Call) -> Answer {
    let Shown { key, next } = form::typed(&call)?;
    let next = local(next.as_deref());
    let caller = call.control().authenticate(key.as_deref().map(str::trim));
    let (state, headers) = (&call.state, &call.head.headers);
    match caller {
        Ok(caller) => {
            let mut response = see_other(&next);
            if let Actor::Key { id, .. } = &caller.actor {
                let cookie = state.sessions.begin(id, headers, state.clock.now(), call.control().entropy());
                response.headers_mut().insert(SET_COOKIE, cookie);
                tracing::info!(caller = caller.id(), "signed in to the dashboard");
            }
            Ok(response)
        }
        Err(_) => {
            let mut response = ask(
                &call,
                Some("This key is not valid. Keys look like pr_… and are shown once, when they are made."),
                &next,
            )?;
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            Ok(response)
        }
    }
}

pub async fn sign_out(call: Call) -> Answer {
    let mut response = see_other("/login");
    response.headers_mut().insert(SET_COOKIE, Sessions::end(&call.head.headers));
    Ok(response)
}

fn ask(call: &Call, wrong: Option<&str>, next: &str) -> Answer {
    let shell = serve::shell(&call.state, None, &call.head);
    let html = pinrail_dashboard::login::document(&shell, wrong, next, needs_https(&call.head.headers));
    Ok(reply::with_type("text/html; charset=utf-8", Body::from(html)))
}

/// An address of this server; nobody is led anywhere else.
pub fn local(next: Option<&str>) -> String {
    let is_local = |next: &&str| {
        next.starts_with('/')
            && !next.starts_with("//")
            && !next.contains(|character: char| character == '\\' || character.is_control())
            && !next.starts_with("/login")
    };
    next.filter(is_local).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn nobody_is_led_to_another_site() {
        let check = |next: &str, expected: &str| assert_eq!(local(Some(next)), expected, "{next}");
        check("/runs?agent=a", "/runs?agent=a");
        check("//evil.example", "/");
        check("/\\evil.example", "/");
        check("/\t/evil.example", "/");
        check("https://evil.example", "/");
        check("/login?next=/login", "/");
        assert_eq!(local(None), "/");
    }
}

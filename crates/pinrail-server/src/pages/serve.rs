//! A page's value, as what was asked for: a document, its JSON, or what changes of it.

use std::future::Future;
use std::sync::Arc;

use axum::body::Body;
use http::header::ACCEPT;
use http::request::Parts;
use http::{Method, Uri};
use pinrail_api::problem::Problem;
use pinrail_control::keys::Caller;
use pinrail_dashboard::{Done, Page, Shell, Theme, Who};
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::key::Scope;
use pinrail_domain::ledger::{Actor, Entry};

use super::answer::see_other;
use super::{live, session, theme};
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state::State;

/// What of a page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Html,
    /// Its value.
    Json,
    /// Its parts, whenever they change.
    Live,
}

/// Where no page is: the API and the gateway have addresses that may end like a twin's.
const NO_PAGES: [&str; 6] = ["/api/", "/v1/", "/mcp/", "/ofrep/", "/assets/", "/openapi.json"];

/// How long an entry is said to be what was just done: a link to a page may be passed on.
const JUST_NOW_MS: u64 = 10 * 60_000;

/// Takes what says which view is meant off a page's address, and notes it in the request.
pub fn recognize<B>(mut request: http::Request<B>) -> http::Request<B> {
    let path = request.uri().path();
    if request.method() == Method::POST || NO_PAGES.iter().any(|prefix| path.starts_with(prefix)) {
        return request;
    }
    let (bare, view) = match (path.strip_suffix(".json"), path.strip_suffix(".live")) {
        (Some(bare), _) => (bare, View::Json),
        (None, Some(bare)) => (bare, View::Live),
        (None, None) => return request,
    };
    let bare = if bare == "/index" { "/" } else { bare };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = format!("{bare}{query}").parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(view);
    }
    request
}

/// Which view of a page a request asks for.
pub fn view(head: &Parts) -> View {
    head.extensions.get::<View>().copied().unwrap_or(View::Html)
}

/// Whether a person looks, with a browser, at what is no page.
pub fn is_browser(head: &Parts) -> bool {
    let accept = head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let is_api = NO_PAGES.iter().any(|prefix| head.uri.path().starts_with(prefix));
    !is_api && head.method == Method::GET && accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The page's address as links name it.
pub fn address(head: &Parts) -> &str {
    let address = head.uri.path_and_query().map_or("/", |place| place.as_str());
    // Two slashes would lead to another server.
    if address.starts_with("//") || address.starts_with("/\\") { "/" } else { address }
}

/// Gathers a page's value and writes what was asked for.
pub async fn show<P, G, F>(call: Call, gather: G) -> Answer
where
    P: Page + 'static,
    G: Fn(Call) -> F + Send + Sync + 'static,
    F: Future<Output = Result<P, Problem>> + Send + 'static,
{
    match view(&call.head) {
        View::Json => reply::json(&gather(call).await?),
        View::Live => live::follow(call, gather).await,
        View::Html => {
            let page = gather(call.clone()).await?;
            let mut shell = shell(&call.state, call.caller.as_ref(), &call.head);
            shell.done = just_done(&call).await;
            let html = pinrail_dashboard::page::document(&page, &shell);
            Ok(reply::with_type("text/html; charset=utf-8", Body::from(html)))
        }
    }
}

/// Leads to a page after something was done, which shows the ledger entry that was made.
pub fn done(to: &str, seq: Option<LedgerSeq>) -> Answer {
    let Some(seq) = seq else { return Ok(see_other(to)) };
    let mark = if to.contains('?') { '&' } else { '?' };
    Ok(see_other(&format!("{to}{mark}entry={seq}")))
}

/// What a document shows around its page.
pub fn shell(state: &Arc<State>, caller: Option<&Caller>, head: &Parts) -> Shell {
    let snapshot = state.control.snapshot();
    let mut random = [0; 16];
    state.control.entropy().fill(&mut random);
    let who = match caller {
        None => Who::Nobody,
        Some(caller) => match &caller.actor {
            Actor::Key { name, .. } => {
                let scopes = Scope::ALL.into_iter().filter(|scope| caller.may(*scope)).collect();
                Who::Key { name: name.clone(), scopes, tenants: caller.tenants.clone() }
            }
            Actor::Open | Actor::System => Who::Open,
        },
    };
    let troubles = if who == Who::Nobody { Vec::new() } else { state.troubles() };
    Shell {
        address: address(head).to_owned(),
        now: state.clock.now(),
        theme: theme::of(&head.headers).unwrap_or(Theme::Auto),
        who,
        csrf: state.sessions.csrf(&head.headers, state.clock.now()),
        once: session::hex(&random),
        version: state.version.clone(),
        epoch: snapshot.world.epoch,
        troubles,
        findings: snapshot.world.findings.len(),
        done: None,
    }
}

/// What the page before led to: the ledger entry that the address names.
async fn just_done(call: &Call) -> Option<Done> {
    if !call.caller.as_ref()?.may(Scope::Read) || !call.caller().tenants.is_all() {
        return None;
    }
    let query = call.head.uri.query()?;
    let seq = query.split('&').find_map(|pair| pair.strip_prefix("entry="))?.parse().ok()?;
    let entries = call.control().ledger_read(LedgerSeq(u64::saturating_sub(seq, 1)), 1).await.ok()?;
    let is_new = |entry: &Entry| entry.at.0 + JUST_NOW_MS > call.state.clock.now().0;
    let is_own = |entry: &Entry| entry.actor == call.caller().actor;
    let entry =
        entries.into_iter().find(|entry| entry.seq == LedgerSeq(seq) && is_own(entry) && is_new(entry))?;
    let what = entry.body.in_words(&call.control().snapshot().world);
    Some(Done { seq: entry.seq, what, reason: entry.reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_is_the_same_address_with_an_ending() {
        let check = |given: &str, expected: &str, view: Option<View>| {
            let request = http::Request::get(given).body(()).unwrap();
            let seen = recognize(request);
            assert_eq!(
                (seen.uri().to_string().as_str(), seen.extensions().get().copied()),
                (expected, view),
                "{given}"
            );
        };
        check("/index.json", "/", Some(View::Json));
        check("/runs.json?agent=a.json", "/runs?agent=a.json", Some(View::Json));
        check("/deployments/7.live", "/deployments/7", Some(View::Live));
        check("/deployments/7", "/deployments/7", None);
        check("/openapi.json", "/openapi.json", None);
        check("/api/v1/context/space/key.json", "/api/v1/context/space/key.json", None);
        check("/v1/models/x.live", "/v1/models/x.live", None);
    }
}

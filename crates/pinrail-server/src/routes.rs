//! The one table of routes. The router, the authorisation, `/openapi.json`, the test that walks every route and the
//! test that `docs/api.md` shows each of them derive from it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawPathParams, Request};
use axum::routing::any;
use http::Method;
use pinrail_domain::key::Scope;

use crate::answer;
use crate::call::Call;
use crate::pages::{self, PAGES, PageRoute};
use crate::reply::Answer;
use crate::state::State;

mod table;

pub use table::ROUTES;

/// One method of one address.
pub struct Route {
    pub method: Method,
    /// With the names of its variable parts in braces.
    pub path: &'static str,
    pub access: Access,
    pub takes: Takes,
    /// The query's parameters: name and meaning.
    pub query: &'static [(&'static str, &'static str)],
    /// The answer, by the name of its type in `pinrail-api`.
    pub gives: &'static str,
    pub summary: &'static str,
    pub(crate) handler: Handler,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone who reaches the server.
    Public,
    Key {
        /// One of these scopes is enough.
        scopes: &'static [Scope],
        /// Whether a key that is limited to tenants may ask: only where the answer is cut to its tenants (I11).
        by_tenant: bool,
    },
}

/// The body that a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// JSON, by the name of its type in `pinrail-api` or `pinrail-domain`.
    Json(&'static str),
    JsonOrNothing(&'static str),
    /// JSON that holds many records at once.
    LargeJson(&'static str),
    Bytes,
}

pub(crate) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

impl Route {
    /// Whether asking changes something. What a key that only reads may send does not, even where the question is so
    /// long that it takes a body.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        let may_readers = match self.access {
            Access::Public => true,
            Access::Key { scopes, .. } => scopes.contains(&Scope::Read),
        };
        self.method != Method::GET && !may_readers
    }

    /// Whether the member that a call names must count still: wherever something is changed as a run. Its own lease is
    /// what a member may always ask for; and what an operator does is in no member's name, so no lease can block a
    /// rollback (I7).
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        let as_a_run = match self.access {
            Access::Public => false,
            Access::Key { scopes, .. } => scopes.contains(&Scope::Run),
        };
        self.is_mutation() && as_a_run && !self.path.starts_with("/api/v1/members")
    }
}

/// The route for a method among those of one address. `HEAD` is a `GET` without its body.
pub fn by_method(routes: &[&'static Route], method: &Method) -> Option<&'static Route> {
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    routes.iter().find(|route| route.method == wanted).copied()
}

/// The router over both tables, the API's and the dashboard's.
pub fn router(state: Arc<State>) -> Router {
    let mut addresses: BTreeMap<&'static str, Vec<&'static Route>> = BTreeMap::new();
    for route in ROUTES {
        addresses.entry(route.path).or_default().push(route);
    }
    let mut router = Router::new();
    for (path, routes) in addresses {
        let (routes, state): (Arc<[_]>, _) = (routes.into(), Arc::clone(&state));
        let handler = move |params: Result<RawPathParams, _>, request: Request| {
            let (routes, state) = (Arc::clone(&routes), Arc::clone(&state));
            let params =
                params.map_err(|error: axum::extract::rejection::RawPathParamsRejection| error.body_text());
            answer::answer(state, routes, params, request)
        };
        router = router.route(path, any(handler));
    }
    let mut addresses: BTreeMap<&'static str, Vec<&'static PageRoute>> = BTreeMap::new();
    for page in PAGES {
        addresses.entry(page.path).or_default().push(page);
    }
    for (path, routes) in addresses {
        let (routes, state): (Arc<[_]>, _) = (routes.into(), Arc::clone(&state));
        let handler = move |params: Result<RawPathParams, _>, request: Request| {
            let (routes, state) = (Arc::clone(&routes), Arc::clone(&state));
            let params =
                params.map_err(|error: axum::extract::rejection::RawPathParamsRejection| error.body_text());
            pages::answer(state, routes, params, request)
        };
        router = router.route(path, any(handler));
    }
    router.fallback(move |request: Request| answer::no_route(Arc::clone(&state), request))
}

#[cfg(test)]
mod tests;

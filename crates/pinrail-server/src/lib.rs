//! The HTTP server: who may ask what, under which address, and how the answer is written.
//!
//! It decides nothing about releases, deployments or runs (that is `pinrail-control`) and carries no model call
//! itself (that is `pinrail-gateway`). It must not name SQL, read clocks or the environment.
//!
//! Start reading at [`routes`]: one table, from which the router, the authorisation, `/openapi.json` and the test that
//! walks every route derive. Then [`answer`] (what happens to every request), `api/` (one file per endpoint) and
//! [`connections`] (the listener).

#![expect(
    clippy::result_large_err,
    reason = "a problem is an answer: it is made once per request and not passed through loops"
)]

mod answer;
mod api;
mod auth;
mod body;
mod call;
mod connections;
mod dispatch;
pub mod drift;
pub mod gates;
mod in_flight;
mod limits;
pub mod lists;
pub mod mcp;
pub mod metrics;
mod openapi;
mod outbound;
mod pages;
mod port;
mod problem;
mod prometheus;
mod reply;
mod routes;
mod server;
mod state;

mod state_call;
#[cfg(test)]
mod testing;
mod traced;
mod unread;
pub mod warm;

pub use limits::Limits;
pub use lists::ModelLists;
pub use outbound::Webhooks;
pub use port::Port;
pub use prometheus::Prometheus;
pub use routes::{Access, ROUTES, Route, Takes};
pub use server::{Drained, MissingKeys, Options, Server};

//! The dashboard: its addresses, who may open them, and how a page's value becomes a document.
//!
//! One file per page, with a function that gathers the page's value from the control plane and, where the page acts, functions
//! that do it. How a value looks is `pinrail-dashboard`'s. What happens to a request: [`recognize`] takes `.json` (the value itself)
//! or `.live` (the parts that change, as server-sent events) off the address; [`table`] finds the page; [`answer`] tells who looks, by
//! the session's cookie or a bearer key, lets them in or sends them to `/login`, checks that a form comes from a page of this
//! server, and runs the page. A problem is a page, too.
//!
//! A form is sent with `POST`, and what it led to is shown on the page that it leads to, with its ledger entry: `303` with
//! `?entry=N`. A page that does something away asks first on a page of its own ([`pinrail_dashboard::confirm`]), so that nothing
//! depends on JavaScript. The API doesn't know the cookie: no other site's page can use it there.

mod answer;
mod approvals;
mod assets;
mod blast;
mod deployments;
mod dial;
mod drift;
mod form;
mod gate;
mod gate_cases;
mod gates;
mod keys;
mod ledger;
mod links;
mod live;
mod login;
mod members;
mod rail;
mod readiness;
mod release;
mod release_diff;
mod releases;
mod run;
mod runs;
mod search;
mod serve;
mod session;
mod state;
mod table;
mod theme;
mod webhooks;

pub use answer::{answer, wrong};
pub use form::typed;
pub use serve::{done, is_browser, recognize};
pub use session::Sessions;
pub use table::{PAGES, PageRoute};

#[cfg(test)]
mod tests;

//! The pages, address by address.

use http::Method;
use pinrail_domain::key::Scope;

use super::{assets, keys, login, run, runs, search, serve, theme};
use crate::routes::{Access, Handler};

/// One method of one page's address.
pub struct PageRoute {
    pub method: Method,
    /// With the names of its variable parts in braces.
    pub path: &'static str,
    pub access: Access,
    pub handler: Handler,
}

/// Reading what belongs to no tenant.
const READ: Access = Access::Key { scopes: &[Scope::Read], by_tenant: false };
/// Changing what is served.
const DEPLOY: Access = Access::Key { scopes: &[Scope::Deploy], by_tenant: false };
/// Making and revoking keys.
const ADMIN: Access = Access::Key { scopes: &[Scope::Admin], by_tenant: false };
/// Reading the runs of one's tenants.
const SEE_RUNS: Access = Access::Key { scopes: &[Scope::Run, Scope::Read], by_tenant: true };
/// Everyone who is let in.
const ANYONE: Access = Access::Key { scopes: &[Scope::Read, Scope::Run, Scope::Deploy], by_tenant: true };

/// A page that is looked at: its value is gathered by a function, and has a `.json` twin and live parts.
macro_rules! page {
    ($path:literal, $access:expr, $gather:path) => {
        PageRoute {
            method: Method::GET,
            path: $path,
            access: $access,
            handler: |call| Box::pin(serve::show(call, $gather)),
        }
    };
}

/// A form that is sent, or what is no page.
macro_rules! act {
    ($method:ident $path:literal, $access:expr, $handler:path) => {
        PageRoute {
            method: Method::$method,
            path: $path,
            access: $access,
            handler: |call| Box::pin($handler(call)),
        }
    };
}

/// Every address of the dashboard.
#[rustfmt::skip]
pub static PAGES: &[PageRoute] = &[
    act!(GET "/assets/{name}", Access::Public, assets::show),
    act!(GET "/login", Access::Public, login::show),
    act!(POST "/login", Access::Public, login::sign_in),
    act!(POST "/logout", ANYONE, login::sign_out),
    act!(POST "/theme", Access::Public, theme::set),

    page!("/runs", SEE_RUNS, runs::list),
    act!(GET "/runs/compare", SEE_RUNS, runs::compare),
    page!("/runs/{run}", SEE_RUNS, run::show),
    page!("/runs/{run}/compare/{other}", SEE_RUNS, run::compare),
    act!(GET "/search", SEE_RUNS, search::search),

    page!("/keys", ADMIN, keys::list),
    page!("/keys/{key}/revoke", ADMIN, keys::confirm_revoke),
    act!(POST "/keys/{key}/revoke", ADMIN, keys::revoke),
];

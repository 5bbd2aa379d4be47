//! The pages, address by address.

use http::Method;
use pinrail_domain::key::Scope;

use super::{
    approvals, assets, blast, deployments, dial, drift, gate, gates, keys, ledger, login, members, rail,
    readiness, release, release_diff, releases, run, runs, search, serve, state, theme, webhooks,
};
use crate::api::evidence;
use crate::routes::{Access, Handler};

/// One method of one page's address.
pub struct PageRoute {
    pub method: Method,
    /// With the names of its variable parts in braces.
    pub path: &'static str,
    pub access: Access,
    /// Whether its form is refused without a reason.
    pub needs_reason: bool,
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

/// Deciding what is asked for in the name of one's tenants.
const DEPLOY_OWN: Access = Access::Key { scopes: &[Scope::Deploy], by_tenant: true };

/// A page that is looked at: its value is gathered by a function, and has a `.json` twin and live parts.
macro_rules! page {
    ($path:literal, $access:expr, $gather:path) => {
        PageRoute {
            method: Method::GET,
            path: $path,
            access: $access,
            needs_reason: false,
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
            needs_reason: false,
            handler: |call| Box::pin($handler(call)),
        }
    };
}

/// A form that changes what is served, and that the ledger keeps a reason of.
macro_rules! deed {
    ($path:literal, $access:expr, $handler:path) => {
        PageRoute { needs_reason: true, ..act!(POST $path, $access, $handler) }
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
    page!("/", READ, rail::show),

    page!("/deployments", READ, deployments::list),
    page!("/deployments/{deployment}", READ, deployments::show),
    page!("/deployments/{deployment}/pairs", SEE_RUNS, deployments::pairs),
    page!("/deployments/{deployment}/pairs/{run}", SEE_RUNS, deployments::pair),
    page!("/deployments/{deployment}/promote", DEPLOY, deployments::confirm::promote),
    act!(POST "/deployments/{deployment}/promote", DEPLOY, deployments::acts::promote),
    page!("/deployments/{deployment}/commit", DEPLOY, deployments::confirm::commit),
    deed!("/deployments/{deployment}/commit", DEPLOY, deployments::acts::commit),
    page!("/deployments/{deployment}/freeze", DEPLOY, deployments::confirm::freeze),
    deed!("/deployments/{deployment}/freeze", DEPLOY, deployments::acts::freeze),
    page!("/deployments/{deployment}/resume", DEPLOY, deployments::confirm::resume),
    deed!("/deployments/{deployment}/resume", DEPLOY, deployments::acts::resume),
    page!("/deployments/{deployment}/approve", DEPLOY, deployments::confirm::approve),
    deed!("/deployments/{deployment}/approve", DEPLOY, deployments::acts::approve),
    page!("/deployments/{deployment}/weight", DEPLOY, deployments::confirm::weight),
    deed!("/deployments/{deployment}/weight", DEPLOY, deployments::acts::weight),
    page!("/deployments/{deployment}/rollback", DEPLOY, deployments::confirm::rollback),
    deed!("/deployments/{deployment}/rollback", DEPLOY, deployments::acts::roll_back),
    page!("/deployments/{deployment}/lift", DEPLOY, deployments::confirm::lift),
    deed!("/deployments/{deployment}/lift", DEPLOY, deployments::acts::lift),
    page!("/deployments/{deployment}/verify", READ, deployments::verify),
    page!("/releases", READ, releases::list),
    page!("/releases/{release}", READ, release::show),
    act!(GET "/releases/{release}/diff", READ, release::compare),
    page!("/releases/{release}/diff/{other}", READ, release_diff::show),
    page!("/releases/{release}/retire", DEPLOY, release::confirm_retire),
    deed!("/releases/{release}/retire", DEPLOY, release::retire),

    page!("/dial", READ, dial::show),
    page!("/dial/turn", DEPLOY, dial::confirm_turn),
    deed!("/dial/turn", DEPLOY, dial::turn),
    page!("/approvals/{approval}", SEE_RUNS, approvals::show),
    page!("/approvals/{approval}/approve", DEPLOY_OWN, approvals::confirm_approve),
    act!(POST "/approvals/{approval}/approve", DEPLOY_OWN, approvals::approve),
    page!("/approvals/{approval}/deny", DEPLOY_OWN, approvals::confirm_deny),
    act!(POST "/approvals/{approval}/deny", DEPLOY_OWN, approvals::deny),
    page!("/readiness", READ, readiness::show),
    page!("/readiness/drill", DEPLOY, readiness::confirm_drill),
    act!(POST "/readiness/drill", DEPLOY, readiness::drill),
    page!("/readiness/probe", DEPLOY, readiness::confirm_probe),
    act!(POST "/readiness/probe", DEPLOY, readiness::probe),
    page!("/drift", READ, drift::list),
    page!("/drift/look", DEPLOY, drift::confirm_look),
    act!(POST "/drift/look", DEPLOY, drift::look),
    page!("/drift/models/{provider}/{snapshot}", READ, drift::model),
    page!("/drift/{finding}", READ, drift::finding),
    page!("/drift/{finding}/clear", DEPLOY, drift::confirm_clear),
    deed!("/drift/{finding}/clear", DEPLOY, drift::clear),
    page!("/webhooks", READ, webhooks::list),
    page!("/webhooks/{webhook}", READ, webhooks::show),
    act!(POST "/webhooks/{webhook}/test", DEPLOY, webhooks::test),
    act!(POST "/webhooks/{webhook}/retry", DEPLOY, webhooks::resend_all),
    act!(POST "/webhooks/{webhook}/dead-letters/{seq}/retry", DEPLOY, webhooks::resend),
    page!("/webhooks/{webhook}/remove", DEPLOY, webhooks::confirm_remove),
    deed!("/webhooks/{webhook}/remove", DEPLOY, webhooks::remove),
    page!("/ledger", READ, ledger::list),
    page!("/ledger/{seq}", READ, ledger::show),

    page!("/deployments/{deployment}/blast-radius", READ, blast::show),
    act!(GET "/deployments/{deployment}/blast-radius.csv", READ, blast::export),
    page!("/deployments/{deployment}/compensate", DEPLOY, blast::confirm_compensate),
    deed!("/deployments/{deployment}/compensate", DEPLOY, blast::compensate),

    page!("/state", READ, state::list),
    page!("/state/space", READ, state::space::show),
    page!("/state/map", READ, state::map),

    page!("/members", READ, members::list),
    page!("/gates", READ, gates::list),
    page!("/gates/{gate}", READ, gate::show),
    act!(GET "/gates/{gate}/report", READ, evidence::report::show),
    act!(GET "/gates/{gate}/statement", READ, evidence::statement::show),
    page!("/gates/{gate}/cancel", DEPLOY, gate::confirm_cancel),
    act!(POST "/gates/{gate}/cancel", DEPLOY, gate::cancel),
    page!("/gates/{gate}/resume", DEPLOY, gate::confirm_resume),
    act!(POST "/gates/{gate}/resume", DEPLOY, gate::resume),

    page!("/keys", ADMIN, keys::list),
    page!("/keys/{key}/revoke", ADMIN, keys::confirm_revoke),
    deed!("/keys/{key}/revoke", ADMIN, keys::revoke),
];

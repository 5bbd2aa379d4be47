//! What every document shows around its page: who is signed in, what they may do, and what just happened.

use pinrail_domain::id::{Epoch, LedgerSeq};
use pinrail_domain::key::{Scope, Tenants};
use pinrail_domain::time::Timestamp;

use crate::page::Nav;

/// What a document shows around its page.
#[derive(Clone, Debug)]
pub struct Shell {
    /// The page's address, with its query.
    pub address: String,
    pub now: Timestamp,
    pub theme: Theme,
    pub who: Who,
    /// Sent along with every form: only a page of this server knows it.
    pub csrf: String,
    /// Sent along with a form, so that sending it twice does it once.
    pub once: String,
    pub version: String,
    pub epoch: Epoch,
    /// Why the server can't do its work now.
    pub troubles: Vec<String>,
    /// Findings that are open.
    pub findings: usize,
    /// What was just done from a page.
    pub done: Option<Done>,
}

/// Who looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody is let in, as yet.
    Nobody,
    /// The server has no keys, and everyone may do everything.
    Open,
    Key {
        name: String,
        scopes: Vec<Scope>,
        tenants: Tenants,
    },
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the browser says.
    #[default]
    Auto,
    Light,
    Dark,
}

/// A ledger entry that was just made from a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub seq: LedgerSeq,
    pub what: String,
    pub reason: String,
}

impl Shell {
    /// The address without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.address.split('?').next().unwrap_or_default()
    }

    /// The address of the same page in another form, `.json` or `.live`.
    #[must_use]
    pub fn twin(&self, ending: &str) -> String {
        let (path, query) = self.address.split_once('?').unwrap_or((&self.address, ""));
        let path = if path == "/" { "/index" } else { path };
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{path}{ending}{mark}{query}")
    }

    /// Whether the one who looks may do what needs this scope, on what belongs to no tenant.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        match &self.who {
            Who::Nobody => false,
            Who::Open => true,
            Who::Key { scopes, tenants, .. } => {
                tenants.is_all() && scopes.iter().any(|held| held.includes(scope))
            }
        }
    }

    /// Whether forms that change something are offered.
    #[must_use]
    pub fn may_deploy(&self) -> bool {
        self.may(Scope::Deploy)
    }

    #[must_use]
    pub fn may_admin(&self) -> bool {
        self.may(Scope::Admin)
    }

    /// Whether a page may be opened. Runs and state are shown to keys of tenants, too.
    #[must_use]
    pub fn sees(&self, nav: Nav) -> bool {
        match nav {
            Nav::Runs => match &self.who {
                Who::Nobody => false,
                Who::Open => true,
                Who::Key { scopes, .. } => {
                    scopes.iter().any(|held| held.includes(Scope::Read) || held.includes(Scope::Run))
                }
            },
            Nav::Keys => self.may_admin(),
            Nav::Rail
            | Nav::Deployments
            | Nav::Releases
            | Nav::State
            | Nav::Gates
            | Nav::Drift
            | Nav::Dial
            | Nav::Readiness
            | Nav::Ledger
            | Nav::Webhooks => self.may(Scope::Read),
            Nav::Elsewhere => false,
        }
    }
}

impl Theme {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

#[cfg(test)]
impl Shell {
    /// A shell for tests: an open server, at a fixed time.
    pub(crate) fn of(address: &str) -> Shell {
        Shell {
            address: address.to_owned(),
            now: Timestamp(1_800_000_000_000),
            theme: Theme::Auto,
            who: Who::Open,
            csrf: "csrf".to_owned(),
            once: "once".to_owned(),
            version: "0".to_owned(),
            epoch: Epoch(1),
            troubles: Vec::new(),
            findings: 0,
            done: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_keep_the_query() {
        let check = |address: &str, expected: &str| {
            assert_eq!(Shell::of(address).twin(".json"), expected);
        };
        check("/", "/index.json");
        check("/?q=a", "/index.json?q=a");
        check("/runs/run_1?x=1&y", "/runs/run_1.json?x=1&y");
    }
}

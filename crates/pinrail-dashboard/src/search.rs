//! What the box in the header finds when it isn't the name of one thing.

use askama::Template;
use pinrail_api::runs::Searched;
use pinrail_domain::id::{AgentName, SessionId, TenantId};
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::runs::Row;
use crate::shell::Shell;
use crate::ui::{self, Html};

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Search {
    pub q: String,
    /// Things with exactly this name or number.
    pub exact: Vec<Hit>,
    /// Agents whose name holds the letters, for who may know them.
    pub agents: Vec<AgentName>,
    pub sessions: Vec<Session>,
    /// The newest runs that say it.
    pub runs: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searched: Option<Searched>,
    /// There are older runs to look through.
    pub more: bool,
}

/// A thing, and where it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    pub what: String,
    pub address: String,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    pub agent: AgentName,
    pub tenant: TenantId,
    pub session: SessionId,
}

#[derive(Template)]
#[template(path = "search.html")]
struct Main<'a> {
    it: &'a Search,
    shell: &'a Shell,
}

impl Page for Search {
    fn nav(&self) -> Nav {
        Nav::Elsewhere
    }

    fn title(&self) -> String {
        "Search".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }
}

impl Main<'_> {
    fn is_empty(&self) -> bool {
        let Search { exact, agents, sessions, runs, .. } = self.it;
        exact.is_empty() && agents.is_empty() && sessions.is_empty() && runs.is_empty()
    }

    fn looked(&self) -> String {
        let runs = self.it.searched.map_or(0, |searched| searched.runs);
        ui::count(runs, "run was looked through", "runs were looked through")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_stays_text() {
        let q = "<script>\u{202e}\"'".to_owned();
        let html = Search { q, ..Search::default() }.main(&Shell::of("/search")).into_string();
        assert!(!html.contains("<script>") && html.contains("U+202E") && html.contains("Nothing"), "{html}");
        let html = Search::default().main(&Shell::of("/search")).into_string();
        assert!(html.contains("ledger 12"), "{html}");
    }
}

//! The gates: which ran, how they ended, and the suites that they ask.

use askama::Template;
use pinrail_api::gates::Gate;
use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::SuiteKind;
use pinrail_domain::id::{AgentName, DeploymentId, ReleaseId};
use serde::Serialize;

use crate::page::{Nav, Page, Part};
use crate::releases::short_gate;
use crate::shell::Shell;
use crate::ui::{self, Html};

pub mod case;
pub mod gate;
mod interval;

#[cfg(test)]
mod tests;

/// The gates, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct Gates {
    pub items: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    pub filter: Filter,
    /// To choose from.
    #[serde(skip)]
    pub agents: Vec<AgentName>,
    /// The suites that agents' candidates are held to, on the list's first page.
    pub suites: Vec<AgentSuite>,
    /// More suites than are listed.
    pub suites_more: u64,
    /// It is the list's beginning: what comes to it shows.
    #[serde(skip)]
    pub is_first: bool,
}

/// What the list is narrowed down to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// A gate in a list.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    #[serde(flatten)]
    pub gate: Gate,
    pub suites: Vec<SuiteEnd>,
}

/// How one suite ended, if it has.
#[derive(Clone, Debug, Serialize)]
pub struct SuiteEnd {
    pub name: String,
    pub kind: SuiteKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<GateVerdict>,
}

/// A suite that an agent's candidates are held to.
#[derive(Clone, Debug, Serialize)]
pub struct AgentSuite {
    pub agent: AgentName,
    pub name: String,
    pub kind: SuiteKind,
    pub digest: Digest,
    pub margin: f64,
    /// The candidate must be shown to be better.
    pub better: bool,
    /// None where it can't be read: an imported suite has its cases elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cases: Option<u64>,
    pub imported: bool,
}

#[derive(Template)]
#[template(path = "gates/list.html")]
struct Main<'a> {
    it: &'a Gates,
    list: Html,
}

#[derive(Template)]
#[template(path = "gates/rows.html")]
struct Rows<'a> {
    it: &'a Gates,
    shell: &'a Shell,
}

/// The `id` of the list, which lives.
const LIST: &str = "gate-list";
/// What a gate may be.
const STATUSES: [&str; 4] = ["running", "finished", "failed", "cancelled"];

impl Page for Gates {
    fn nav(&self) -> Nav {
        Nav::Gates
    }

    fn title(&self) -> String {
        "Gates".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, list: self.rows(shell) })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        if self.is_first { vec![Part { id: LIST.to_owned(), html: self.rows(shell) }] } else { Vec::new() }
    }

    fn is_live(&self) -> bool {
        self.is_first
    }
}

impl Gates {
    fn rows(&self, shell: &Shell) -> Html {
        ui::written(&Rows { it: self, shell })
    }

    fn is_narrowed(&self) -> bool {
        let Filter { agent, deployment, status } = &self.filter;
        agent.is_some() || deployment.is_some() || status.is_some()
    }
}

impl Main<'_> {
    fn next(&self) -> Html {
        let Filter { agent, deployment, status } = &self.it.filter;
        let href = self.it.next.as_ref().map(|next| {
            let mut href = format!("/gates?before={}", ui::url(next));
            let fields = [
                ("agent", agent.as_ref().map(ToString::to_string)),
                ("deployment", deployment.as_ref().map(ToString::to_string)),
                ("status", status.clone()),
            ];
            for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                href.push_str(&format!("&{name}={}", ui::url(value)));
            }
            href
        });
        ui::next_page(href.as_deref())
    }

    fn margin(&self, suite: &AgentSuite) -> String {
        if suite.better { "must be better".to_owned() } else { points(suite.margin) }
    }

    fn cases(&self, suite: &AgentSuite) -> String {
        match suite.cases {
            Some(cases) => ui::grouped(cases),
            None if suite.imported => "asked elsewhere".to_owned(),
            None => "–".to_owned(),
        }
    }

    fn statuses(&self) -> [&'static str; 4] {
        STATUSES
    }

    fn is_status(&self, status: &str) -> bool {
        self.it.filter.status.as_deref() == Some(status)
    }
}

impl Rows<'_> {
    fn gate(&self, gate: &Gate) -> Html {
        let whole = gate.gate.to_string();
        ui::link_id(&format!("/gates/{whole}"), short_gate(&whole), &whole)
    }

    fn release(&self, id: &ReleaseId) -> Html {
        ui::link_id(&format!("/releases/{}", id.0.hex()), id.short(), id)
    }

    /// Where it is, or how it ended.
    fn end(&self, gate: &Gate) -> Html {
        status(gate)
    }

    fn progress(&self, gate: &Gate) -> Html {
        progress(gate)
    }

    fn cost(&self, gate: &Gate) -> String {
        ui::usd(gate.progress.spent_nano_usd)
    }
}

/// How a gate ended, or that it runs.
#[must_use]
pub fn status(gate: &Gate) -> Html {
    let verdict = gate.ended.as_ref().and_then(|ended| ended.verdict);
    match verdict {
        Some(verdict) => ui::state(verdict.as_str()),
        None if gate.progress.queued => ui::state("queued"),
        None => ui::state(&gate.status),
    }
}

/// How far a gate is, as a bar while it runs.
#[must_use]
pub fn progress(gate: &Gate) -> Html {
    let (done, total) = (gate.progress.done, gate.progress.total);
    let words = format!("{} of {} answers", ui::grouped(done), ui::grouped(total));
    if gate.status != "running" {
        return Html::from_trusted(words);
    }
    Html::from_trusted(format!(
        "<progress value=\"{done}\" max=\"{}\" aria-label=\"{words}\"></progress> {words}",
        total.max(1)
    ))
}

/// A part of one as points of a hundred.
#[must_use]
pub fn points(part: f64) -> String {
    let text = format!("{:.1}", part * 100.0);
    let text = text.strip_suffix(".0").unwrap_or(&text);
    format!("{text} {}", if text == "1" { "point" } else { "points" })
}

//! The releases: which there are, what the catalogue says of their models today, and where each serves.

use askama::Template;
use pinrail_api::releases::Release;
use pinrail_domain::gate::Judged;
use pinrail_domain::id::{AgentName, DeploymentId, SegmentName};
use pinrail_domain::model::Lifecycle;
use pinrail_domain::share::Share;
use pinrail_domain::time::Timestamp;
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::releases;
use crate::shell::Shell;
use crate::ui::{self, Html, Tone};

pub mod diff;
pub mod release;

#[cfg(test)]
mod tests;

/// The releases, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct Releases {
    pub items: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whose, where the list is narrowed down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// To choose from.
    #[serde(skip)]
    pub agents: Vec<AgentName>,
}

/// A release in a list.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    #[serde(flatten)]
    pub release: Release,
    /// Where its model stands between its release and its end.
    pub standing: Lifecycle,
    pub serves: Vec<Place>,
}

/// Where a release serves, or is being proven.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    pub agent: AgentName,
    pub segment: SegmentName,
    pub deployment: DeploymentId,
    /// The candidate's share of the traffic; none: it is what is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Share>,
}

/// A gate's verdict, as the ledger has it.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub agent: AgentName,
    #[serde(flatten)]
    pub judged: Judged,
}

#[derive(Template)]
#[template(path = "releases/list.html")]
struct Main<'a> {
    it: &'a Releases,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "releases/verdicts.html")]
struct Verdicts<'a> {
    items: &'a [Verdict],
    shell: &'a Shell,
}

impl Page for Releases {
    fn nav(&self) -> Nav {
        Nav::Releases
    }

    fn title(&self) -> String {
        "Releases".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }
}

impl Main<'_> {
    fn next(&self) -> Html {
        let href = self.it.next.as_ref().map(|next| {
            let agent =
                self.it.agent.as_ref().map(|agent| format!("&agent={}", ui::url(agent))).unwrap_or_default();
            format!("/releases?before={}{agent}", ui::url(next))
        });
        ui::next_page(href.as_deref())
    }
}

impl Line {
    /// The digests of what it tells models about tools: the schema's, then a count of pinned servers.
    fn tools(&self) -> Html {
        let tools = &self.release.manifest.tools;
        let servers = tools.mcp.len() as u64;
        let pins = if servers == 0 {
            String::new()
        } else {
            format!(" <span class=\"dim\">+ {}</span>", ui::count(servers, "MCP server", "MCP servers"))
        };
        match &tools.schema {
            Some(schema) => Html::from_trusted(format!("{}{pins}", ui::id(schema.short(), schema))),
            None if servers == 0 => Html::from_trusted("<span class=\"dim\">none</span>".to_owned()),
            None => Html::from_trusted(pins),
        }
    }

    fn prompt(&self) -> Html {
        match &self.release.manifest.prompt.system {
            Some(system) => ui::id(system.short(), system),
            None => Html::from_trusted("<span class=\"dim\">none</span>".to_owned()),
        }
    }
}

/// What the catalogue says of a model's name.
#[must_use]
pub fn identity(word: &str) -> Html {
    let tone = match word {
        "pinned" => Tone::Good,
        "floating" => Tone::Bad,
        _ => Tone::Warn,
    };
    ui::badge(tone, word)
}

/// Where a model stands, with the day of its end.
#[must_use]
pub fn standing(of: &Lifecycle, now: &Timestamp) -> Html {
    let dim = |text: &str| Html::from_trusted(format!("<span class=\"dim\">{text}</span>"));
    let with_day = |tone, word: &str, verb: &str, at: Timestamp| {
        Html::from_trusted(format!("{} {verb} {}", ui::badge(tone, word), ui::ago(at, now)))
    };
    match *of {
        Lifecycle::Active => dim("no end announced"),
        Lifecycle::Deprecated { retires: Some(at), .. } => with_day(Tone::Warn, "deprecated", "ends", at),
        Lifecycle::Deprecated { retires: None, .. } => ui::badge(Tone::Warn, "deprecated"),
        Lifecycle::RetiringSoon { at, .. } => with_day(Tone::Bad, "retiring soon", "ends", at),
        Lifecycle::Retired { at } => with_day(Tone::Bad, "retired by its provider", "ended", at),
        Lifecycle::Unlisted => dim("end not in the catalogue"),
    }
}

/// Where a release serves, a line each.
#[must_use]
pub fn places(serves: &[Place]) -> Html {
    let one = |place: &Place| {
        let what = match place.weight {
            None => ui::badge(Tone::Good, "active"),
            Some(weight) => ui::badge(Tone::Live, format!("candidate {}", ui::share(weight))),
        };
        format!(
            "<li>{} {}<span class=\"dim\">/</span>{} <a href=\"/deployments/{}\">deployment {}</a></li>",
            what,
            ui::plain(&place.agent),
            ui::plain(&place.segment),
            place.deployment,
            place.deployment
        )
    };
    if serves.is_empty() {
        return Html::from_trusted("<span class=\"dim\">nowhere</span>".to_owned());
    }
    Html::from_trusted(format!("<ul class=\"lines\">{}</ul>", serves.iter().map(one).collect::<String>()))
}

/// Verdicts as a table, newest first; what there is to do where there are none is the caller's to say.
#[must_use]
pub fn verdicts(items: &[Verdict], shell: &Shell) -> Html {
    ui::written(&Verdicts { items, shell })
}

impl Verdicts<'_> {
    fn gate(&self, of: &Verdict) -> Html {
        let whole = of.judged.gate.to_string();
        ui::link_id(&format!("/gates/{whole}"), short_gate(&whole), &whole)
    }

    fn release(&self, id: &pinrail_domain::id::ReleaseId) -> Html {
        ui::link_id(&format!("/releases/{}", id.0.hex()), id.short(), id)
    }

    fn suites(&self, of: &Verdict) -> Html {
        let one = |suite: &pinrail_domain::gate::SuiteJudged| {
            format!(
                "<li>{} {} <span class=\"dim\">{}, {}</span></li>",
                ui::state(suite.verdict.as_str()),
                ui::plain(&suite.name),
                suite.kind,
                ui::count(suite.cases, "case", "cases")
            )
        };
        Html::from_trusted(format!(
            "<ul class=\"lines\">{}</ul>",
            of.judged.judgement.suites.iter().map(one).collect::<String>()
        ))
    }
}

/// A gate's id for a narrow place: ids of one minute begin alike, and end each in its own way.
#[must_use]
pub fn short_gate(whole: &str) -> String {
    format!("…{}", &whole[whole.len().saturating_sub(6)..])
}

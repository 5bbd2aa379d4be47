//! The dial: where it stands for every agent and segment, what that leaves of a caller's calls, and who waits for a person.

use askama::Template;
use pinrail_api::approvals::Approval;
use pinrail_api::dial::{DialSetting, InForce};
use pinrail_domain::dial::{Place, Position};
use pinrail_domain::id::{AgentName, ApprovalId, Epoch, SegmentName};
use serde::Serialize;

use crate::ledger::actor;
use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::ui::{self, Html, Tone};

pub mod approval;
mod detents;

pub use approval::ApprovalPage;
pub use detents::{meanings, says};

/// Where the dial stands.
#[derive(Clone, Debug, Serialize)]
pub struct Dial {
    pub epoch: Epoch,
    /// What is in force for each agent and segment, by name.
    pub rows: Vec<Row>,
    /// Pass as `after` for more of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<AgentName>,
    /// Every place where it isn't at `full`, the most restrictive first.
    pub settings: Vec<DialSetting>,
    pub wish: Wish,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForce>,
    /// Calls that wait for a person, newest first.
    pub waiting: Vec<Approval>,
    /// Pass as `before` for more of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_waiting: Option<ApprovalId>,
    /// The newest calls that wait no more.
    pub decided: Vec<Approval>,
}

/// An agent's segment.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub agent: AgentName,
    pub segment: SegmentName,
    pub position: Position,
    /// The setting that decides; none at `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<DialSetting>,
}

/// Whose calls are asked about, as it was typed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Wish {
    pub agent: String,
    pub segment: String,
    pub tenant: String,
    pub tool: String,
}

#[derive(Template)]
#[template(path = "dial.html")]
struct Main<'a> {
    it: &'a Dial,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "dial/rows.html")]
struct Rows<'a> {
    it: &'a Dial,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "dial/settings.html")]
struct Settings<'a> {
    it: &'a Dial,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "dial/approvals.html")]
struct Approvals<'a> {
    it: &'a Dial,
    shell: &'a Shell,
}

impl Page for Dial {
    fn nav(&self) -> Nav {
        Nav::Dial
    }

    fn title(&self) -> String {
        "Dial".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        let part = |id: &str, html| Part { id: id.to_owned(), html };
        vec![
            part("dial-approvals", ui::written(&Approvals { it: self, shell })),
            part("dial-rows", ui::written(&Rows { it: self, shell })),
            part("dial-settings", ui::written(&Settings { it: self, shell })),
        ]
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Main<'_> {
    fn part(&self, id: &str) -> Html {
        let parts = self.it.parts(self.shell);
        parts.into_iter().find(|part| part.id == id).map(|part| part.html).unwrap_or_default()
    }

    fn meanings(&self) -> Html {
        detents::meanings()
    }
}

impl Rows<'_> {
    fn detents(&self, row: &Row) -> Html {
        let (agent, segment) = (Some(row.agent.clone()), Some(row.segment.clone()));
        let here = Place { agent, segment, tenant: None, tool: None };
        // It is turned down here, and up where the setting stands that decides.
        let up = row.by.as_ref().map_or(&here, |by| &by.place);
        detents::detents([up, &here], row.position, self.shell.may_deploy())
    }
}

impl Settings<'_> {
    fn detents(&self, setting: &DialSetting) -> Html {
        detents::detents([&setting.place; 2], setting.position, self.shell.may_deploy())
    }
}

/// Who turned the dial, when and why.
fn turned(setting: &DialSetting, shell: &Shell) -> Html {
    let mut html = format!("{} {}", actor(&setting.by), ui::ago(setting.since, shell.now));
    if !setting.reason.is_empty() {
        html.push_str(&format!(": {}", ui::plain(&setting.reason)));
    }
    match setting.seq {
        Some(seq) => html.push_str(&format!(" <a class=\"dim\" href=\"/ledger/{seq}\">entry {seq}</a>")),
        None => html.push_str(&format!(" {}", unrecorded())),
    }
    Html::from_trusted(html)
}

fn unrecorded() -> Html {
    ui::badge(Tone::Bad, "not recorded: the ledger can't be written")
}

/// Arguments of a call, on one line.
fn arguments(approval: &Approval) -> Html {
    const CHARS: usize = 120;
    match &approval.arguments {
        None => Html::from_trusted("<span class=\"dim\">not kept</span>".to_owned()),
        Some(text) => {
            let cut: String = text.chars().take(CHARS).collect();
            let more = if text.chars().nth(CHARS).is_some() { "…" } else { "" };
            Html::from_trusted(format!("<code>{}{more}</code>", ui::plain(cut)))
        }
    }
}

/// The run that asks, and its page.
fn run(approval: &Approval) -> Html {
    let run = approval.run.to_string();
    let short: String = run.chars().take(12).collect();
    ui::link_id(&format!("/runs/{run}"), format!("{short}…"), &run)
}

/// Where the form goes that turns the dial at a place.
fn turn_at(place: &Place, position: Option<Position>) -> String {
    let Place { agent, segment, tenant, tool } = place;
    let named = [
        ("agent", agent.as_ref().map(ToString::to_string)),
        ("segment", segment.as_ref().map(ToString::to_string)),
        ("tenant", tenant.as_ref().map(ToString::to_string)),
        ("tool", tool.as_ref().map(ToString::to_string)),
        ("position", position.map(|position| position.to_string())),
    ];
    let pairs = named.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", ui::url(value?))));
    format!("/dial/turn?{}", pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests;

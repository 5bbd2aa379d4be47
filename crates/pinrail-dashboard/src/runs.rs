//! Runs: searched, listed, and two of them picked to be compared.

use std::collections::BTreeMap;

use askama::Template;
use pinrail_api::runs::{Run, Searched};
use pinrail_domain::id::AgentName;
use pinrail_domain::journal::{Outcome, RunStatus, Stamp};
use serde::{Deserialize, Serialize};

use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// A page of runs, and what was asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Runs {
    pub asked: Asked,
    pub items: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searched: Option<Searched>,
    /// Names to choose from, for who may know them.
    #[serde(skip)]
    pub agents: Vec<AgentName>,
}

/// A run of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    #[serde(flatten)]
    pub run: Run,
    /// The newest score of each name, among the run's last events.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, f64>,
}

/// The search form, as it was sent: every search has an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// `single`, `managed`, `shadow` or `gate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

#[derive(Template)]
#[template(path = "runs.html")]
struct Main<'a> {
    it: &'a Runs,
    list: Html,
}

/// The table, with what stands under it.
#[derive(Template)]
#[template(path = "runs_list.html")]
struct List<'a> {
    it: &'a Runs,
    shell: &'a Shell,
}

impl Asked {
    /// What is searched for, by the form's names.
    fn fields(&self) -> [(&'static str, Option<&String>); 11] {
        [
            ("text", self.text.as_ref()),
            ("agent", self.agent.as_ref()),
            ("release", self.release.as_ref()),
            ("deployment", self.deployment.as_ref()),
            ("tenant", self.tenant.as_ref()),
            ("session", self.session.as_ref()),
            ("status", self.status.as_ref()),
            ("outcome", self.outcome.as_ref()),
            ("kind", self.kind.as_ref()),
            ("since", self.since.as_ref()),
            ("until", self.until.as_ref()),
        ]
    }

    /// Whether anything is searched for.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.fields().iter().all(|(_, value)| value.is_none())
    }

    /// The address of this search from a run on.
    #[must_use]
    pub fn address(&self, before: Option<&str>) -> String {
        let mut address = String::from("/runs");
        let before = before.map(str::to_owned);
        let fields = self.fields().into_iter().chain([("before", before.as_ref())]);
        for (name, value) in fields {
            if let Some(value) = value {
                address.push(if address.contains('?') { '&' } else { '?' });
                address.push_str(name);
                address.push('=');
                address.push_str(&ui::url(value));
            }
        }
        address
    }
}

impl Page for Runs {
    fn nav(&self) -> Nav {
        Nav::Runs
    }

    fn title(&self) -> String {
        "Runs".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        let list = ui::written(&List { it: self, shell });
        ui::written(&Main { it: self, list })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        vec![Part { id: "runs".to_owned(), html: ui::written(&List { it: self, shell }) }]
    }

    /// The newest runs follow what happens. A search through journals doesn't: it would look through them again each second.
    fn is_live(&self) -> bool {
        let Asked { text, until, before, .. } = &self.asked;
        text.is_none() && until.is_none() && before.is_none()
    }
}

impl Main<'_> {
    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        field.as_deref().unwrap_or_default()
    }

    /// Words to choose from, each with whether it is chosen.
    fn options(&self, words: &[&'static str], field: Option<&String>) -> Vec<(&'static str, bool)> {
        words.iter().map(|word| (*word, field.is_some_and(|chosen| chosen == word))).collect()
    }

    fn statuses(&self) -> Vec<(String, bool)> {
        let chosen = self.it.asked.status.as_deref();
        let words = RunStatus::ALL.iter().map(ToString::to_string);
        words.map(|word| (word.clone(), chosen == Some(word.as_str()))).collect()
    }

    fn outcomes(&self) -> Vec<(&'static str, bool)> {
        self.options(&Outcome::ALL.map(Outcome::word), self.it.asked.outcome.as_ref())
    }

    fn kinds(&self) -> Vec<(&'static str, bool)> {
        self.options(&["single", "managed", "shadow", "gate"], self.it.asked.kind.as_ref())
    }

    fn kind_words(&self, kind: &str) -> &'static str {
        match kind {
            "single" => "one gateway call",
            "managed" => "of several calls",
            "shadow" => "copies (shadow)",
            _ => "asked by gates",
        }
    }
}

impl List<'_> {
    /// How far a search looked, in words.
    fn looked(&self) -> Option<String> {
        let Searched { runs, back_to: _, in_part } = self.it.searched?;
        let part = match in_part {
            0 => String::new(),
            n => format!("; of {} only the first 8 MiB", ui::count(n, "run", "runs")),
        };
        Some(format!("Looked through {}{part}", ui::count(runs, "run", "runs")))
    }

    /// When the oldest run that a search looked at began.
    fn back_to(&self) -> Html {
        match self.it.searched.and_then(|searched| searched.back_to) {
            Some(at) => Html::from_trusted(format!(", back to {}", ui::ago(at, self.shell.now))),
            None => Html::default(),
        }
    }

    fn shown(&self) -> String {
        ui::count(self.it.items.len() as u64, "run", "runs")
    }

    fn next(&self) -> Html {
        let address = self.it.next.as_deref().map(|next| self.it.asked.address(Some(next)));
        if self.it.searched.is_some() {
            let Some(address) = address else { return Html::default() };
            let address = ui::plain(address);
            return Html::from_trusted(format!(
                "<nav class=\"pager\" aria-label=\"More of this search\"><a class=\"button\" href=\"{address}\" rel=\"next\">Look further back</a></nav>"
            ));
        }
        ui::next_page(address.as_deref())
    }
}

impl Row {
    /// How it ended, or where it is in its life.
    #[must_use]
    pub fn state(&self) -> Html {
        state(&self.run)
    }

    /// When it began.
    #[must_use]
    pub fn started(&self, shell: &Shell) -> Html {
        ui::ago(self.run.summary.started_at, shell.now)
    }

    /// How long it took, or has taken so far.
    #[must_use]
    pub fn took(&self) -> String {
        took(&self.run)
    }

    /// The newest scores, the first two of them.
    #[must_use]
    pub fn score(&self) -> String {
        let mut words: Vec<String> =
            self.scores.iter().take(2).map(|(name, value)| format!("{name} {value:.2}")).collect();
        if self.scores.len() > 2 {
            words.push(format!("+{}", self.scores.len() - 2));
        }
        words.join(", ")
    }

    /// How it came to its deployment, where that isn't how most do.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        let stamp = &self.run.stamp;
        match (stamp.shadow.is_some(), stamp.gate.is_some()) {
            (true, _) => Some("shadow"),
            (_, true) => Some("gate"),
            (false, false) => None,
        }
    }
}

/// How a run ended, or where it is in its life.
#[must_use]
pub fn state(run: &Run) -> Html {
    match run.summary.outcome {
        Some(outcome) => ui::state(outcome.word()),
        None => ui::state(&run.summary.status.to_string()),
    }
}

/// How long a run took, or, where it is open, how long until its last event.
#[must_use]
pub fn took(run: &Run) -> String {
    match run.summary.last_at.0.saturating_sub(run.summary.started_at.0) {
        0 if run.summary.status.is_open() => "–".to_owned(),
        ms => span(ms),
    }
}

/// A span that the journal knows to the millisecond.
pub(crate) fn span(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { ui::took_us(ms.saturating_mul(1_000)) }
}

/// A run's release, with the way there for who may go.
#[must_use]
pub fn release(stamp: &Stamp, shell: &Shell) -> Html {
    let id = stamp.release;
    match shell.sees(Nav::Releases) {
        true => ui::link_id(&format!("/releases/{id}"), id.short(), id),
        false => ui::id(id.short(), id),
    }
}

/// A run's id: the end of it tells runs of one moment apart.
#[must_use]
pub fn link(run: impl std::fmt::Display) -> Html {
    let whole = run.to_string();
    let tail = whole.get(whole.len().saturating_sub(8)..).unwrap_or(&whole);
    ui::link_id(&format!("/runs/{whole}"), format!("run_…{tail}"), &whole)
}

#[cfg(test)]
pub(crate) mod tests;

//! One space: what somebody sees of it, as of any moment, and why the rest is hidden.

use std::collections::BTreeMap;

use askama::Template;
use pinrail_api::spaces::{Record, Records, SpaceVerification};
use pinrail_domain::id::{DeploymentId, LedgerSeq, RunId, StateSeq};
use pinrail_domain::state::view::Hidden;
use pinrail_domain::state::{Layer, Moment, Op, Origin, StateKey};
use pinrail_domain::time::Timestamp;
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::spaces::{href, writer};
use crate::ui::{self, Html, Tone};

/// A space through somebody's eyes.
#[derive(Clone, Debug, Serialize)]
pub struct Browse {
    #[serde(flatten)]
    pub records: Records,
    pub layer: Layer,
    pub asked: Asked,
    /// Records that this view shows in all.
    pub visible: u64,
    /// Records that are kept, deletes and hidden ones included.
    pub kept: u64,
    /// Whether what is looked at is what is there now.
    pub is_now: bool,
    /// When the moment that is looked at was the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The slider goes from right before the space's first record to where it last changed.
    pub first: StateSeq,
    pub last: StateSeq,
    /// What happened to the deployments that wrote here, oldest first.
    pub marks: Vec<Mark>,
    /// Who wrote here; the ground is 0.
    pub writers: Vec<DeploymentId>,
    /// How long the vectors of this page are, by record.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub norms: BTreeMap<u64, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<SpaceVerification>,
}

/// What the address asks for, as it says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub history: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare: Option<String>,
}

/// A ledger entry that decided what counts here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    pub ledger: LedgerSeq,
    #[serde(with = "pinrail_api::state::moment")]
    pub moment: Moment,
    pub at: Timestamp,
    pub deployment: DeploymentId,
    /// `opened`, `promoted` or `rolled back`.
    pub what: String,
}

/// What changed between two moments.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    #[serde(with = "pinrail_api::state::moment")]
    pub from: Moment,
    #[serde(with = "pinrail_api::state::moment")]
    pub to: Moment,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
    /// Records that both moments show.
    pub same: u64,
    /// The first of the keys.
    pub keys: Vec<ChangedKey>,
}

/// A key that shows something else.
#[derive(Clone, Debug, Serialize)]
pub struct ChangedKey {
    pub key: StateKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Record>,
}

/// A value as a person reads it.
struct Value {
    /// Of a turn: who said it.
    role: Option<String>,
    text: String,
    /// What else a turn holds.
    more: Option<String>,
}

#[derive(Template)]
#[template(path = "state/space.html")]
struct Main<'a> {
    it: &'a Browse,
    shell: &'a Shell,
}

impl Page for Browse {
    fn nav(&self) -> Nav {
        Nav::State
    }

    fn title(&self) -> String {
        format!("{} of {}", self.records.space, self.records.tenant)
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }
}

impl Browse {
    /// This page's address with some of its parameters changed; empty ones are left out.
    fn href(&self, changes: &[(&str, &str)]) -> String {
        let pairs = self.pairs();
        let kept = pairs.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        let all: Vec<(&str, &str)> =
            kept.map(|(name, value)| (*name, value.as_str())).chain(changes.iter().copied()).collect();
        href("/state/space", &all)
    }

    /// What the address says, all but where a list goes on.
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let Asked { deployment, as_of, key, history, compare } = &self.asked;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            ("tenant", self.records.tenant.to_string()),
            ("space", self.records.space.clone()),
            ("deployment", deployment.map(|id| id.to_string()).unwrap_or_default()),
            ("as_of", text(as_of)),
            ("key", text(key)),
            ("history", if *history { "true".to_owned() } else { String::new() }),
            ("compare", text(compare)),
        ]
    }
}

impl Main<'_> {
    /// The fields that a form sends along, but for those that it has itself.
    fn hidden_fields(&self, but: &[&str]) -> Html {
        let pairs = self.it.pairs();
        let sent = pairs.iter().filter(|(name, value)| !value.is_empty() && !but.contains(name));
        let fields = sent.map(|(name, value)| {
            format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", ui::escaped(value))
        });
        Html::from_trusted(fields.collect())
    }

    fn as_of(&self) -> &str {
        self.it.asked.as_of.as_deref().unwrap_or_default()
    }

    fn key(&self) -> &str {
        self.it.asked.key.as_deref().unwrap_or_default()
    }

    fn compare(&self) -> &str {
        self.it.asked.compare.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.it.records.space.split_once('/').map_or("", |(_, name)| name)
    }

    /// Where the slider stands.
    fn slider(&self) -> u64 {
        let Browse { first, last, records, .. } = self.it;
        if self.it.is_now { last.0 } else { records.moment.state.0.clamp(first.0, last.0) }
    }

    /// Marks at places of the slider: several at one place are one mark.
    fn ticks(&self) -> Vec<(u64, String)> {
        let mut ticks: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for Mark { moment, deployment, what, .. } in &self.it.marks {
            let place = moment.state.0.clamp(self.it.first.0, self.it.last.0);
            ticks.entry(place).or_default().push(format!("{deployment} {what}"));
        }
        ticks.into_iter().map(|(place, said)| (place, said.join(", "))).collect()
    }

    fn mark_href(&self, mark: &Mark) -> String {
        self.it.href(&[("as_of", &format!("ledger:{}", mark.ledger))])
    }

    fn is_here(&self, mark: &Mark) -> bool {
        self.it.asked.as_of.as_deref() == Some(format!("ledger:{}", mark.ledger).as_str())
    }

    /// Right before the mark, where that is another moment.
    fn before_href(&self, mark: &Mark) -> String {
        let before = LedgerSeq(mark.ledger.0.saturating_sub(1));
        self.it
            .href(&[("compare", &format!("ledger:{before}")), ("as_of", &format!("ledger:{}", mark.ledger))])
    }

    fn now_href(&self) -> String {
        self.it.href(&[("as_of", ""), ("compare", "")])
    }

    fn history_href(&self) -> String {
        self.it.href(&[("history", if self.it.asked.history { "" } else { "true" })])
    }

    fn verify_href(&self) -> String {
        format!("{}&verify=true#verified", self.it.href(&[]))
    }

    fn next(&self) -> Option<String> {
        Some(self.it.href(&[("after", self.it.records.next.as_deref()?)]))
    }

    fn record_href(&self, seq: StateSeq) -> String {
        self.it.href(&[("key", ""), ("history", "true"), ("after", &seq.0.saturating_sub(1).to_string())])
    }

    fn key_href(&self, record: &Record) -> String {
        self.it.href(&[("key", record.key.as_str()), ("history", "true"), ("as_of", "")])
    }

    /// In whose eyes, in words.
    fn eyes(&self) -> String {
        match self.it.asked.deployment {
            None => "what everybody sees".to_owned(),
            Some(id) => format!("what the runs of deployment {id} see"),
        }
    }

    fn is_eyes(&self, id: &DeploymentId) -> bool {
        self.it.asked.deployment == Some(*id)
    }

    fn writer(&self, id: &DeploymentId) -> Html {
        Html::from_trusted(if id.0 == 0 { writer(0) } else { format!("deployment {}", writer(id.0)) })
    }

    /// The word and the sentence for why a record is hidden.
    fn why(&self, hidden: &Hidden) -> (&'static str, Html) {
        let of = |id: &DeploymentId| writer(id.0);
        let record =
            |seq: &StateSeq| format!("<a href=\"{}\">record {seq}</a>", ui::plain(self.record_href(*seq)));
        let (word, says) = match hidden {
            Hidden::AfterAsOf => ("later", "it came after the moment that is looked at".to_owned()),
            Hidden::Uncommitted { deployment } => (
                "not committed",
                format!("deployment {} isn’t promoted: only its own runs see it", of(deployment)),
            ),
            Hidden::Aborted { deployment } => (
                "rolled back",
                format!("deployment {} was rolled back before it was promoted", of(deployment)),
            ),
            Hidden::Retracted { deployment } => {
                ("rolled back", format!("deployment {} was promoted, and taken back", of(deployment)))
            }
            Hidden::Derived { from } => (
                "tainted",
                format!("concluded from what deployment {} wrote, and taken back with it", of(from)),
            ),
            Hidden::Superseded { by } => ("superseded", format!("{} took its place", record(by))),
            Hidden::Deleted { by } => ("deleted", format!("{} deleted its key", record(by))),
            Hidden::Delete => {
                ("a delete", "it ends what was there before, and shows nothing itself".to_owned())
            }
        };
        (word, Html::from_trusted(says))
    }

    fn origin(&self, record: &Record) -> &'static str {
        match record.origin {
            Origin::Run => "concluded by a run",
            Origin::External => "told from outside",
            Origin::Ingest => "written by a data job",
        }
    }

    fn marks(&self) -> u64 {
        self.it.marks.len() as u64
    }

    fn dims(&self, dims: &usize) -> String {
        ui::grouped(*dims as u64)
    }

    fn short(&self, run: &RunId) -> String {
        short_run(run)
    }

    fn run_href(&self, run: &RunId) -> String {
        format!("/runs/{run}")
    }

    fn norm(&self, record: &Record) -> Option<String> {
        self.it.norms.get(&record.seq.0).map(|norm| format!("{norm:.4}"))
    }

    fn value(&self, record: &Record) -> Option<Value> {
        let json: serde_json::Value = serde_json::from_str(record.value.as_deref()?.get()).ok()?;
        Some(readable(self.it.layer, &json))
    }

    /// Parents, as links.
    fn parents(&self, record: &Record) -> Html {
        let links = record
            .parents
            .iter()
            .map(|seq| format!("<a href=\"{}\">{seq}</a>", ui::plain(self.record_href(*seq))));
        Html::from_trusted(links.collect::<Vec<_>>().join(", "))
    }

    fn short_value(&self, record: &Record) -> Html {
        match (self.value(record), record.dims) {
            (None, _) => ui::plain(if record.erased { "erased" } else { "nothing" }),
            (Some(value), None) => ui::block(&value.text),
            (Some(value), Some(dims)) => {
                let vector = format!("<p class=\"dim\">vector of {dims} numbers</p>");
                Html::from_trusted(format!("{vector}{}", ui::block(&value.text)))
            }
        }
    }

    fn left_out(&self, compared: &Compared) -> u64 {
        (compared.added + compared.removed + compared.changed).saturating_sub(compared.keys.len() as u64)
    }
}

/// The last of a run's id: its beginning is the time, which its neighbours share.
#[must_use]
pub fn short_run(run: impl std::fmt::Display) -> String {
    let text = run.to_string();
    let tail = text.char_indices().rev().nth(5).map_or(0, |(at, _)| at);
    format!("run_…{}", &text[tail..])
}

/// A turn as who said what, anything else as JSON with its lines.
fn readable(layer: Layer, json: &serde_json::Value) -> Value {
    let pretty = |json: &serde_json::Value| match json.as_str() {
        Some(text) => text.to_owned(),
        None => serde_json::to_string_pretty(json).unwrap_or_default(),
    };
    let is_turn = layer == Layer::Memory && json.get("role").is_some_and(serde_json::Value::is_string);
    let Some(mut fields) = json.as_object().filter(|_| is_turn).cloned() else {
        return Value { role: None, text: pretty(json), more: None };
    };
    let role = fields.remove("role").map(|role| pretty(&role));
    let text = fields.remove("content").map(|content| pretty(&content)).unwrap_or_default();
    let more = (!fields.is_empty()).then(|| pretty(&serde_json::Value::Object(fields)));
    Value { role, text, more }
}

#[cfg(test)]
mod tests;

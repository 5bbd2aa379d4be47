//! `/`: the rail. Every agent and segment as a line held by a pin: what it serves, what is being proven there, how it goes.

use std::fmt::Write as _;

use askama::Template;
use pinrail_api::traffic::Errors;
use pinrail_domain::dial::Position;
use pinrail_domain::id::{AgentName, DeploymentId, Epoch, LedgerSeq, ReleaseId, SegmentName};
use pinrail_domain::share::Share;
use pinrail_domain::time::Timestamp;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// A page of lines, and what there is in all.
#[derive(Clone, Debug, Serialize)]
pub struct Rail {
    pub epoch: Epoch,
    pub seq: LedgerSeq,
    /// Of all lines, whatever is searched for.
    pub totals: Totals,
    /// What is searched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Only lines that need a look.
    pub warn: bool,
    pub lines: Vec<Line>,
    /// Whether traffic of before the server's start is counted, too.
    pub complete: bool,
    /// Where the next page begins: `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What there is, in all lines.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    pub agents: usize,
    pub lines: usize,
    /// Candidates, each once.
    pub candidates: usize,
    /// Lines that need a look.
    pub warned: usize,
    /// The first of them.
    pub first_warned: Vec<(AgentName, SegmentName)>,
    pub runs_per_minute: f64,
}

/// An agent in a segment.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub agent: AgentName,
    pub segment: SegmentName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<Pinned>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// Where the dial stands, if not at `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dial: Option<Turned>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Held>,
    pub warnings: Vec<Warning>,
    pub runs_per_minute: Option<f64>,
    pub errors: Errors,
    /// Runs that began in each of the last 60 minutes, oldest first; empty where there were none.
    pub minutes: Vec<u32>,
}

/// A release in a deployment.
#[derive(Clone, Debug, Serialize)]
pub struct Pinned {
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    pub model: String,
    pub since: Timestamp,
}

/// What is being proven.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    #[serde(flatten)]
    pub pinned: Pinned,
    pub weight: Share,
    /// `canary 5%, step 2 of 4`; none where its weight is set by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// Where the dial stands.
#[derive(Clone, Debug, Serialize)]
pub struct Turned {
    pub position: Position,
    pub reason: String,
}

/// Nothing is promoted here until a person lifts this.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// What was rolled back.
    pub deployment: DeploymentId,
    pub since: Timestamp,
    pub why: String,
}

/// Something that a person should look at.
#[derive(Clone, Debug, Serialize)]
pub struct Warning {
    /// In a word or two.
    pub what: String,
    /// In a sentence.
    pub says: String,
    /// The page about it.
    pub href: String,
    /// It harms already.
    pub bad: bool,
}

#[derive(Template)]
#[template(path = "rail.html")]
struct Main<'a> {
    it: &'a Rail,
    summary: Html,
    lines: Vec<Html>,
    more: Option<String>,
}

#[derive(Template)]
#[template(path = "rail_summary.html")]
struct Summary<'a> {
    it: &'a Rail,
}

#[derive(Template)]
#[template(path = "rail_line.html")]
struct Row<'a> {
    it: &'a Line,
    id: String,
    now: Timestamp,
    spark: Html,
}

/// Lines of a page: with a candidate and a picture on each, a document of less than 100 kB.
pub const LINES_MAX: usize = 70;
/// Runs whose share of errors is shown as a share; of fewer, both numbers are.
const ENDED_MIN: u64 = 20;
/// Points of a line's picture: two minutes each.
const SPARK_POINTS: usize = 30;

impl Page for Rail {
    fn nav(&self) -> Nav {
        Nav::Rail
    }

    fn title(&self) -> String {
        "Rail".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        let more = self.next.as_ref().map(|next| {
            let mut href = format!("/?after={}", ui::url(next));
            if let Some(q) = &self.q {
                let _ = write!(href, "&q={}", ui::url(q));
            }
            if self.warn {
                href.push_str("&warn=true");
            }
            href
        });
        let lines = self.lines.iter().map(|line| line.html(shell.now)).collect();
        ui::written(&Main { it: self, summary: self.summary(), lines, more })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        let lines = self.lines.iter().map(|line| Part { id: line.id(), html: line.html(shell.now) });
        std::iter::once(Part { id: "rail-sum".to_owned(), html: self.summary() }).chain(lines).collect()
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Rail {
    fn summary(&self) -> Html {
        ui::written(&Summary { it: self })
    }
}

impl Line {
    /// The id of its element.
    #[must_use]
    pub fn id(&self) -> String {
        anchor(&self.agent, &self.segment)
    }

    fn html(&self, now: Timestamp) -> Html {
        ui::written(&Row { it: self, id: self.id(), now, spark: spark(&self.minutes) })
    }
}

impl Row<'_> {
    fn release(&self, id: &ReleaseId) -> Html {
        release(id)
    }

    /// How the pin looks: what is served, what is proven, what needs a look.
    fn pin(&self) -> &'static str {
        let looks = !self.it.warnings.is_empty() || self.it.hold.is_some() || self.it.dial.is_some();
        match (&self.it.active, &self.it.candidate) {
            _ if looks => "odd",
            (_, Some(_)) => "two",
            (Some(_), None) => "one",
            (None, None) => "none",
        }
    }

    fn pace(&self) -> String {
        match self.it.runs_per_minute {
            None => "–".to_owned(),
            Some(pace) => pace_words(pace),
        }
    }

    fn errors(&self) -> String {
        let Errors { errors, ended, rate } = self.it.errors;
        match rate {
            Some(rate) if ended >= ENDED_MIN => ui::percent(rate),
            Some(_) => format!("{errors} of {ended}"),
            None => "–".to_owned(),
        }
    }

    fn errors_title(&self) -> String {
        let Errors { errors, ended, .. } = self.it.errors;
        match ended {
            0 => "no run ended in the last 15 minutes".to_owned(),
            ended => format!("{errors} errors of {ended} runs that ended in the last 15 minutes"),
        }
    }
}

impl Summary<'_> {
    fn count(&self, n: &usize, one: &str, many: &str) -> String {
        ui::count(*n as u64, one, many)
    }

    fn anchor(&self, agent: &AgentName, segment: &SegmentName) -> String {
        anchor(agent, segment)
    }

    fn pace(&self) -> String {
        pace_words(self.it.totals.runs_per_minute)
    }
}

/// What names a line in the page's address and in its markup.
fn anchor(agent: &AgentName, segment: &SegmentName) -> String {
    format!("l{:x}", xxh3_64(format!("{agent}/{segment}").as_bytes()) >> 24)
}

/// A release in few bytes: its short id leads to its page and copies, which is an id wherever one is asked for.
fn release(id: &ReleaseId) -> Html {
    let short = id.short();
    Html::from_trusted(format!(
        "<a href=\"/releases/{short}\"><code>{short}</code></a><button type=\"button\" class=\"copy\" data-copy=\"{short}\" aria-label=\"Copy {short}\" hidden></button>"
    ))
}

fn pace_words(pace: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of runs, rounded")]
    let whole = pace.round() as u64;
    match pace {
        0.0 => "0/min".to_owned(),
        pace if pace < 10.0 => format!("{pace:.1}/min"),
        _ => format!("{}/min", ui::grouped(whole)),
    }
}

/// An hour as a small picture, in few bytes: there may be hundreds on a page.
fn spark(minutes: &[u32]) -> Html {
    const HEIGHT: u64 = 18;
    let total: u64 = minutes.iter().map(|runs| u64::from(*runs)).sum();
    if total == 0 {
        return Html::from_trusted("<span class=\"dim\">no runs</span>".to_owned());
    }
    let chunk = minutes.len().div_ceil(SPARK_POINTS).max(1);
    let sums: Vec<u64> =
        minutes.chunks(chunk).map(|minutes| minutes.iter().map(|runs| u64::from(*runs)).sum()).collect();
    let top = sums.iter().copied().max().unwrap_or(1).max(1);
    let mut path = String::new();
    for (place, sum) in sums.iter().enumerate() {
        let y = HEIGHT + 1 - (sum * HEIGHT).div_ceil(top);
        let _ = write!(path, "{}{} {y}", if place == 0 { "M" } else { " " }, place * 2);
    }
    let words = format!("{} in the last hour", ui::count(total, "run", "runs"));
    let width = sums.len().saturating_sub(1) * 2;
    Html::from_trusted(format!(
        "<svg class=\"spark\" viewBox=\"0 0 {width} 20\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{words}\"><path d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests;

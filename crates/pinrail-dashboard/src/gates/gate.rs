//! One gate: what it was told to do, how far it is, how it ended and why, and the cases behind that.

use askama::Template;
use pinrail_api::gates::Gate;
use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::SuiteKind;
use pinrail_domain::id::{LedgerSeq, ReleaseId};
use pinrail_domain::stats::Better;
use pinrail_domain::stats::paired::{Method, Paired, Scale};
use serde::Serialize;

use super::case::CaseView;
use super::interval::Interval;
use crate::gates;
use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// A gate.
#[derive(Clone, Debug, Serialize)]
pub struct GatePage {
    #[serde(flatten)]
    pub gate: Gate,
    pub suites: Vec<SuiteResult>,
    /// The models that the provider says gave the candidate's answers.
    pub served: Vec<String>,
    /// What the verdict rests on; none before there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    pub cases: Cases,
}

/// How a gate's verdict is kept.
#[derive(Clone, Debug, Serialize)]
pub struct Sealed {
    /// The ledger's entry.
    pub seq: LedgerSeq,
    /// The in-toto statement in its envelope.
    pub statement: Digest,
    /// What signed it; none: it is unsigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Where the answers are from: `run`, `promptfoo`, `inspect`.
    pub source: String,
}

/// A suite and what it came to.
#[derive(Clone, Debug, Serialize)]
pub struct SuiteResult {
    pub name: String,
    pub kind: SuiteKind,
    pub digest: Digest,
    pub margin: f64,
    /// None before there is a verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<SuiteJudged>,
}

/// What a suite came to.
#[derive(Clone, Debug, Serialize)]
pub struct SuiteJudged {
    pub verdict: GateVerdict,
    pub why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// The pass rate, which decides; then what informs.
    pub metrics: Vec<Metric>,
    pub pairs: Pairs,
    pub counts: Counts,
}

/// Both arms by one measure.
#[derive(Clone, Debug, Serialize)]
pub struct Metric {
    pub name: String,
    /// Whether the verdict rests on it.
    pub decides: bool,
    pub scale: Scale,
    pub better: Better,
    pub margin: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Paired>,
}

/// The cases by which arms always pass them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Pairs {
    pub both: u64,
    pub only_candidate: u64,
    pub only_incumbent: u64,
    pub neither: u64,
    /// Without a counted answer in every arm.
    pub not_compared: u64,
}

/// What was asked, and what of it doesn't count.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    pub cases: u64,
    pub compared: u64,
    pub worse: u64,
    pub better: u64,
    /// They pass alike in both arms, but only sometimes.
    pub unstable: u64,
    /// Answers that are errors or refused, of both arms, with the most frequent reasons.
    pub lost: u64,
    pub reasons: Vec<String>,
}

/// The cases that are shown.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cases {
    pub show: Show,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    pub items: Vec<CaseView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Why they can't be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// Which cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// Those that the arms pass unequally often.
    #[default]
    Flipped,
    /// Those that the candidate doesn't always pass.
    Failed,
    /// Those with answers that don't count.
    Errors,
    All,
}

#[derive(Template)]
#[template(path = "gates/gate.html")]
struct Main<'a> {
    it: &'a GatePage,
    gate: &'a Gate,
    shell: &'a Shell,
    head: Html,
}

#[derive(Template)]
#[template(path = "gates/head.html")]
struct Head<'a> {
    it: &'a GatePage,
    gate: &'a Gate,
    id: &'static str,
    shell: &'a Shell,
}

impl Page for GatePage {
    fn nav(&self) -> Nav {
        Nav::Gates
    }

    fn title(&self) -> String {
        format!("Gate of {}", self.gate.agent)
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, gate: &self.gate, shell, head: self.head(shell) })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        vec![Part { id: self.part().to_owned(), html: self.head(shell) }]
    }

    fn is_live(&self) -> bool {
        self.is_running()
    }
}

impl GatePage {
    fn is_running(&self) -> bool {
        self.gate.status == "running"
    }

    /// The `id` of what lives. It is another one once the gate is over, so that a page that shows it running is loaded anew.
    fn part(&self) -> &'static str {
        if self.is_running() { "gate-running" } else { "gate-over" }
    }

    fn head(&self, shell: &Shell) -> Html {
        ui::written(&Head { it: self, gate: &self.gate, id: self.part(), shell })
    }
}

impl Head<'_> {
    fn progress(&self) -> Html {
        gates::progress(self.gate)
    }

    fn cost(&self) -> String {
        ui::usd(self.gate.progress.spent_nano_usd)
    }

    fn projected(&self) -> String {
        self.gate.progress.projected_nano_usd.map(ui::usd).unwrap_or_default()
    }

    fn budget(&self) -> String {
        ui::usd(self.gate.settings.budget_nano_usd)
    }

    fn eta(&self) -> String {
        self.gate.progress.eta_ms.map(ui::span_ms).unwrap_or_default()
    }

    fn why(&self) -> &str {
        self.gate.ended.as_ref().map(|ended| ended.why.as_str()).unwrap_or_default()
    }

    /// What of the answers there is to tell beside their number.
    fn told(&self) -> String {
        let progress = &self.gate.progress;
        let told = [
            (progress.errors, "error", "errors"),
            (progress.refused, "refused", "refused"),
            (progress.reused, "reused of other gates", "reused of other gates"),
            (progress.retries, "retry", "retries"),
        ];
        let told = told.into_iter().filter(|(n, _, _)| *n > 0).map(|(n, one, many)| ui::count(n, one, many));
        told.collect::<Vec<_>>().join(", ")
    }
}

impl Main<'_> {
    fn release(&self, id: &ReleaseId) -> Html {
        ui::link_id(&format!("/releases/{}", id.0.hex()), id.short(), id)
    }

    fn diff(&self) -> Option<String> {
        let incumbent = self.gate.incumbent?;
        Some(format!("/releases/{}/diff/{}", incumbent.0.hex(), self.gate.candidate.0.hex()))
    }

    fn alpha(&self) -> String {
        ui::percent(self.gate.settings.alpha)
    }

    fn margin(&self, suite: &SuiteResult) -> String {
        match suite.judged.as_ref().and_then(|judged| judged.floor) {
            Some(floor) => format!("held to a floor of {}", ui::percent(floor)),
            None if suite.margin == 0.0 => "must be better".to_owned(),
            None => format!("{} worse is tolerable", gates::points(suite.margin)),
        }
    }

    fn interval(&self, metric: &Metric) -> Html {
        let Some(of) = &metric.compared else { return Html::default() };
        Interval { of, margin: metric.margin, scale: metric.scale }.drawn()
    }

    fn words(&self, metric: &Metric) -> String {
        let Some(of) = &metric.compared else { return String::new() };
        Interval { of, margin: metric.margin, scale: metric.scale }.words()
    }

    fn method(&self, metric: &Metric) -> String {
        let Some(of) = &metric.compared else { return String::new() };
        let method = match of.method {
            Method::Exact => "exact",
            Method::Bootstrap => "by the bootstrap",
            Method::T => "by Student’s t",
            Method::TooFew => "too few cases",
        };
        format!("{}, {method}", ui::count(of.cases, "case", "cases"))
    }

    fn amount(&self, metric: &Metric, value: &Option<f64>) -> String {
        let Some(value) = *value else { return "–".to_owned() };
        match (metric.scale, metric.name.as_str()) {
            (Scale::Unit, _) => ui::percent(value),
            (Scale::Amount, "latency_ms") => ui::took_us((value.max(0.0) * 1_000.0) as u64),
            (Scale::Amount, "cost_usd") => ui::usd((value.max(0.0) * 1e9) as u64),
            (Scale::Amount, _) => format!("{value:.4}"),
        }
    }

    fn name(&self, metric: &Metric) -> String {
        match metric.name.as_str() {
            "pass_rate" => "Pass rate".to_owned(),
            "score" => "Mean score".to_owned(),
            "latency_ms" => "Latency".to_owned(),
            "cost_usd" => "Cost of an answer".to_owned(),
            named => named.to_owned(),
        }
    }

    fn shows(&self) -> [(&'static str, &'static str, Show); 4] {
        [
            ("flipped", "Flipped", Show::Flipped),
            ("failed", "Failed", Show::Failed),
            ("errors", "Errors", Show::Errors),
            ("all", "All", Show::All),
        ]
    }

    fn none(&self) -> &'static str {
        match self.it.cases.show {
            Show::Flipped => "No case came out differently: both arms passed each as often.",
            Show::Failed => "The candidate passed all that it answered.",
            Show::Errors => "Every answer counts.",
            Show::All => "There is no answer yet.",
        }
    }

    fn next(&self) -> Html {
        let cases = &self.it.cases;
        let href = cases.next.as_ref().map(|next| {
            let suite =
                cases.suite.as_ref().map(|suite| format!("&suite={}", ui::url(suite))).unwrap_or_default();
            let shows = self.shows();
            let show =
                shows.iter().find(|(_, _, show)| *show == cases.show).map_or("all", |(name, _, _)| name);
            format!("/gates/{}?show={show}{suite}&after={}#cases", self.gate.gate, ui::url(next))
        });
        ui::next_page(href.as_deref())
    }

    fn is_suite(&self, name: &str) -> bool {
        self.it.cases.suite.as_deref() == Some(name)
    }

    /// The first digits of a key's id.
    fn short_key(&self, key: &str) -> String {
        key.chars().take(12).collect()
    }

    fn calls(&self) -> String {
        let settings = &self.gate.settings;
        let most = settings.calls_per_minute.map(|most| format!(", at most {most} model calls a minute"));
        format!("{} at once{}", settings.concurrency, most.unwrap_or_default())
    }
}

//! `/deployments/{id}`: where a deployment stands, what it waits for and why, what it wrote, and what can be done with it.

use std::collections::BTreeMap;

use askama::Template;
use pinrail_api::Page as Paged;
use pinrail_api::deployments::blast::Report;
use pinrail_api::deployments::history::{Course, History};
use pinrail_api::deployments::rollout::{Happened, Rollout, Standing, Watched};
use pinrail_api::deployments::{Deployment, Drain};
use pinrail_api::members::EpochReport;
use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::gate::Waiver;
use pinrail_domain::id::{AgentName, DeploymentId, ReleaseId, SegmentName};
use pinrail_domain::rollout::Evidence;
use pinrail_domain::rollout::Step;
use pinrail_domain::rollout::facts::{harm_words, value_words};
use pinrail_domain::rollout::history::Point;
use pinrail_domain::rollout::told::Says;
use pinrail_domain::state::Layer;
use pinrail_domain::time::Timestamp;
use serde::Serialize;

use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::ui::{self, Html, Tone};

mod chart;

/// A deployment, with everything that its page says.
#[derive(Clone, Debug, Serialize)]
pub struct Deployed {
    pub deployment: Deployment,
    /// What each agent runs in it.
    pub agents: Vec<Agent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// What it came to; none while the page is followed, since it reads much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Where its rollback keeps anything from being promoted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HeldPlace>,
    pub timeline: Paged<Happened>,
}

/// What an agent runs in a deployment.
#[derive(Clone, Debug, Serialize)]
pub struct Agent {
    pub agent: AgentName,
    pub release: ReleaseId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A hold.
#[derive(Clone, Debug, Serialize)]
pub struct HeldPlace {
    pub agent: AgentName,
    pub segment: SegmentName,
    pub since: Timestamp,
    pub why: String,
}

/// Rows of a chart's table: the first, the newest, and some between them.
const ROWS_MAX: usize = 12;

#[derive(Template)]
#[template(path = "deployment.html")]
struct Main<'a> {
    it: &'a Deployed,
    parts: BTreeMap<String, Html>,
    state: Html,
}

#[derive(Template)]
#[template(path = "deployment_now.html")]
struct Now<'a> {
    it: &'a Deployed,
    id: String,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "deployment_steps.html")]
struct Steps<'a> {
    it: &'a Rollout,
    now: Timestamp,
}

#[derive(Template)]
#[template(path = "deployment_guardrail.html")]
struct Guardrail<'a> {
    it: &'a Watched,
    id: String,
    course: Option<&'a Course>,
    chart: Option<String>,
}

#[derive(Template)]
#[template(path = "deployment_gate.html")]
struct Gate<'a> {
    it: &'a Deployed,
    now: Timestamp,
}

#[derive(Template)]
#[template(path = "deployment_runs.html")]
struct Runs<'a> {
    it: &'a Drain,
    deployment: DeploymentId,
    now: Timestamp,
}

#[derive(Template)]
#[template(path = "deployment_state.html")]
struct State<'a> {
    it: &'a Deployed,
    report: &'a Report,
}

#[derive(Template)]
#[template(path = "deployment_timeline.html")]
struct Timeline<'a> {
    it: &'a Deployed,
    now: Timestamp,
}

impl Page for Deployed {
    fn nav(&self) -> Nav {
        Nav::Deployments
    }

    fn title(&self) -> String {
        format!("Deployment {}", self.deployment.deployment)
    }

    fn main(&self, shell: &Shell) -> Html {
        let parts = self.parts(shell).into_iter().map(|part| (part.id, part.html)).collect();
        let state = self.report.as_ref().map(|report| ui::written(&State { it: self, report }));
        ui::written(&Main { it: self, parts, state: state.unwrap_or_default() })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut part = |id: String, html: Html| parts.push(Part { id, html });
        let id = self.now_id();
        part(id.clone(), ui::written(&Now { it: self, id, shell }));
        if let Some(rollout) = &self.rollout {
            part("d-steps".to_owned(), ui::written(&Steps { it: rollout, now: shell.now }));
            for (place, watched) in rollout.guardrails.iter().enumerate() {
                let id = format!("d-g{place}");
                let courses = self.history.as_ref().map(|history| &history.guardrails);
                let course = courses.and_then(|courses| courses.get(place));
                let chart = course.and_then(chart::of);
                part(id.clone(), ui::written(&Guardrail { it: watched, id, course, chart }));
            }
        }
        part("d-gate".to_owned(), ui::written(&Gate { it: self, now: shell.now }));
        if let Some(drain) = &self.deployment.drain {
            let deployment = self.deployment.deployment;
            part("d-runs".to_owned(), ui::written(&Runs { it: drain, deployment, now: shell.now }));
        }
        part("d-time".to_owned(), ui::written(&Timeline { it: self, now: shell.now }));
        parts
    }

    fn is_live(&self) -> bool {
        // What serves is watched on the rail, and what is over changes only by what people do; but it still drains.
        let drains = self.deployment.drain.as_ref().is_some_and(|drain| !drain.drained);
        self.is_candidate() || self.is_open_job() || (self.is_back() && drains)
    }
}

impl Deployed {
    /// The id of the page's head: another one in another state, so that the page is loaded anew.
    fn now_id(&self) -> String {
        format!("d-{}", self.deployment.state.replace(' ', "-"))
    }

    fn is_candidate(&self) -> bool {
        self.deployment.state == "candidate"
    }

    fn is_open_job(&self) -> bool {
        self.deployment.state == "open"
    }

    fn is_back(&self) -> bool {
        self.deployment.rolled_back.is_some()
    }

    fn is_stopped(&self) -> bool {
        self.rollout.as_ref().is_some_and(|rollout| rollout.stopped.is_some())
    }

    /// The current step, where the rollout is under way.
    fn step(&self) -> Option<&Step> {
        let rollout = self.rollout.as_ref().filter(|rollout| rollout.ended.is_none())?;
        Some(&rollout.steps.get(rollout.step.checked_sub(1)?)?.plan)
    }

    fn is_at_approval(&self) -> bool {
        matches!(self.step(), Some(Step::Approve { .. }))
    }

    fn is_at_pause(&self) -> bool {
        matches!(self.step(), Some(Step::Pause { .. }))
    }
}

impl Main<'_> {
    fn rail(&self, place: &usize) -> String {
        format!("d-g{place}")
    }
}

impl Now<'_> {
    fn heading(&self) -> String {
        let Deployment { deployment, ingest, .. } = &self.it.deployment;
        match ingest {
            Some(name) => format!("Deployment {deployment}: data job {name}"),
            None => format!("Deployment {deployment}"),
        }
    }

    fn weight(&self) -> Option<String> {
        self.it.deployment.weight.map(ui::share)
    }

    fn ago(&self, at: &Timestamp) -> Html {
        ui::ago(*at, self.shell.now)
    }

    fn release(&self, release: &ReleaseId) -> Html {
        ui::link_id(&format!("/releases/{}", release.short()), release.short(), release)
    }

    /// Whether its weight is set by hand: without a rollout, or while that is stopped.
    fn by_hand(&self) -> bool {
        self.it.is_candidate() && (self.it.rollout.is_none() || self.it.is_stopped())
    }
}

impl Steps<'_> {
    fn badge(&self, standing: &Standing) -> Html {
        match standing {
            Standing::Done => ui::badge(Tone::Good, "done"),
            Standing::Now => ui::badge(Tone::Live, "now"),
            Standing::ToCome => ui::badge(Tone::Plain, "to come"),
            Standing::Ended => ui::badge(Tone::Warn, "ended here"),
            Standing::Skipped => ui::badge(Tone::Plain, "never reached"),
        }
    }

    fn class(&self, standing: &Standing) -> &'static str {
        match standing {
            Standing::Done => "done",
            Standing::Now => "now",
            Standing::Ended => "ended",
            Standing::ToCome | Standing::Skipped => "later",
        }
    }

    fn ago(&self, at: &Timestamp) -> Html {
        ui::ago(*at, self.now)
    }

    /// How long a step took.
    fn took(&self, since: &Timestamp, until: &Timestamp) -> String {
        ui::span_ms(until.ms_since(*since))
    }
}

impl Guardrail<'_> {
    fn badge(&self) -> Html {
        let tone = match self.it.says {
            Says::Worse => Tone::Bad,
            Says::NotWorse => Tone::Good,
            Says::Undecided => Tone::Live,
            Says::TooFewSamples => Tone::Plain,
            Says::NoSource => Tone::Warn,
        };
        ui::badge(tone, self.it.says)
    }

    /// Points of the table: at most [`ROWS_MAX`], the first and the newest among them.
    fn rows(&self) -> Vec<&Point> {
        let points = self.course.map(|course| &course.points[..]).unwrap_or_default();
        let shown = points.len().min(ROWS_MAX);
        let last = points.len().saturating_sub(1);
        (0..shown).map(|place| &points[place * last / shown.saturating_sub(1).max(1)]).collect()
    }

    fn at(&self, at: &Timestamp) -> String {
        ui::absolute(*at)
    }

    fn value(&self, value: &Option<f64>) -> String {
        value.map_or_else(|| "–".to_owned(), |value| value_words(value, &self.it.guardrail.metric))
    }

    fn bounds(&self, point: &Point) -> String {
        let harm = |harm: f64| harm_words(harm, &self.it.guardrail.metric);
        match (point.judged.harm_low, point.judged.harm_high) {
            (Some(low), Some(high)) => format!("{} to {}", harm(low), harm(high)),
            (Some(low), None) => format!("at least {}", harm(low)),
            (None, Some(high)) => format!("at most {}", harm(high)),
            (None, None) => "–".to_owned(),
        }
    }

    fn units(&self, point: &Point) -> String {
        let samples = point.judged.samples;
        format!("{} / {}", ui::grouped(samples.candidate), ui::grouped(samples.incumbent))
    }
}

impl Gate<'_> {
    fn verdict(&self) -> Option<Html> {
        let gate = self.it.deployment.gate.as_ref()?;
        Some(ui::state(match gate.verdict {
            GateVerdict::Pass => "pass",
            GateVerdict::Fail => "fail",
            GateVerdict::Inconclusive => "inconclusive",
        }))
    }

    fn waived(&self, waiver: &Waiver) -> String {
        let kinds: Vec<&str> = waiver.kinds.iter().map(|kind| kind.as_str()).collect();
        let second = match &waiver.seconded {
            Some(seconded) => format!(", seconded by {}", seconded.by),
            None => String::new(),
        };
        format!("{} by {}{second}: {}", kinds.join(", "), waiver.by, waiver.reason)
    }

    fn ago(&self, at: &Timestamp) -> Html {
        ui::ago(*at, self.now)
    }

    /// What copies for shadow steps came to.
    fn pairs(&self) -> Option<String> {
        let pairs = &self.it.rollout.as_ref()?.pairs;
        if pairs.compared + pairs.failed + pairs.dropped == 0 {
            return None;
        }
        let apart = pairs.divergence.map(|far| format!(", {far:.3} apart on average (0 is the same)"));
        let rest = match (pairs.failed, pairs.dropped) {
            (0, 0) => String::new(),
            (failed, dropped) => format!("; {failed} failed, {dropped} dropped"),
        };
        let compared = ui::count(pairs.compared, "answer", "answers");
        Some(format!("{compared} compared{}{rest}", apart.unwrap_or_default()))
    }

    /// Whether a step of its plan has copies made.
    fn has_shadow(&self) -> bool {
        let steps = self.it.rollout.iter().flat_map(|rollout| &rollout.steps);
        steps.map(|step| &step.plan).any(|step| matches!(step, Step::Shadow { .. }))
    }
}

impl Runs<'_> {
    fn total(&self) -> u64 {
        let open = &self.it.open;
        open.queued + open.running + open.paused + open.parked
    }

    fn count(&self) -> String {
        ui::count(self.total(), "run", "runs")
    }

    fn ago(&self, at: &Timestamp) -> Html {
        ui::ago(*at, self.now)
    }
}

impl State<'_> {
    fn layer(&self, layer: &Layer) -> String {
        serde_json::to_value(layer).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }

    fn grouped(&self, n: &u64) -> String {
        ui::grouped(*n)
    }

    fn took(&self, us: &u64) -> String {
        ui::took_us(*us)
    }

    fn tenants(&self) -> String {
        ui::count(self.report.reach.tenants, "tenant", "tenants")
    }

    fn acknowledged(&self, known: &EpochReport) -> String {
        let EpochReport { expected, acknowledged, took, .. } = known;
        let took = took.as_ref().map(|took| format!(", the last after {}", ui::took_us(took.max_us)));
        format!(
            "by {acknowledged} of {}{}",
            ui::count(*expected, "member", "members"),
            took.unwrap_or_default()
        )
    }

    fn derived(&self, layer: &Layer) -> String {
        ui::grouped(self.report.derived.get(layer).copied().unwrap_or(0))
    }
}

impl Timeline<'_> {
    fn ago(&self, at: &Timestamp) -> Html {
        ui::ago(*at, self.now)
    }

    fn numbers(&self, evidence: &Evidence) -> Vec<String> {
        let Evidence { findings, runs, units, .. } = evidence;
        let counted = format!(
            "{} and {} of the candidate and the incumbent, {} and {} compared",
            ui::grouped(runs.candidate),
            ui::count(runs.incumbent, "run", "runs"),
            ui::grouped(units.candidate),
            ui::count(units.incumbent, "unit", "units"),
        );
        std::iter::once(counted).chain(findings.iter().map(|finding| finding.sentence())).collect()
    }
}

#[cfg(test)]
mod tests;

//! A deployment's plan: settings with every gap filled, as frozen when the deployment was opened.
//!
//! Where settings say nothing, the tier decides ([`Plan::of`]): first the segment `internal` where there is one, then a share
//! that grows while the margin that must be proven shrinks, so that what a bad candidate may do unseen (its share
//! times the margin) stays about the same from step to step.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::quantity::{Margin, Percent, Span, Usd};
use super::spec::{
    ApproveSpec, CanarySpec, GuardrailSpec, Measure, Metric, OnBreach, PauseSpec, Prometheus, RolloutSpec,
    ShadowSpec, StepSpec,
};
use crate::agent::AgentSpec;
use crate::id::{AgentName, SegmentName};
use crate::share::Share;
use crate::stats::{Alphas, Better};
use crate::tier::Tier;

/// What a rollout goes through and what it is judged by. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub guardrails: Vec<Guardrail>,
}

/// A step, whole. Stored: never rename.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    Gate,
    Shadow {
        percent: Percent,
        min_runs: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_divergence: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget: Option<Usd>,
        deadline: Span,
    },
    Canary {
        percent: Percent,
        min_runs: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        segments: Vec<SegmentName>,
        deadline: Span,
        slack: f64,
    },
    Pause {
        #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
        length: Option<Span>,
    },
    Approve {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        by: Vec<String>,
    },
}

/// A guardrail, whole. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guardrail {
    /// Whose runs it looks at.
    pub agent: AgentName,
    pub name: String,
    pub metric: Metric,
    pub direction: Better,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    pub margin: Margin,
    pub alpha: f64,
    pub on_breach: OnBreach,
    pub min_samples: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
}

/// Why settings of a rollout are refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadRollout {
    #[error("a rollout has 1 to {STEPS_MAX} steps; this one has {0}")]
    Steps(usize),
    #[error("a rollout has at most {GUARDRAILS_MAX} guardrails; this one has {0}")]
    Guardrails(usize),
    #[error("two guardrails are named `{0}`; give one of them a `name`")]
    SameName(String),
    #[error("step {step}: {field} is {got}; it must be {expected}")]
    OutOfRange { step: usize, field: &'static str, got: String, expected: &'static str },
    #[error("step {step}: the agent has no segment `{segment}`")]
    NoSegment { step: usize, segment: SegmentName },
    #[error("step {step} takes {to} after {from}: a share may only grow, or units would move back and forth")]
    Shrinks { step: usize, from: Share, to: Share },
    #[error("step {step}: at 100% nothing is left to compare with; end with 50%, the promotion follows it")]
    Everything { step: usize },
    #[error("guardrail `{guardrail}`: {field} is {got}; it must be {expected}")]
    Guardrail { guardrail: String, field: &'static str, got: String, expected: &'static str },
    #[error("guardrail `{0}`: metric prometheus and the table `prometheus` go together")]
    Prometheus(String),
    #[error("alpha is {0}; it must be more than 0 and at most 0.5")]
    Alpha(f64),
}

/// More steps than anybody can follow.
pub const STEPS_MAX: usize = 20;
/// Each is evaluated several times a second, and shares the rollout's chance of a false alarm.
pub const GUARDRAILS_MAX: usize = 32;
/// More runs than any step should wait for.
const RUNS_MAX: u64 = 10_000_000;
/// A step shorter than this is over before anybody has looked.
const DEADLINE_MIN: Span = Span { ms: 60_000 };
const SLACK_MAX: f64 = 100.0;
const NAME_BYTES_MAX: usize = 64;
const QUERY_BYTES_MAX: usize = 4_000;
/// The chance of taking back a candidate that is no worse, over a whole rollout.
const ALPHA: f64 = 0.05;
/// The chance of passing a candidate that is worse by the margin. All guardrails must pass, so one chance serves each.
const ALPHA_NOT_WORSE: f64 = 0.05;
/// The segment that meets a candidate first, where an agent has it.
pub const INTERNAL: &str = "internal";

impl Plan {
    /// The plan of an agent's deployment in a segment: its settings, completed by its tier's.
    #[must_use]
    pub fn of(agent: &AgentName, spec: &AgentSpec, segment: &SegmentName) -> Plan {
        let rollout = spec.rollout.clone().unwrap_or_default();
        let steps = match rollout.steps {
            Some(steps) => steps.into_iter().map(Step::of).collect(),
            None => default_steps(spec, segment),
        };
        let guardrails = rollout.guardrails.unwrap_or_else(|| default_guardrails(spec.tier));
        let alpha = rollout.alpha.unwrap_or(ALPHA);
        // Those that name their own chance don't take from the others'.
        let sharing = guardrails.iter().filter(|guardrail| guardrail.alpha.is_none()).count().max(1);
        #[allow(clippy::cast_precision_loss, reason = "at most GUARDRAILS_MAX")]
        let each = alpha / sharing as f64;
        let guardrails = guardrails.into_iter().map(|written| Guardrail::of(agent, written, each));
        Plan { steps, guardrails: guardrails.collect() }
    }

    /// The plan of several agents that move together: the steps of the one that needs the most rigour (the first by
    /// name among equals), and everybody's guardrails.
    #[must_use]
    pub fn together<'a>(
        agents: impl IntoIterator<Item = (&'a AgentName, &'a AgentSpec)>,
        segment: &SegmentName,
    ) -> Option<Plan> {
        let mut plans: Vec<(Tier, Plan)> =
            agents.into_iter().map(|(name, spec)| (spec.tier, Plan::of(name, spec, segment))).collect();
        let strictest = plans.iter().map(|(tier, _)| *tier).max()?;
        let parts = u32::try_from(plans.len()).unwrap_or(u32::MAX);
        let steps = plans.iter().find(|(tier, _)| *tier == strictest).map(|(_, plan)| plan.steps.clone())?;
        let mut guardrails = Vec::new();
        for (_, plan) in &mut plans {
            guardrails.append(&mut plan.guardrails);
        }
        for guardrail in &mut guardrails {
            guardrail.alpha /= f64::from(parts);
        }
        Some(Plan { steps, guardrails })
    }
}

impl Guardrail {
    /// The chances of error that it is judged with.
    #[must_use]
    pub fn alphas(&self) -> Alphas {
        Alphas { worse: self.alpha, not_worse: ALPHA_NOT_WORSE }
    }

    fn of(agent: &AgentName, written: GuardrailSpec, alpha: f64) -> Guardrail {
        let GuardrailSpec { metric, name, direction, quantile, margin, alpha: own, .. } = written;
        let quantile = match metric.measure() {
            Measure::Quantile => Some(quantile.unwrap_or(0.5)),
            Measure::Rate | Measure::Mean => None,
        };
        let usual = match metric.measure() {
            Measure::Rate => 0.01,
            Measure::Mean => 0.03,
            Measure::Quantile => 0.25,
        };
        let better = match metric.measure() {
            Measure::Rate | Measure::Quantile => Better::Lower,
            Measure::Mean => Better::Higher,
        };
        Guardrail {
            agent: agent.clone(),
            name: name.unwrap_or_else(|| metric.to_string()),
            direction: direction.unwrap_or(better),
            quantile,
            margin: margin.unwrap_or(Margin(usual)),
            alpha: own.unwrap_or(alpha),
            on_breach: written.on_breach,
            min_samples: written.min_samples.unwrap_or(0),
            prometheus: written.prometheus,
            metric,
        }
    }
}

impl Step {
    /// The step's word in tables and sentences.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Step::Gate => "gate",
            Step::Shadow { .. } => "shadow",
            Step::Canary { .. } => "canary",
            Step::Pause { .. } => "pause",
            Step::Approve { .. } => "approve",
        }
    }

    /// How long it may take before somebody is asked; none: for ever.
    #[must_use]
    pub fn deadline(&self) -> Option<Span> {
        match self {
            Step::Shadow { deadline, .. } | Step::Canary { deadline, .. } => Some(*deadline),
            Step::Gate | Step::Pause { .. } | Step::Approve { .. } => None,
        }
    }

    fn of(written: StepSpec) -> Step {
        match written {
            StepSpec::Gate => Step::Gate,
            StepSpec::Shadow(ShadowSpec { percent, min_runs, max_divergence, budget, deadline }) => {
                Step::Shadow {
                    percent,
                    min_runs: min_runs.unwrap_or(100),
                    max_divergence,
                    budget,
                    deadline: deadline.unwrap_or(Span::hours(72)),
                }
            }
            StepSpec::Canary(CanarySpec { percent, min_runs, segments, deadline, slack }) => Step::Canary {
                percent,
                min_runs: min_runs.unwrap_or(100),
                segments,
                deadline: deadline.unwrap_or(Span::hours(72)),
                slack: slack.unwrap_or(1.0),
            },
            StepSpec::Pause(PauseSpec { length }) => Step::Pause { length },
            StepSpec::Approve(ApproveSpec { by }) => Step::Approve { by },
        }
    }
}

fn default_steps(spec: &AgentSpec, segment: &SegmentName) -> Vec<Step> {
    let canary = |bps: u64, min_runs, slack| Step::Canary {
        percent: Percent(Share::from_bps(bps).expect("written below, all within 100 %")),
        min_runs,
        segments: Vec::new(),
        deadline: Span::hours(72),
        slack,
    };
    let internal = spec.segments.iter().find(|known| known.name.as_str() == INTERNAL);
    // Another segment's deployment has no say over the internal one's traffic.
    let internal = internal.filter(|_| segment.as_str() == SegmentName::DEFAULT).map(|known| Step::Canary {
        percent: Percent(Share::from_bps(5_000).expect("a half")),
        min_runs: 50,
        segments: vec![known.name.clone()],
        deadline: Span::hours(72),
        slack: 10.0,
    });
    let widening = || [canary(500, 100, 5.0), canary(2_500, 200, 2.0), canary(5_000, 400, 1.0)];
    match spec.tier {
        Tier::Throwaway => vec![canary(5_000, 20, 10.0)],
        Tier::Standard => internal.into_iter().chain(widening()).collect(),
        Tier::Critical => {
            let shadow = Step::Shadow {
                percent: Percent(Share::from_bps(1_000).expect("a tenth")),
                min_runs: 100,
                max_divergence: None,
                budget: None,
                deadline: Span::hours(72),
            };
            let first = [canary(100, 50, 10.0)];
            let before = [Step::Gate, shadow].into_iter().chain(internal).chain(first);
            before.chain(widening()).chain([Step::Approve { by: Vec::new() }]).collect()
        }
    }
}

fn default_guardrails(tier: Tier) -> Vec<GuardrailSpec> {
    let guardrail = |metric, margin, quantile| GuardrailSpec {
        metric,
        name: None,
        direction: None,
        quantile,
        margin: Some(Margin(margin)),
        alpha: None,
        on_breach: OnBreach::Rollback,
        min_samples: None,
        prometheus: None,
    };
    let standard = || {
        vec![
            guardrail(Metric::ErrorRate, 0.02, None),
            guardrail(Metric::RefusalRate, 0.02, None),
            guardrail(Metric::EmptyRate, 0.02, None),
            guardrail(Metric::ToolErrorRate, 0.02, None),
            guardrail(Metric::UnknownToolRate, 0.02, None),
            guardrail(Metric::DriftRate, 0.02, None),
            guardrail(Metric::Latency, 0.3, Some(0.5)),
        ]
    };
    match tier {
        Tier::Throwaway => vec![guardrail(Metric::ErrorRate, 0.05, None)],
        Tier::Standard => standard(),
        Tier::Critical => {
            let mut all = standard();
            for guardrail in &mut all {
                if guardrail.metric.measure() == Measure::Rate {
                    guardrail.margin = Some(Margin(0.01));
                }
            }
            all
        }
    }
}

impl RolloutSpec {
    /// Checks the settings that types alone don't, for an agent's `spec`.
    pub fn check(&self, spec: &AgentSpec) -> Result<(), BadRollout> {
        if self.alpha.is_some_and(|alpha| !is_alpha(alpha)) {
            return Err(BadRollout::Alpha(self.alpha.unwrap_or_default()));
        }
        if let Some(steps) = &self.steps {
            check_steps(steps, spec)?;
        }
        let guardrails = self.guardrails.as_deref().unwrap_or_default();
        if guardrails.len() > GUARDRAILS_MAX {
            return Err(BadRollout::Guardrails(guardrails.len()));
        }
        let mut names = BTreeSet::new();
        for guardrail in guardrails {
            let name = guardrail.name.clone().unwrap_or_else(|| guardrail.metric.to_string());
            guardrail.check(&name)?;
            if !names.insert(name.clone()) {
                return Err(BadRollout::SameName(name));
            }
        }
        Ok(())
    }
}

impl GuardrailSpec {
    fn check(&self, name: &str) -> Result<(), BadRollout> {
        let refuse = |field, got: String, expected| {
            Err(BadRollout::Guardrail { guardrail: name.to_owned(), field, got, expected })
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return refuse("the length of its name", name.len().to_string(), "1 to 64 bytes");
        }
        if let Some(alpha) = self.alpha.filter(|alpha| !is_alpha(*alpha)) {
            return refuse("alpha", alpha.to_string(), "more than 0 and at most 0.5");
        }
        match (self.quantile, self.metric.measure()) {
            (Some(q), Measure::Quantile) if (0.01..=0.99).contains(&q) => {}
            (Some(q), Measure::Quantile) => return refuse("quantile", q.to_string(), "0.01 to 0.99"),
            (Some(q), Measure::Rate | Measure::Mean) => {
                return refuse("quantile", q.to_string(), "left out: this metric has no quantiles");
            }
            (None, _) => {}
        }
        let is_prometheus = self.metric == Metric::Prometheus;
        match &self.prometheus {
            Some(source) if is_prometheus => source.check(name),
            None if !is_prometheus => Ok(()),
            Some(_) | None => Err(BadRollout::Prometheus(name.to_owned())),
        }
    }
}

impl Prometheus {
    fn check(&self, name: &str) -> Result<(), BadRollout> {
        let Prometheus { url, bad, total, token_env } = self;
        let refuse = |field, got: String, expected| {
            Err(BadRollout::Guardrail { guardrail: name.to_owned(), field, got, expected })
        };
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        let is_address =
            !host.is_empty() && !host.contains('@') && host.bytes().all(|b| b.is_ascii_graphic());
        if !is_address || url.len() > crate::agent::URL_BYTES_MAX {
            return refuse(
                "prometheus.url",
                "no such address".to_owned(),
                "http(s)://HOST without a user name",
            );
        }
        for (field, query) in [("prometheus.bad", bad), ("prometheus.total", total)] {
            if query.trim().is_empty() || query.len() > QUERY_BYTES_MAX {
                return refuse(field, format!("{} bytes long", query.len()), "a query of 1 to 4000 bytes");
            }
        }
        // What looks like a secret by mistake is not repeated in the error (I15).
        match token_env {
            Some(env) if !crate::provider::is_env_name(env) => refuse(
                "prometheus.token_env",
                "no variable's name".to_owned(),
                "an environment variable's name",
            ),
            Some(_) | None => Ok(()),
        }
    }
}

fn check_steps(steps: &[StepSpec], spec: &AgentSpec) -> Result<(), BadRollout> {
    if steps.is_empty() || steps.len() > STEPS_MAX {
        return Err(BadRollout::Steps(steps.len()));
    }
    let mut before = Share::NONE;
    for (step, written) in (1..).zip(steps) {
        let range = |field, got: String, expected| BadRollout::OutOfRange { step, field, got, expected };
        let check_runs = |runs: Option<u64>| match runs.filter(|runs| !(1..=RUNS_MAX).contains(runs)) {
            Some(runs) => Err(range("min_runs", runs.to_string(), "1 to 10000000")),
            None => Ok(()),
        };
        let check_deadline = |deadline: Option<Span>| match deadline.filter(|span| *span < DEADLINE_MIN) {
            Some(span) => Err(range("deadline", span.to_string(), "at least 1m")),
            None => Ok(()),
        };
        let check_percent = |percent: Percent| match percent.0 {
            Share::NONE => Err(range("percent", percent.to_string(), "more than 0")),
            _ => Ok(()),
        };
        match written {
            StepSpec::Gate | StepSpec::Pause(_) => {}
            StepSpec::Approve(ApproveSpec { by }) if by.len() > 20 => {
                return Err(range("the number of approvers", by.len().to_string(), "at most 20"));
            }
            StepSpec::Approve(_) => {}
            StepSpec::Shadow(shadow) => {
                check_percent(shadow.percent)?;
                check_runs(shadow.min_runs)?;
                check_deadline(shadow.deadline)?;
                if let Some(far) = shadow.max_divergence.filter(|far| !(*far > 0.0 && *far <= 1.0)) {
                    return Err(range("max_divergence", far.to_string(), "more than 0 and at most 1"));
                }
            }
            StepSpec::Canary(canary) => {
                check_percent(canary.percent)?;
                check_runs(canary.min_runs)?;
                check_deadline(canary.deadline)?;
                if let Some(slack) = canary.slack.filter(|slack| !(1.0..=SLACK_MAX).contains(slack)) {
                    return Err(range("slack", slack.to_string(), "1 to 100"));
                }
                check_share(step, canary, spec, &mut before)?;
            }
        }
    }
    Ok(())
}

/// Checks a canary's share against the steps before it, of which `before` is the largest share for everybody.
fn check_share(
    step: usize,
    canary: &CanarySpec,
    spec: &AgentSpec,
    before: &mut Share,
) -> Result<(), BadRollout> {
    let share = canary.percent.0;
    if share == Share::ALL {
        return Err(BadRollout::Everything { step });
    }
    if let Some(segment) = canary.segments.iter().find(|segment| !spec.has_segment(segment)) {
        return Err(BadRollout::NoSegment { step, segment: segment.clone() });
    }
    if share < *before {
        return Err(BadRollout::Shrinks { step, from: *before, to: share });
    }
    if canary.segments.is_empty() {
        *before = share;
    }
    Ok(())
}

fn is_alpha(alpha: f64) -> bool {
    alpha > 0.0 && alpha <= 0.5
}

#[cfg(test)]
mod tests;

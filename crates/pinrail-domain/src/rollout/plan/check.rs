//! Which settings of a rollout are refused: what would never work, or would surprise.

use std::collections::BTreeSet;

use super::super::quantity::{Percent, Span};
use super::super::spec::{
    ApproveSpec, CanarySpec, GuardrailSpec, Measure, Metric, OnBreach, Prometheus, RolloutSpec, StepSpec,
};
use crate::agent::AgentSpec;
use crate::dial::Position;
use crate::id::SegmentName;
use crate::share::Share;

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
        if self.on_breach == OnBreach::Dial(Position::Full) {
            return refuse(
                "on_breach.dial",
                "full".to_owned(),
                "supervised, read_only, fallback, canned or off",
            );
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

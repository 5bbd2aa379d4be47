//! A deployment's plan: settings with every gap filled, as frozen when the deployment was opened.
//!
//! Where settings say nothing, the tier decides ([`Plan::of`]): first the segment `internal` where there is one, then a share
//! that grows while the margin that must be proven shrinks, so that what a bad candidate may do unseen (its share
//! times the margin) stays about the same from step to step.

use serde::{Deserialize, Serialize};

use super::quantity::{Margin, Percent, Span, Usd};
use super::spec::{
    ApproveSpec, CanarySpec, GuardrailSpec, Measure, Metric, OnBreach, PauseSpec, Prometheus, ShadowSpec,
    StepSpec,
};
use crate::agent::AgentSpec;
use crate::id::{AgentName, SegmentName};
use crate::stats::{Alphas, Better};
use crate::tier::Tier;

mod check;
mod defaults;

pub use check::{BadRollout, GUARDRAILS_MAX, STEPS_MAX};

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
            None => defaults::steps(spec, segment),
        };
        let guardrails = rollout.guardrails.unwrap_or_else(|| defaults::guardrails(spec.tier));
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

#[cfg(test)]
mod tests;

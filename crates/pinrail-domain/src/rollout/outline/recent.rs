//! What an outline is worked out from: traffic and values of the last days, or what is assumed instead.

use std::collections::{BTreeMap, BTreeSet};

use super::{duration_words, hours, thousands};
use crate::id::{AgentName, DeploymentId, SegmentName};
use crate::rollout::plan::Guardrail;
use crate::rollout::progress::Weights;
use crate::rollout::spec::{Measure, Metric};

/// The last days of the agents whose rollout is outlined.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// Of each agent in each segment that the deployment's segment serves, or would but for a deployment there; none
    /// where nothing was ever served.
    pub flows: Vec<Flow>,
    /// What was measured, by agent and metric.
    pub measured: BTreeMap<(AgentName, Metric), Base>,
    pub keys: Keys,
}

/// An agent's traffic in a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    pub agent: AgentName,
    pub segment: SegmentName,
    /// How far back was looked.
    pub span_ms: u64,
    pub runs: u64,
    /// Sessions, and runs without one.
    pub units: u64,
    /// The segment has a deployment of its own, so that the candidate is never served there.
    pub own: Option<DeploymentId>,
}

/// A metric as it was lately, in both arms alike as long as nobody knows better.
#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    Rate {
        bad: u64,
        units: u64,
    },
    Mean {
        mean: f64,
        sd: f64,
        units: u64,
    },
    /// Sorted.
    Values(Vec<f64>),
}

/// Who could approve something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Anybody on this machine: there are no keys, so nobody has a name.
    #[default]
    Open,
    /// The names of the keys that may deploy.
    Named(BTreeSet<String>),
}

/// Units below which a rate or a mean says too little to count on.
pub const UNITS_MIN: u64 = 30;
/// Values below which a quantile's spread says too little to count on; `units_needed_quantile` asks for as many.
pub const VALUES_MIN: usize = 100;

/// What is assumed of a rate: one bad unit in a hundred.
const ASSUMED_RATE: Base = Base::Rate { bad: 10, units: 1_049 };
const ASSUMED_MEAN: Base = Base::Mean { mean: 0.8, sd: 0.2, units: 0 };
/// The log-logistic distribution with this shape: the middle half lies within 0.74 and 1.36 times the median.
const ASSUMED_SHAPE: f64 = 0.28;

/// What a guardrail's need is worked out from.
pub(super) struct Grounds<'a> {
    pub base: std::borrow::Cow<'a, Base>,
    pub words: String,
    /// Nothing at all was measured.
    pub is_unseen: bool,
}

impl Recent {
    /// Runs that a candidate with these shares would get.
    pub(super) fn candidate_runs_per_hour(&self, weights: &Weights) -> f64 {
        self.reached().map(|flow| per_hour(flow.runs, flow) * share(weights, flow)).sum()
    }

    /// An agent's units that a candidate with these shares would get.
    pub(super) fn candidate_units_per_hour(&self, agent: &AgentName, weights: &Weights) -> f64 {
        let own = self.reached().filter(|flow| flow.agent == *agent);
        own.map(|flow| per_hour(flow.units, flow) * share(weights, flow)).sum()
    }

    /// What it is worked out from, in words.
    pub(super) fn words(&self) -> String {
        let count = |of: fn(&Flow) -> u64| self.reached().map(of).sum::<u64>();
        let (runs, units) = (count(|flow| flow.runs), count(|flow| flow.units));
        let span_ms = self.flows.iter().map(|flow| flow.span_ms).max().unwrap_or_default();
        if self.flows.is_empty() {
            return "nothing was served there yet".to_owned();
        }
        if runs == 0 {
            return format!("no run in the last {}", duration_words(span_ms));
        }
        format!(
            "{} runs of {} sessions in the last {}",
            thousands(runs),
            thousands(units),
            duration_words(span_ms)
        )
    }

    /// The traffic that the candidate would have a share of.
    pub(super) fn reached(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter().filter(|flow| flow.own.is_none())
    }
}

impl<'a> Grounds<'a> {
    pub(super) fn of(guardrail: &Guardrail, recent: &'a Recent) -> Grounds<'a> {
        use std::borrow::Cow::{Borrowed, Owned};
        let key = (guardrail.agent.clone(), guardrail.metric.clone());
        let measured = recent.measured.get(&key);
        match measured {
            Some(base @ Base::Rate { bad, units }) if *units >= UNITS_MIN => {
                let rate = *bad as f64 * 100.0 / *units as f64;
                let words = format!("{rate:.2}% of {} recent units", thousands(*units));
                Grounds { base: Borrowed(base), words, is_unseen: false }
            }
            Some(base @ Base::Mean { mean, sd, units }) if *units >= UNITS_MIN => {
                let words =
                    format!("mean {mean:.3}, deviation {sd:.3} in {} recent units", thousands(*units));
                Grounds { base: Borrowed(base), words, is_unseen: false }
            }
            Some(base @ Base::Values(values)) if values.len() >= VALUES_MIN => {
                let words = format!("the spread of {} recent values", thousands(values.len() as u64));
                Grounds { base: Borrowed(base), words, is_unseen: false }
            }
            Some(Base::Rate { .. } | Base::Mean { .. } | Base::Values(_)) | None => {
                let (base, words) = assumed(&guardrail.metric);
                let is_unseen = measured.is_none_or(Base::is_empty);
                Grounds { base: Owned(base), words: format!("assumed: {words}"), is_unseen }
            }
        }
    }
}

impl Base {
    fn is_empty(&self) -> bool {
        match self {
            Base::Rate { units, .. } | Base::Mean { units, .. } => *units == 0,
            Base::Values(values) => values.is_empty(),
        }
    }
}

fn assumed(metric: &Metric) -> (Base, &'static str) {
    match metric.measure() {
        Measure::Rate => (ASSUMED_RATE, "1%"),
        Measure::Mean => (ASSUMED_MEAN, "mean 0.8, deviation 0.2"),
        Measure::Quantile => {
            let value = |place: usize| {
                let p = (place as f64 + 0.5) / VALUES_MIN as f64;
                (p / (1.0 - p)).powf(ASSUMED_SHAPE)
            };
            (
                Base::Values((0..VALUES_MIN).map(value).collect()),
                "half of all within 0.74 and 1.36 times the median",
            )
        }
    }
}

fn per_hour(count: u64, flow: &Flow) -> f64 {
    if flow.span_ms == 0 { 0.0 } else { count as f64 / hours(flow.span_ms) }
}

fn share(weights: &Weights, flow: &Flow) -> f64 {
    f64::from(weights.in_segment(&flow.segment).bps()) / 10_000.0
}

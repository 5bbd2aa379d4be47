//! What was observed of a rollout, as its decisions take it in and as the ledger keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::plan::Guardrail;
use super::quantity::{Margin, Usd};
use super::spec::{Metric, Unit};
use crate::id::AgentName;
use crate::stats::{Arms, Judged, Verdict};

/// What is known of a rollout at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Whether everything that was journaled so far is in here; after a start that takes a while.
    pub complete: bool,
    /// One for each guardrail, in the plan's order.
    pub findings: Vec<Finding>,
    /// Runs that ended since the current step was entered.
    pub runs: Arms<u64>,
    /// Units that are compared, over the whole rollout.
    pub units: Arms<u64>,
    /// The arms don't get the shares that they should.
    pub ratio_off: bool,
    /// Pairs of live and shadow answers, since the current step was entered.
    pub pairs: Pairs,
}

/// What a guardrail shows. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub guardrail: String,
    pub agent: AgentName,
    pub metric: Metric,
    #[serde(flatten)]
    pub judged: Judged,
    /// Why the metric's source gave nothing: that is no fault of the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Pairs of a live answer and the candidate's answer to a copy of the request. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    pub compared: u64,
    /// Copies that the candidate gave no answer to.
    pub failed: u64,
    /// Copies that were not made, since there was no room.
    pub dropped: u64,
    /// How far answers differ on average, 0 to 1, and the bounds that hold for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence_low: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence_high: Option<f64>,
    pub cost: Usd,
}

/// What a rollout's ledger entry rests on. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    pub runs: Arms<u64>,
    pub units: Arms<u64>,
    #[serde(default, skip_serializing_if = "is_no_pair")]
    pub pairs: Pairs,
}

impl Facts {
    /// What an entry that follows from these facts keeps of them.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let Facts { complete: _, findings, runs, units, ratio_off: _, pairs } = self;
        Evidence { findings: findings.clone(), runs: *runs, units: *units, pairs: pairs.clone() }
    }
}

impl Finding {
    /// Whether the guardrail has what it needs to say anything.
    #[must_use]
    pub fn has_samples(&self, guardrail: &Guardrail) -> bool {
        let Arms { candidate, incumbent } = self.judged.samples;
        candidate.min(incumbent) >= guardrail.min_samples
    }

    /// Whether it shows the candidate worse.
    #[must_use]
    pub fn is_breach(&self, guardrail: &Guardrail) -> bool {
        self.trouble.is_none() && self.has_samples(guardrail) && self.judged.verdict == Verdict::Worse
    }

    /// Whether it shows the candidate not worse by the margin times `slack`.
    #[must_use]
    pub fn is_not_worse(&self, guardrail: &Guardrail, slack: f64) -> bool {
        let bound = self.judged.harm_high.is_some_and(|high| high < guardrail.margin.0 * slack);
        self.trouble.is_none() && self.has_samples(guardrail) && bound
    }

    /// The numbers in a few words: `2.1% against 1.9% (412 and 7810 units), at most 0.8 points worse`.
    #[must_use]
    pub fn sentence(&self) -> String {
        if let Some(trouble) = &self.trouble {
            return format!("{}: its source gives nothing ({trouble})", self.guardrail);
        }
        let unit = self.metric.unit();
        let Judged { candidate, incumbent, harm_low, harm_high, samples, .. } = &self.judged;
        let (Some(candidate), Some(incumbent)) = (candidate, incumbent) else {
            let Arms { candidate, incumbent } = samples;
            return format!(
                "{}: nothing to compare yet ({candidate} units of the candidate, {incumbent} of the incumbent)",
                self.guardrail
            );
        };
        let (low, high) = (harm_low.map(|low| Harm(low, unit)), harm_high.map(|high| Harm(high, unit)));
        let bounds = match (low, high) {
            (Some(low), _) if low.0 > 0.0 => format!(", at least {low} worse"),
            (_, Some(high)) => format!(", at most {high} worse"),
            (_, None) => String::new(),
        };
        format!(
            "{}: {} against {} ({} and {} units){bounds}",
            self.guardrail,
            Value(*candidate, unit),
            Value(*incumbent, unit),
            samples.candidate,
            samples.incumbent,
        )
    }
}

/// A metric's value for people.
struct Value(f64, Unit);

/// How much worse, for people.
struct Harm(f64, Unit);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Value(value, unit) = self;
        match unit {
            Unit::Share => write!(f, "{:.2}%", value * 100.0),
            Unit::Score => write!(f, "{value:.3}"),
            Unit::Milliseconds => write!(f, "{value:.1} ms"),
            Unit::Tokens => write!(f, "{value:.0} tokens"),
            Unit::Usd => write!(f, "${value:.6}"),
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Harm(harm, unit) = self;
        match unit {
            Unit::Share => write!(f, "{:.2} points", harm * 100.0),
            Unit::Score => write!(f, "{harm:.3}"),
            Unit::Milliseconds | Unit::Tokens | Unit::Usd => write!(f, "{:.1}%", harm * 100.0),
        }
    }
}

/// A metric's value for people.
#[must_use]
pub fn value_words(value: f64, metric: &Metric) -> String {
    Value(value, metric.unit()).to_string()
}

/// How much worse something is, for people.
#[must_use]
pub fn harm_words(harm: f64, metric: &Metric) -> String {
    Harm(harm, metric.unit()).to_string()
}

/// A margin, times a step's slack, in the words of its metric.
#[must_use]
pub fn margin_words(margin: Margin, slack: f64, metric: &Metric) -> String {
    Harm(margin.0 * slack, metric.unit()).to_string()
}

fn is_no_pair(pairs: &Pairs) -> bool {
    *pairs == Pairs::default()
}

//! What the evidence says of a candidate against its incumbent, at any moment that somebody looks.
//!
//! A controller looks after every run. A test that promises 5 % false alarms for one look at the end gives two thirds
//! when it is looked at all the time, so everything here is *anytime-valid*: the promised chance of being wrong holds
//! over all looks together, and nobody has to say beforehand how long the rollout will take. Each test keeps an
//! *e-value*, the wealth of somebody who started with 1 and bets, at fair odds, that the hypothesis is false. If it is
//! true, the wealth ever reaches `1/α` with chance at most `α` (Ville's inequality). The three outcomes:
//!
//! - [`Verdict::Worse`]: it is proven at `alphas.worse` that the candidate is worse than the incumbent, *and* the harm
//!   that was observed is at least the margin. Both, since with enough traffic every difference is proven, and a
//!   rollout must not be taken back for a proven tenth of a point inside a margin that its owner called acceptable.
//! - [`Verdict::NotWorse`]: the upper bound of the harm at `alphas.not_worse` is below the margin.
//! - [`Verdict::Undecided`]: neither, and always when an arm is empty. No traffic is not success.
//!
//! The first two exclude each other: the reported bounds always enclose the observed harm, so an upper bound below the
//! margin means that less than the margin was observed.
//!
//! | metric | test | in |
//! |---|---|---|
//! | share of units with an error, refusal, … | [`rate`] | bad units by arm: count e-process; bounds: betting on weighted units |
//! | did the split split | [`sample_ratio`] | all units by arm: count e-process |
//! | score in \[0, 1\] | [`mean`] | betting, both arms' wealth multiplied |
//! | counts from elsewhere | [`proportion`] | betting, both arms' wealth multiplied |
//! | one arm's scores alone | [`interval`] | betting |
//! | latency, cost | [`quantile`] | betting on how many lie below, both arms' wealth multiplied |
//! | cases that both arms answered | [`paired`] | one look at the end: exact, or by what is likeliest at the margin |
//!
//! What is counted must be independent: *units* (sessions), not their runs. All functions are total: empty arms, ties,
//! shares of 0 % and 100 % and 10⁹ units are answered, and no field is ever NaN or infinite (`None` stands for a number
//! that doesn't exist yet). `docs/statistics.md` says the same for users, with sources.

use serde::{Deserialize, Serialize};

mod counts;
mod mean;
mod needed;
pub mod paired;
mod quantile;
mod rate;
mod search;
pub(crate) mod student;
mod wealth;

#[cfg(test)]
mod tests;

pub use counts::{BAD_PRIORS, COUNT_PRIOR, SampleRatio, bad_log_e, count_log_e, sample_ratio};
pub use mean::{interval, mean, proportion};
pub use needed::{units_needed_mean, units_needed_quantile, units_needed_rate};
pub use quantile::quantile;
pub use rate::{Counted, rate};

/// What the evidence says so far of a candidate against its incumbent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Proven worse, by at least the margin as far as was seen.
    Worse,
    /// Proven not to be worse by the margin.
    NotWorse,
    /// Not enough is known.
    Undecided,
}

/// One thing for each of the two that are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Arms<T> {
    pub candidate: T,
    pub incumbent: T,
}

/// Which way of a metric is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Lower,
    Higher,
}

/// The chances of being wrong that are accepted, each over all looks together; between 0 and 1.
///
/// A value that isn't above 0 accepts none: the verdict it belongs to is then never given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alphas {
    /// Of calling a candidate worse that isn't.
    pub worse: f64,
    /// Of passing a candidate that is worse by the margin.
    pub not_worse: f64,
}

/// A verdict with the numbers that it rests on, as a ledger keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub verdict: Verdict,
    /// The metric as observed, per arm; `None` while the arm is empty.
    pub candidate: Option<f64>,
    pub incumbent: Option<f64>,
    /// How much worse the candidate is: above 0 is worse, whichever way of the metric is good.
    pub harm: Option<f64>,
    /// What the harm is at least, but for a chance of `alphas.worse`.
    pub harm_low: Option<f64>,
    /// What the harm is at most, but for a chance of `alphas.not_worse`.
    pub harm_high: Option<f64>,
    /// What was compared.
    pub samples: Arms<u64>,
    /// Natural logarithm of the e-value against "the candidate isn't worse": proven at `ln(1/alphas.worse)`.
    pub log_e: Option<f64>,
}

impl<T> Arms<T> {
    /// The same with the roles exchanged.
    pub(crate) fn swapped(self) -> Arms<T> {
        Arms { candidate: self.incumbent, incumbent: self.candidate }
    }

    pub(crate) fn map<U>(self, mut of: impl FnMut(T) -> U) -> Arms<U> {
        Arms { candidate: of(self.candidate), incumbent: of(self.incumbent) }
    }
}

/// What the verdict is made of, whatever the metric.
struct Findings {
    /// Observed, per arm.
    observed: Arms<Option<f64>>,
    harm: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    /// Whether the observed harm is at least the margin, also where the harm is no finite number.
    beyond_margin: bool,
    /// Against "the candidate isn't worse", and whether the evidence points to worse at all.
    log_e: Option<f64>,
    points_to_worse: bool,
}

impl Findings {
    fn judged(self, samples: Arms<u64>, margin: f64, alphas: Alphas) -> Judged {
        let Findings { observed, harm, low, high, beyond_margin, log_e, points_to_worse } = self;
        // Bounds enclose what was observed: widening a bound keeps its promise.
        let low = low.map(|low| harm.map_or(low, |harm| low.min(harm)));
        let high = high.map(|high| harm.map_or(high, |harm| high.max(harm)));
        let proven = points_to_worse && log_e.is_some_and(|log_e| log_e >= threshold(alphas.worse));
        let verdict = if samples.candidate == 0 || samples.incumbent == 0 {
            Verdict::Undecided
        } else if high.is_some_and(|high| high < margin) {
            Verdict::NotWorse
        } else if proven && beyond_margin {
            Verdict::Worse
        } else {
            Verdict::Undecided
        };
        let Arms { candidate, incumbent } = observed;
        let [candidate, incumbent, harm, harm_low, harm_high, log_e] =
            [candidate, incumbent, harm, low, high, log_e].map(|number| number.filter(|n| n.is_finite()));
        Judged { verdict, candidate, incumbent, harm, harm_low, harm_high, samples, log_e }
    }
}

/// The log e-value from which on something is proven: `ln(1/α)` (Ville 1939); never for an α that isn't positive.
fn threshold(alpha: f64) -> f64 {
    if alpha > 0.0 { -alpha.min(1.0).ln() } else { f64::INFINITY }
}

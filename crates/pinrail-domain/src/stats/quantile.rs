//! Latency and cost: is the candidate's quantile higher?
//!
//! That a quantile lies at `x` or above says that at most the part `q` lies below `x`: yes or no for each value, on which
//! can be bet ([`super::wealth`]). This is the duality of Howard & Ramdas, "Sequential estimation of quantiles with
//! applications to A/B testing and best-arm identification" (Bernoulli 2022, arXiv 1906.09712, §3), with bets on the
//! binomial counts themselves in place of their sub-Gamma boundary. What both arms say of the ratio is
//! [`super::search`]; nothing is assumed of the distribution, ties included. The quantile is the least value that at
//! least the part `q` doesn't exceed.

use super::search::{at_every_rank, boundary, level};
use super::wealth::Coin;
use super::{Alphas, Arms, Findings, Judged, threshold};

/// Ratios beyond this are not told from "without bound".
const RATIO_MAX: f64 = 1e6;

/// One quantile of two arms, with the bets on it.
pub(super) struct Ratio<'a> {
    sorted: Arms<&'a [f64]>,
    /// How many units the values of each arm stand for: as many as there are, unless somebody asks what would be.
    pub units: Arms<f64>,
    q: f64,
    /// Against "at most `q` lie below", and against "at most `1 − q` lie above".
    below: Coin,
    above: Coin,
}

/// Compares the `q` quantiles of two arms whose values are sorted, finite and at least 0; lower is better.
///
/// `margin` is relative (0.2: 20 % above the incumbent's), and so are `harm` and its bounds: ratio − 1. Where the
/// incumbent's quantile is 0, the harm is 0 if the candidate's is too, and otherwise `None`, which counts as beyond every
/// margin. A `q` outside of (0, 1) is undecided.
#[must_use]
pub fn quantile(sorted: Arms<&[f64]>, q: f64, margin: f64, alphas: Alphas) -> Judged {
    let samples = sorted.map(|sorted| sorted.len() as u64);
    let observed = sorted.map(|sorted| at(sorted, q));
    let Some((candidate, incumbent)) = observed.candidate.zip(observed.incumbent) else {
        let nothing = Findings {
            observed,
            harm: None,
            low: None,
            high: None,
            beyond_margin: false,
            log_e: None,
            points_to_worse: false,
        };
        return nothing.judged(samples, margin, alphas);
    };
    let worse = Ratio::new(sorted.swapped(), q);
    let findings = Findings {
        observed,
        harm: harm(candidate, incumbent),
        low: worse.upper(threshold(alphas.worse)).map(|ratio| 1.0 / ratio - 1.0),
        high: Ratio::new(sorted, q).upper(threshold(alphas.not_worse)).map(|ratio| ratio - 1.0),
        beyond_margin: candidate >= (1.0 + margin) * incumbent && candidate > 0.0,
        log_e: Some(worse.log_e_at_least_one()),
        points_to_worse: candidate > incumbent,
    };
    findings.judged(samples, margin, alphas)
}

/// The least value that at least the part `q` doesn't exceed.
pub(super) fn at(sorted: &[f64], q: f64) -> Option<f64> {
    let inside = q > 0.0 && q < 1.0;
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().filter(|_| inside)
}

impl<'a> Ratio<'a> {
    /// `q` lies strictly between 0 and 1.
    pub fn new(sorted: Arms<&'a [f64]>, q: f64) -> Ratio<'a> {
        let units = sorted.map(|sorted| sorted.len() as f64);
        Ratio { sorted, units, q, below: Coin::against(q), above: Coin::against(1.0 - q) }
    }

    /// What candidate / incumbent is at most, if it is bounded yet.
    fn upper(&self, enough: f64) -> Option<f64> {
        let observed = at(self.sorted.candidate, self.q).zip(at(self.sorted.incumbent, self.q));
        let ratio = observed.map_or(1.0, |(c, i)| if c > 0.0 && i > 0.0 { c / i } else { 1.0 });
        let mut bracket = ratio.clamp(1.0 / RATIO_MAX, RATIO_MAX);
        while !self.rejected(bracket, enough) {
            if bracket >= RATIO_MAX {
                return None;
            }
            bracket *= 2.0;
        }
        let log = boundary((bracket / 2.0).ln(), bracket.ln(), |log| self.rejected(log.exp(), enough));
        Some(log.exp())
    }

    /// Whether "the candidate's quantile is at least `ratio` times the incumbent's" is rejected.
    pub fn rejected(&self, ratio: f64, enough: f64) -> bool {
        let ranks = (0, self.sorted.incumbent.len());
        at_every_rank(ranks, |rank| self.rising(ratio, rank), |rank| self.falling(rank), enough)
    }

    fn log_e_at_least_one(&self) -> f64 {
        let last = self.sorted.incumbent.len();
        let probes = (0..=32).map(|i| last * i / 32);
        let at_most =
            probes.map(|rank| self.rising(1.0, rank) + self.falling(rank)).fold(f64::INFINITY, f64::min);
        level(at_most, |level| self.rejected(1.0, level))
    }

    /// The incumbent's quantile may be at 0 (rank 0), at one of its values, or, with more evidence against it than at the
    /// value below, anywhere between.
    fn incumbent_at(&self, rank: usize) -> f64 {
        rank.checked_sub(1).map_or(0.0, |index| self.sorted.incumbent[index])
    }

    /// The evidence that the candidate's quantile is less than `ratio` times the incumbent's value of this rank. A
    /// quantile of 0 isn't worse than one of 0, so the candidate's is at least the least number above it.
    fn rising(&self, ratio: f64, rank: usize) -> f64 {
        let x = (ratio * self.incumbent_at(rank)).max(f64::MIN_POSITIVE);
        let values = self.sorted.candidate;
        let (below, n) = (values.partition_point(|value| *value < x), self.units.candidate);
        self.below.log_e(below as f64 * (n / values.len() as f64), n)
    }

    /// The evidence that the incumbent's quantile is above its value of this rank.
    fn falling(&self, rank: usize) -> f64 {
        let y = self.incumbent_at(rank);
        let values = self.sorted.incumbent;
        let (above, n) = (values.len() - values.partition_point(|value| *value <= y), self.units.incumbent);
        self.above.log_e(above as f64 * (n / values.len() as f64), n)
    }
}

fn harm(candidate: f64, incumbent: f64) -> Option<f64> {
    if incumbent > 0.0 {
        return Some(candidate / incumbent - 1.0);
    }
    (candidate <= 0.0).then_some(0.0)
}

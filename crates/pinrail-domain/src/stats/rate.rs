//! Counts of bad units: is the candidate's rate worse?
//!
//! **Worse** is asked of the bad units alone: if both arms have the same rate, a bad unit is the candidate's with chance
//! θ, so the count e-process ([`super::counts`]) tests it, whatever the rate is and however it moves over time. It has two
//! sides; alarms count on the candidate's side only, so that less than α of them are false.
//!
//! **The bounds** are of the difference of the rates. A unit's outcome `Y` (1 is bad), weighted by how likely its arm was,
//! `Z = (Y − m)/θ` on the candidate and `Z = −(Y − m)/(1 − θ)` on the incumbent, has exactly the difference of the rates as
//! its mean, for any `m` (Horvitz–Thompson with a control variate). So "the difference is at least δ" is bet against by
//! `1 + λ(δ − Z)`, a supermartingale while that holds: Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro, "Anytime-valid
//! off-policy inference for contextual bandits" (arXiv 2210.10768, §2), with the mixture over fixed bets of [`super::wealth`].
//! `Z` takes four values in a stratum, so counts are enough, and strata of different shares multiply. Beside a bound for
//! each arm at α/2, this takes about half of the units, and it doesn't confuse a share that grew while errors grew with
//! harm.

use serde::{Deserialize, Serialize};

use super::counts::{bad_log_e, theta};
use super::search::boundary;
use super::{Alphas, Arms, Findings, Judged, threshold};
use crate::share::Share;

/// One stratum: units that were assigned while the candidate's share was `share`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub share: Share,
    /// Units by arm, and those of them that had any bad run. More bad ones than units count as that many.
    pub units: Arms<u64>,
    pub bad: Arms<u64>,
}

/// The base rates that bets are made for, and the weight of each. The best bet on a margin is `margin / (p(1 − p))`, so
/// each rate stands for one size of bet and is its own `m`; rates between are within √2 of one, common ones have more.
const BASE_RATES: [(f64, f64); 14] = [
    (0.0005, 1.0),
    (0.001, 1.0),
    (0.002, 1.0),
    (0.004, 1.0),
    (0.008, 2.0),
    (0.015, 2.0),
    (0.03, 2.0),
    (0.06, 2.0),
    (0.12, 2.0),
    (0.25, 2.0),
    (0.5, 1.0),
    (0.75, 1.0),
    (0.9, 1.0),
    (0.97, 1.0),
];
/// The most that one unit may cost: nine tenths of what is bet with.
const LOSS_MAX: f64 = 0.9;
/// Bets are made for margins no smaller: a hundredth of a point takes millions of units.
const MARGIN_MIN: f64 = 1e-4;

/// A stratum as bets see it: fractions are allowed, for what is expected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub theta: f64,
    pub bad: Arms<f64>,
    pub good: Arms<f64>,
}

/// Logarithms of what each outcome returns, per bet, in one stratum.
pub(super) struct Returns {
    pub bad: Arms<[f64; BASE_RATES.len()]>,
    pub good: Arms<[f64; BASE_RATES.len()]>,
}

/// Compares how many units went bad; `margin` is absolute (0.01: one point).
///
/// Strata without a choice, at 0 % or 100 %, compare nothing and are left out of the samples too. The rates reported are
/// weighted so that both arms have the same mix of strata (Mantel–Haenszel), and their difference is the harm.
#[must_use]
pub fn rate(strata: &[Counted], margin: f64, alphas: Alphas) -> Judged {
    let compared: Vec<Counted> = strata.iter().filter_map(Counted::compared).collect();
    let samples = compared.iter().fold(Arms::default(), |sum: Arms<u64>, stratum| Arms {
        candidate: sum.candidate.saturating_add(stratum.units.candidate),
        incumbent: sum.incumbent.saturating_add(stratum.units.incumbent),
    });
    let observed = observed(&compared);
    let harm = observed.candidate.zip(observed.incumbent).map(|(c, i)| c - i);
    let cells: Vec<Cell> = compared.iter().map(Cell::of).collect();
    let swapped: Vec<Cell> = cells.iter().map(Cell::swapped).collect();
    let bad: Vec<_> = compared.iter().map(|stratum| (stratum.share, stratum.bad)).collect();
    let from = harm.unwrap_or(0.0);
    let findings = Findings {
        observed,
        harm,
        low: harm.map(|_| -upper(&swapped, -from, margin, threshold(alphas.worse))),
        high: harm.map(|_| upper(&cells, from, margin, threshold(alphas.not_worse))),
        beyond_margin: harm.is_some_and(|harm| harm >= margin),
        log_e: (!compared.is_empty()).then(|| bad_log_e(&bad)),
        points_to_worse: more_than_its_share(&compared),
    };
    findings.judged(samples, margin, alphas)
}

impl Counted {
    /// The stratum with sound counts, if there was a choice.
    fn compared(&self) -> Option<Counted> {
        let bad = Arms {
            candidate: self.bad.candidate.min(self.units.candidate),
            incumbent: self.bad.incumbent.min(self.units.incumbent),
        };
        let choice = self.share > Share::NONE && self.share < Share::ALL;
        let any = self.units.candidate > 0 || self.units.incumbent > 0;
        (choice && any).then_some(Counted { bad, ..*self })
    }
}

impl Cell {
    fn of(counted: &Counted) -> Cell {
        let (units, bad) = (counted.units.map(|n| n as f64), counted.bad.map(|n| n as f64));
        let good =
            Arms { candidate: units.candidate - bad.candidate, incumbent: units.incumbent - bad.incumbent };
        Cell { theta: theta(counted.share), bad, good }
    }

    fn swapped(&self) -> Cell {
        Cell { theta: 1.0 - self.theta, bad: self.bad.swapped(), good: self.good.swapped() }
    }
}

impl Returns {
    /// The bets against "the difference is at least `difference`", made for this margin.
    ///
    /// What is bet is capped so that the worst outcome leaves a tenth; the cap moves with `difference` in such a way that
    /// every return still rises with it.
    pub fn new(theta: f64, difference: f64, margin: f64) -> Returns {
        let margin = margin.abs().clamp(MARGIN_MIN, 1.0);
        let zero = [0.0; BASE_RATES.len()];
        let mut returns = Returns {
            bad: Arms { candidate: zero, incumbent: zero },
            good: Arms { candidate: zero, incumbent: zero },
        };
        for (i, (m, _)) in BASE_RATES.iter().enumerate() {
            let (on_candidate, on_incumbent) = (1.0 / theta, -1.0 / (1.0 - theta));
            let most = ((1.0 - m) * on_candidate).max(-m * on_incumbent);
            let cap = if most > difference { LOSS_MAX / (most - difference) } else { f64::INFINITY };
            let bet = (margin * theta * (1.0 - theta) / (m * (1.0 - m))).min(cap);
            let log_return = |y: f64, weight: f64| (bet * (difference - (y - m) * weight)).ln_1p();
            returns.bad.candidate[i] = log_return(1.0, on_candidate);
            returns.bad.incumbent[i] = log_return(1.0, on_incumbent);
            returns.good.candidate[i] = log_return(0.0, on_candidate);
            returns.good.incumbent[i] = log_return(0.0, on_incumbent);
        }
        returns
    }
}

/// The log e-value against "the difference is at least `difference`".
pub(super) fn log_e_at_least(cells: &[Cell], difference: f64, margin: f64) -> f64 {
    let returns: Vec<Returns> =
        cells.iter().map(|cell| Returns::new(cell.theta, difference, margin)).collect();
    log_e(cells, &returns)
}

/// The log wealth of all bets together.
pub(super) fn log_e(cells: &[Cell], returns: &[Returns]) -> f64 {
    let mut logs = [0.0; BASE_RATES.len()];
    for (cell, returns) in cells.iter().zip(returns) {
        for (i, log) in logs.iter_mut().enumerate() {
            *log += cell.bad.candidate * returns.bad.candidate[i]
                + cell.bad.incumbent * returns.bad.incumbent[i]
                + cell.good.candidate * returns.good.candidate[i]
                + cell.good.incumbent * returns.good.incumbent[i];
        }
    }
    log_mean_exp(&logs)
}

/// The logarithm of the bets' weighted mean wealth.
pub(super) fn log_mean_exp(logs: &[f64; BASE_RATES.len()]) -> f64 {
    let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut weights) = (0.0, 0.0);
    for (log, (_, weight)) in logs.iter().zip(BASE_RATES) {
        sum += weight * (log - max).exp();
        weights += weight;
    }
    max + (sum / weights).ln()
}

/// What the difference is at most.
fn upper(cells: &[Cell], observed: f64, margin: f64, enough: f64) -> f64 {
    boundary(observed, 1.0, |difference| log_e_at_least(cells, difference, margin) >= enough)
}

/// Whether more of the bad units are the candidate's than its shares say.
fn more_than_its_share(strata: &[Counted]) -> bool {
    let excess = |s: &Counted| {
        let (candidate, incumbent) = (s.bad.candidate as f64, s.bad.incumbent as f64);
        candidate - theta(s.share) * (candidate + incumbent)
    };
    strata.iter().map(excess).sum::<f64>() > 0.0
}

/// Each arm's rate over the strata, weighted by `n_c·n_i/(n_c + n_i)` (Mantel–Haenszel risk difference; Greenland &
/// Robins, Biometrics 1985); just the arm's own rate where no stratum has units of both.
fn observed(strata: &[Counted]) -> Arms<Option<f64>> {
    let arm = |units: fn(&Counted) -> (u64, u64)| {
        let weight = |s: &Counted| {
            s.units.candidate as f64 / (s.units.candidate as f64 + s.units.incumbent as f64)
                * s.units.incumbent as f64
        };
        let (mut bad, mut total, mut bad_plain, mut plain) = (0.0, 0.0, 0.0, 0.0);
        for stratum in strata {
            let ((n, b), w) = (units(stratum), weight(stratum));
            if n > 0 {
                bad += w * b as f64 / n as f64;
                total += w;
            }
            bad_plain += b as f64;
            plain += n as f64;
        }
        if total > 0.0 { Some(bad / total) } else { (plain > 0.0).then(|| bad_plain / plain) }
    };
    Arms {
        candidate: arm(|s| (s.units.candidate, s.bad.candidate)),
        incumbent: arm(|s| (s.units.incumbent, s.bad.incumbent)),
    }
}

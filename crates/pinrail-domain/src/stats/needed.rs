//! How many units a verdict will take: what a plan is checked against before it starts.
//!
//! Each answer asks when the verdict `not worse` is reached if both arms are equal and everything happens exactly as
//! often as expected. Chance makes it earlier or later: at the number given it has been reached in about every second
//! rollout, and at twice that number in nearly all. A candidate that is better needs fewer units.

use super::quantile::Ratio;
use super::rate::{Cell, log_e_at_least};
use super::wealth::Sums;
use super::{Alphas, Arms, Better, counts, mean, threshold};
use crate::share::Share;

/// Units in the larger arm beyond which something counts as out of reach.
const UNITS_MAX: f64 = 1e8;
/// Recent values below which nothing is said of a quantile: their tail is too coarse.
const RECENT_MIN: usize = 100;

/// Units per arm for [`super::rate`] when both arms' rate is `base_rate`; `None` beyond 10⁸.
#[must_use]
pub fn units_needed_rate(base_rate: f64, share: Share, margin: f64, alphas: Alphas) -> Option<Arms<u64>> {
    let theta = counts::theta(share);
    let rate = base_rate.clamp(0.0, 1.0);
    if rate.is_nan() {
        return None;
    }
    least(share, |units| {
        let cell = Cell { theta, bad: units.map(|n| n * rate), good: units.map(|n| n * (1.0 - rate)) };
        log_e_at_least(&[cell], margin, margin) >= threshold(alphas.not_worse)
    })
}

/// Units per arm for [`super::mean`] when both arms' scores have this mean and standard deviation; `None` beyond 10⁸.
#[must_use]
pub fn units_needed_mean(
    (score, sd): (f64, f64),
    better: Better,
    share: Share,
    margin: f64,
    alphas: Alphas,
) -> Option<Arms<u64>> {
    if score.is_nan() || sd.is_nan() {
        return None;
    }
    let score = match better {
        Better::Lower => score.clamp(0.0, 1.0),
        Better::Higher => 1.0 - score.clamp(0.0, 1.0),
    };
    // Nothing in [0, 1] with this mean spreads further than ends alone.
    let variance = (sd * sd).min(score * (1.0 - score));
    let arm = |n: f64| Sums { n, sum: n * score, squares: n * (score * score + variance) };
    least(share, |units| mean::rejected(&units.map(arm), margin, threshold(alphas.not_worse)))
}

/// Units per arm for [`super::quantile`] when both arms' values spread like these recent ones (sorted, at least 100);
/// `None` beyond 10⁸.
#[must_use]
pub fn units_needed_quantile(
    recent: &[f64],
    q: f64,
    share: Share,
    margin: f64,
    alphas: Alphas,
) -> Option<Arms<u64>> {
    if recent.len() < RECENT_MIN || q.is_nan() || q <= 0.0 || q >= 1.0 {
        return None;
    }
    let mut ratio = Ratio::new(Arms { candidate: recent, incumbent: recent }, q);
    least(share, |units| {
        ratio.units = units;
        ratio.rejected(1.0 + margin, threshold(alphas.not_worse))
    })
}

/// The least units per arm that reach it, by doubling and halving.
fn least(share: Share, mut reached: impl FnMut(Arms<f64>) -> bool) -> Option<Arms<u64>> {
    let theta = counts::theta(share);
    if share == Share::NONE || share == Share::ALL {
        return None;
    }
    let split = |total: f64| Arms { candidate: total * theta, incumbent: total * (1.0 - theta) };
    let most = UNITS_MAX / theta.max(1.0 - theta);
    let (mut low, mut high) = (0.0, 1.0);
    while !reached(split(high)) {
        if high >= most {
            return None;
        }
        (low, high) = (high, (2.0 * high).min(most));
    }
    // To a thousandth: it is an expectation.
    while high - low > (high / 1000.0).max(1.0) {
        let middle = low + (high - low) / 2.0;
        if reached(split(middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(split(high).map(|n| n.ceil() as u64))
}

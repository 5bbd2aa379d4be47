//! The count e-process: whether events fall on the two arms as the split says.
//!
//! Source: Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022, arXiv 2011.03567), the
//! sequential multinomial test, here with two categories and the prior `Beta(kθ, k(1−θ))`: after `S` events on the
//! candidate and `C` on the incumbent,
//!
//! ```text
//! E = B(kθ + S, k(1−θ) + C) / (B(kθ, k(1−θ)) · θ^S · (1−θ)^C)
//! ```
//!
//! If every event falls on the candidate with chance θ whatever came before, E is a martingale that starts at 1. With
//! several shares one after the other, each stratum has an E of its own. An event belongs to one stratum and multiplies
//! only that one's E, by a factor whose expectation is 1 given everything before; so the product over the strata is a
//! martingale from 1 too, in whatever order events of different strata arrive, and Ville's inequality holds for it.

use serde::{Deserialize, Serialize};

use super::{Arms, threshold};
use crate::share::Share;

/// How many events the prior of the sample ratio test is worth.
///
/// A larger one finds small differences earlier after many events, a smaller one large differences after few.
pub const COUNT_PRIOR: f64 = 100.0;

/// The same for bad events, whose difference may be of any size: half of the wealth is bet with each.
///
/// The mean of two e-processes is one. Beside 100 alone, a candidate that always fails is found in half of the time, and
/// the smallest differences a sixth later.
pub const BAD_PRIORS: [f64; 2] = [10.0, 100.0];

/// Whether units fell on the arms as the shares said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRatio {
    /// They did not, but for a chance of `alpha`: no comparison of these arms can be trusted.
    pub mismatch: bool,
    /// Natural logarithm of the e-value; `None` when what happened is impossible under the shares.
    pub log_e: Option<f64>,
    /// The candidate's part of all units, as it should be and as it is; `None` without units.
    pub expected_share: Option<f64>,
    pub observed_share: Option<f64>,
}

/// The natural logarithm of the count e-value of `candidate` and `incumbent` events under the share `theta`.
///
/// `k` is how many events the prior is worth ([`COUNT_PRIOR`]). 0, so no evidence, where there is no choice to test: a
/// `theta` outside of (0, 1), or a `k` that isn't positive.
#[must_use]
pub fn count_log_e(k: f64, candidate: u64, incumbent: u64, theta: f64) -> f64 {
    let tests = theta > 0.0 && theta < 1.0 && k > 0.0 && k.is_finite();
    if !tests || (candidate == 0 && incumbent == 0) {
        return 0.0;
    }
    // With Γ written as Stirling's formula times e^s, the large terms cancel on paper instead of in floating point:
    // ln E = D(x, Nθ) + D(y, N(1−θ)) − ½ ln(xyk / (N·a·b)) + s(x) + s(y) − s(N) − s(a) − s(b) + s(k).
    let (a, b) = (k * theta, k * (1.0 - theta));
    let (x, y) = (a + candidate as f64, b + incumbent as f64);
    let n = k + candidate as f64 + incumbent as f64;
    let deviance = deviance(x, n * theta) + deviance(y, n * (1.0 - theta));
    let scale = 0.5 * ((x / a).ln() + (y / b).ln() - (n / k).ln());
    deviance - scale + (stirling_rest(x) - stirling_rest(a)) + (stirling_rest(y) - stirling_rest(b))
        - (stirling_rest(n) - stirling_rest(k))
}

/// The log e-value of bad events by share and arm: the product over the strata, averaged over [`BAD_PRIORS`].
#[must_use]
pub fn bad_log_e(strata: &[(Share, Arms<u64>)]) -> f64 {
    let of = |k: f64| -> f64 {
        strata.iter().map(|(share, bad)| count_log_e(k, bad.candidate, bad.incumbent, theta(*share))).sum()
    };
    let [one, other] = BAD_PRIORS.map(of);
    one.max(other) + ((-(one - other).abs()).exp().ln_1p() - std::f64::consts::LN_2)
}

/// Tests whether units were split as the shares say.
///
/// Strata are units by the share that was in force when they were assigned; leave out units that a person or a rule put on
/// an arm. Units on an arm that had no share are a mismatch at once.
#[must_use]
pub fn sample_ratio(strata: &[(Share, Arms<u64>)], alpha: f64) -> SampleRatio {
    let (mut log_e, mut impossible) = (0.0, false);
    let (mut expected, mut candidate, mut total) = (0.0, 0.0, 0.0);
    for (share, units) in strata {
        let theta = theta(*share);
        impossible |= (theta <= 0.0 && units.candidate > 0) || (theta >= 1.0 && units.incumbent > 0);
        log_e += count_log_e(COUNT_PRIOR, units.candidate, units.incumbent, theta);
        let all = units.candidate as f64 + units.incumbent as f64;
        expected += theta * all;
        candidate += units.candidate as f64;
        total += all;
    }
    let of_all = |part: f64| (total > 0.0).then(|| part / total);
    SampleRatio {
        mismatch: impossible || log_e >= threshold(alpha),
        log_e: (!impossible).then_some(log_e),
        expected_share: of_all(expected),
        observed_share: of_all(candidate),
    }
}

/// A share as a probability.
pub(super) fn theta(share: Share) -> f64 {
    f64::from(share.bps()) / f64::from(Share::BPS_MAX)
}

/// `x ln(x/m) + m − x` without cancellation near `x = m` (Loader 2000, "Fast and accurate computation of binomial
/// probabilities", the deviance `bd0` and its series).
fn deviance(x: f64, m: f64) -> f64 {
    let d = x - m;
    if d.abs() >= 0.1 * (x + m) {
        return x * (x / m).ln() - d;
    }
    let v = d / (x + m);
    let (mut sum, mut term, v2) = (d * v, 2.0 * x * v, v * v);
    // |v| < 0.1, so each term is a hundredth of the one before: 20 are far more than a float can hold.
    for j in 1..20u32 {
        term *= v2;
        let next = sum + term / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// `ln Γ(z) − ((z − ½) ln z − z + ½ ln 2π)` for `z > 0`: what Stirling's formula leaves (Abramowitz & Stegun 6.1.41).
fn stirling_rest(z: f64) -> f64 {
    // Γ(z) = Γ(z + m) / (z (z + 1) … (z + m − 1)) brings small arguments to where the series is exact.
    const SERIES_FROM: f64 = 12.0;
    let (mut up, mut product) = (z, 1.0);
    while up < SERIES_FROM {
        product *= up;
        up += 1.0;
    }
    let r = 1.0 / (up * up);
    let series = (1.0 / 12.0
        - r * (1.0 / 360.0
            - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r * (1.0 / 1188.0 - r * 691.0 / 360_360.0)))))
        / up;
    if z >= SERIES_FROM {
        return series;
    }
    series + (up - 0.5) * up.ln() - up - (z - 0.5) * z.ln() + z - product.ln()
}

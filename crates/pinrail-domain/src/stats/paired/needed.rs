//! How many cases or repeats a verdict takes: what a report says when there is none yet, and a plan before it starts.

use super::exact::{Tables, UNLIKELY};
use super::sample::{Compared, Judge, Sample};
use super::{Alphas, EXACT_CASES_MAX, Needed};

/// Cases and repeats beyond which something counts as out of reach.
const CASES_MAX: u64 = 1_000_000;
const REPEATS_MAX: u64 = 1_000;
/// Cases up to which a plan is made from the exact test; beyond, the normal approximation is as good.
const PLAN_EXACT_MAX: u64 = 1_500;

/// What would decide that a candidate isn't worse, if it went on as it was seen.
pub(super) fn of_sample(sample: &Sample, harm: f64, margin: f64, alphas: Alphas) -> Needed {
    // Beyond the margin, more of the same never passes.
    if margin.is_nan() || harm >= margin || alphas.not_worse.is_nan() || alphas.not_worse <= 0.0 {
        return Needed::default();
    }
    let (low, high) = sample.range;
    let part = (margin - low) / (high - low);
    let kept_back = if matches!(sample.judge(), Judge::Tables { .. }) { UNLIKELY } else { 0.0 };
    let decided = |cases: u64| sample.lattice.p(cases, part) + kept_back <= alphas.not_worse;
    let cases = least(sample.compared.cases, decided);
    // Nothing was ever seen to differ: repeats would show nothing new.
    let within = if sample.variance > 0.0 { sample.within } else { 0.0 };
    Needed { cases, repeats: repeats(&sample.compared, sample.variance, within, cases) }
}

/// The least number above `from` for which it is `decided`, to a hundredth.
pub(super) fn least(from: u64, decided: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (from, from.max(1).saturating_mul(2));
    while !decided(high) {
        if high >= CASES_MAX {
            return None;
        }
        (low, high) = (high, high.saturating_mul(2).min(CASES_MAX));
    }
    while high - low > (high / 100).max(1) {
        let middle = low + (high - low) / 2;
        if decided(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// Repeats of the same cases that tell as much as `cases` with as many repeats would.
///
/// They only take away the part of the variance that is chance within cases; that the cases themselves are a sample stays.
pub(super) fn repeats(compared: &Compared, variance: f64, within: f64, cases: Option<u64>) -> Option<u64> {
    let part = compared.cases as f64 / cases? as f64;
    if within <= 0.0 || variance <= 0.0 {
        return None;
    }
    // variance − within · (1 − 1/times) = variance · part
    let inverse = 1.0 - variance / within * (1.0 - part);
    let repeats = (compared.repeats.most as f64 / inverse).ceil();
    (inverse > 0.0 && repeats <= REPEATS_MAX as f64).then_some(repeats as u64)
}

/// Cases with which a candidate without any harm passes with chance `power`, when this part of cases differs between the
/// arms by chance; `None` where there is no such number up to a million.
///
/// From the exact test up to 1 500 cases, to one in fifty, and the normal approximation of Tango's score beyond.
#[must_use]
pub fn cases_needed(discordance: f64, margin: f64, alpha: f64, power: f64) -> Option<u64> {
    let open = |part: f64| part > 0.0 && part < 1.0;
    if !(open(margin) && open(alpha) && open(power) && (0.0..=1.0).contains(&discordance)) {
        return None;
    }
    let approximate = approximate(discordance, margin, alpha, power)?;
    let enough = |cases: u64| Tables::new(cases as usize).power(discordance, margin, alpha) >= power;
    debug_assert!(PLAN_EXACT_MAX <= EXACT_CASES_MAX as u64);
    // All cases alike pass from here on, and nothing does before where arms never differ.
    let concordant = (alpha.ln() / (1.0 - margin).ln()).ceil() as u64;
    let mut cases = if discordance > 0.0 { (approximate * 9 / 10).max(5) } else { concordant };
    while cases <= PLAN_EXACT_MAX {
        if enough(cases) {
            return Some(cases);
        }
        cases += if discordance > 0.0 { (cases / 50).max(1) } else { 1 };
    }
    Some(approximate.max(cases)).filter(|cases| *cases <= CASES_MAX)
}

fn approximate(discordance: f64, margin: f64, alpha: f64, power: f64) -> Option<u64> {
    // The limit of Tango's restricted estimate, from the parts that are expected.
    let b = 2.0 * margin * (1.0 - discordance / 2.0) - discordance * (1.0 - margin);
    let c = discordance / 2.0 * margin * (1.0 - margin);
    let won = ((b * b + 8.0 * c).sqrt() - b) / 4.0;
    let at_margin = (2.0 * won + margin - margin * margin).sqrt();
    let needed =
        (normal_quantile(1.0 - alpha) * at_margin + normal_quantile(power) * discordance.sqrt()) / margin;
    let cases = (needed * needed).ceil();
    (cases <= CASES_MAX as f64).then_some(cases as u64)
}

/// The normal distribution's quantile, to 1e-4 of its tail: halving on `½·erfc` (Abramowitz & Stegun 26.2.17).
fn normal_quantile(part: f64) -> f64 {
    let tail = |z: f64| {
        let t = 1.0 / (1.0 + 0.231_641_9 * z);
        let factors = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
        let series = factors.iter().rev().fold(0.0, |sum, factor| t * (factor + sum));
        (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * series
    };
    let (mut low, mut high) = (0.0, 8.0);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if tail(middle) > part.min(1.0 - part) {
            low = middle;
        } else {
            high = middle;
        }
    }
    if part < 0.5 { -low } else { low }
}

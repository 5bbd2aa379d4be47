//! Scores in [0, 1]: is the candidate's mean worse?
//!
//! Each arm's wealth against a mean is [`super::wealth`]; what the two say of the difference is [`super::search`].

use super::search::{boundary, everywhere, level};
use super::wealth::Sums;
use super::{Alphas, Arms, Better, Findings, Judged, threshold};

/// Where the first guess of a least product is sought: more would only make it a little sharper.
const PROBES: u32 = 32;

/// Compares the means of two arms; `margin` is absolute.
///
/// One value a unit, in any order. Values outside of [0, 1] are brought to its ends, and what is no number is left out.
/// Compare values of the same time: both arms over a period in which the share was one.
#[must_use]
pub fn mean(values: Arms<&[f64]>, better: Better, margin: f64, alphas: Alphas) -> Judged {
    let sums = values.map(summed);
    let samples = sums.map(|sums| sums.n as u64);
    // With scores turned upside down, lower is better, and harm is candidate − incumbent.
    let turned = match better {
        Better::Lower => sums,
        Better::Higher => sums.map(|sums| sums.mirrored()),
    };
    compared(sums, turned, samples, margin, alphas)
}

/// Compares the shares of bad events where it is not known which share of all events falls on the candidate; `margin`
/// is absolute, and lower is better.
///
/// For counts from outside. [`super::rate`] needs the share that units were assigned with; here each arm is bet on by
/// itself, which takes more events and holds whatever the split is. More bad ones than events count as that many.
#[must_use]
pub fn proportion(bad: Arms<u64>, total: Arms<u64>, margin: f64, alphas: Alphas) -> Judged {
    let sums = |bad: u64, total: u64| {
        let bad = bad.min(total) as f64;
        Sums { n: total as f64, sum: bad, squares: bad }
    };
    let Arms { candidate, incumbent } = total;
    let sums = Arms { candidate: sums(bad.candidate, candidate), incumbent: sums(bad.incumbent, incumbent) };
    compared(sums, sums, total, margin, alphas)
}

/// The bounds of the mean of values in [0, 1], each but for half of `alpha`, over all looks together; none without
/// values.
#[must_use]
pub fn interval(values: &[f64], alpha: f64) -> Option<(f64, f64)> {
    let sums = summed(values);
    let mean = sums.mean()?;
    let enough = threshold(alpha / 2.0);
    let high =
        |sums: Sums, mean: f64| boundary(mean, 1.0, |high| sums.mirrored().log_e(1.0 - high) >= enough);
    Some((1.0 - high(sums.mirrored(), 1.0 - mean), high(sums, mean)))
}

fn summed(values: &[f64]) -> Sums {
    let mut sums = Sums::default();
    values.iter().filter(|value| !value.is_nan()).for_each(|value| sums.add(value.clamp(0.0, 1.0)));
    sums
}

/// Judges what was observed by `turned`, in which lower is better.
fn compared(sums: Arms<Sums>, turned: Arms<Sums>, samples: Arms<u64>, margin: f64, alphas: Alphas) -> Judged {
    let both = samples.candidate > 0 && samples.incumbent > 0;
    let harm = turned.candidate.mean().zip(turned.incumbent.mean()).map(|(c, i)| c - i);
    let findings = Findings {
        observed: sums.map(|sums| sums.mean()),
        harm,
        low: both.then(|| -upper(&turned.swapped(), threshold(alphas.worse))),
        high: both.then(|| upper(&turned, threshold(alphas.not_worse))),
        beyond_margin: harm.is_some_and(|harm| harm >= margin),
        log_e: both.then(|| log_e_at_least(&turned.swapped(), 0.0)),
        points_to_worse: harm.is_some_and(|harm| harm > 0.0),
    };
    findings.judged(samples, margin, alphas)
}

/// What candidate − incumbent is at most.
pub(super) fn upper(sums: &Arms<Sums>, enough: f64) -> f64 {
    let observed = sums.candidate.mean().zip(sums.incumbent.mean()).map_or(-1.0, |(c, i)| c - i);
    boundary(observed, 1.0, |difference| rejected(sums, difference, enough))
}

/// Whether "candidate − incumbent is at least `difference`" is rejected.
pub(super) fn rejected(sums: &Arms<Sums>, difference: f64, enough: f64) -> bool {
    let (domain, rising, falling) = evidence(sums, difference);
    everywhere(domain, rising, falling, enough)
}

/// The log e-value against "candidate − incumbent is at least `difference`".
fn log_e_at_least(sums: &Arms<Sums>, difference: f64) -> f64 {
    let ((low, high), rising, falling) = evidence(sums, difference);
    let probe = |i: u32| low + (high - low) * f64::from(i) / f64::from(PROBES);
    let at_most = (0..=PROBES).map(probe).map(|x| rising(x) + falling(x)).fold(f64::INFINITY, f64::min);
    level(at_most, |level| everywhere((low, high), &rising, &falling, level))
}

type Evidence<F, G> = ((f64, f64), F, G);

/// For every mean of the incumbent: the evidence that the candidate's is less than `difference` above it, which rises
/// with the mean, and the evidence that the incumbent's is more, which falls.
fn evidence(sums: &Arms<Sums>, difference: f64) -> Evidence<impl Fn(f64) -> f64, impl Fn(f64) -> f64> {
    let (candidate, incumbent) = (sums.candidate.mirrored(), sums.incumbent);
    let domain = ((-difference).max(0.0), (1.0 - difference).min(1.0));
    (
        domain,
        move |mean: f64| candidate.log_e(1.0 - (mean + difference)),
        move |mean: f64| incumbent.log_e(mean),
    )
}

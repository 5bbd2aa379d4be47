//! What an offline evaluation says: both arms answered the same cases, and somebody looks once, at the end.
//!
//! The cases are a sample of what the agent will meet, so the question is about the mean over all cases there are. A
//! case's repeats aren't independent of each other (a hard case stays hard), so the unit is the case: what counts is the
//! difference of its arms' means, once, however often it was repeated. A case whose one arm has no values isn't compared.
//!
//! The harm is how much worse the candidate is: points for [`Scale::Unit`], a ratio less one for [`Scale::Amount`].
//!
//! - [`Verdict::NotWorse`]: a harm of the margin or more is ruled out: `p_not_worse ≤ alphas.not_worse`. With margin 0
//!   that says better.
//! - [`Verdict::Worse`]: a harm of more than the margin is proven: `p_worse ≤ alphas.worse`. It's the same test with
//!   exchanged arms, so a harm that is proven but within the margin isn't called worse.
//! - [`Verdict::Undecided`]: neither, always with less than one case that can be compared.
//!
//! The first two exclude each other: they ask that the observed harm is below the margin, and above it.
//!
//! | values | [`Method`] |
//! |---|---|
//! | cases won, lost and tied by all of an arm's values, up to [`EXACT_CASES_MAX`] cases | `Exact` (`exact.rs`) |
//! | other values in \[0, 1\] | `Bootstrap` (`tilted.rs`) |
//! | amounts, at least [`AMOUNT_CASES_MIN`] cases | `T` (`amount.rs`) |
//! | fewer | `TooFew`, and undecided |
//!
//! The order of cases and of repeats doesn't matter, nothing is drawn by chance, and no number is NaN or infinite.

use serde::{Deserialize, Serialize};

use super::{Alphas, Better, Verdict};
use sample::{Compared, Sample};

mod amount;
mod exact;
mod needed;
mod sample;
mod tilted;

#[cfg(test)]
mod tests;

pub use amount::AMOUNT_CASES_MIN;
pub use needed::cases_needed;

/// Cases up to which won and lost ones are judged by [`Method::Exact`]; its time grows with them.
pub const EXACT_CASES_MAX: usize = 10_000;
/// How near a bound is searched for, at most so often.
const NEAR: f64 = 5e-5;
const HALVINGS: u32 = 40;

/// What one case scored: a number for each counted repeat and arm. What isn't finite is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaseScores {
    pub candidate: Vec<f64>,
    pub incumbent: Vec<f64>,
}

/// What numbers a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// In \[0, 1\]: passed or not, scores. A margin is points: 0.05 is five.
    Unit,
    /// From 0 without an end: cost, latency, tokens. A margin is a part of the incumbent's mean: 0.1 is 10 %.
    Amount,
}

/// What is asked of the scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    pub scale: Scale,
    pub better: Better,
    /// The harm from which on a candidate doesn't pass.
    pub margin: f64,
    /// Of calling a candidate worse that isn't by more than the margin, and of passing one that is worse by the margin.
    /// For one look.
    pub alphas: Alphas,
}

/// How a comparison was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// From the chances of all that could have happened, at worst.
    Exact,
    /// By the bootstrap in the likeliest world with the margin's harm.
    Bootstrap,
    /// By Student's t of the cases, corrected for skewness.
    T,
    /// Not at all: there are too few cases.
    TooFew,
}

/// Values per arm of the cases that were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Repeats {
    pub least: u64,
    pub most: u64,
}

/// What would decide, if it went on as it was seen: each by itself, `None` where it wouldn't.
///
/// An expectation: a verdict is then as likely as not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Needed {
    /// So many cases in all, with as many repeats.
    pub cases: Option<u64>,
    /// So many repeats in all, of the same cases.
    pub repeats: Option<u64>,
}

/// A verdict on paired cases with the numbers that it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    pub verdict: Verdict,
    pub method: Method,
    /// Cases that were compared.
    pub cases: u64,
    pub repeats: Repeats,
    /// Means over the cases that were compared, each case counting once; `None` without any.
    pub candidate: Option<f64>,
    pub incumbent: Option<f64>,
    /// How much worse the candidate is: above 0 is worse, whichever way of the metric is good.
    pub harm: Option<f64>,
    /// What the harm is at least, but for a chance of `alphas.worse`, and at most, but for one of `alphas.not_worse`.
    pub harm_low: Option<f64>,
    pub harm_high: Option<f64>,
    /// The chance of looking this good with a harm of the margin or more.
    pub p_not_worse: Option<f64>,
    /// The chance of looking this bad with a harm of the margin or less.
    pub p_worse: Option<f64>,
    /// The part of cases whose arms differ; `None` for amounts and where there is one arm.
    pub discordant: Option<f64>,
    /// What would decide; `None` unless undecided.
    pub needed: Option<Needed>,
}

/// Judges a candidate against its incumbent by cases that both answered.
#[must_use]
pub fn paired(cases: &[CaseScores], ask: &Ask) -> Paired {
    match ask.scale {
        Scale::Unit => {
            let sample = Sample::of_pairs(cases, ask.better);
            judge_unit(&sample, ask.margin, ask.alphas)
        }
        Scale::Amount => amount::judge(cases, ask),
    }
}

/// Judges a candidate by itself against a floor of its mean score, for scores in \[0, 1\] of which more is better.
///
/// The harm is `floor − mean`, and there is no incumbent: `NotWorse` says that the mean is proven to be above the floor,
/// `Worse` that it is proven to be below. A floor outside of \[0, 1\] is brought into it.
#[must_use]
pub fn alone(cases: &[Vec<f64>], floor: f64, alphas: Alphas) -> Paired {
    let sample = Sample::of_one(cases, floor);
    judge_unit(&sample, 0.0, alphas)
}

/// `p_not_worse` alone, for scores in \[0, 1\]: what simulations ask many times. `None` without cases.
#[must_use]
pub fn p_not_worse(cases: &[CaseScores], better: Better, margin: f64) -> Option<f64> {
    let sample = Sample::of_pairs(cases, better);
    (sample.harm.is_some() && margin.is_finite()).then(|| sample.judge().p(Side::AtLeast, margin))
}

fn judge_unit(sample: &Sample, margin: f64, alphas: Alphas) -> Paired {
    let compared = &sample.compared;
    let Some(harm) = sample.harm else {
        return compared.judged(Method::TooFew, Verdict::Undecided);
    };
    let judge = sample.judge();
    let tested = Tested::new(harm, margin, alphas, sample.range, |side, at| judge.p(side, at));
    let verdict = tested.verdict(harm, margin, alphas);
    let needed = (verdict == Verdict::Undecided).then(|| needed::of_sample(sample, harm, margin, alphas));
    Paired {
        harm: Some(harm),
        harm_low: tested.low,
        harm_high: tested.high,
        p_not_worse: tested.p_not_worse,
        p_worse: tested.p_worse,
        discordant: sample.discordant,
        needed,
        ..compared.judged(judge.method(), verdict)
    }
}

/// What is to be ruled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// That the harm is so much or more.
    AtLeast,
    /// That it is so much or less.
    AtMost,
}

/// Both tests at the margin, and both bounds.
struct Tested {
    p_not_worse: Option<f64>,
    p_worse: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
}

impl Tested {
    /// Runs both tests at the margin and finds the harms at which they begin to reject, inside `range`.
    fn new(
        harm: f64,
        margin: f64,
        alphas: Alphas,
        (least, most): (f64, f64),
        p: impl Fn(Side, f64) -> f64,
    ) -> Tested {
        let p_at = |side| margin.is_finite().then(|| p(side, margin));
        let (p_not_worse, p_worse) = (p_at(Side::AtLeast), p_at(Side::AtMost));
        let bound = |side, alpha: f64, p_margin: Option<f64>, end: f64| {
            let rejected = |at: f64| p(side, at) <= alpha;
            if alpha.is_nan() || alpha <= 0.0 {
                return end;
            }
            // What is known of the margin holds for the bound too, so that it never contradicts the verdict.
            let (mut stands, mut falls) = (harm, end);
            let beyond = (margin - harm) * (end - harm) > 0.0 && (margin - harm).abs() < (end - harm).abs();
            if beyond && let Some(p_margin) = p_margin {
                if p_margin <= alpha {
                    falls = margin;
                } else {
                    stands = margin;
                }
            }
            for _ in 0..HALVINGS {
                if (falls - stands).abs() <= NEAR * stands.abs().max(1.0) {
                    break;
                }
                let middle = f64::midpoint(stands, falls);
                if rejected(middle) {
                    falls = middle;
                } else {
                    stands = middle;
                }
            }
            falls
        };
        let high = bound(Side::AtLeast, alphas.not_worse, p_not_worse, most);
        let low = bound(Side::AtMost, alphas.worse, p_worse, least);
        let finite = |number: f64| Some(number).filter(|number| number.is_finite());
        Tested { p_not_worse, p_worse, low: finite(low), high: finite(high) }
    }

    fn verdict(&self, harm: f64, margin: f64, alphas: Alphas) -> Verdict {
        let proven = |p: Option<f64>, alpha: f64| alpha > 0.0 && p.is_some_and(|p| p <= alpha);
        if harm < margin && proven(self.p_not_worse, alphas.not_worse) {
            Verdict::NotWorse
        } else if harm > margin && proven(self.p_worse, alphas.worse) {
            Verdict::Worse
        } else {
            Verdict::Undecided
        }
    }
}

impl Compared {
    /// A verdict with what is known of the cases.
    fn judged(&self, method: Method, verdict: Verdict) -> Paired {
        let needed = (verdict == Verdict::Undecided).then(Needed::default);
        Paired {
            verdict,
            method,
            cases: self.cases,
            repeats: self.repeats,
            candidate: self.candidate,
            incumbent: self.incumbent,
            harm: None,
            harm_low: None,
            harm_high: None,
            p_not_worse: None,
            p_worse: None,
            discordant: None,
            needed,
        }
    }
}

//! Amounts without an end, such as cost and latency: how the means compare, as a ratio.
//!
//! "The candidate's mean is at least `1 + m` times the incumbent's" says that `candidate − (1 + m)·incumbent` has a mean of
//! 0 or more (Fieller 1954), which Student's t judges case by case. Amounts are skewed, and then t is too sure of
//! itself on one side: the p-value is the greater one of t and of Hall's transformation of it, which takes the skewness
//! out (Hall, JRSS-B 1992). A mean without an end can't be bounded by any test for sure (Bahadur & Savage 1956), so nothing is
//! said below [`AMOUNT_CASES_MIN`] cases.

use crate::stats::student::student;

use super::sample::{Compared, Values, mean};
use super::{Ask, Better, CaseScores, Method, Needed, Paired, Repeats, Side, Tested, Verdict, needed};

/// Cases below which nothing is said of amounts.
pub const AMOUNT_CASES_MIN: usize = 20;
/// Harms beyond which no bound is searched for: a thousand times as much.
const HARM_MAX: f64 = 1_000.0;

/// Both arms' values, case by case, and how much harm a higher ratio is: 1 or −1.
struct Amounts {
    pairs: Vec<(Values, Values)>,
    sign: f64,
}

/// What t is made of.
struct Moments {
    n: f64,
    mean: f64,
    variance: f64,
    skewness: f64,
}

pub(super) fn judge(cases: &[CaseScores], ask: &Ask) -> Paired {
    const RANGE: (f64, f64) = (0.0, f64::MAX);
    // Magnitudes whose squares overflow are no amounts of anything.
    let usable =
        |values: &[f64]| values.iter().copied().filter(|value| value.abs() < 1e100).collect::<Vec<_>>();
    let pairs: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            Values::of(&usable(&case.candidate), RANGE).zip(Values::of(&usable(&case.incumbent), RANGE))
        })
        .collect();
    let counts = || pairs.iter().flat_map(|(c, i)| [c.count, i.count]);
    let compared = Compared {
        cases: pairs.len() as u64,
        repeats: Repeats { least: counts().min().unwrap_or(0), most: counts().max().unwrap_or(0) },
        candidate: mean(pairs.iter().map(|(c, _)| c.mean)),
        incumbent: mean(pairs.iter().map(|(_, i)| i.mean)),
    };
    let sign = match ask.better {
        Better::Lower => 1.0,
        Better::Higher => -1.0,
    };
    let amounts = Amounts { pairs, sign };
    let ratio = compared.candidate.zip(compared.incumbent).map(|(c, i)| c / i);
    let Some(harm) = ratio.map(|ratio| sign * (ratio - 1.0)).filter(|harm| harm.is_finite()) else {
        return compared.judged(Method::TooFew, Verdict::Undecided);
    };
    if amounts.pairs.len() < AMOUNT_CASES_MIN {
        let needed = Needed { cases: Some(AMOUNT_CASES_MIN as u64), repeats: None };
        return Paired {
            harm: Some(harm),
            needed: Some(needed),
            ..compared.judged(Method::TooFew, Verdict::Undecided)
        };
    }
    amounts.judged(&compared, harm, ask)
}

impl Amounts {
    fn judged(&self, compared: &Compared, harm: f64, ask: &Ask) -> Paired {
        let Ask { margin, alphas, .. } = *ask;
        let p = |side, at: f64| self.moments(at).p(side);
        // A ratio below 0 there is none of.
        let range = match ask.better {
            Better::Lower => (-1.0, HARM_MAX),
            Better::Higher => (-HARM_MAX, 1.0),
        };
        let mut tested = Tested::new(harm, margin, alphas, range, p);
        // The end itself is no bound that anything has proven.
        tested.high = tested.high.filter(|high| *high < HARM_MAX).map(|high| high.max(harm));
        tested.low = tested.low.filter(|low| *low > -HARM_MAX).map(|low| low.min(harm));
        let verdict = tested.verdict(harm, margin, alphas);
        let needed = (verdict == Verdict::Undecided).then(|| self.needed(compared, harm, ask));
        Paired {
            harm: Some(harm),
            harm_low: tested.low,
            harm_high: tested.high,
            p_not_worse: tested.p_not_worse,
            p_worse: tested.p_worse,
            needed,
            ..compared.judged(Method::T, verdict)
        }
    }

    /// Each case's harm beyond `at`, in the metric's own amounts.
    fn beyond(&self, at: f64) -> impl Iterator<Item = f64> {
        let Amounts { pairs, sign } = self;
        pairs.iter().map(move |(c, i)| sign * (c.mean - (1.0 + sign * at) * i.mean))
    }

    fn moments(&self, at: f64) -> Moments {
        let mut values: Vec<f64> = self.beyond(at).collect();
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let power = |k: i32| values.iter().map(|value| (value - mean).powi(k)).sum::<f64>() / n;
        let (second, third) = (power(2), power(3));
        let skewness = if second > 0.0 { third / second.powf(1.5) } else { 0.0 };
        Moments { n, mean, variance: second * n / (n - 1.0), skewness }
    }

    fn needed(&self, compared: &Compared, harm: f64, ask: &Ask) -> Needed {
        let Ask { margin, alphas, .. } = *ask;
        if harm >= margin || alphas.not_worse.is_nan() || alphas.not_worse <= 0.0 {
            return Needed::default();
        }
        let moments = self.moments(margin);
        let decided =
            |cases: u64| Moments { n: cases as f64, ..moments }.p(Side::AtLeast) <= alphas.not_worse;
        let cases = needed::least(compared.cases, decided);
        let scale = (1.0 + self.sign * margin).powi(2);
        let within =
            mean(self.pairs.iter().filter_map(|(c, i)| Some(c.noise? + scale * i.noise?))).unwrap_or(0.0);
        Needed { cases, repeats: needed::repeats(compared, moments.variance, within, cases) }
    }
}

impl Moments {
    fn p(&self, side: Side) -> f64 {
        let Moments { n, mean, variance, skewness } = *self;
        let (mean, skewness) = match side {
            Side::AtLeast => (mean, skewness),
            Side::AtMost => (-mean, -skewness),
        };
        if variance <= 0.0 {
            // All cases alike: what the next one is like is known but for a chance of one in all.
            return if mean < 0.0 { 1.0 / (n + 1.0) } else { 1.0 };
        }
        let t = mean / (variance / n).sqrt();
        let g = skewness / n.sqrt();
        let hall = t + g * t * t / 3.0 + g * g * t.powi(3) / 27.0 + g / 6.0;
        student(t, n - 1.0).max(student(hall, n - 1.0))
    }
}

//! Cases as the tests take them: one number for each, on a lattice.

use std::collections::BTreeMap;

use super::exact::Tables;
use super::tilted::Lattice;
use super::{Better, CaseScores, EXACT_CASES_MAX, Method, Repeats, Side};

/// The finest lattice on which values are looked for, as steps of a whole point.
const STEPS_MAX: usize = 60;
/// Values nearer than this to the lattice are on it.
const ON_LATTICE: f64 = 1e-9;

/// What is said of the cases whatever the test.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Compared {
    pub cases: u64,
    pub repeats: Repeats,
    pub candidate: Option<f64>,
    pub incumbent: Option<f64>,
}

/// Cases with scores in [0, 1].
pub(super) struct Sample {
    pub compared: Compared,
    /// Observed; `None` without cases.
    pub harm: Option<f64>,
    pub discordant: Option<f64>,
    /// The least and the greatest harm there can be.
    pub range: (f64, f64),
    /// The cases' harms, with the least of the range as 0 and the greatest as 1.
    pub lattice: Lattice,
    /// Variances: of the cases' harms, and how much of it is left to chance within cases (0 where that isn't known).
    pub variance: f64,
    pub within: f64,
}

/// How a sample is judged.
pub(super) enum Judge<'a> {
    Tables { tables: Tables, lost: usize, won: usize },
    Lattice { sample: &'a Sample, mirrored: Lattice },
}

/// One arm's values in one case.
#[derive(Clone, Copy)]
pub(super) struct Values {
    pub count: u64,
    pub mean: f64,
    /// The variance of the mean by chance within the case; `None` with a single value.
    pub noise: Option<f64>,
}

impl Values {
    /// `None` when there are no values. What isn't finite is left out, the rest brought into the range.
    pub(super) fn of(values: &[f64], (least, most): (f64, f64)) -> Option<Values> {
        let mut values: Vec<f64> =
            values.iter().filter(|value| value.is_finite()).map(|value| value.clamp(least, most)).collect();
        // Sums of floating point depend on their order.
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().map(|value| value / n).sum::<f64>();
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let noise = (values.len() > 1).then(|| squares / (n - 1.0) / n);
        Some(Values { count: values.len() as u64, mean, noise })
    }
}

impl Sample {
    pub(super) fn of_pairs(cases: &[CaseScores], better: Better) -> Sample {
        let pairs: Vec<_> = cases
            .iter()
            .filter_map(|case| {
                Values::of(&case.candidate, (0.0, 1.0)).zip(Values::of(&case.incumbent, (0.0, 1.0)))
            })
            .collect();
        let harm = |candidate: f64, incumbent: f64| match better {
            Better::Lower => candidate - incumbent,
            Better::Higher => incumbent - candidate,
        };
        let harms: Vec<f64> = pairs.iter().map(|(c, i)| harm(c.mean, i.mean)).collect();
        let noises = pairs.iter().filter_map(|(c, i)| Some(c.noise? + i.noise?));
        let compared = Compared {
            cases: pairs.len() as u64,
            repeats: repeats(pairs.iter().flat_map(|(c, i)| [c.count, i.count])),
            candidate: mean(pairs.iter().map(|(c, _)| c.mean)),
            incumbent: mean(pairs.iter().map(|(_, i)| i.mean)),
        };
        let differ = harms.iter().filter(|harm| harm.abs() > ON_LATTICE).count();
        let discordant = (!harms.is_empty()).then(|| differ as f64 / harms.len() as f64);
        Sample { discordant, ..Sample::new(compared, &harms, (-1.0, 1.0), mean(noises).unwrap_or(0.0)) }
    }

    pub(super) fn of_one(cases: &[Vec<f64>], floor: f64) -> Sample {
        let values: Vec<Values> = cases.iter().filter_map(|case| Values::of(case, (0.0, 1.0))).collect();
        let floor = floor.clamp(0.0, 1.0);
        let harms: Vec<f64> = values.iter().map(|values| floor - values.mean).collect();
        let compared = Compared {
            cases: values.len() as u64,
            repeats: repeats(values.iter().map(|values| values.count)),
            candidate: mean(values.iter().map(|values| values.mean)),
            incumbent: None,
        };
        let noise = mean(values.iter().filter_map(|values| values.noise)).unwrap_or(0.0);
        if floor.is_nan() {
            return Sample::new(compared, &[], (0.0, 0.0), noise);
        }
        Sample::new(compared, &harms, (floor - 1.0, floor), noise)
    }

    fn new(compared: Compared, harms: &[f64], range: (f64, f64), within: f64) -> Sample {
        let harm = mean(harms.iter().copied());
        let n = harms.len() as f64;
        let squares: f64 = harm.map_or(0.0, |mean| harms.iter().map(|harm| (harm - mean).powi(2)).sum());
        let parts: Vec<f64> = harms.iter().map(|harm| (harm - range.0) / (range.1 - range.0)).collect();
        let variance = if n > 1.0 { squares / (n - 1.0) } else { 0.0 };
        let steps_per_point = range.1 - range.0;
        let lattice = lattice(&parts, (steps_per_point.round() as usize).max(1));
        Sample { compared, harm, discordant: None, range, lattice, variance, within }
    }

    pub(super) fn judge(&self) -> Judge<'_> {
        let count = |at: usize| {
            let part =
                self.lattice.weights.iter().find(|(other, _)| *other == at).map_or(0.0, |found| found.1);
            (part * self.compared.cases as f64).round() as usize
        };
        if self.lattice.top == 2 && self.compared.cases <= EXACT_CASES_MAX as u64 {
            let tables = Tables::new(self.compared.cases as usize);
            return Judge::Tables { tables, lost: count(2), won: count(0) };
        }
        Judge::Lattice { sample: self, mirrored: self.lattice.mirrored() }
    }
}

impl Judge<'_> {
    pub(super) fn method(&self) -> Method {
        match self {
            Judge::Tables { .. } => Method::Exact,
            // A sum of noes and yeses has but one distribution.
            Judge::Lattice { sample, .. } if sample.lattice.top == 1 => Method::Exact,
            Judge::Lattice { .. } => Method::Bootstrap,
        }
    }

    /// The chance of what was seen, or more, against a harm beyond `at`.
    pub(super) fn p(&self, side: Side, at: f64) -> f64 {
        match self {
            Judge::Tables { tables, lost, won } => match side {
                Side::AtLeast => tables.p(*lost, *won, at),
                Side::AtMost => tables.p(*won, *lost, -at),
            },
            Judge::Lattice { sample, mirrored } => {
                let cases = sample.compared.cases;
                let part = (at - sample.range.0) / (sample.range.1 - sample.range.0);
                match side {
                    Side::AtLeast => sample.lattice.p(cases, part),
                    Side::AtMost => mirrored.p(cases, 1.0 - part),
                }
            }
        }
    }
}

/// Puts numbers in [0, 1] on the coarsest lattice that holds them, with `steps` times as many steps as there are for a
/// point; those between its values on both neighbours, so that the mean stays and the variance only grows.
fn lattice(parts: &[f64], steps: usize) -> Lattice {
    let fits = |top: usize| {
        let off = |part: &f64| (part * top as f64 - (part * top as f64).round()).abs();
        parts.iter().all(|part| off(part) < ON_LATTICE * top as f64)
    };
    let top =
        (1..=STEPS_MAX).map(|points| points * steps).find(|top| fits(*top)).unwrap_or(STEPS_MAX * steps);
    let mut weights: BTreeMap<usize, f64> = BTreeMap::new();
    let mut sorted = parts.to_vec();
    sorted.sort_by(f64::total_cmp);
    let each = 1.0 / parts.len().max(1) as f64;
    for part in sorted {
        let at = (part * top as f64).clamp(0.0, top as f64);
        let near = at.round();
        let (low, high) =
            if (at - near).abs() < ON_LATTICE * top as f64 { (near, 0.0) } else { (at.floor(), at.fract()) };
        *weights.entry(low as usize).or_default() += each * (1.0 - high);
        if high > 0.0 {
            *weights.entry(low as usize + 1).or_default() += each * high;
        }
    }
    Lattice { top, weights: weights.into_iter().collect() }
}

fn repeats(counts: impl Iterator<Item = u64> + Clone) -> Repeats {
    Repeats { least: counts.clone().min().unwrap_or(0), most: counts.max().unwrap_or(0) }
}

/// The mean, whatever the order; `None` of nothing.
pub(super) fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let n = numbers.len() as f64;
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / n)
}

//! The gate's statistics, simulated: how often a candidate that is worse by exactly the margin passes, and how often one
//! that is as good as its incumbent does.

use std::collections::HashMap;

use pinrail_domain::stats::paired::{Ask, CaseScores, Scale, cases_needed, p_not_worse, paired};
use pinrail_domain::stats::{Alphas, Better, Verdict};

use super::super::Row;
use super::dice::Dice;
use super::oracle::{paired_power, wald_accepts};
use super::{ALPHA, percent};

const CASES: [usize; 6] = [20, 50, 100, 200, 500, 1_000];
/// Parts of cases whose arms differ, and the widest margin.
const DIFFER: [f64; 5] = [0.01, 0.05, 0.1, 0.2, 0.3];
const MARGIN_MAX: f64 = 0.05;
/// Gates per seed where a case has one answer an arm: a verdict depends on two counts, and is looked up.
const LOOKED_UP: u64 = 100;
/// The same where there are repeats: each is judged by itself.
const JUDGED: u64 = 5;
/// With repeats: cases and repeats, parts that differ, and parts of cases whose repeats are all alike.
const REPEATED: [(usize, usize); 4] = [(20, 3), (100, 3), (500, 3), (100, 5)];
const REPEATED_DIFFER: [f64; 3] = [0.01, 0.05, 0.3];
const ALIKE: [f64; 3] = [0.0, 0.5, 0.9];
/// Cases of the power curve.
const POWER_CASES: [usize; 5] = [50, 100, 200, 400, 1_000];
const POWER_DIFFER: [f64; 3] = [0.05, 0.1, 0.2];
/// Costs: by how much more is still accepted.
const COST_MARGIN: f64 = 0.1;
const COST_CASES: [usize; 3] = [20, 100, 500];

/// How arms differ: in which part of cases, and by how much more often for worse.
#[derive(Clone, Copy)]
struct Truth {
    differ: f64,
    harm: f64,
    /// The part of cases in which all repeats are the first one's.
    alike: f64,
}

/// How many of the simulated gates let the candidate pass.
struct Passed {
    gates: u64,
    by_gate: u64,
    by_wald: u64,
}

pub fn measure(seeds: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for cases in CASES {
        for differ in DIFFER {
            let margin = differ.min(MARGIN_MAX);
            let truth = Truth { differ, harm: margin, alike: 1.0 };
            rows.push(single(cases, truth, margin, seeds * LOOKED_UP).row(&what(cases, 1, truth, margin)));
        }
    }
    for (cases, repeats) in REPEATED {
        for (differ, alike) in REPEATED_DIFFER.iter().flat_map(|differ| ALIKE.map(|alike| (*differ, alike))) {
            let margin = differ.min(MARGIN_MAX);
            let truth = Truth { differ, harm: margin, alike };
            let passed = repeated(cases, repeats, truth, margin, seeds * JUDGED);
            let what =
                format!("{}, {} of cases all alike", what(cases, repeats, truth, margin), percent(alike));
            rows.push(passed.row(&what));
        }
    }
    rows.extend(COST_CASES.map(|cases| costs(cases, seeds * JUDGED)));
    for cases in POWER_CASES {
        rows.extend(POWER_DIFFER.map(|differ| power(cases, differ, seeds * LOOKED_UP)));
    }
    rows.extend(POWER_DIFFER.map(needed));
    rows
}

fn what(cases: usize, repeats: usize, truth: Truth, margin: f64) -> String {
    let times = if repeats == 1 { String::new() } else { format!(" × {repeats}") };
    format!("gate of {cases} cases{times}, {} differ, margin {}", percent(truth.differ), percent(margin))
}

impl Passed {
    /// How often harm passed.
    fn row(&self, what: &str) -> Row {
        let part = |passed: u64| passed as f64 / self.gates as f64;
        // Four standard deviations of what chance does to a count.
        let noise = 4.0 * (ALPHA * (1.0 - ALPHA) / self.gates as f64).sqrt();
        Row::new("stats", format!("{what}: false passes"), percent(part(self.by_gate)))
            .against(format!("{} by Wald's test", percent(part(self.by_wald))))
            .budget(format!("≤ {}", percent(ALPHA)), part(self.by_gate) <= ALPHA + noise)
    }
}

/// Gates with one answer for each case and arm.
fn single(cases: usize, truth: Truth, margin: f64, gates: u64) -> Passed {
    // By cases lost and won.
    let mut known: HashMap<(usize, usize), (bool, bool)> = HashMap::new();
    let mut passed = Passed { gates, by_gate: 0, by_wald: 0 };
    for seed in 0..gates {
        let mut dice = Dice::new(seed);
        let (mut lost, mut won) = (0, 0);
        for _ in 0..cases {
            let (candidate, incumbent) = answers(&mut dice, truth);
            lost += usize::from(candidate < incumbent);
            won += usize::from(candidate > incumbent);
        }
        let (gate, wald) = *known.entry((lost, won)).or_insert_with(|| {
            let mut all = vec![scores(&[0.0], &[1.0]); lost];
            all.extend(vec![scores(&[1.0], &[0.0]); won]);
            all.extend(vec![scores(&[1.0], &[1.0]); cases - lost - won]);
            accepts(&all, margin)
        });
        passed.by_gate += u64::from(gate);
        passed.by_wald += u64::from(wald);
    }
    passed
}

fn repeated(cases: usize, repeats: usize, truth: Truth, margin: f64, gates: u64) -> Passed {
    let mut passed = Passed { gates, by_gate: 0, by_wald: 0 };
    for seed in 0..gates {
        let mut dice = Dice::new(seed);
        let case = |_| {
            let first = answers(&mut dice, truth);
            let alike = dice.happens(truth.alike);
            let again = (1..repeats).map(|_| if alike { first } else { answers(&mut dice, truth) });
            let (candidate, incumbent) = std::iter::once(first).chain(again.collect::<Vec<_>>()).unzip();
            CaseScores { candidate, incumbent }
        };
        let all: Vec<CaseScores> = (0..cases).map(case).collect();
        let (gate, wald) = accepts(&all, margin);
        passed.by_gate += u64::from(gate);
        passed.by_wald += u64::from(wald);
    }
    passed
}

/// The candidate's and the incumbent's answer: passed is 1.
fn answers(dice: &mut Dice, truth: Truth) -> (f64, f64) {
    let part = dice.part();
    if part < f64::midpoint(truth.differ, truth.harm) {
        (0.0, 1.0)
    } else if part < truth.differ {
        (1.0, 0.0)
    } else {
        (1.0, 1.0)
    }
}

fn scores(candidate: &[f64], incumbent: &[f64]) -> CaseScores {
    CaseScores { candidate: candidate.to_vec(), incumbent: incumbent.to_vec() }
}

/// Whether the gate, and whether Wald's test, lets the candidate pass.
fn accepts(cases: &[CaseScores], margin: f64) -> (bool, bool) {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let harms = cases.iter().map(|case| mean(&case.incumbent) - mean(&case.candidate));
    let gate = p_not_worse(cases, Better::Higher, margin).is_some_and(|p| p <= ALPHA);
    (gate, wald_accepts(harms, margin, ALPHA))
}

/// Costs that differ widely from case to case, and between answers to one case by half.
fn costs(cases: usize, gates: u64) -> Row {
    let alphas = Alphas { worse: ALPHA, not_worse: ALPHA };
    let ask = Ask { scale: Scale::Amount, better: Better::Lower, margin: COST_MARGIN, alphas };
    let mut passed = Passed { gates, by_gate: 0, by_wald: 0 };
    for seed in 0..gates {
        let mut dice = Dice::new(seed);
        let case = |_| {
            let base = dice.normal().exp();
            let mut answer = || base * (0.5 * dice.normal()).exp();
            let (candidate, incumbent) = (answer() * (1.0 + COST_MARGIN), answer());
            scores(&[candidate], &[incumbent])
        };
        let all: Vec<CaseScores> = (0..cases).map(case).collect();
        let beyond = all.iter().map(|case| case.candidate[0] - (1.0 + COST_MARGIN) * case.incumbent[0]);
        passed.by_wald += u64::from(wald_accepts(beyond, 0.0, ALPHA));
        passed.by_gate += u64::from(paired(&all, &ask).verdict == Verdict::NotWorse);
    }
    passed.row(&format!("gate of {cases} cases, costs, margin {}", percent(COST_MARGIN)))
}

/// How often a candidate passes that is as good as its incumbent.
fn power(cases: usize, differ: f64, gates: u64) -> Row {
    let truth = Truth { differ, harm: 0.0, alike: 1.0 };
    let Passed { by_gate, .. } = single(cases, truth, MARGIN_MAX, gates);
    let normal = paired_power(cases, differ, MARGIN_MAX, ALPHA);
    let what = format!("{}: equal ones pass", what(cases, 1, truth, MARGIN_MAX));
    Row::new("stats", what, percent(by_gate as f64 / gates as f64))
        .against(format!("{} if all were normal", percent(normal)))
}

fn needed(differ: f64) -> Row {
    let cases = |power: f64| {
        let cases = cases_needed(differ, MARGIN_MAX, ALPHA, power);
        cases.map_or("out of reach".to_owned(), |cases| format!("{cases} cases"))
    };
    let what = format!("gate, {} differ, margin {}: equal ones pass", percent(differ), percent(MARGIN_MAX));
    Row::new("stats", what, format!("80% with {}, 90% with {}", cases(0.8), cases(0.9)))
}

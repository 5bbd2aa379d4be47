//! A candidate that is worse by the margin rarely passes, however few the cases and however alike the repeats.

use super::*;
use crate::stats::tests::dice::{Dice, check_rare};

/// How often any pair of won and lost cases is accepted, exactly: at the worst of many discordances.
fn accepted(cases: usize, margin: f64, harm: f64) -> f64 {
    let tables = Tables::new(cases);
    // A table that isn't accepted with so many losses isn't with more.
    let most: Vec<Option<usize>> = (0..=cases)
        .scan(0_usize, |from, won| {
            let lost = (0..=*from + 1)
                .rev()
                .find(|lost| lost + won <= cases && tables.p(*lost, won, margin) <= ALPHAS.not_worse);
            *from = lost.unwrap_or(0);
            Some(lost)
        })
        .collect();
    let ln_factorial: Vec<f64> = std::iter::once(0.0)
        .chain((1..=cases).scan(0.0, |sum, i| {
            *sum += (i as f64).ln();
            Some(*sum)
        }))
        .collect();
    let log = |count: usize, chance: f64| if count == 0 { 0.0 } else { count as f64 * chance.ln() };
    let at = |differ: f64| -> f64 {
        let (lost_chance, won_chance) = (f64::midpoint(differ, harm), f64::midpoint(differ, -harm));
        let table = |lost: usize, won: usize| {
            let tied = cases - lost - won;
            (ln_factorial[cases] - ln_factorial[lost] - ln_factorial[won] - ln_factorial[tied]
                + log(lost, lost_chance)
                + log(won, won_chance)
                + log(tied, 1.0 - differ))
            .exp()
        };
        let tables = most.iter().enumerate().filter_map(|(won, most)| Some((won, (*most)?)));
        tables.map(|(won, most)| (0..=most).map(|lost| table(lost, won)).sum::<f64>()).sum()
    };
    (0..=60).map(|i| at(harm + (1.0 - harm) * (f64::from(i) / 60.0).powi(2))).fold(0.0, f64::max)
}

#[test]
fn one_answer_a_case_keeps_its_promise_exactly() {
    let check = |cases: usize, margin: f64| {
        for harm in [margin, margin + 0.005, margin + 0.03] {
            let chance = accepted(cases, margin, harm);
            assert!(chance <= ALPHAS.not_worse, "{cases} cases, margin {margin}, harm {harm}: {chance}");
        }
    };
    for cases in [5, 20, 50, 58, 60, 100] {
        for margin in [0.0, 0.01, 0.05, 0.1] {
            check(cases, margin);
        }
    }
    check(200, 0.05);
}

/// A case whose arms differ in `differ` of its repeats, by `harm` more often for worse. A part `alike` of all cases gives the
/// same answers every time.
fn flip(dice: &mut Dice, repeats: usize, (differ, harm, alike): (f64, f64, f64)) -> CaseScores {
    let mut answer = || {
        let part = dice.part();
        match part {
            _ if part < f64::midpoint(differ, harm) => (0.0, 1.0),
            _ if part < differ => (1.0, 0.0),
            _ => (1.0, 1.0),
        }
    };
    let mut answers: Vec<(f64, f64)> = (0..repeats).map(|_| answer()).collect();
    if dice.happens(alike) {
        answers = vec![answers[0]; repeats];
    }
    let (candidate, incumbent) = answers.into_iter().unzip();
    CaseScores { candidate, incumbent }
}

#[test]
fn repeats_keep_the_promise_however_alike_they_are() {
    const RUNS: u64 = 250;
    let check = |cases: usize, repeats: usize, (differ, margin): (f64, f64), alike: f64| {
        let passed = |seed: &u64| {
            let mut dice = Dice::new(*seed);
            let cases: Vec<_> =
                (0..cases).map(|_| flip(&mut dice, repeats, (differ, margin, alike))).collect();
            p_not_worse(&cases, Better::Higher, margin).unwrap() <= ALPHAS.not_worse
        };
        let passed = (0..RUNS).filter(passed).count() as u64;
        check_rare(
            &format!("{cases} × {repeats}, {differ}, {margin}, {alike}"),
            passed,
            RUNS,
            ALPHAS.not_worse,
        );
    };
    for alike in [0.0, 0.3, 0.7, 0.95] {
        for (repeats, cases) in [(3, 20), (3, 60), (5, 100)] {
            check(cases, repeats, (0.01, 0.01), alike);
            check(cases, repeats, (0.05, 0.05), alike);
            check(cases, repeats, (0.3, 0.05), alike);
        }
    }
}

#[test]
fn rare_and_great_harm_is_reckoned_with() {
    // Small differences that cancel, and one case in twenty that the candidate always fails.
    let passed = |seed: &u64| {
        let mut dice = Dice::new(*seed);
        let cases: Vec<_> = (0..80)
            .map(|_| match dice.part() {
                part if part < 0.05 => case(&[0.0], &[1.0]),
                part if part < 0.25 => case(&[0.9], &[1.0]),
                part if part < 0.45 => case(&[1.0], &[0.9]),
                _ => case(&[1.0], &[1.0]),
            })
            .collect();
        p_not_worse(&cases, Better::Higher, 0.05).unwrap() <= ALPHAS.not_worse
    };
    check_rare("rare harm", (0..400).filter(passed).count() as u64, 400, ALPHAS.not_worse);
}

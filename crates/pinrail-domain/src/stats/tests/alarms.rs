//! False alarms and false passes of rates, over seeded rollouts in which somebody looks after every run.

use super::dice::{Dice, check_rare};
use super::*;
use crate::stats::rate::Returns;

const RUNS: u64 = 2_000;

/// A look after each bad unit sees all that there is to see: a good one doesn't move the e-value.
fn false_alarm(dice: &mut Dice, p: f64, share: Share) -> bool {
    let theta = crate::stats::counts::theta(share);
    // Per prior, as it grows event by event.
    let mut logs = BAD_PRIORS.map(|_| 0.0);
    let mut bad: Arms<u64> = Arms::default();
    let mut units = 0.0;
    loop {
        // Good units until the next bad one: geometric.
        units += 1.0 + ((1.0 - dice.part()).ln() / (1.0 - p).ln()).floor();
        let total = (bad.candidate + bad.incumbent) as f64;
        let log_e = (logs.map(f64::exp).iter().sum::<f64>() / logs.len() as f64).ln();
        if units > 20_000.0 || total >= 400.0 {
            let counted = bad_log_e(&[(share, bad)]);
            assert!((counted - log_e).abs() < 1e-9, "{counted} {log_e}");
            return false;
        }
        if log_e >= threshold(ALPHAS.worse) && bad.candidate as f64 > theta * total {
            return true;
        }
        let on_candidate = dice.happens(theta);
        for (log, k) in logs.iter_mut().zip(BAD_PRIORS) {
            let (part, seen) = match on_candidate {
                true => (theta, bad.candidate),
                false => (1.0 - theta, bad.incumbent),
            };
            *log += ((k * part + seen as f64) / ((k + total) * part)).ln();
        }
        match on_candidate {
            true => bad.candidate += 1,
            false => bad.incumbent += 1,
        }
    }
}

#[test]
fn equal_arms_rarely_alarm_however_often_one_looks() {
    for p in [0.001, 0.01, 0.05, 0.2, 0.5] {
        for bps in [100, 1_000, 5_000] {
            let alarm = |seed: &u64| false_alarm(&mut Dice::new(*seed), p, share(bps));
            let alarms = (0..RUNS).filter(alarm).count() as u64;
            check_rare(&format!("p {p}, share {bps}"), alarms, RUNS, ALPHAS.worse);
        }
    }
}

/// Sessions of up to eight runs, some far more prone to errors than others; every run is a look.
/// Returns whether counting units, and whether counting runs, alarmed.
fn clustered(dice: &mut Dice, share: Share) -> (bool, bool) {
    let theta = crate::stats::counts::theta(share);
    // Units and runs: bad ones by arm.
    let (mut units, mut runs) = (arms(0, 0), arms(0, 0));
    let mut open: Vec<(bool, f64, bool)> = Vec::new();
    let mut alarmed = (false, false);
    let alarms = |bad: &Arms<u64>| {
        let more = bad.candidate as f64 > theta * (bad.candidate + bad.incumbent) as f64;
        more && bad_log_e(&[(share, *bad)]) >= threshold(ALPHAS.worse)
    };
    for _ in 0..1_500 {
        if open.len() < 40 {
            let prone = if dice.happens(0.1) { 0.6 } else { 0.005 };
            open.push((dice.happens(theta), prone, false));
        }
        let at = (dice.part() * open.len() as f64) as usize;
        let (on_candidate, prone, was_bad) = open[at];
        if dice.happens(prone) {
            let arm = |bad: &mut Arms<u64>| match on_candidate {
                true => bad.candidate += 1,
                false => bad.incumbent += 1,
            };
            arm(&mut runs);
            if !was_bad {
                arm(&mut units);
                open[at].2 = true;
            }
            alarmed.0 |= !was_bad && alarms(&units);
            alarmed.1 |= alarms(&runs);
        }
        if dice.happens(0.125) {
            open.swap_remove(at);
        }
    }
    alarmed
}

#[test]
fn sessions_with_many_runs_count_once() {
    for bps in [1_000, 5_000] {
        let outcomes: Vec<_> = (0..RUNS).map(|seed| clustered(&mut Dice::new(seed), share(bps))).collect();
        let by_unit = outcomes.iter().filter(|alarmed| alarmed.0).count() as u64;
        check_rare(&format!("by unit, share {bps}"), by_unit, RUNS, ALPHAS.worse);
        // Why they do: runs of one session aren't independent.
        let by_run = outcomes.iter().filter(|alarmed| alarmed.1).count() as u64;
        assert!(by_run > 2 * RUNS / 20, "{by_run} of {RUNS} alarms when runs are counted");
    }
}

/// One phase of a rollout: the share, the arms' rates, and how many units it lasts.
type Phase = (f64, Arms<f64>, u32);

/// Whether the true difference was ever rejected as too high.
fn false_pass(dice: &mut Dice, phases: &[Phase], margin: f64) -> bool {
    let mut logs = [0.0; 14];
    for (theta, rates, units) in phases {
        let returns = Returns::new(*theta, rates.candidate - rates.incumbent, margin);
        for _ in 0..*units {
            let on_candidate = dice.happens(*theta);
            let rate = if on_candidate { rates.candidate } else { rates.incumbent };
            let outcome = if dice.happens(rate) { &returns.bad } else { &returns.good };
            let row = if on_candidate { &outcome.candidate } else { &outcome.incumbent };
            let mut highest = f64::NEG_INFINITY;
            for (log, returned) in logs.iter_mut().zip(row) {
                *log += returned;
                highest = highest.max(*log);
            }
            // The mean is no more than the highest.
            if highest >= threshold(ALPHAS.not_worse)
                && crate::stats::rate::log_mean_exp(&logs) >= threshold(ALPHAS.not_worse)
            {
                return true;
            }
        }
    }
    false
}

#[test]
fn a_candidate_worse_by_the_margin_rarely_passes() {
    let check = |what: &str, phases: &[Phase], margin: f64| {
        let runs = 400;
        let passed =
            (0..runs).filter(|seed| false_pass(&mut Dice::new(*seed), phases, margin)).count() as u64;
        check_rare(what, passed, runs, ALPHAS.not_worse);
    };
    for theta in [0.01, 0.1, 0.5] {
        check("1 % and a point", &[(theta, arms(0.02, 0.01), 3_000)], 0.01);
        check("5 % and a point", &[(theta, arms(0.06, 0.05), 3_000)], 0.01);
        check("half and ten points", &[(theta, arms(0.6, 0.5), 1_500)], 0.1);
    }
    // The lower bound is the upper bound with exchanged arms: equal arms, at a share of nine tenths.
    check("equal arms, mirrored", &[(0.9, arms(0.05, 0.05), 3_000)], 0.01);
    // A share that grows while everybody gets worse.
    let moving = [(0.1, arms(0.03, 0.02), 1_500), (0.5, arms(0.21, 0.2), 1_500)];
    check("a moving base", &moving, 0.01);
}

#[test]
fn the_verdict_is_the_rule_that_alarms() {
    let mut dice = Dice::new(7);
    for _ in 0..300 {
        let theta = [100, 1_000, 5_000][(dice.part() * 3.0) as usize];
        let mut draw = |most: f64| (dice.part() * most) as u64;
        let units = (200 + draw(2_000.0), 200 + draw(2_000.0));
        let bad = (draw(60.0), draw(60.0));
        let judged = rate(&[counted(theta, units, bad)], 0.0, ALPHAS);
        let log_e = bad_log_e(&[(share(theta), arms(bad.0, bad.1))]);
        let more = bad.0 as f64 > theta as f64 / 1e4 * (bad.0 + bad.1) as f64;
        let beyond = bad.0 as f64 / units.0 as f64 >= bad.1 as f64 / units.1 as f64;
        let expected = more && beyond && log_e >= threshold(ALPHAS.worse);
        assert_eq!(judged.verdict == Verdict::Worse, expected, "{judged:?}");
    }
}

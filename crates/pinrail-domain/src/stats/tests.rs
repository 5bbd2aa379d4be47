//! What the statistics promise: checked values, edges, and (in the modules below) chances over many seeded rollouts.

use super::*;
use crate::share::Share;

mod alarms;
mod coverage;
pub(super) mod dice;
mod edges;
mod golden;

const ALPHAS: Alphas = Alphas { worse: 0.05, not_worse: 0.05 };

fn share(bps: u64) -> Share {
    Share::from_bps(bps).unwrap()
}

fn arms<T>(candidate: T, incumbent: T) -> Arms<T> {
    Arms { candidate, incumbent }
}

fn counted(bps: u64, units: (u64, u64), bad: (u64, u64)) -> Counted {
    Counted { share: share(bps), units: arms(units.0, units.1), bad: arms(bad.0, bad.1) }
}

/// Evenly spaced quantiles of an exponential distribution with this mean: latencies, without chance.
fn latencies(n: usize, mean: f64) -> Vec<f64> {
    (0..n).map(|i| -mean * (1.0 - (i as f64 + 0.5) / n as f64).ln()).collect()
}

#[test]
fn the_count_e_process_has_its_checked_values() {
    let check = |k: f64, candidate: u64, incumbent: u64, theta: f64, expected: f64| {
        let log_e = count_log_e(k, candidate, incumbent, theta);
        assert!(
            (log_e - expected).abs() <= 1e-9 * expected.abs().max(1.0),
            "{candidate} {incumbent}: {log_e}"
        );
    };
    check(100.0, 12, 40, 0.1, 3.105_062_318_87_f64.ln());
    check(100.0, 0, 0, 0.1, 0.0);
    // From a log-gamma with fifty digits.
    check(100.0, 4, 0, 0.01, 3.118_742_069_957_05);
    check(100.0, 0, 50, 0.5, 8.350_555_265_475_75);
    check(100.0, 3, 0, 0.0001, 9.888_672_466_750_99);
    check(100.0, 7, 3, 0.9999, 9.687_648_172_961_97);
    check(10.0, 1, 1, 0.5, -0.095_310_179_804_324_9);
    check(100.0, 100_000_000, 900_000_000, 0.1, -8.067_471_029_629_96);
    check(100.0, 100_020_000, 900_000_000, 0.1, -6.267_693_186_377_64);
    check(100.0, 1_000_000_000, 0, 0.5, 693_146_358.965_111);
}

#[test]
fn a_clear_harm_is_worse_and_a_clear_equality_is_not() {
    let check = |strata: &[Counted], margin: f64, expected: Verdict| {
        let judged = rate(strata, margin, ALPHAS);
        assert_eq!(judged.verdict, expected, "{judged:?}");
    };
    check(&[counted(5_000, (1_000, 1_000), (100, 40))], 0.01, Verdict::Worse);
    check(&[counted(1_000, (1_000, 9_000), (100, 450))], 0.01, Verdict::Worse);
    check(&[counted(5_000, (20_000, 20_000), (1_000, 1_000))], 0.01, Verdict::NotWorse);
    check(&[counted(5_000, (500, 500), (25, 25))], 0.01, Verdict::Undecided);
    check(&[counted(100, (5, 10), (5, 0))], 0.01, Verdict::Worse);
    // Proven (log e = 9), but half a point where one is accepted.
    check(&[counted(5_000, (100_000, 100_000), (5_500, 5_000))], 0.01, Verdict::NotWorse);
    check(&[counted(5_000, (40_000, 40_000), (2_500, 2_150))], 0.01, Verdict::Undecided);
    // A share that grew while everybody's errors grew: no harm in either stratum, 8 points if they were pooled.
    let grown = [counted(1_000, (1_000, 9_000), (10, 90)), counted(9_000, (9_000, 1_000), (900, 100))];
    check(&grown, 0.02, Verdict::NotWorse);
}

#[test]
fn means_and_quantiles_tell_worse_from_not_worse() {
    let scores =
        |n: usize, mean: f64| (0..n).map(|i| mean + 0.2 * (i as f64 * 2.399).sin()).collect::<Vec<_>>();
    let check_mean = |candidate: f64, incumbent: f64, n: usize, better, expected| {
        let judged = mean(arms(&scores(n, candidate), &scores(n, incumbent)), better, 0.03, ALPHAS);
        assert_eq!(judged.verdict, expected, "{judged:?}");
    };
    check_mean(0.6, 0.7, 1_000, Better::Higher, Verdict::Worse);
    check_mean(0.7, 0.6, 1_000, Better::Higher, Verdict::NotWorse);
    check_mean(0.7, 0.7, 3_000, Better::Higher, Verdict::NotWorse);
    check_mean(0.7, 0.6, 1_000, Better::Lower, Verdict::Worse);
    check_mean(0.7, 0.7, 100, Better::Lower, Verdict::Undecided);
    let check_quantile = |candidate: f64, n: usize, expected| {
        let judged = quantile(arms(&latencies(n, candidate), &latencies(n, 100.0)), 0.95, 0.2, ALPHAS);
        assert_eq!(judged.verdict, expected, "{judged:?}");
    };
    check_quantile(200.0, 1_000, Verdict::Worse);
    check_quantile(100.0, 10_000, Verdict::NotWorse);
    check_quantile(100.0, 100, Verdict::Undecided);
}

#[test]
fn what_is_needed_is_what_is_reached() {
    let half = share(5_000);
    let needed = units_needed_rate(0.05, half, 0.01, ALPHAS).unwrap();
    let at = |part: f64| {
        let n = (needed.candidate as f64 * part) as u64;
        rate(&[counted(5_000, (n, n), (n / 20, n / 20))], 0.01, ALPHAS).verdict
    };
    assert_eq!((at(0.98), at(1.02)), (Verdict::Undecided, Verdict::NotWorse), "{needed:?}");
    let recent = latencies(1_000, 80.0);
    let needed = units_needed_quantile(&recent, 0.95, half, 0.2, ALPHAS).unwrap();
    let n = needed.candidate as usize;
    let at = |n: usize| quantile(arms(&latencies(n, 80.0), &latencies(n, 80.0)), 0.95, 0.2, ALPHAS).verdict;
    assert_eq!((at(n * 8 / 10), at(n * 12 / 10)), (Verdict::Undecided, Verdict::NotWorse), "{needed:?}");
    let needed = units_needed_mean((0.7, 0.2), Better::Higher, share(1_000), 0.02, ALPHAS).unwrap();
    assert!(
        needed.incumbent / needed.candidate == 8 || needed.incumbent / needed.candidate == 9,
        "{needed:?}"
    );
    assert_eq!(units_needed_rate(0.05, Share::NONE, 0.01, ALPHAS), None);
    assert_eq!(units_needed_rate(0.05, half, 0.0, ALPHAS), None);
    assert_eq!(units_needed_quantile(&recent[..50], 0.95, half, 0.2, ALPHAS), None);
}

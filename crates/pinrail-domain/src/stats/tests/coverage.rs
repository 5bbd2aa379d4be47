//! The bounds of means and quantiles hold at all looks together.
//!
//! A hypothesis is rejected only when the pair of true values is, so the pair's own wealth is what is watched: it is
//! never less than what [`mean`] and [`quantile`] need to reject the truth.

use super::dice::{Dice, check_rare};
use super::*;
use crate::stats::wealth::{Coin, Sums};

const RUNS: u64 = 250;

/// A way to draw a score in [0, 1], and its mean.
type Scores = (&'static str, fn(&mut Dice) -> f64, f64);

const SCORES: [Scores; 4] = [
    ("even", |dice| dice.part(), 0.5),
    ("mostly low", |dice| dice.part().powi(3), 0.25),
    ("yes or no, rarely", |dice| f64::from(u8::from(dice.happens(0.05))), 0.05),
    ("all alike", |dice| 0.8 + 0.01 * (dice.part() - 0.5), 0.8),
];

fn draws(dice: &mut Dice, theta: f64) -> bool {
    dice.happens(theta)
}

#[test]
fn bounds_of_means_hold_at_every_look() {
    for ((name, draw, mean), theta) in SCORES.iter().flat_map(|scores| [(scores, 0.1), (scores, 0.5)]) {
        let missed = |seed: u64| {
            let mut dice = Dice::new(seed);
            let mut sums: Arms<Sums> = Arms::default();
            (0..1_200).any(|look| {
                let arm = if draws(&mut dice, theta) { &mut sums.candidate } else { &mut sums.incumbent };
                arm.add(draw(&mut dice));
                look % 4 == 0 && {
                    let high = sums.candidate.mirrored().log_e(1.0 - mean) + sums.incumbent.log_e(*mean);
                    high >= threshold(ALPHAS.not_worse)
                }
            })
        };
        let missed = (0..RUNS).filter(|seed| missed(*seed)).count() as u64;
        check_rare(&format!("{name}, share {theta}"), missed, RUNS, ALPHAS.not_worse);
    }
}

#[test]
fn bounds_of_quantiles_hold_at_every_look() {
    // Exponential latencies, whole (many ties) and not; the quantile of the whole ones is rounded up too.
    let latency = |dice: &mut Dice, whole: bool| {
        let exact = -5.0 * (1.0 - dice.part()).ln();
        if whole { exact.ceil() } else { exact }
    };
    for (q, whole, theta) in [(0.5, false, 0.5), (0.95, false, 0.1), (0.95, true, 0.5), (0.99, false, 0.5)] {
        let exact = -5.0 * (1.0_f64 - q).ln();
        let truth = if whole { exact.ceil() } else { exact };
        let (below, above) = (Coin::against(q), Coin::against(1.0 - q));
        let missed = |seed: u64| {
            let mut dice = Dice::new(seed);
            let (mut n, mut outside) = (arms(0.0, 0.0), arms(0.0, 0.0));
            (0..1_500).any(|_| {
                if draws(&mut dice, theta) {
                    n.candidate += 1.0;
                    outside.candidate += f64::from(u8::from(latency(&mut dice, whole) < truth));
                } else {
                    n.incumbent += 1.0;
                    outside.incumbent += f64::from(u8::from(latency(&mut dice, whole) > truth));
                }
                let log_e =
                    below.log_e(outside.candidate, n.candidate) + above.log_e(outside.incumbent, n.incumbent);
                log_e >= threshold(ALPHAS.not_worse)
            })
        };
        let missed = (0..RUNS).filter(|seed| missed(*seed)).count() as u64;
        check_rare(&format!("q {q}, whole {whole}, share {theta}"), missed, RUNS, ALPHAS.not_worse);
    }
}

#[test]
fn the_reported_bounds_enclose_the_truth_at_some_looks() {
    let mut outside = 0;
    let runs = 60;
    for seed in 0..runs {
        let mut dice = Dice::new(seed);
        let scores = arms((), ()).map(|()| (0..300).map(|_| dice.part()).collect::<Vec<_>>());
        let half = |values: &[f64]| values[..150].to_vec();
        let holds = [arms(half(&scores.candidate), half(&scores.incumbent)), scores].iter().all(|values| {
            let views = arms(&values.candidate[..], &values.incumbent[..]);
            let judged = mean(views, Better::Higher, 0.05, ALPHAS);
            let mut sorted = values.clone();
            sorted.candidate.sort_by(f64::total_cmp);
            sorted.incumbent.sort_by(f64::total_cmp);
            let ratio = quantile(arms(&sorted.candidate, &sorted.incumbent), 0.5, 0.2, ALPHAS);
            [judged, ratio].iter().all(|judged| {
                judged.harm_low.is_none_or(|low| low <= 0.0)
                    && judged.harm_high.is_none_or(|high| high >= 0.0)
            })
        });
        outside += u64::from(!holds);
    }
    // Four bounds, each at 5 %.
    check_rare("a bound without the truth", outside, runs, 0.2);
}

#[test]
fn order_does_not_matter() {
    let mut dice = Dice::new(3);
    let values: Vec<f64> = (0..500).map(|_| dice.part()).collect();
    let reversed: Vec<f64> = values.iter().rev().copied().collect();
    let close = |a: Option<f64>, b: Option<f64>| a.zip(b).is_none_or(|(a, b)| (a - b).abs() < 1e-6);
    let one = mean(arms(&values, &values[..200]), Better::Lower, 0.05, ALPHAS);
    let other = mean(arms(&reversed, &reversed[300..]), Better::Lower, 0.05, ALPHAS);
    assert!(
        close(one.harm_low, other.harm_low) && close(one.harm_high, other.harm_high),
        "{one:?} {other:?}"
    );
    assert_eq!(one.verdict, other.verdict);
}

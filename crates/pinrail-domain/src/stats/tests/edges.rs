//! Nothing is undefined: no input gives a panic, NaN or infinity, and an empty arm is never an answer.

use super::*;

fn check_sound(judged: &Judged) {
    let text = serde_json::to_string(judged).unwrap();
    assert_eq!(serde_json::from_str::<Judged>(&text).unwrap(), *judged, "{text}");
    let Judged { harm, harm_low, harm_high, .. } = *judged;
    for number in
        [judged.candidate, judged.incumbent, harm, harm_low, harm_high, judged.log_e].into_iter().flatten()
    {
        assert!(number.is_finite(), "{text}");
    }
    if let (Some(low), Some(harm), Some(high)) = (harm_low, harm, harm_high) {
        assert!(low <= harm && harm <= high, "{text}");
    }
    if judged.samples.candidate == 0 || judged.samples.incumbent == 0 {
        assert_eq!(judged.verdict, Verdict::Undecided, "{text}");
    }
}

#[test]
fn every_count_is_answered() {
    let numbers = [0, 1, 7, 1_000, 1_000_000_000, u64::MAX];
    for bps in [0, 1, 100, 5_000, 9_999, 10_000] {
        for units in numbers.iter().flat_map(|c| numbers.map(|i| (*c, i))) {
            for bad in [(0, 0), units, (units.0, 0), (0, units.1), (units.0 / 2, units.1 / 3), (u64::MAX, 5)]
            {
                for margin in [0.0, 0.01, 1.0] {
                    let stratum = counted(bps, units, bad);
                    check_sound(&rate(&[stratum], margin, ALPHAS));
                }
            }
            let ratio = sample_ratio(&[(share(bps), arms(units.0, units.1))], 0.01);
            serde_json::to_string(&ratio).unwrap();
            assert!(ratio.log_e.is_none_or(f64::is_finite), "{ratio:?}");
        }
    }
    check_sound(&rate(&[], 0.01, ALPHAS));
}

#[test]
fn odd_margins_and_alphas_never_decide() {
    for odd in [0.0, -1.0, f64::NAN] {
        let alphas = Alphas { worse: odd, not_worse: odd };
        let judged = rate(&[counted(5_000, (1_000, 1_000), (900, 1))], 0.01, alphas);
        check_sound(&judged);
        assert_eq!(judged.verdict, Verdict::Undecided, "{judged:?}");
    }
    for margin in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -2.0, 1e300] {
        check_sound(&rate(&[counted(5_000, (1_000, 1_000), (90, 10))], margin, ALPHAS));
        check_sound(&mean(arms(&[0.5; 9], &[0.5; 9]), Better::Lower, margin, ALPHAS));
        check_sound(&quantile(arms(&[0.5; 9], &[0.5; 9]), 0.5, margin, ALPHAS));
        let _ = units_needed_rate(0.1, share(100), margin, ALPHAS);
        let _ = units_needed_mean((0.1, 0.2), Better::Lower, share(100), margin, ALPHAS);
        let _ = units_needed_quantile(&latencies(200, 1.0), 0.5, share(100), margin, ALPHAS);
    }
}

#[test]
fn zero_events_so_far_pass_only_with_enough_units() {
    let check = |units, expected| {
        let judged = rate(&[counted(5_000, (units, units), (0, 0))], 0.01, ALPHAS);
        check_sound(&judged);
        assert_eq!((judged.verdict, judged.harm), (expected, Some(0.0)), "{judged:?}");
    };
    check(1, Verdict::Undecided);
    check(300, Verdict::Undecided);
    check(1_000, Verdict::NotWorse);
    check(1_000_000_000, Verdict::NotWorse);
}

#[test]
fn ties_and_zeros_have_a_ratio() {
    let check = |candidate: f64, incumbent: f64, n: usize, expected: Verdict, harm: Option<f64>| {
        let judged = quantile(arms(&vec![candidate; n], &vec![incumbent; n]), 0.95, 0.2, ALPHAS);
        check_sound(&judged);
        assert_eq!((judged.verdict, judged.harm), (expected, harm), "{judged:?}");
    };
    check(5.0, 5.0, 1_000, Verdict::NotWorse, Some(0.0));
    check(5.0, 5.0, 1, Verdict::Undecided, Some(0.0));
    check(0.0, 0.0, 1_000, Verdict::NotWorse, Some(0.0));
    check(1.0, 0.0, 1_000, Verdict::Worse, None);
    check(0.0, 1.0, 1_000, Verdict::NotWorse, Some(-1.0));
    check(6.0, 5.0, 1_000, Verdict::Worse, Some(6.0 / 5.0 - 1.0));
    check(1e300, 1e-300, 1_000, Verdict::Worse, None);
    let values = |value: f64| vec![value; 2_000];
    for (candidate, incumbent, verdict) in
        [(0.0, 0.0, Verdict::NotWorse), (1.0, 1.0, Verdict::NotWorse), (1.0, 0.0, Verdict::Worse)]
    {
        let judged = mean(arms(&values(candidate), &values(incumbent)), Better::Lower, 0.05, ALPHAS);
        check_sound(&judged);
        assert_eq!(judged.verdict, verdict, "{judged:?}");
    }
}

#[test]
fn odd_values_are_brought_into_range_or_left_out() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0, 7.0];
    let judged = mean(arms(&odd, &[0.5]), Better::Higher, 0.1, ALPHAS);
    check_sound(&judged);
    assert_eq!((judged.samples.candidate, judged.candidate), (4, Some(0.5)));
    for q in [f64::NAN, 0.0, 1.0, -1.0, 2.0, 1e-300, 1.0 - f64::EPSILON] {
        check_sound(&quantile(arms(&[1.0, 2.0], &[1.0, 3.0]), q, 0.2, ALPHAS));
        let _ = units_needed_quantile(&latencies(200, 1.0), q, share(100), 0.2, ALPHAS);
    }
    for empty in [arms(&[][..], &[][..]), arms(&[0.3][..], &[][..]), arms(&[][..], &[0.3][..])] {
        check_sound(&mean(empty, Better::Higher, 0.1, ALPHAS));
        check_sound(&quantile(empty, 0.5, 0.1, ALPHAS));
    }
}

#[test]
fn a_split_that_does_not_split_is_seen() {
    let check = |bps: u64, candidate: u64, incumbent: u64, expected: bool| {
        let ratio = sample_ratio(&[(share(bps), arms(candidate, incumbent))], 0.001);
        assert_eq!(ratio.mismatch, expected, "{ratio:?}");
    };
    check(1_000, 1_000, 9_000, false);
    check(1_000, 1_300, 9_000, true);
    check(5_000, 0, 12, false);
    check(5_000, 0, 100, true);
    check(0, 0, 1_000, false);
    check(0, 1, 1_000, true);
    check(10_000, 1_000, 0, false);
    check(10_000, 1_000, 1, true);
    check(1_000, 0, 0, false);
}

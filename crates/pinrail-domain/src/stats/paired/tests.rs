//! What a gate's statistics promise: values, edges, and (in the modules below) properties and chances.

use super::exact::Tables;
use super::*;

mod calibration;
mod properties;

const ALPHAS: Alphas = Alphas { worse: 0.05, not_worse: 0.05 };

/// So many cases with one answer an arm: only the candidate failed, only the incumbent, neither.
fn pairs(lost: usize, won: usize, tied: usize) -> Vec<CaseScores> {
    let mut cases = vec![case(&[0.0], &[1.0]); lost];
    cases.extend(vec![case(&[1.0], &[0.0]); won]);
    cases.extend(vec![case(&[1.0], &[1.0]); tied]);
    cases
}

fn case(candidate: &[f64], incumbent: &[f64]) -> CaseScores {
    CaseScores { candidate: candidate.to_vec(), incumbent: incumbent.to_vec() }
}

fn unit(margin: f64) -> Ask {
    Ask { scale: Scale::Unit, better: Better::Higher, margin, alphas: ALPHAS }
}

fn amount(margin: f64) -> Ask {
    Ask { scale: Scale::Amount, better: Better::Lower, margin, alphas: ALPHAS }
}

/// Amounts without chance: the incumbent's spread over a decade, the candidate's `times` as much, give or take.
fn costs(n: usize, times: f64) -> Vec<CaseScores> {
    let one = |i: usize| {
        let base = 10.0 * (i as f64 * 2.399).sin().exp();
        case(&[base * times * (1.0 + 0.2 * (i as f64 * 1.1).cos())], &[base])
    };
    (0..n).map(one).collect()
}

#[test]
fn equal_answers_pass_only_with_enough_cases() {
    let check = |n: usize, margin: f64, expected: Verdict| {
        let judged = paired(&pairs(0, 0, n), &unit(margin));
        assert_eq!(judged.verdict, expected, "{judged:?}");
    };
    // 0.95^58 is more than 5 %, 0.95^59 is less.
    check(0, 0.05, Verdict::Undecided);
    check(1, 0.05, Verdict::Undecided);
    check(52, 0.05, Verdict::Undecided);
    check(58, 0.05, Verdict::Undecided);
    check(59, 0.05, Verdict::NotWorse);
    check(1_000, 0.05, Verdict::NotWorse);
    check(298, 0.01, Verdict::Undecided);
    check(299, 0.01, Verdict::NotWorse);
    // Nothing is better without a difference.
    check(1_000, 0.0, Verdict::Undecided);
}

#[test]
fn won_and_lost_cases_are_judged_exactly() {
    let check = |counts: (usize, usize, usize), margin: f64, expected: Verdict| {
        let judged = paired(&pairs(counts.0, counts.1, counts.2), &unit(margin));
        assert_eq!((judged.method, judged.verdict), (Method::Exact, expected), "{judged:?}");
    };
    check((2, 2, 196), 0.05, Verdict::NotWorse);
    check((20, 21, 359), 0.05, Verdict::NotWorse);
    check((20, 4, 76), 0.05, Verdict::Worse);
    // Proven to be worse (p = 0.001), but not by more than the margin.
    check((12, 1, 187), 0.05, Verdict::Undecided);
    check((12, 1, 187), 0.0, Verdict::Worse);
    check((1, 12, 87), 0.0, Verdict::NotWorse);
    check((3, 5, 92), 0.0, Verdict::Undecided);
    check((0, 5, 0), 0.05, Verdict::NotWorse);
    check((5, 0, 0), 0.05, Verdict::Worse);
}

#[test]
fn repeats_tell_more_but_never_as_much_as_cases() {
    // A tenth of the cases is flaky, in both arms alike.
    let flaky = |cases: usize, repeats: usize| {
        let answers = |i: usize, arm: usize| -> Vec<f64> {
            let passed = |r: usize| i % 10 != 3 || (i / 10 + (1 + arm) * r + arm).is_multiple_of(2);
            (0..repeats).map(|r| f64::from(u8::from(passed(r)))).collect()
        };
        (0..cases).map(|i| case(&answers(i, 0), &answers(i, 1))).collect::<Vec<_>>()
    };
    let p = |cases, repeats| paired(&flaky(cases, repeats), &unit(0.05)).p_not_worse.unwrap();
    assert!(p(100, 4) < p(100, 1), "{} {}", p(100, 4), p(100, 1));
    // The same case again and again is one case.
    let judged = paired(&flaky(20, 50), &unit(0.05));
    assert_eq!((judged.verdict, judged.repeats), (Verdict::Undecided, Repeats { least: 50, most: 50 }));
}

#[test]
fn amounts_are_compared_as_a_ratio() {
    let check = |n: usize, times: f64, margin: f64, expected: (Method, Verdict)| {
        let judged = paired(&costs(n, times), &amount(margin));
        assert_eq!((judged.method, judged.verdict), expected, "{judged:?}");
        let better = paired(&costs(n, times), &Ask { better: Better::Higher, ..amount(margin) });
        assert!((judged.harm.unwrap() + better.harm.unwrap()).abs() < 1e-12, "{better:?}");
    };
    check(100, 1.0, 0.1, (Method::T, Verdict::NotWorse));
    check(100, 1.4, 0.1, (Method::T, Verdict::Worse));
    check(100, 1.1, 0.1, (Method::T, Verdict::Undecided));
    check(19, 0.5, 0.1, (Method::TooFew, Verdict::Undecided));
    check(20, 0.5, 0.1, (Method::T, Verdict::NotWorse));
    let free = vec![case(&[0.0], &[0.0]); 50];
    assert_eq!(paired(&free, &amount(0.1)).verdict, Verdict::Undecided);
    let alike = vec![case(&[3.0], &[3.0]); 50];
    assert_eq!(paired(&alike, &amount(0.1)).verdict, Verdict::NotWorse);
}

#[test]
fn a_candidate_alone_is_held_to_a_floor() {
    let check = |passed: usize, failed: usize, floor: f64, expected: Verdict| {
        let mut cases = vec![vec![1.0]; passed];
        cases.extend(vec![vec![0.0]; failed]);
        let judged = alone(&cases, floor, ALPHAS);
        assert_eq!(
            (judged.method, judged.verdict, judged.incumbent),
            (Method::Exact, expected, None),
            "{judged:?}"
        );
    };
    check(58, 0, 0.95, Verdict::Undecided);
    check(59, 0, 0.95, Verdict::NotWorse);
    check(98, 2, 0.9, Verdict::NotWorse);
    check(92, 8, 0.9, Verdict::Undecided);
    check(50, 50, 0.9, Verdict::Worse);
    // Nothing proves that a thing never fails, and nothing is needed to prove that it passes at least never.
    check(1_000, 0, 1.0, Verdict::Undecided);
    let none = alone(&[], 0.9, ALPHAS);
    assert_eq!((none.method, none.verdict, none.harm), (Method::TooFew, Verdict::Undecided, None));
    let repeated = vec![vec![1.0, 1.0, 0.0]; 80];
    assert_eq!(alone(&repeated, 0.5, ALPHAS).verdict, Verdict::NotWorse);
}

#[test]
fn what_is_needed_is_what_decides() {
    let needed = |judged: Paired| judged.needed.unwrap();
    // As many of each kind as there are, times as many cases.
    let seen = paired(&pairs(2, 2, 46), &unit(0.05));
    let cases = needed(seen).cases.unwrap() as usize;
    let more =
        |cases: usize| paired(&pairs(cases * 2 / 50, cases * 2 / 50, cases * 46 / 50), &unit(0.05)).verdict;
    assert_eq!(
        (more(cases * 7 / 10), more(cases * 13 / 10)),
        (Verdict::Undecided, Verdict::NotWorse),
        "{cases}"
    );
    assert_eq!(needed(paired(&pairs(0, 0, 20), &unit(0.05))).cases, Some(59));
    assert_eq!(needed(seen).repeats, None);
    // Beyond the margin, more of the same doesn't pass.
    assert_eq!(needed(paired(&pairs(3, 0, 27), &unit(0.05))), Needed::default());
    assert_eq!(needed(paired(&[], &unit(0.05))), Needed::default());
    // All of the variance is within cases: repeats help as much as cases do.
    let noisy: Vec<_> = (0..100)
        .map(|i| match i % 4 {
            0 => case(&[1.0, 0.0], &[1.0, 1.0]),
            1 => case(&[1.0, 1.0], &[0.0, 1.0]),
            2 => case(&[0.0, 1.0], &[1.0, 0.0]),
            _ => case(&[1.0, 1.0], &[1.0, 1.0]),
        })
        .collect();
    let Needed { cases, repeats } = needed(paired(&noisy, &unit(0.05)));
    assert!(cases.unwrap() > 100 && repeats.unwrap() > 2, "{cases:?} {repeats:?}");
    assert_eq!(paired(&pairs(0, 0, 59), &unit(0.05)).needed, None);
}

#[test]
fn plans_know_their_cases() {
    let check = |discordance: f64, margin: f64, power: f64, expected: Option<u64>| {
        let cases = cases_needed(discordance, margin, 0.05, power);
        let near = |(a, b): (u64, u64)| a.abs_diff(b) * 20 <= b;
        assert!(cases.is_some() == expected.is_some() && cases.zip(expected).is_none_or(near), "{cases:?}");
    };
    check(0.0, 0.05, 0.8, Some(59));
    check(0.05, 0.05, 0.8, Some(159));
    check(0.1, 0.05, 0.8, Some(265));
    check(0.2, 0.05, 0.8, Some(511));
    // Beyond the exact test: (1.645 + 0.842)² · 0.3 / 0.01², about.
    check(0.3, 0.01, 0.8, Some(18_554));
    check(0.3, 0.0, 0.8, None);
    check(0.3, 0.0001, 0.8, None);
    check(f64::NAN, 0.05, 0.8, None);
    check(0.1, 0.05, 1.0, None);
}

#[test]
fn the_power_is_near_what_large_samples_promise() {
    // Small samples can't keep both that and 5 %: two discordant cases more or less are a step of several points.
    let check = |n: usize, discordance: f64, expected: f64, below: f64| {
        let power = Tables::new(n).power(discordance, 0.05, 0.05);
        assert!((expected - below..=expected + 0.01).contains(&power), "{n}, {discordance}: {power}");
    };
    check(100, 0.05, 0.73, 0.15);
    check(100, 0.10, 0.50, 0.10);
    check(100, 0.20, 0.32, 0.05);
    check(200, 0.05, 0.93, 0.06);
    check(200, 0.10, 0.72, 0.04);
    check(200, 0.20, 0.48, 0.03);
    check(400, 0.05, 1.00, 0.01);
    check(400, 0.10, 0.93, 0.02);
    check(400, 0.20, 0.72, 0.02);
}

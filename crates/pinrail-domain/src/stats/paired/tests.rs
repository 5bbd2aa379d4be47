//! What a gate's statistics promise.

use super::*;

const ALPHAS: Alphas = Alphas { worse: 0.05, not_worse: 0.05 };

/// So many cases with one answer an arm: only the candidate failed, only the incumbent, neither.
fn pairs(lost: usize, won: usize, tied: usize) -> Vec<CaseScores> {
    let case = |candidate: f64, incumbent: f64| CaseScores {
        candidate: vec![candidate],
        incumbent: vec![incumbent],
    };
    let mut cases = vec![case(0.0, 1.0); lost];
    cases.extend(vec![case(1.0, 0.0); won]);
    cases.extend(vec![case(1.0, 1.0); tied]);
    cases
}

fn unit(margin: f64) -> Ask {
    Ask { scale: Scale::Unit, better: Better::Higher, margin, alphas: ALPHAS }
}

#[test]
fn equal_answers_pass_only_with_enough_cases() {
    let check = |n: usize, expected: Verdict| {
        let judged = paired(&pairs(0, 0, n), &unit(0.05));
        assert_eq!(judged.verdict, expected, "{judged:?}");
    };
    check(0, Verdict::Undecided);
    check(1, Verdict::Undecided);
    check(52, Verdict::Undecided);
    check(58, Verdict::Undecided);
    check(59, Verdict::NotWorse);
    check(1_000, Verdict::NotWorse);
}

//! What a verdict rests on, and what it must not depend on.

use std::sync::Arc;

use pinrail_domain::gate::SuiteKind;
use pinrail_domain::rollout::quantity::Margin;
use pinrail_domain::time::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::answer::Answer;
use crate::row::{Outcome, Part, Score};
use crate::suite::{AssertKind, Assertion, Case, FORMAT, Turn};

/// One answer, in a letter: passed, failed, an error, refused; a dot: none.
fn outcome(letter: char) -> Option<Outcome> {
    let score = |pass: bool| Score {
        pass,
        score: if pass { 1.0 } else { 0.0 },
        why: if pass { String::new() } else { "expected another".to_owned() },
        parts: vec![Part {
            kind: "equals".to_owned(),
            pass,
            why: if pass { String::new() } else { "expected another".to_owned() },
            ..Part::default()
        }],
        ..Score::default()
    };
    match letter {
        'p' => Some(Outcome::Scored(score(true))),
        'f' => Some(Outcome::Scored(score(false))),
        'e' => Some(Outcome::Error { why: "timed out".to_owned() }),
        'r' => Some(Outcome::Refused { why: "gpt-9 answered".to_owned() }),
        '.' => None,
        other => panic!("no outcome is written {other}"),
    }
}

/// Cases as `candidate/incumbent` with a letter for each repeat, each so many times; `!` before a case that must pass.
pub(crate) struct World {
    pub held: Held,
    pub rows: Vec<Row>,
}

pub(crate) fn world(cases: &[(usize, &str)]) -> World {
    named("main", cases)
}

fn named(name: &str, cases: &[(usize, &str)]) -> World {
    let mut suite = Suite {
        pinrail_suite: FORMAT,
        name: name.to_owned(),
        kind: SuiteKind::Success,
        description: String::new(),
        cases: Vec::new(),
    };
    let mut rows = Vec::new();
    for (times, spelled) in cases {
        for _ in 0..*times {
            let number = suite.cases.len();
            let (letters, must_pass) = match spelled.strip_prefix('!') {
                Some(rest) => (rest, true),
                None => (*spelled, false),
            };
            let case = Case {
                description: format!("{spelled} {number}"),
                vars: [("question".to_owned(), json!(format!("{name} {number}?")))].into(),
                turns: vec![Turn {
                    messages: vec![json!({"role": "user", "content": "?"})],
                    asserts: vec![],
                }],
                asserts: vec![Assertion {
                    kind: AssertKind::Equals,
                    value: json!("42"),
                    ..Assertion::default()
                }],
                must_pass,
                ..Case::default()
            };
            let digest = case.digest().unwrap();
            suite.cases.push(case);
            let (candidate, incumbent) = letters.split_once('/').unwrap_or((letters, ""));
            for (release, letters) in [(release('c'), candidate), (release('i'), incumbent)] {
                rows.extend(letters.chars().enumerate().filter_map(|(repeat, letter)| {
                    Some(row(release, digest, repeat as u32, outcome(letter)?))
                }));
            }
        }
    }
    let digest = suite.digest().unwrap();
    let pin = SuitePin {
        name: name.to_owned(),
        kind: SuiteKind::Success,
        digest,
        margin: None,
        better: false,
        floor: None,
        imported: false,
    };
    World { held: Held { pin, suite: Arc::new(suite) }, rows }
}

fn row(release: ReleaseId, case: Digest, repeat: u32, outcome: Outcome) -> Row {
    let answer = Answer {
        text: format!("answer {repeat} of {}", release.short()),
        latency_ms: 100.0,
        cost_nano_usd: Some(1_000),
        ..Answer::default()
    };
    Row {
        release,
        case,
        repeat,
        at: Timestamp(1),
        run: None,
        outcome,
        answers: vec![answer],
        served: vec!["gpt-4o-2024-08-06".to_owned()],
        retries: 0,
        reused: None,
    }
}

pub(crate) fn release(of: char) -> ReleaseId {
    ReleaseId(Digest::of(of.to_string().as_bytes()))
}

pub(crate) fn judged(world: &World) -> Report {
    judge(std::slice::from_ref(&world.held), &world.rows, release('c'), Some(release('i')), 0.05)
}

#[test]
fn a_suite_is_judged_by_the_first_rule_that_applies() {
    let check = |cases: &[(usize, &str)], verdict: GateVerdict, why: &str| {
        let report = judged(&world(cases));
        assert_eq!(report.verdict, verdict, "{cases:?}: {}", report.why);
        assert!(report.why.contains(why), "{cases:?}: {}", report.why);
    };
    use GateVerdict::{Fail, Inconclusive, Pass};
    check(&[(100, "p/p")], Pass, "not worse by 5 points");
    check(&[(100, "ppp/ppp")], Pass, "over 100 cases");
    check(&[(60, "p/p"), (40, "f/p")], Fail, "worse: at least");
    check(&[(20, "p/p")], Inconclusive, "cases would decide");
    check(&[], Inconclusive, "no cases");
    check(&[(100, "p/p"), (1, "!f/p")], Fail, "failed 1 case that must pass");
    check(&[(100, "p/p"), (1, "!ppf/ppp"), (1, "!pfp/ppp")], Fail, "failed 2 cases that must pass");
    // The incumbent may fail it, and one that passes is one like others.
    check(&[(100, "p/p"), (1, "!p/f")], Pass, "not worse");
    // A failure that is there isn't made better by errors beside it.
    check(&[(50, "e/p"), (1, "!f/p")], Fail, "must pass");
    check(&[(100, "p/p"), (1, "!e/p")], Inconclusive, "without a counted answer");
    check(&[(100, "p/p"), (1, "!/p")], Inconclusive, "1 case that must pass");
    // 5 of 105 are few enough, 6 of 106 are not.
    check(&[(100, "p/p"), (5, "e/p")], Pass, "over 100 cases");
    check(&[(100, "p/p"), (6, "e/p")], Inconclusive, "6 of the candidate's 106 answers");
    check(&[(100, "p/p"), (6, "p/r")], Inconclusive, "refused (6)");
    check(&[(100, "p/p"), (6, "p/r")], Inconclusive, "gpt-9 answered");
    check(&[(100, "f/p"), (10, "e/p")], Inconclusive, "errors (10)");
    // A gate that was stopped half way isn't judged by its easy half.
    check(&[(100, "p/p"), (6, "./.")], Inconclusive, "6 of 106 cases have no counted answer");
    // An error among repeats costs the repeat, not the case.
    check(&[(100, "ppp/ppp"), (10, "epp/ppp")], Pass, "over 110 cases");
}

#[test]
fn better_asks_for_more_than_no_worse() {
    let check = |cases: &[(usize, &str)], verdict: GateVerdict| {
        let mut world = world(cases);
        world.held.pin.better = true;
        let report = judged(&world);
        assert_eq!((report.verdict, report.suites[0].margin), (verdict, 0.0), "{}", report.why);
    };
    check(&[(300, "p/p")], GateVerdict::Inconclusive);
    check(&[(100, "p/p"), (20, "p/f")], GateVerdict::Pass);
    check(&[(100, "p/p"), (20, "f/p")], GateVerdict::Fail);
}

#[test]
fn without_an_incumbent_the_floor_decides() {
    let check = |cases: &[(usize, &str)], verdict: GateVerdict, why: &str| {
        let world = world(cases);
        let report = judge(std::slice::from_ref(&world.held), &world.rows, release('c'), None, 0.05);
        assert_eq!(report.verdict, verdict, "{cases:?}: {}", report.why);
        assert!(report.why.contains(why), "{cases:?}: {}", report.why);
        assert_eq!(report.suites[0].floor, Some(0.8));
        report
    };
    check(&[(100, "p")], GateVerdict::Pass, "above the floor of 80 %");
    check(&[(50, "p"), (50, "f")], GateVerdict::Fail, "below the floor of 80 %");
    check(&[(80, "p"), (20, "f")], GateVerdict::Inconclusive, "isn't proven");
    check(&[(100, "p"), (1, "!f")], GateVerdict::Fail, "must pass");
    let report = check(&[(100, "p"), (2, "pf")], GateVerdict::Pass, "above the floor");
    assert_eq!(report.suites[0].notables.worse.len(), 2, "cases that don't always pass are shown");
    assert!(report.suites[0].informs.iter().all(|informs| informs.compared.is_none()));
}

#[test]
fn all_suites_must_pass_and_one_can_fail_the_gate() {
    let check = |one: &[(usize, &str)], two: &[(usize, &str)], verdict: GateVerdict, why: &str| {
        let (one, two) = (named("one", one), named("two", two));
        let rows: Vec<Row> = one.rows.iter().chain(&two.rows).cloned().collect();
        let held = [one.held, two.held];
        let report = judge(&held, &rows, release('c'), Some(release('i')), 0.05);
        assert_eq!(report.verdict, verdict, "{}", report.why);
        assert!(report.why.contains(why), "{}", report.why);
        let judgement = report.to_judgement(Source::Run, Digest::ZERO);
        assert_eq!(judgement.suites.len(), 2);
        assert_eq!(judgement.verdict, verdict);
    };
    let (good, bad, few) = ([(100, "p/p")], [(50, "f/p"), (50, "p/p")], [(5, "p/p")]);
    check(&good, &good, GateVerdict::Pass, "all 2 suites passed");
    check(&good, &bad, GateVerdict::Fail, "suite two ended fail");
    check(&bad, &few, GateVerdict::Fail, "suite one ended fail");
    check(&few, &good, GateVerdict::Inconclusive, "suite one ended inconclusive");
    check(&bad, &bad, GateVerdict::Fail, "so did 1 more");
    let none = judge(&[], &[], release('c'), Some(release('i')), 0.05);
    assert_eq!(
        (none.verdict, none.why.as_str()),
        (GateVerdict::Inconclusive, "there is no suite to judge by")
    );
}

#[test]
fn a_release_says_nothing_against_itself() {
    let world = world(&[(100, "p/p")]);
    let report =
        judge(std::slice::from_ref(&world.held), &world.rows, release('c'), Some(release('c')), 0.05);
    assert_eq!(report.verdict, GateVerdict::Inconclusive, "{}", report.why);
    assert_eq!(report.more_repeats(), None);
}

#[test]
fn what_got_worse_comes_first_by_how_much() {
    let report = judged(&world(&[
        (1, "ppp/fff"),
        (1, "ppf/ppp"),
        (1, "fff/ppp"),
        (1, "pfp/ppf"),
        (1, "ppp/ppp"),
        (1, "ppf/pff"),
        (1, "pff/ppp"),
    ]));
    let suite = &report.suites[0];
    let names = |list: &[Notable]| {
        list.iter().map(|notable| notable.result.description.clone()).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(names(&suite.notables.worse), "fff/ppp 2, pff/ppp 6, ppf/ppp 1");
    assert_eq!(names(&suite.notables.better), "ppp/fff 0, ppf/pff 5");
    assert_eq!(names(&suite.notables.unstable), "pfp/ppf 3");
    assert_eq!((suite.counts.worse, suite.counts.better, suite.counts.unstable), (3, 2, 1));
    let shown = &suite.notables.worse[2];
    // The first repeat in which they differ, the candidate's answer first, with what failed.
    let arms: Vec<_> = shown.answers.iter().map(|shown| (shown.arm, shown.repeat, shown.pass)).collect();
    assert_eq!(arms, [(Arm::Candidate, 2, false), (Arm::Incumbent, 2, true)]);
    assert_eq!(shown.answers[0].failed, ["equals: expected another"]);
    assert_eq!(shown.answers[0].text, format!("answer 2 of {}", release('c').short()));
    assert_eq!(shown.vars["question"], "main 1?");
    let flips: Vec<_> =
        suite.notables.unstable[0].answers.iter().map(|shown| (shown.arm, shown.pass)).collect();
    assert_eq!(flips, [(Arm::Candidate, true), (Arm::Candidate, false)]);
}

#[test]
fn repeats_are_asked_for_where_they_help() {
    let check = |cases: &[(usize, &str)], helps: bool| {
        let report = judged(&world(cases));
        let repeats = report.more_repeats();
        assert_eq!(repeats.is_some(), helps, "{repeats:?} {}", report.why);
        assert!(repeats.is_none_or(|repeats| repeats > 3));
    };
    check(&[(100, "ppp/ppp")], false);
    // Nothing ever flipped: repeats would show nothing new.
    check(&[(20, "ppp/ppp")], false);
    check(&[(60, "f/p")], false);
    // Cases that flip by themselves, as often in both arms.
    let noisy = [(40, "ppp/ppp"), (10, "pff/ppp"), (10, "ppp/pff"), (20, "pfp/ppp"), (20, "ppp/pfp")];
    check(&noisy, true);
    // It isn't the numbers that are undecided.
    check(&[noisy.as_slice(), &[(10, "eee/pfp")]].concat(), false);
    check(&[noisy.as_slice(), &[(10, "./pfp")]].concat(), false);
}

#[test]
fn a_margin_of_its_own_counts() {
    let mut world = world(&[(100, "p/p"), (3, "f/p"), (2, "p/f")]);
    let strict = judged(&world);
    world.held.pin.margin = Some(Margin(0.15));
    let lenient = judged(&world);
    assert_eq!((strict.verdict, lenient.verdict), (GateVerdict::Inconclusive, GateVerdict::Pass));
    assert_eq!(lenient.to_judgement(Source::Run, Digest::ZERO).suites[0].margin, 0.15);
}

#[test]
fn served_is_what_every_counted_answer_says() {
    let mut world = world(&[(100, "p/p"), (1, "r/p")]);
    let served = |world: &World| judged(world).to_judgement(Source::Run, Digest::ZERO).served;
    for row in world.rows.iter_mut().filter(|row| matches!(row.outcome, Outcome::Refused { .. })) {
        row.served = vec!["gpt-9".to_owned()];
    }
    assert_eq!(served(&world), ["gpt-4o-2024-08-06"]);
    // One that says nothing could be anything.
    world.rows[0].served.clear();
    assert_eq!(served(&world), [""; 0]);
}

#[test]
fn of_two_rows_for_one_answer_the_newest_counts() {
    let mut world = world(&[(100, "p/p"), (1, "!f/p")]);
    let mut again = world
        .rows
        .iter()
        .find(|row| !matches!(&row.outcome, Outcome::Scored(score) if score.pass))
        .unwrap()
        .clone();
    again.outcome = outcome('p').unwrap();
    again.at = Timestamp(2);
    world.rows.push(again);
    assert_eq!(judged(&world).verdict, GateVerdict::Pass);
    world.rows.last_mut().unwrap().at = Timestamp(0);
    assert_eq!(judged(&world).verdict, GateVerdict::Fail);
}

#[test]
fn other_numbers_inform_and_never_decide() {
    let mut world = world(&[(100, "pp/pp")]);
    for (index, row) in world.rows.iter_mut().enumerate() {
        let slow = row.release == release('c');
        row.answers[0].latency_ms = if slow { 900.0 } else { 100.0 } + (index % 7) as f64;
        row.answers[0].cost_nano_usd = Some(1_000_000);
        let Outcome::Scored(score) = &mut row.outcome else { continue };
        score.named.insert("tone".to_owned(), if slow { 0.0 } else { 1.0 });
    }
    let report = judged(&world);
    assert_eq!(report.verdict, GateVerdict::Pass, "{}", report.why);
    let informs = &report.suites[0].informs;
    let names: Vec<&str> = informs.iter().map(|informs| informs.metric.as_str()).collect();
    assert_eq!(names, ["score", "tone", "latency_ms", "cost_usd"]);
    let verdicts: Vec<_> = informs.iter().map(|informs| informs.compared.unwrap().verdict).collect();
    use pinrail_domain::stats::Verdict::{NotWorse, Worse};
    assert_eq!(verdicts, [NotWorse, Worse, Worse, NotWorse]);
    // Where one price is unknown the answer has no cost.
    world.rows.iter_mut().for_each(|row| row.answers[0].cost_nano_usd = None);
    assert!(judged(&world).suites[0].informs.iter().all(|informs| informs.metric != "cost_usd"));
}

#[test]
fn reports_are_kept_as_json() {
    let report = judged(&world(&[(5, "pfp/ppp"), (3, "pp/pp"), (1, "!f/p"), (2, "e/r")]));
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

const SPELLED: [&str; 8] = ["ppp/ppp", "fff/ppp", "ppp/fff", "pfp/ppp", "pfp/ppf", "epp/ppp", "r/p", "./p"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_of_rows_does_not_matter(
        counts in proptest::collection::vec(0_usize..12, SPELLED.len()),
        seed in any::<u64>(),
    ) {
        let cases: Vec<(usize, &str)> = counts.into_iter().zip(SPELLED).collect();
        let mut world = world(&cases);
        let first = judged(&world);
        shuffle(&mut world.rows, seed);
        prop_assert_eq!(judged(&world), first);
    }

    #[test]
    fn exchanged_arms_mirror_the_report(counts in proptest::collection::vec(0_usize..12, 5)) {
        let cases: Vec<(usize, &str)> = counts.into_iter().zip(SPELLED).collect();
        let world = world(&cases);
        let held = std::slice::from_ref(&world.held);
        let (c, i) = (release('c'), release('i'));
        let one = judge(held, &world.rows, c, Some(i), 0.05);
        let two = judge(held, &world.rows, i, Some(c), 0.05);
        let (one, two) = (&one.suites[0], &two.suites[0]);
        prop_assert_eq!(one.counts.worse, two.counts.better);
        prop_assert_eq!(one.counts.unstable, two.counts.unstable);
        prop_assert_eq!(Some(&one.counts.candidate), two.counts.incumbent.as_ref());
        let numbers = |list: &[Notable]| list.iter().map(|notable| notable.result.number).collect::<Vec<_>>();
        prop_assert_eq!(numbers(&one.notables.worse), numbers(&two.notables.better));
        prop_assert_eq!(one.pass_rate.candidate, two.pass_rate.incumbent);
        let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a + b).abs() < 1e-9,
            (a, b) => a == b,
        };
        prop_assert!(close(one.pass_rate.harm, two.pass_rate.harm));
        let both_pass = |verdict: GateVerdict| one.verdict == verdict && two.verdict == verdict;
        prop_assert!(!both_pass(GateVerdict::Fail));
    }
}

/// Fisher and Yates, by a small generator of its own.
fn shuffle(rows: &mut [Row], mut seed: u64) {
    for at in (1..rows.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        rows.swap(at, (seed >> 33) as usize % (at + 1));
    }
}

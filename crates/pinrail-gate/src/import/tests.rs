//! What counts as evidence, and what is refused with which reason.

use super::*;
use crate::verdict::{self, Report};
use pinrail_domain::deployment::GateVerdict;

const PIN: &str = "gpt-4o-2024-08-06";

fn release(of: char) -> ReleaseId {
    ReleaseId(Digest::of(of.to_string().as_bytes()))
}

/// A promptfoo result to question `n`, as many fields changed as given.
fn entry(n: usize, pass: bool, change: Value) -> Value {
    let mut entry = json!({
        "promptIdx": 0, "testIdx": n,
        "testCase": {
            "description": format!("question {n}"), "vars": {"q": n},
            "assert": [{"type": "equals", "value": "42"}],
        },
        "vars": {"q": n},
        "provider": {"id": "openai:gpt-4o", "label": "mine"},
        "response": {"output": "42", "cached": false, "raw": {"model": PIN}, "tokenUsage": {"prompt": 3, "completion": 1}},
        "success": pass, "score": if pass { 1 } else { 0 }, "namedScores": {"tone": 0.5},
        "gradingResult": {"pass": pass, "score": 1, "reason": "said 41", "componentResults":
            [{"pass": pass, "score": 1, "reason": "said 41", "assertion": {"type": "equals"}}]},
        "failureReason": if pass { 0 } else { 1 }, "latencyMs": 12, "cost": 0.001,
        // promptfoo writes a failed assertion's reason here, too.
        "error": if pass { Value::Null } else { json!("said 41") },
    });
    for (path, value) in change.as_object().unwrap() {
        let (parent, key) = path.rsplit_once('/').unwrap();
        entry.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    entry
}

fn promptfoo_file(entries: &[Value]) -> Vec<u8> {
    let results = json!({"version": 3, "timestamp": "2026-11-20T10:00:00.000Z", "prompts": [], "results": entries, "stats": {}});
    serde_json::to_vec(&json!({"evalId": "eval-x", "results": results, "config": {}})).unwrap()
}

fn questions(n: usize, passes: impl Fn(usize) -> bool) -> Vec<Value> {
    (0..n).map(|n| entry(n, passes(n), json!({}))).collect()
}

/// An Inspect sample.
fn sample(n: usize, value: &Value, change: Value) -> Value {
    let mut sample = json!({
        "id": n, "epoch": 1, "input": [{"id": format!("random{n}"), "role": "user", "content": format!("{n}?")}],
        "target": "42",
        "output": {"model": PIN, "completion": "42", "choices": [{"message": {"role": "assistant", "content": "42"}, "stop_reason": "stop"}],
            "usage": {"input_tokens": 3, "output_tokens": 1}, "time": 0.5},
        "scores": {"match": {"value": value, "explanation": "said 41"}}, "error": null, "limit": null,
    });
    for (path, value) in change.as_object().unwrap() {
        let (parent, key) = path.rsplit_once('/').unwrap();
        sample.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    sample
}

fn inspect_file(status: &str, samples: &[Value]) -> Vec<u8> {
    let eval =
        json!({"task": "t", "model": "openai/gpt-4o", "created": "2026-11-20T10:00:00+00:00", "dataset": {}});
    serde_json::to_vec(&json!({"version": 2, "status": status, "eval": eval, "samples": samples})).unwrap()
}

type Importer = fn(&Wish<'_>) -> Result<Imported, ImportFailed>;

#[derive(Default, Clone, Copy)]
struct Asked<'a> {
    labels: Option<(&'a str, &'a str)>,
    into: Option<&'a Held>,
    pass_at: Option<f64>,
    scorer: Option<&'a str>,
    stale: bool,
}

fn imported(
    how: Importer,
    candidate: &[u8],
    incumbent: &[u8],
    asked: Asked<'_>,
) -> Result<Imported, ImportFailed> {
    let is_pin = |served: &str| served == PIN;
    let from = |of: char, document, label| ArmFrom { release: release(of), document, label, is_pin: &is_pin };
    how(&Wish {
        candidate: from('c', candidate, asked.labels.map(|labels| labels.0)),
        incumbent: Some(from('i', incumbent, asked.labels.map(|labels| labels.1))),
        suite: asked.into.map_or(Fit::Own { name: "imported", kind: SuiteKind::Success }, Fit::Into),
        pass_at: asked.pass_at,
        scorer: asked.scorer,
        is_fresh: &|when| !asked.stale && when.starts_with("2026-11-20"),
        at: Timestamp(5),
    })
}

fn judged(imported: &Imported) -> Report {
    let held = std::slice::from_ref(&imported.held);
    verdict::judge(held, &imported.rows, release('c'), Some(release('i')), 0.05)
}

fn reasons(imported: &Imported) -> Vec<(Arm, String, u64)> {
    imported.refused.iter().map(|refused| (refused.arm, refused.why.clone(), refused.answers)).collect()
}

#[test]
fn promptfoo_results_pair_by_content() {
    let candidate = promptfoo_file(&questions(100, |_| true));
    let mut other = questions(100, |_| true);
    // Another order and other places: neither says anything.
    other.reverse();
    other.iter_mut().for_each(|entry| entry["testIdx"] = json!(7));
    let incumbent = promptfoo_file(&other);
    let imported = imported(promptfoo::import, &candidate, &incumbent, Asked::default()).unwrap();
    let report = judged(&imported);
    assert_eq!(report.verdict, GateVerdict::Pass, "{}", report.why);
    assert_eq!(report.suites[0].counts.compared, 100);
    assert_eq!(report.served, [PIN]);
    assert_eq!(reasons(&imported), []);
    let row = &imported.rows[0];
    assert_eq!((row.answers[0].cost_nano_usd, row.answers[0].latency_ms), (Some(1_000_000), 12.0));
}

#[test]
fn promptfoo_rows_that_must_not_count_say_why() {
    let check = |change: Value, expected: &str| {
        let mut entries = questions(100, |_| true);
        entries[3] = entry(3, true, change);
        let (candidate, incumbent) = (promptfoo_file(&entries), promptfoo_file(&questions(100, |_| true)));
        let imported = imported(promptfoo::import, &candidate, &incumbent, Asked::default()).unwrap();
        let found = &imported.refused[0];
        assert!(found.why.contains(expected), "{:?}", imported.refused);
        assert_eq!((found.arm, found.answers, found.which.len()), (Arm::Candidate, 1, 1));
        let counts = judged(&imported).suites[0].counts.clone();
        assert!(counts.compared <= 99, "{counts:?}");
    };
    check(json!({"/response/cached": true}), "cached");
    check(json!({"/response/tokenUsage": {"cached": 20}}), "cached");
    check(json!({"/failureReason": 2, "/error": "API error: 429"}), "API error: 429");
    check(json!({"/failureReason": 2, "/response": null}), "an error that says nothing");
    check(json!({"/response/raw": {"model": "gpt-4o-mini"}}), "gpt-4o-mini answered");
    check(json!({"/response/raw": "{\"model\": \"gpt-3.5\"}"}), "gpt-3.5 answered");
    check(json!({"/response/raw": null, "/response/metadata": {"model": "gpt-4.1"}}), "gpt-4.1 answered");
    check(json!({"/response": null}), "no answer");
    check(json!({"/testCase/assert": [], "/gradingResult": null}), "nothing judged it");
    check(json!({"/score": 7}), "between 0 and 1");
    check(json!({"/score": null}), "no score");
    check(json!({"/testCase/vars": {"q": 9_007_199_254_740_993_u64}}), "can't be told from others");
    check(json!({"/testCase/vars": {"q": "another"}}), "the other arm has no answer");
}

#[test]
fn a_failed_assertion_is_a_failure_and_no_error() {
    let candidate = promptfoo_file(&questions(100, |n| n >= 40));
    let incumbent = promptfoo_file(&questions(100, |_| true));
    let imported = imported(promptfoo::import, &candidate, &incumbent, Asked::default()).unwrap();
    let report = judged(&imported);
    assert_eq!(report.verdict, GateVerdict::Fail, "{}", report.why);
    assert_eq!(report.suites[0].notables.worse[0].answers[0].failed, ["equals: said 41"]);
    assert_eq!(report.suites[0].counts.candidate.errors, 0);
}

#[test]
fn a_model_that_nothing_names_is_unsaid() {
    let mut entries = questions(100, |_| true);
    entries[0]["response"]["raw"] = Value::Null;
    let imported = imported(
        promptfoo::import,
        &promptfoo_file(&entries),
        &promptfoo_file(&questions(100, |_| true)),
        Asked::default(),
    );
    let report = judged(&imported.unwrap());
    assert_eq!((report.verdict, report.served.len()), (GateVerdict::Pass, 0));
    assert_eq!(report.suites[0].counts.candidate.unsaid, 1);
}

#[test]
fn the_same_content_again_is_a_repeat() {
    let twice: Vec<Value> =
        questions(60, |_| true).into_iter().chain(questions(60, |n| n % 2 == 0)).collect();
    let file = promptfoo_file(&twice);
    let imported = imported(promptfoo::import, &file, &file, Asked::default()).unwrap();
    let report = judged(&imported);
    let suite = &report.suites[0];
    assert_eq!((suite.counts.cases, suite.pass_rate.repeats.least), (60, 2));
    assert_eq!(suite.counts.unstable, 30);
}

#[test]
fn one_file_may_hold_both_arms() {
    let of = |label: &str| {
        let mut entries = questions(60, |_| true);
        entries
            .iter_mut()
            .for_each(|entry| entry["provider"] = json!({"id": format!("openai:{label}"), "label": label}));
        entries
    };
    let file = promptfoo_file(&[of("new"), of("old")].concat());
    let asked = |labels| Asked { labels, ..Asked::default() };
    let both = imported(promptfoo::import, &file, &file, asked(Some(("new", "openai:old")))).unwrap();
    assert_eq!((both.rows.len(), judged(&both).verdict), (120, GateVerdict::Pass));
    let several = imported(promptfoo::import, &file, &file, asked(None)).unwrap_err().to_string();
    assert!(several.contains("new (prompt 0") && several.contains("old (prompt 0"), "{several}");
    let missing =
        imported(promptfoo::import, &file, &file, asked(Some(("new", "older")))).unwrap_err().to_string();
    assert!(missing.contains("incumbent file has no answers of `older`"), "{missing}");
}

#[test]
fn an_imported_suite_is_the_same_whoever_answers() {
    let (all, few) = (questions(60, |_| true), questions(60, |n| n > 30));
    let mut shuffled = few.clone();
    shuffled.rotate_left(17);
    let digest = |candidate: &[Value], incumbent: &[Value]| {
        let (candidate, incumbent) = (promptfoo_file(candidate), promptfoo_file(incumbent));
        imported(promptfoo::import, &candidate, &incumbent, Asked::default()).unwrap().held.pin.digest
    };
    let first = digest(&all, &few);
    assert_eq!(digest(&shuffled, &all), first);
    assert_ne!(digest(&all[1..], &few[1..]), first);
    // And it is found again by the digest that an agent's settings name.
    let file = promptfoo_file(&all);
    let held = imported(promptfoo::import, &file, &file, Asked::default()).unwrap().held;
    let more = promptfoo_file(&questions(70, |_| true));
    let again =
        imported(promptfoo::import, &more, &file, Asked { into: Some(&held), ..Asked::default() }).unwrap();
    assert_eq!(again.rows.len(), 120);
    assert_eq!(
        reasons(&again),
        [(Arm::Candidate, "the suite has no case with these variables and assertions".to_owned(), 10)]
    );
}

#[test]
fn answers_fit_into_a_pinned_suite_by_variables_and_assertions() {
    use crate::suite::{AssertKind, Assertion, Turn};
    let case = |n: usize| Case {
        vars: [("q".to_owned(), json!(n))].into(),
        turns: vec![Turn {
            messages: vec![json!({"role": "user", "content": format!("{n}?")})],
            asserts: vec![],
        }],
        asserts: vec![Assertion { kind: AssertKind::Equals, value: json!("42"), ..Assertion::default() }],
        ..Case::default()
    };
    let suite = Suite {
        pinrail_suite: FORMAT,
        name: "pinned".to_owned(),
        kind: SuiteKind::Regression,
        description: String::new(),
        cases: (0..60).map(case).collect(),
    };
    let pin = SuitePin {
        name: "pinned".to_owned(),
        kind: SuiteKind::Regression,
        digest: suite.digest().unwrap(),
        margin: None,
        better: false,
        floor: None,
        imported: false,
    };
    let held = Held { pin, suite: Arc::new(suite) };
    let asked = Asked { into: Some(&held), ..Asked::default() };
    let file = promptfoo_file(&questions(60, |_| true));
    let fits = imported(promptfoo::import, &file, &file, asked).unwrap();
    assert_eq!((judged(&fits).verdict, fits.rows.len()), (GateVerdict::Pass, 120));
    let mut others = questions(60, |_| true);
    others.iter_mut().for_each(|entry| entry["testCase"]["assert"][0]["value"] = json!("43"));
    let none =
        imported(promptfoo::import, &promptfoo_file(&others), &promptfoo_file(&others), asked).unwrap_err();
    assert!(none.to_string().contains("none of the 120 answers is to a case of suite pinned"), "{none}");
}

#[test]
fn files_that_are_no_evidence_are_refused_whole() {
    let good = promptfoo_file(&questions(2, |_| true));
    let check = |how: Importer, file: &[u8], asked: Asked<'_>, expected: &str| {
        let refused = imported(how, file, file, asked).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    };
    check(promptfoo::import, b"{", Asked::default(), "no JSON of that kind");
    check(promptfoo::import, &promptfoo_file(&[]), Asked::default(), "no answers");
    check(promptfoo::import, &good, Asked { stale: true, ..Asked::default() }, "counts no longer");
    let mut old: Value = serde_json::from_slice(&good).unwrap();
    old["results"]["version"] = json!(2);
    check(promptfoo::import, &serde_json::to_vec(&old).unwrap(), Asked::default(), "version 2");
    old["results"] = json!({"version": 3, "results": []});
    check(promptfoo::import, &serde_json::to_vec(&old).unwrap(), Asked::default(), "when it was made");
    check(inspect::import, b"PK\x03\x04...", Asked::default(), "inspect log dump");
    check(inspect::import, b"nope", Asked::default(), "no JSON of that kind");
    check(inspect::import, &inspect_file("success", &[]), Asked::default(), "no answers");
}

#[test]
fn inspect_logs_pair_by_input_and_target() {
    let value = |n: usize| if n < 2 { json!("I") } else { json!("C") };
    let samples: Vec<Value> = (0..100).map(|n| sample(n, &value(n), json!({}))).collect();
    let mut others: Vec<Value> = (0..100).map(|n| sample(n, &json!("C"), json!({"/id": 5}))).collect();
    others.reverse();
    others.iter_mut().for_each(|sample| sample["input"][0]["id"] = json!("another"));
    let (candidate, incumbent) = (inspect_file("success", &samples), inspect_file("success", &others));
    let imported = imported(inspect::import, &candidate, &incumbent, Asked::default()).unwrap();
    let report = judged(&imported);
    let counts = &report.suites[0].counts;
    assert_eq!(
        (counts.compared, counts.worse, report.served.as_slice()),
        (100, 2, [PIN.to_owned()].as_slice())
    );
    assert_eq!(imported.rows[0].answers[0].latency_ms, 500.0);
}

#[test]
fn inspect_samples_that_must_not_count_say_why() {
    let check = |status: &str, value: Value, change: Value, expected: &str| {
        let candidate = inspect_file(status, &[sample(1, &value, change)]);
        let incumbent = inspect_file("success", &[sample(1, &json!("C"), json!({}))]);
        let imported = imported(inspect::import, &candidate, &incumbent, Asked::default()).unwrap();
        assert!(imported.refused[0].why.contains(expected), "{:?}", imported.refused);
    };
    let none = || json!({});
    check("error", json!("C"), none(), "status is `error`");
    check("success", json!("C"), json!({"/error": {"message": "out of memory"}}), "out of memory");
    check("success", json!("C"), json!({"/output/model": "gpt-9"}), "gpt-9 answered");
    check("success", json!("C"), json!({"/events": [{"event": "model", "cache": "read"}]}), "cached");
    check("success", json!("C"), json!({"/limit": {"type": "operator"}}), "somebody stopped it");
    check("success", json!("C"), json!({"/scores": {}}), "nothing judged it");
    check("success", json!("C"), json!({"/scores/other": {"value": "I"}}), "several scores (match, other)");
    check("success", json!("X"), none(), "none of C, I, P and N");
    check("success", json!(7), none(), "between 0 and 1");
    check("success", json!(0.7), none(), "neither 0 nor 1");
    check("success", json!({"a": 1}), none(), "several numbers");
    check("success", Value::Null, none(), "no score");
}

#[test]
fn inspect_scores_mean_what_inspect_means() {
    let check = |value: Value, pass_at: Option<f64>, expected: (bool, f64)| {
        let file = inspect_file("success", &[sample(1, &value, json!({}))]);
        let asked = Asked { pass_at, scorer: Some("match"), ..Asked::default() };
        let imported = imported(inspect::import, &file, &file, asked).unwrap();
        let Outcome::Scored(score) = &imported.rows[0].outcome else { panic!("{:?}", imported.refused) };
        assert_eq!((score.pass, score.score), expected, "{value}");
    };
    check(json!("C"), None, (true, 1.0));
    check(json!("I"), None, (false, 0.0));
    check(json!("N"), None, (false, 0.0));
    check(json!("P"), None, (false, 0.5));
    check(json!("P"), Some(0.5), (true, 0.5));
    check(json!(true), None, (true, 1.0));
    check(json!(1), None, (true, 1.0));
    check(json!(0.7), Some(0.6), (true, 0.7));
    check(json!(0.5), Some(0.6), (false, 0.5));
}

use proptest::prelude::*;

use super::*;

fn said(text: &str) -> Said {
    Said {
        text: text.to_owned(),
        characters: text.chars().count() as u64,
        finish_reason: Some("stop".to_owned()),
        ..Said::default()
    }
}

fn calling(calls: &[(&str, &str)]) -> Said {
    let called = |(name, arguments): &(&str, &str)| Called {
        name: (*name).to_owned(),
        arguments: (*arguments).to_owned(),
    };
    Said { tool_calls: calls.iter().map(called).collect(), ..said("") }
}

fn divergence(a: &Said, b: &Said) -> f64 {
    compare(RunId(1), 1, a, b).divergence
}

#[test]
fn texts_differ_by_the_words_they_do_not_share() {
    let check = |a: &str, b: &str, expected: f64| {
        let got = divergence(&said(a), &said(b));
        assert!((got - expected).abs() < 1e-9, "{a:?} and {b:?}: {got}, not {expected}");
    };
    check("", "", 0.0);
    check("hello", "", 1.0);
    check("red green", "blue yellow", 1.0);
    check("Your  refund\nis ON its way.", "your refund is on its way.", 0.0);
    check("\u{201c}don\u{2019}t\u{201d} \u{2013} x", "\"don't\" - x", 0.0);
    // Composed and decomposed, full width and half.
    check("caf\u{e9} \u{ff21}", "cafe\u{301} a", 0.0);
    check("a b c d", "a b c e", 0.25);
    check("a b c d", "d c b a", 0.75);
    check("a b c d", "a b", 1.0 / 3.0);
    // Ideographs are words by themselves.
    check("\u{4f60}\u{597d}", "\u{4f60}\u{574f}", 0.5);
}

#[test]
fn tools_differ_by_name_and_arguments() {
    let check = |a: &[(&str, &str)], b: &[(&str, &str)], expected: f64| {
        let got = divergence(&calling(a), &calling(b));
        assert!((got - expected).abs() < 1e-9, "{a:?} and {b:?}: {got}, not {expected}");
    };
    check(&[("look", r#"{"a":1,"b":2.0}"#)], &[("look", r#"{ "b": 2, "a": 1 }"#)], 0.0);
    check(&[("look", "")], &[("look", "{}")], 0.0);
    check(&[("look", "{}")], &[("look", r#"{"a":1}"#)], 0.5);
    check(&[("look", "{}")], &[("refund", "{}")], 1.0);
    check(&[("look", "{")], &[("look", "{ ")], 0.0);
    check(&[("look", "{}"), ("refund", "{}")], &[("refund", "{}"), ("look", "{}")], 0.0);
    check(&[("look", "{}"), ("look", "{}")], &[("look", "{}")], 1.0 / 3.0);
    check(&[("look", "{}")], &[], 1.0);
}

#[test]
fn a_call_weighs_more_than_the_words_around_it() {
    let silent = calling(&[("look", "{}")]);
    let talking = Said { text: "Let me see.".to_owned(), ..silent.clone() };
    assert!((divergence(&silent, &talking) - 0.25).abs() < 1e-9);
    let compared = compare(RunId(7), 2, &silent, &talking);
    assert_eq!(
        (compared.text, compared.tools, compared.live, compared.call),
        (Some(0.0), Some(1.0), RunId(7), 2)
    );
}

#[test]
fn how_it_ends_counts_and_what_it_takes_stands_beside() {
    let answer = Said { last_byte_us: 900, cost_nano_usd: Some(40), ..said("yes") };
    let slow = Said { last_byte_us: 5_000, cost_nano_usd: Some(90), ..answer.clone() };
    let compared = compare(RunId(1), 1, &slow, &answer);
    assert_eq!((compared.divergence, compared.last_byte_us), (0.0, [5_000, 900]));
    assert_eq!((compared.cost_nano_usd, compared.characters), (Some([90, 40]), [3, 3]));
    let unpriced = Said { cost_nano_usd: None, ..answer.clone() };
    assert_eq!(compare(RunId(1), 1, &unpriced, &answer).cost_nano_usd, None);

    let truncated = Said { finish_reason: Some("length".to_owned()), ..answer.clone() };
    let compared = compare(RunId(1), 1, &truncated, &answer);
    assert!((compared.divergence - 0.2).abs() < 1e-9 && compared.finish && !compared.refusal);
    let refusing = Said { refusal: true, ..answer.clone() };
    let compared = compare(RunId(1), 1, &refusing, &answer);
    assert!((compared.divergence - 1.0).abs() < 1e-9 && compared.refusal && !compared.finish);
}

#[test]
fn what_is_too_long_is_compared_as_far_as_it_is_kept_and_says_so() {
    let long = "word ".repeat(WORDS_MAX + 1);
    let compared = compare(RunId(1), 1, &said(&long), &said(&long));
    assert!(compared.cut && compared.divergence == 0.0);
    let cut = Said { cut: true, ..said("a") };
    assert!(compare(RunId(1), 1, &said("a"), &cut).cut && !compare(RunId(1), 1, &said("a"), &said("a")).cut);
}

/// The textbook's table, against which the fast way is checked.
fn slow_common(a: &[String], b: &[String]) -> usize {
    let mut before = vec![0; b.len() + 1];
    for word in a {
        let mut row = vec![0; b.len() + 1];
        for (at, other) in b.iter().enumerate() {
            row[at + 1] = if word == other { before[at] + 1 } else { row[at].max(before[at + 1]) };
        }
        before = row;
    }
    before[b.len()]
}

fn any_said() -> impl Strategy<Value = Said> {
    let call = ("[ab]", prop::sample::select(vec!["{}", r#"{"x":1}"#, r#"{"x":1.0}"#, "{", "", "[1e400]"]));
    let calls = prop::collection::vec(call, 0..4);
    let reason = prop::option::of(prop::sample::select(vec!["stop", "length", "tool_calls"]));
    ("\\PC{0,40}|([ab] ){0,90}", calls, reason, any::<bool>(), any::<bool>()).prop_map(
        |(text, calls, reason, refusal, cut)| {
            let called = |(name, arguments): (String, &str)| Called { name, arguments: arguments.to_owned() };
            let tool_calls = calls.into_iter().map(called).collect();
            Said { tool_calls, finish_reason: reason.map(str::to_owned), refusal, cut, ..said(&text) }
        },
    )
}

proptest! {
    #[test]
    fn it_is_symmetric_and_bounded_and_nothing_differs_from_itself(a in any_said(), b in any_said()) {
        let there = divergence(&a, &b);
        prop_assert!((0.0..=1.0).contains(&there), "{}", there);
        prop_assert!((there - divergence(&b, &a)).abs() < 1e-12);
        prop_assert!(divergence(&a, &a).abs() < 1e-12);
    }

    #[test]
    fn the_fast_way_counts_what_the_slow_one_does(a in "[a-d]{0,200}", b in "[a-d]{0,200}") {
        let words = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let (a, b) = (words(&a), words(&b));
        prop_assert_eq!(common_words(&a, &b), slow_common(&a, &b));
    }
}

use pinrail_domain::id::{DeploymentId, EventSeq};

use super::*;
use crate::runs::tests::{HOSTILE, assert_harmless, journal, run};

fn side(n: u64, said: &str) -> Side {
    let run = run(n);
    let events = journal(&run, said);
    Side { run, events }
}

#[test]
fn differences_are_shown_word_by_word() {
    let (a, mut b) = (side(1, "the quick fox"), side(2, "the quick fox"));
    b.run.stamp.deployment = DeploymentId(4);
    if let Event::Finished { why, .. } = &mut b.events[14].event {
        *why = Some("the slow fox".to_owned());
    }
    b.events.remove(9);
    let html = Compare { a, b }.main(&Shell::of("/runs/x/compare/y")).into_string();
    for expected in [
        "<del>quick</del><ins>slow</ins>",
        "<tr class=\"differs\"><th scope=\"row\">Deployment",
        "only in A",
        "says the same",
        "first byte 400 ms, last 900 ms",
        "Change sides",
    ] {
        assert!(html.contains(expected), "{expected} in {html}");
    }
    assert!(!html.contains("<tr class=\"differs\"><th scope=\"row\">Release"), "{html}");
}

#[test]
fn hostile_and_long_texts_stay_texts() {
    let long = HOSTILE.repeat(200_000 / HOSTILE.len() + 1);
    let mut b = side(2, HOSTILE);
    b.events[9].event = Event::Note { name: HOSTILE.to_owned(), data: serde_json::json!(long) };
    let html = Compare { a: side(1, HOSTILE), b }.main(&Shell::of("/runs/x")).into_string();
    assert_harmless(&html);
    assert!(html.contains("Only the first 15.6 KiB of each text are compared"), "{html}");
}

#[test]
fn runs_that_say_different_things_are_aligned_by_what_happened() {
    let mut b = side(2, "b");
    b.events.retain(|recorded| recorded.seq != EventSeq(3));
    let compare = Compare { a: side(1, "b"), b };
    let rows = compare.rows();
    assert_eq!(
        rows.iter().filter(|row| row.b.is_none()).map(|row| row.title.as_str()).collect::<Vec<_>>(),
        ["model retry 1"]
    );
    assert!(rows.iter().all(|row| row.a.is_some()));
}

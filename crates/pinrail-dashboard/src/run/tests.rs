use pinrail_domain::journal::Event;
use pinrail_domain::key::Tenants;
use pinrail_domain::time::Timestamp;

use super::*;
use crate::runs::tests::{HOSTILE, START, assert_harmless, journal, run, shell_of};

fn page(said: &str) -> RunPage {
    let run = run(1);
    let events = journal(&run, said);
    let read = ReadSeen {
        layer: Layer::Memory,
        space: "memory/support/s-1".to_owned(),
        at: "12.3".to_owned(),
        records: None,
        tainted: vec![DeploymentId(2)],
    };
    let write = WriteSeen {
        layer: Layer::Context,
        space: "context/facts".to_owned(),
        seq: StateSeq(19),
        key: said.chars().filter(|c| !c.is_control()).collect(),
        deleted: true,
        deployment: DeploymentId(3),
    };
    let state = Touched { reads: vec![read], writes: vec![write], cut: true };
    let deployment_state = Some("rolled back".to_owned());
    RunPage { run, deployment_state, events, from: EventSeq(0), next: None, state }
}

#[test]
fn a_run_is_told_event_by_event() {
    let html = page("hello").main(&Shell::of("/runs/x")).into_string();
    for expected in [
        "bucket 12 of 10 000 decided",
        "model call 1, streamed",
        "<span class=\"dim\">first byte after</span> 400 ms",
        "<span class=\"dim\">last byte after</span> 900 ms",
        "1\u{202f}200 (5 cached) in, 34 out",
        "$0.000370",
        "tool hello failed",
        "finished: error",
        "It may be misled.",
        "of rolled back deployment 2",
        "Its deployment was rolled back",
        "/state/space?tenant=acme&amp;space=memory%2Fsupport%2Fs-1",
        "<rect class=\"wait\" x=\"142\"",
        "<rect class=\"work\" x=\"428\"",
        "+1.40 s",
        "+0 ms",
        "<span class=\"dim\">took</span> 100 ms",
    ] {
        assert!(html.contains(expected), "{expected} in {html}");
    }
}

#[test]
fn hostile_texts_stay_texts() {
    assert_harmless(&page(HOSTILE).main(&Shell::of("/runs/x")).into_string());
}

#[test]
fn long_texts_are_folded_and_cut() {
    let long = HOSTILE.repeat(200_000 / HOSTILE.len() + 1);
    let mut page = page("short");
    page.events[9].event = Event::Note { name: "long".to_owned(), data: serde_json::json!(long) };
    let html = page.main(&Shell::of("/runs/x")).into_string();
    assert!(
        html.contains("more characters are in the page's JSON") && html.len() < 1_500_000,
        "{}",
        html.len()
    );
    assert_harmless(&html);
}

#[test]
fn an_open_run_is_followed_and_others_are_not() {
    let mut open = page("hello");
    assert!(!open.is_live());
    open.run.summary.status = pinrail_domain::journal::RunStatus::Running;
    assert!(open.is_live());
    let shell = Shell::of("/runs/x");
    let parts = open.parts(&shell);
    for part in &parts {
        assert!(part.html.as_str().starts_with(&format!("<div id=\"{}\">", part.id)), "{}", part.id);
        assert!(open.main(&shell).as_str().contains(part.html.as_str()));
    }
    open.next = Some(EventSeq(100));
    assert!(!open.is_live(), "what comes is not on this page");
    open.from = EventSeq(50);
    let html = open.main(&shell).into_string();
    assert!(html.contains("?from=100\" rel=\"next\"") && html.contains("?from=0\" rel=\"prev\""), "{html}");
}

#[test]
fn bars_are_within_their_lane() {
    let mut late = page("x");
    late.events.truncate(3);
    late.events[2].at = Timestamp(START);
    let html = late.main(&Shell::of("/runs/x")).into_string();
    for rect in html.split("<rect class=\"").skip(1) {
        let number = |name: &str| {
            let after = rect.split_once(&format!("{name}=\"")).map_or("0", |(_, after)| after);
            after.split('"').next().unwrap().parse::<u64>().unwrap_or(0)
        };
        assert!(number(" x") + number("width") <= 1_000, "{rect}");
    }
}

#[test]
fn a_tenants_key_is_offered_no_page_that_it_may_not_open() {
    let own = Tenants::Only(["acme".parse().unwrap()].into());
    let html = page("hello").main(&shell_of("/runs/x", own)).into_string();
    for page in ["/deployments/", "/releases/", "\"/state/", "/gates/"] {
        assert!(!html.contains(page), "{page} in {html}");
    }
}

#[test]
fn bodies_are_read_as_conversations() {
    let check = |body: &str, expected: Option<&[(&str, &str)]>| {
        let turns = said::turns(body);
        let turns = turns.as_ref().map(|turns| {
            turns.iter().map(|turn| (turn.who.as_str(), turn.text.as_str())).collect::<Vec<_>>()
        });
        assert_eq!(turns.as_deref(), expected, "{body}");
    };
    check(
        r#"{"messages":[{"role":"system","content":"Be kind"},{"role":"user","content":[{"type":"text","text":"Hi"}]}]}"#,
        Some(&[("system", "Be kind"), ("user", "Hi")]),
    );
    check(
        r#"{"system":"Be kind","messages":[{"role":"assistant","content":[{"type":"tool_use","name":"f","input":{"a":1}}]},
            {"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":"12"}]}]}]}"#,
        Some(&[("system", "Be kind"), ("assistant", "→ f {\n  \"a\": 1\n}"), ("tool", "12")]),
    );
    check(r#"{"instructions":"Be kind","input":"Hi"}"#, Some(&[("system", "Be kind"), ("user", "Hi")]));
    check(
        r#"{"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Yes"}]},
            {"type":"function_call","name":"f","arguments":"{\"a\":\"ü\"}"}]}"#,
        Some(&[("assistant", "Yes"), ("assistant", "→ f {\n  \"a\": \"ü\"\n}")]),
    );
    check(r#"{"choices":[{"message":{"content":"Yes"}}]}"#, Some(&[("assistant", "Yes")]));
    check(r#"{"role":"assistant","content":[{"type":"text","text":"Yes"}]}"#, Some(&[("assistant", "Yes")]));
    check(r#"{"error":{"message":"no"}}"#, Some(&[("error", "no")]));
    check(r#"{"messages":[{"role":"user","content":"cut he"#, None);
    check("plain", None);
    check("{}", None);
    check("[1]", None);
}

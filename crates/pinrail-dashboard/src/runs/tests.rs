use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, Epoch, EventSeq, ReleaseId, RunId, SegmentName};
use pinrail_domain::journal::{Body, Ending, Event, FaultOf, ModelResponse, Recorded, Stamp, Summary, Usage};
use pinrail_domain::key::{Scope, Tenants};
use pinrail_domain::routes::Via;
use pinrail_domain::time::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::shell::Who;

/// What hostile texts are made of: markup, quotes, the end of what they stand in, and characters that aren't seen.
pub const HOSTILE: &str = "<script>alert(1)</script></pre></details>\"'><img src=x onerror=alert(2)>\u{202e}txt\u{0}\u{1b}[31m\u{200b}";

pub const START: u64 = 1_799_999_990_000;

/// The `n`th run, finished.
pub fn run(n: u64) -> Run {
    let id = RunId::from_parts(START + n, u128::from(n));
    let stamp = Stamp {
        run: id,
        agent: "support".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        session: Some("s-<1>".parse().unwrap()),
        parent: None,
        attributes: [("plan".to_owned(), HOSTILE.to_owned())].into(),
        single: true,
        shadow: None,
        gate: None,
        deployment: DeploymentId(3),
        release: ReleaseId(Digest::of(b"release")),
        segment: SegmentName::default_segment(),
        epoch: Epoch(7),
        via: Via::Bucket(12),
        provider: "sim".parse().unwrap(),
        snapshot: "sim-1-2026-06-01".to_owned(),
    };
    let mut summary = Summary::planned(Timestamp(START), false);
    let finished = Event::Finished { outcome: Outcome::Error, why: None };
    summary.apply(Timestamp(START + 2_500), &finished).unwrap();
    Run { run: id, stamp, summary }
}

/// A journal in which everybody says the text, in every place where something can be said.
pub fn journal(run: &Run, said: &str) -> Vec<Recorded> {
    let body = |value: Value| Some(Body::Text { text: value.to_string(), truncated: false });
    let asked = json!({"messages": [
        {"role": said, "content": said},
        {"role": "user", "content": [{"type": "text", "text": said}, {"type": said, "url": said}]},
        {"role": "assistant", "tool_calls": [{"function": {"name": said, "arguments": json!({said: said}).to_string()}}]},
    ]});
    let answered = json!({"choices": [{"message": {"role": "assistant", "content": said, "refusal": said}}]});
    let response = ModelResponse {
        call: 1,
        status: 200,
        ending: Ending::Complete,
        served_model: Some(said.to_owned()),
        fingerprint: Some(said.to_owned()),
        finish_reason: Some(said.to_owned()),
        tool_calls: vec![said.to_owned()],
        usage: Some(Usage { input_tokens: 1_200, output_tokens: 34, cached_input_tokens: 5 }),
        cost_nano_usd: Some(370_000),
        first_byte_us: 400_000,
        last_byte_us: 900_000,
        body: body(answered),
        ..ModelResponse::default()
    };
    let why = || said.to_owned();
    let value = || json!({ said: [said, 1] });
    let fault = FaultOf::Provider;
    let events = vec![
        Event::Plan { stamp: Box::new(run.stamp.clone()), queued: true },
        Event::Started,
        Event::ModelRequest { call: 1, stream: true, dropped: vec![why()], body: body(asked) },
        Event::ModelRetry { call: 1, attempt: 1, why: why() },
        Event::ModelResponse(Box::new(response)),
        Event::ModelFailed { call: 2, fault, code: why(), why: why() },
        Event::Drift { call: 1, pinned: why(), served: why(), provider: None },
        Event::ToolCall { name: why(), id: Some(why()), arguments: value() },
        Event::ToolResult { name: why(), id: Some(why()), error: true, result: value() },
        Event::Note { name: why(), data: value() },
        Event::Score { name: why(), value: 0.5, comment: Some(why()) },
        Event::Paused { why: why() },
        Event::Resumed,
        Event::Parked { why: why() },
        Event::Finished { outcome: Outcome::Error, why: Some(why()) },
    ];
    let at = |place: u64| Timestamp(START + place * 100);
    (0..).zip(events).map(|(n, event)| Recorded { seq: EventSeq(n), at: at(n), event }).collect()
}

/// Fails where a text of the fixtures could be anything else than text.
pub fn assert_harmless(html: &str) {
    for bad in ["<script", "<img", "onerror=alert(2)>", "</pre></details>&", "style=\""] {
        assert!(!html.contains(bad), "{bad} in {html}");
    }
    let controls = html.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t');
    assert_eq!(controls, None);
    assert!(!html.contains(['\u{202e}', '\u{200b}']), "{html}");
    for (open, close) in
        [("<pre", "</pre>"), ("<details", "</details>"), ("<li", "</li>"), ("<div", "</div>")]
    {
        assert_eq!(html.matches(open).count(), html.matches(close).count(), "{open}");
    }
}

/// A shell of a key with these tenants.
pub fn shell_of(address: &str, tenants: Tenants) -> Shell {
    let who = Who::Key { name: "k".to_owned(), scopes: vec![Scope::Read], tenants };
    Shell { who, ..Shell::of(address) }
}

fn page(asked: Asked) -> Runs {
    let scores = [(HOSTILE.to_owned(), 0.25)].into();
    Runs { asked, items: vec![Row { run: run(1), scores }], ..Runs::default() }
}

#[test]
fn a_list_says_what_each_run_came_to() {
    let html = page(Asked::default()).main(&Shell::of("/runs")).into_string();
    for expected in ["2.50 s", ">error<", "10 s ago", "/deployments/3", "s-&lt;1&gt;", "form=\"compare\""] {
        assert!(html.contains(expected), "{expected} in {html}");
    }
    assert_harmless(&html);
}

#[test]
fn every_search_has_an_address_and_its_form_says_what_was_asked() {
    let asked = Asked {
        text: Some(HOSTILE.to_owned()),
        outcome: Some("error".to_owned()),
        session: Some("a&b=c".to_owned()),
        ..Asked::default()
    };
    let address = asked.address(Some("run_1"));
    assert!(address.ends_with("&session=a%26b%3Dc&outcome=error&before=run_1"), "{address}");
    let mut found = page(asked);
    found.next = Some("run_1".to_owned());
    found.searched = Some(Searched { runs: 5_000, back_to: Some(Timestamp(START)), in_part: 1 });
    let html = found.main(&Shell::of("/runs")).into_string();
    for expected in
        ["5\u{202f}000 runs", "Look further back", "<option selected>error</option>", "of 1 run only"]
    {
        assert!(html.contains(expected), "{expected} in {html}");
    }
    assert!(!html.contains("<script"), "{html}");
    assert!(!found.is_live() && page(Asked::default()).is_live());
    let empty = Runs::default().main(&Shell::of("/runs")).into_string();
    assert!(empty.contains("pinrail run create"), "{empty}");
}

#[test]
fn a_tenants_key_is_offered_no_page_that_it_may_not_open() {
    let html =
        page(Asked::default()).main(&shell_of("/runs", Tenants::Only(["acme".parse().unwrap()].into())));
    let html = html.into_string();
    assert!(html.contains("/runs/run_"), "{html}");
    for page in ["/deployments/", "/releases/", "/state/"] {
        assert!(!html.contains(page), "{page} in {html}");
    }
}

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::journal::{Body, FaultOf, ModelResponse, Outcome};

fn found(text: &str, event: &Event) -> bool {
    text.parse::<Needle>().unwrap().is_in_event(event)
}

fn request(body: &str) -> Event {
    let body = Body::Text { text: body.to_owned(), truncated: false };
    Event::ModelRequest { call: 1, stream: false, dropped: vec![], body: Some(body) }
}

#[test]
fn texts_are_compared_as_people_read_them() {
    let check = |needle: &str, text: &str, expected: bool| {
        assert_eq!(needle.parse::<Needle>().unwrap().is_in_text(text), expected, "{needle:?} in {text:?}");
    };
    check("refund", "Please REFUND me", true);
    check("  refund ", "refund", true);
    check("refunds", "refund", false);
    check("über", "ÜBER alles", true);
    check("ÜBER", "u\u{308}ber", true); // decomposed, as some systems write it
    check("e\u{301}", "É", true);
    check("STRASSE", "Straße", false);
    check("ΣΟΦΟΣ", "σοφος", true);
    check("σοφος", "σοφοσ", true);
    check("two words", "two\n\t words", true);
    check("two words", "two\u{a0}words", true);
    check("twowords", "two words", false);
    check("\"", "he said \"no\"", true);
    check("日本", "日本語", true);
    check("👩‍🚒", "a 👩‍🚒!", true);
}

#[test]
fn a_needle_has_bounds() {
    assert_eq!("".parse::<Needle>(), Err(BadNeedle::Empty));
    assert_eq!(" \n ".parse::<Needle>(), Err(BadNeedle::Empty));
    assert!("x".repeat(NEEDLE_BYTES_MAX).parse::<Needle>().is_ok());
    assert_eq!("x".repeat(NEEDLE_BYTES_MAX + 1).parse::<Needle>(), Err(BadNeedle::TooLong));
    assert_eq!(" Ü x ".parse::<Needle>().unwrap().to_string(), "Ü x");
}

#[test]
fn bodies_are_read_without_their_structure() {
    let tools = json!([{"type": "function", "function": {"name": "wipe", "description": "erases a disk"}}]);
    let call = json!({"id": "call_9", "type": "function",
        "function": {"name": "issue_refund", "arguments": "{\"order_id\": \"A\\u00fc-7\", \"cents\": 4200}"}});
    let event = request(
        &json!({"model": "support", "temperature": 0.25, "messages": [
            {"role": "system", "content": "Be \"kind\".\nAlways."},
            {"role": "user", "content": [{"type": "text", "text": "grüß\tGott"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJDZGVm"}}]},
            {"role": "assistant", "content": null, "tool_calls": [call]},
        ], "tools": tools})
        .to_string(),
    );
    let anthropic = request(
        r#"{"messages":[{"role":"user","content":"\u00fcber \ud83d\ude80 100"},
            {"role":"assistant","content":[{"type":"tool_use","name":"look_up","input":{"shelf":{"number":12},"type":"deep"}}]}],
            "tools":[{"name":"wipe","input_schema":{}}],"max_tokens":77}"#,
    );
    for yes in [
        "be \"kind\".",
        "kind\". always",
        "GRÜSS",
        "grüß gott",
        "issue_refund",
        "order_id",
        "aü-7",
        "4200",
        "call_9",
    ] {
        assert_eq!(found(yes, &event), yes != "GRÜSS", "{yes}");
    }
    for no in [
        "\\n",
        "\\u",
        "nalways",
        "assistant",
        "content",
        "wipe",
        "erases a disk",
        "QUJD",
        "0.25",
        "function",
        "support",
    ] {
        assert!(!found(no, &event), "{no}");
    }
    for yes in ["über 🚀 100", "look_up", "shelf", "12", "deep"] {
        assert!(found(yes, &anthropic), "{yes}");
    }
    for no in ["tool_use", "77", "wipe", "fcber", "ud83d"] {
        assert!(!found(no, &anthropic), "{no}");
    }
}

#[test]
fn every_text_of_an_event_is_looked_at() {
    let check = |event: Event, yes: &[&str], no: &[&str]| {
        yes.iter().for_each(|yes| assert!(found(yes, &event), "{yes} in {event:?}"));
        no.iter().for_each(|no| assert!(!found(no, &event), "{no} in {event:?}"));
    };
    let tool =
        |name: &str, arguments| Event::ToolCall { name: name.into(), id: Some("c1".into()), arguments };
    check(
        tool("mail", json!({"to": ["Ada \"A\" L"], "n": 12.5, "why": "{\"deep\":\"\\\"x\\\"\"}"})),
        &["MAIL", "c1", "to", "ada \"a\" l", "12.5", "deep", "\"x\""],
        &["null", "[", "\\\"a"],
    );
    let result = Event::ToolResult { name: "mail".into(), id: None, error: true, result: json!("no\nroute") };
    check(result, &["no route", "mail"], &["true", "noroute"]);
    let failed = |why: &str| Event::ModelFailed {
        call: 1,
        fault: FaultOf::Provider,
        code: "busy".into(),
        why: why.into(),
    };
    check(failed("503: come back"), &["busy", "come back"], &["provider"]);
    check(Event::Note { name: "plan".into(), data: json!([{"k": "v"}]) }, &["plan", "k", "v"], &["note"]);
    let score = Event::Score { name: "helpful".into(), value: 0.5, comment: Some("too long".into()) };
    check(score, &["helpful", "too long"], &["0.5"]);
    check(Event::Paused { why: "lunch".into() }, &["lunch"], &["paused"]);
    let end = Event::Finished { outcome: Outcome::Error, why: Some("gave up".into()) };
    check(end, &["gave up"], &["error"]);
    let body =
        Body::Text { text: "{\"choices\":[{\"message\":{\"content\":\"cut he".into(), truncated: true };
    let answer =
        ModelResponse { body: Some(body), tool_calls: vec!["mail".into()], ..ModelResponse::default() };
    check(Event::ModelResponse(Box::new(answer)), &["cut he", "mail"], &["choices", "cut here"]);
    check(request("plain <b>text</b>"), &["plain <B>"], &[]);
    check(request("{\"content\": \"half \\u00"), &["half"], &["u00"]);
}

proptest! {
    /// Whatever stands in a body, and however a client writes it, is found as it is read.
    #[test]
    fn what_was_said_is_found(said in "\\PC{1,40}", inner in any::<bool>(), ascii in any::<bool>()) {
        prop_assume!(!said.trim().is_empty());
        let content = if inner { json!({"a": [said]}).to_string() } else { said.clone() };
        let mut body = json!({"messages": [{"role": "user", "content": content}]}).to_string();
        if ascii {
            body = body.chars().flat_map(|c| {
                let mut units = [0; 2];
                let escaped = |units: &[u16]| units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
                let text = if c.is_ascii() { c.to_string() } else { escaped(c.encode_utf16(&mut units)) };
                text.chars().collect::<Vec<_>>()
            }).collect();
        }
        prop_assert!(found(&said, &request(&body)));
    }

    /// However a body is cut, reading it ends.
    #[test]
    fn any_text_can_be_read(body in "[{\\[\"\\\\:,u0-9a-f ]{0,60}") {
        found("zzz", &request(&format!("{{{body}")));
    }

    /// Folding ASCII by bytes is folding it by characters.
    #[test]
    fn ascii_folds_alike(text in "[ -~\t\n\u{b}\u{c}]{0,40}") {
        let (mut fast, mut slow) = (String::new(), String::new());
        fold(&text, &mut fast);
        fold(&format!("{text}é"), &mut slow);
        prop_assert_eq!(format!("{fast}é"), slow);
    }
}

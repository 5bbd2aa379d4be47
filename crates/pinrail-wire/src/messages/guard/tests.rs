use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::messages::canned::write_event;
use crate::{Called, Ending, Limits, Rule, Verdict};

macro_rules! stream {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/messages/stream_", $name, ".txt")).as_slice()
    };
}

/// `get_*` passes, `refund*` is asked about, `rm*` is dropped.
fn rule(name: &str) -> Rule {
    match name {
        name if name.starts_with("refund") => Rule::Ask,
        name if name.starts_with("rm") => Rule::Drop(format!("`{name}` is off.")),
        _ => Rule::Pass,
    }
}

fn ask_all(_: &str) -> Rule {
    Rule::Ask
}

/// Feeds a stream in pieces of this length, answering every question with `verdict`.
fn play(rule: fn(&str) -> Rule, stream: &[u8], step: usize, verdict: &Verdict) -> Played {
    let mut guard = StreamGuard::new(1 << 16, Box::new(rule));
    let (mut out, mut asked) = (Vec::new(), Vec::new());
    for chunk in stream.chunks(step) {
        out.extend_from_slice(&guard.feed(chunk).unwrap());
        while let Some(calls) = guard.asking() {
            asked.extend_from_slice(calls);
            let verdicts = calls.iter().map(|_| verdict.clone()).collect();
            out.extend_from_slice(&guard.answer(verdicts));
        }
    }
    out.extend_from_slice(&guard.finish());
    Played { out, asked, dropped: guard.dropped() }
}

struct Played {
    out: Vec<u8>,
    asked: Vec<Called>,
    dropped: Vec<Called>,
}

/// What a client makes of a stream: its blocks and its stop reason. It takes nothing but blocks counted from 0 that
/// begin, grow and end one after the other.
fn client(bytes: &[u8]) -> (Vec<Value>, Value) {
    let (mut blocks, mut stop, mut open) = (Vec::<Value>::new(), Value::Null, false);
    let mut splitter = crate::sse::Splitter::new(1 << 16);
    let each = |event: crate::sse::Event<'_>| {
        let Some(data) = event.data else { return };
        if data.as_ref() == b"[DONE]" {
            return;
        }
        let data: Value = serde_json::from_slice(&data).unwrap();
        assert_eq!(data["type"].as_str().unwrap().as_bytes(), event.name.unwrap());
        let last = blocks.len().checked_sub(1);
        let is_last = last.is_some_and(|last| data["index"] == last);
        match data["type"].as_str().unwrap() {
            "content_block_start" => {
                assert!(!open && data["index"] == blocks.len(), "{data} after {last:?}");
                open = true;
                blocks.push(data["content_block"].clone());
            }
            "content_block_delta" => {
                assert!(open && is_last, "{data}");
                let (block, delta) = (blocks.last_mut().unwrap(), &data["delta"]);
                for (key, piece) in [("text", "text"), ("thinking", "thinking"), ("json", "partial_json")] {
                    if let Some(piece) = delta[piece].as_str() {
                        block[key] = json!(format!("{}{piece}", block[key].as_str().unwrap_or_default()));
                    }
                }
            }
            "content_block_stop" => {
                assert!(open && is_last, "{data}");
                open = false;
            }
            "message_delta" => stop = data["delta"]["stop_reason"].clone(),
            _ => {}
        }
    };
    splitter.feed(bytes, each).unwrap();
    (blocks, stop)
}

/// The blocks in short: a text's text, a call's name and arguments, another's type.
fn short(blocks: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |block: &Value| match block["type"].as_str().unwrap() {
        "text" => text(&block["text"]),
        "tool_use" => format!("{}({})", text(&block["name"]), text(&block["json"])),
        other => other.to_owned(),
    };
    blocks.iter().map(one).collect()
}

/// Writes the events of these blocks, and how the answer ends.
fn stream(blocks: &[Value], stop_reason: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_event(&mut out, &json!({ "type": "message_start", "message": { "id": "m", "content": [] } }));
    for (index, block) in blocks.iter().enumerate() {
        let (start, deltas) = match block["type"].as_str().unwrap() {
            "text" => (
                json!({ "type": "text", "text": "" }),
                json!({ "type": "text_delta", "text": block["text"] }),
            ),
            "tool_use" => {
                let start =
                    json!({ "type": "tool_use", "id": block["name"], "name": block["name"], "input": {} });
                (start, json!({ "type": "input_json_delta", "partial_json": block["json"] }))
            }
            _ => (block.clone(), json!({ "type": "signature_delta", "signature": "s" })),
        };
        write_event(
            &mut out,
            &json!({ "type": "content_block_start", "index": index, "content_block": start }),
        );
        write_event(&mut out, &json!({ "type": "ping" }));
        write_event(&mut out, &json!({ "type": "content_block_delta", "index": index, "delta": deltas }));
        write_event(&mut out, &json!({ "type": "content_block_stop", "index": index }));
    }
    let delta = json!({ "stop_reason": stop_reason, "stop_sequence": null });
    write_event(
        &mut out,
        &json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 5 } }),
    );
    write_event(&mut out, &json!({ "type": "message_stop" }));
    out
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn call(name: &str, json: &str) -> Value {
    json!({ "type": "tool_use", "name": name, "json": json })
}

#[test]
fn what_calls_nothing_that_is_held_passes_byte_for_byte() {
    let all =
        [stream!("text"), stream!("tools"), stream!("thinking"), stream!("web_search"), stream!("error")];
    for stream in all {
        let stream = [b": keep\r\n\r\n", stream].concat();
        for step in [1, 7, 99_999] {
            let played = play(rule, &stream, step, &Err("no".to_owned()));
            assert_eq!(String::from_utf8_lossy(&played.out), String::from_utf8_lossy(&stream));
            assert_eq!((played.asked, played.dropped), (vec![], vec![]));
        }
    }
}

#[test]
fn calls_that_were_asked_about_come_as_they_were() {
    for step in [1, 7, 99_999] {
        let played = play(ask_all, stream!("tools"), step, &Ok(()));
        assert_eq!(played.out, stream!("tools"));
        let asked: Vec<_> = played.asked.iter().map(|c| (&*c.id, &*c.name, &*c.arguments)).collect();
        let weather = ("toolu_01A", "get_weather", r#"{"city": "Oslo"}"#);
        assert_eq!(asked, [weather, ("toolu_01B", "get_time", "{}")]);
    }
}

#[test]
fn calls_pass_or_go_however_the_stream_is_cut() {
    let blocks = [
        text("let me"),
        call("rm", "{\"p\":1}"),
        call("get_a", "{}"),
        call("refund", "{\"a\":1}"),
        json!({ "type": "thinking", "thinking": "", "signature": "" }),
        call("rm_2", "{}"),
        call("get_b", "{\"b\":2}"),
    ];
    let whole = stream(&blocks, "tool_use");
    for step in [1, 3, 50, 99_999] {
        let played = play(rule, &whole, step, &Ok(()));
        let asked: Vec<_> = played.asked.iter().map(|c| (&*c.name, &*c.arguments)).collect();
        assert_eq!(asked, [("refund", "{\"a\":1}")]);
        let dropped: Vec<_> = played.dropped.iter().map(|c| (&*c.name, &*c.arguments)).collect();
        assert_eq!(dropped, [("rm", "{\"p\":1}"), ("rm_2", "{}")]);
        let (blocks, stop) = client(&played.out);
        let told = "`rm` is off.\n\n`rm_2` is off.";
        assert_eq!(
            short(&blocks),
            ["let me", "get_a({})", "refund({\"a\":1})", "thinking", "get_b({\"b\":2})", told]
        );
        assert_eq!(stop, "tool_use");
        assert!(played.out.ends_with(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));

        let (blocks, stop) = client(&play(rule, &whole, step, &Err("ask again".to_owned())).out);
        let told = "`rm` is off.\n\n`rm_2` is off.\n\nask again";
        assert_eq!(short(&blocks), ["let me", "get_a({})", "thinking", "get_b({\"b\":2})", told]);
        assert_eq!(stop, "tool_use");
    }
}

#[test]
fn an_answer_without_calls_left_ends_its_turn() {
    let check = |stop_reason: &str, want: &str| {
        let whole = stream(&[call("rm", "{}"), call("refund", "{}")], stop_reason);
        let out = play(rule, &whole, 11, &Err(String::new())).out;
        let (blocks, stop) = client(&out);
        assert_eq!((short(&blocks), stop), (vec!["`rm` is off.".to_owned()], json!(want)));
        assert!(!String::from_utf8(out).unwrap().contains("\"name\""));
    };
    check("tool_use", "end_turn");
    check("max_tokens", "max_tokens");
}

#[test]
fn what_is_not_edited_in_an_edited_event_stays_as_it_was() {
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"rm"}}"#;
    let more = r#"{ "x":1.0, "index" : 1,"type":"content_block_start","content_block":{"type":"text", "text":"\u00e9"}}"#;
    let end = r#"{"usage":{"output_tokens":1e0},"delta":{"a": [ ],"stop_reason":"tool_use"},"type":"message_delta"}"#;
    let whole = format!("data: {start}\n\nevent: content_block_start\ndata: {more}\n\ndata: {end}\n\n");
    let out = String::from_utf8(play(rule, whole.as_bytes(), 9, &Ok(())).out).unwrap();
    let more = r#"{"x":1.0,"index":0,"type":"content_block_start","content_block":{"type":"text", "text":"\u00e9"}}"#;
    let end = r#"{"usage":{"output_tokens":1e0},"delta":{"a":[ ],"stop_reason":"end_turn"},"type":"message_delta"}"#;
    assert!(out.starts_with(&format!("event: content_block_start\ndata: {more}\n\n")), "{out}");
    assert!(out.ends_with(&format!("data: {end}\n\n")), "{out}");
    // Data of several lines is of several lines still.
    let more = "data: {\"type\":\"content_block_start\",\"index\":1,\ndata: \"content_block\":{\"type\":\"text\",\ndata: \"text\":\"\"}}\n\n";
    let out = play(rule, format!("data: {start}\n\n{more}").as_bytes(), 9, &Ok(())).out;
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("\"index\":0") && out.contains("\ndata: \"text\":\"\"}}\n\n"), "{out}");
}

#[test]
fn keep_alives_do_not_wait() {
    let whole = stream(&[call("refund", "{}")], "tool_use");
    let mut guard = StreamGuard::new(1 << 16, Box::new(rule));
    let out = guard.feed(&whole).unwrap();
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert!(
        text.ends_with("event: ping\ndata: {\"type\":\"ping\"}\n\n") && !text.contains("refund"),
        "{text}"
    );
    assert_eq!(guard.asking().unwrap()[0].name, "refund");
    for alive in ["event: ping\ndata: {\"type\": \"ping\"}\n\n", ": here\n\n"] {
        assert_eq!(guard.feed(alive.as_bytes()).unwrap(), alive);
    }
    let out = guard.answer(vec![Ok(())]);
    assert!(out.ends_with(b"data: {\"type\":\"message_stop\"}\n\n") && guard.asking().is_none());
    assert_eq!(guard.answer(vec![]), Bytes::new());
}

#[test]
fn what_is_held_has_an_end() {
    let mut guard = StreamGuard::new(1 << 20, Box::new(rule));
    let mut whole = stream(&[call("refund", "{}")], "tool_use");
    whole.truncate(memchr::memmem::find(&whole, b"event: message_delta").unwrap());
    guard.feed(&whole).unwrap();
    let more = format!("data: {{\"type\":\"x\",\"y\":\"{}\"}}\n\n", "z".repeat(1 << 19));
    let fed = (0..200).find(|_| guard.feed(more.as_bytes()).is_err());
    assert!(fed.is_some_and(|fed| (60..70).contains(&fed)), "{fed:?}");
}

#[test]
fn half_a_call_that_was_held_never_comes() {
    let whole = stream(&[text("hm"), call("refund", "{\"a\":1}"), text("behind")], "tool_use");
    let cut = memchr::memmem::find(&whole, b"event: message_delta").unwrap();
    let played = play(rule, &whole[..cut], 20, &Ok(()));
    assert_eq!(
        (short(&client(&played.out).0), played.asked),
        (vec!["hm".to_owned(), "behind".to_owned()], vec![])
    );
    // An error of the provider is told, and nothing that was to be asked about.
    let error = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"m\"}}\n\n";
    let played = play(rule, &[&whole[..cut], error].concat(), 20, &Ok(()));
    assert!(played.out.ends_with(error) && played.asked.is_empty());
    assert!(!String::from_utf8(played.out).unwrap().contains("refund"));
    // A provider that forgets why it stopped, or to stop.
    for ending in ["event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", "data: [DONE]\n\n"] {
        let played = play(rule, &[&whole[..cut], ending.as_bytes()].concat(), 20, &Err("no".to_owned()));
        assert_eq!(short(&client(&played.out).0), ["hm", "behind", "no"]);
        assert!(played.asked.len() == 1 && played.out.ends_with(ending.as_bytes()));
    }
    // The last event lacks its blank line.
    let played = play(rule, whole.trim_ascii_end(), 20, &Err("no".to_owned()));
    assert_eq!(short(&client(&played.out).0), ["hm", "behind", "no"]);
}

#[test]
fn whole_answers_lose_the_calls_that_do_not_pass() {
    let one = |name: &str| {
        format!(r#"{{"type":"tool_use","id":"{name}", "name":"{name}","input":{{ "a" : 1.0}}}}"#)
    };
    let thinking = r#"{"signature":"s+/=","type":"thinking", "thinking":"\u00e9"}"#;
    let server = r#"{"type":"server_tool_use","id":"s","name":"rm","input":{}}"#;
    let answer = |blocks: &[&str], stop: &str| {
        let blocks = blocks.join(",");
        format!(r#"{{"id":"m","content":[{blocks}],"stop_reason":"{stop}","usage":{{"output_tokens":5.0}}}}"#)
    };
    let without = |answer: &str| {
        let calls = Calls::of(answer.as_bytes()).unwrap();
        let verdict = |called: &Called| match rule(&called.name) {
            Rule::Pass => Ok(()),
            Rule::Ask => Err("ask".to_owned()),
            Rule::Drop(told) => Err(told),
        };
        assert!(calls.iter().all(|called| called.id == called.name && called.arguments == r#"{ "a" : 1.0}"#));
        let verdicts: Vec<Verdict> = calls.iter().map(verdict).collect();
        calls.without(&verdicts).map(|body| String::from_utf8(body).unwrap())
    };
    let (rm, get, refund) = (one("rm"), one("get_a"), one("refund"));
    assert!(Calls::of(answer(&[thinking, server], "end_turn").as_bytes()).is_none());
    assert!(Calls::of(b"{\"tool_use\":1}").is_none());
    assert_eq!(without(&answer(&[thinking, &get], "tool_use")), None);
    assert_eq!(
        without(&answer(&[thinking, server, &rm, &get], "tool_use")).unwrap(),
        answer(&[thinking, server, &get, r#"{"text":"`rm` is off.","type":"text"}"#], "tool_use")
    );
    let told = r#"{"text":"`rm` is off.\n\nask","type":"text"}"#;
    assert_eq!(without(&answer(&[&rm, &refund], "tool_use")).unwrap(), answer(&[told], "end_turn"));
    assert_eq!(without(&answer(&[&rm, &refund], "max_tokens")).unwrap(), answer(&[told], "max_tokens"));
}

fn any_block() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-zé\"]{0,6}".prop_map(|said| text(&said)),
        Just(json!({ "type": "thinking", "thinking": "", "signature": "" })),
        Just(json!({ "type": "server_tool_use", "id": "s", "name": "rm", "input": {} })),
        ("(get_a|refund|rm)", "[{}\"a-z]{1,6}").prop_map(|(name, json)| call(&name, &json)),
    ]
}

proptest! {
    #[test]
    fn a_stream_that_is_guarded_is_a_stream(
        blocks in prop::collection::vec(any_block(), 0..7),
        refused: bool,
        step in 1_usize..300,
    ) {
        let is = |block: &Value, name: &str| block["type"] == "tool_use" && block["name"] == name;
        let whole = stream(&blocks, "tool_use");
        let verdict = if refused { Err("no".to_owned()) } else { Ok(()) };
        let played = play(rule, &whole, step, &verdict);
        let (got, stop) = client(&played.out);
        let gone = |block: &Value| is(block, "rm") || refused && is(block, "refund");
        let mut want = client(&stream(&blocks.iter().filter(|block| !gone(block)).cloned().collect::<Vec<_>>(), "")).0;
        let dropped = blocks.iter().filter(|block| is(block, "rm")).map(|_| "`rm` is off.");
        let asked = blocks.iter().filter(|block| is(block, "refund")).map(|_| "no").filter(|_| refused);
        let told: Vec<&str> = dropped.chain(asked).collect();
        if told.is_empty() {
            // Without drops nothing is another, but for keep-alives that came before what was held.
            let without_pings = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace("event: ping\ndata: {\"type\":\"ping\"}\n\n", "");
            prop_assert_eq!(without_pings(&played.out), without_pings(&whole));
            if played.asked.is_empty() {
                prop_assert_eq!(&played.out, &whole);
            }
        } else {
            want.push(text(&told.join("\n\n")));
        }
        let calls_left = got.iter().any(|block| block["type"] == "tool_use");
        prop_assert_eq!(stop, if calls_left || told.is_empty() { "tool_use" } else { "end_turn" });
        prop_assert_eq!(got, want);
        let limits = Limits { event_bytes_max: 1 << 16, text_bytes_max: 0 };
        let mut observer = crate::messages::StreamObserver::new(limits);
        observer.feed(Bytes::from(played.out)).unwrap();
        prop_assert_eq!(observer.finish().ending, Ending::Done);
    }
}

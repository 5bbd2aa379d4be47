use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::responses::tests::{any_answer, run, streamed};

/// `look` passes, `refund` is asked about, `rm` and what has no name are dropped.
fn rule(name: &str) -> Rule {
    match name {
        "refund" => Rule::Ask,
        "rm" | "" => Rule::Drop(format!("`{name}` is off.")),
        _ => Rule::Pass,
    }
}

fn call(at: usize, name: &str) -> Value {
    let (id, call_id) = (format!("fc_{at}"), format!("call_{at}"));
    let arguments = format!("{{\"at\":{at}}}");
    json!({ "type": "function_call", "id": id, "call_id": call_id, "name": name, "arguments": arguments, "status": "completed" })
}

fn say(at: usize, text: &str) -> Value {
    json!({ "type": "message", "id": format!("msg_{at}"), "content": [{ "type": "output_text", "text": text }] })
}

fn answer(items: &[Value]) -> Value {
    json!({ "id": "resp_1", "model": "m", "status": "completed", "output": items, "usage": { "input_tokens": 1, "output_tokens": 2 } })
}

/// Feeds a stream in pieces of this length, answering every question with `verdict`; gives what went out, and the names
/// and arguments that were asked about.
fn play(stream: &str, step: usize, verdict: &Verdict) -> (String, Vec<(String, String)>) {
    let (mut guard, mut out, mut asked) = (StreamGuard::new(1 << 16, Box::new(rule)), Vec::new(), Vec::new());
    for chunk in stream.as_bytes().chunks(step) {
        out.extend_from_slice(&guard.feed(chunk).unwrap());
        while let Some(calls) = guard.asking() {
            asked.extend(calls.iter().map(|call| (call.name.clone(), call.arguments.clone())));
            let verdicts = calls.iter().map(|_| verdict.clone()).collect();
            out.extend_from_slice(&guard.answer(verdicts));
        }
    }
    out.extend_from_slice(&guard.finish());
    (String::from_utf8(out).unwrap(), asked)
}

/// The data of a stream's events.
fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// What a client makes of a stream: the text or `name arguments` of each item. It checks what clients count on: numbers
/// without gaps, items in the order of their places, and the whole answer at the end as its items were.
fn client(stream: &str) -> Vec<String> {
    let events = events(stream);
    let mut items: Vec<Value> = Vec::new();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{stream}");
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                assert_eq!(event["output_index"], items.len(), "{stream}");
                items.push(Value::Null);
            }
            "response.output_item.done" => {
                let at = usize::try_from(event["output_index"].as_u64().unwrap()).unwrap();
                items[at] = event["item"].clone();
            }
            _ => {}
        }
    }
    let last = &events.last().unwrap()["response"]["output"];
    assert_eq!(last, &Value::Array(items.clone()), "{stream}");
    items.iter().map(shown).collect()
}

fn shown(item: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match item["type"].as_str().unwrap() {
        "message" => text(&item["content"][0]["text"]),
        "function_call" => format!("{} {}", text(&item["name"]), text(&item["arguments"])),
        kind => kind.to_owned(),
    }
}

#[test]
fn what_calls_nothing_passes_at_once() {
    let stream = streamed(&answer(&[say(0, "hi"), json!({ "type": "web_search_call", "id": "ws_1" })]), 1);
    let mut guard = StreamGuard::new(1 << 16, Box::new(rule));
    for event in stream.split_inclusive("\n\n") {
        assert_eq!(guard.feed(event.as_bytes()).unwrap(), event);
    }
    let odd = ": keep\n\nid: 7\nevent: new\ndata: {\"type\":\n\ndata: [DONE]\n\n";
    assert_eq!(play(odd, 5, &Ok(())).0, odd);
}

#[test]
fn a_call_that_passes_does_so_as_it_comes() {
    let stream = streamed(&answer(&[say(0, "hm"), call(1, "look"), call(2, "look")]), 2);
    let mut guard = StreamGuard::new(1 << 16, Box::new(rule));
    for event in stream.split_inclusive("\n\n") {
        assert_eq!(guard.feed(event.as_bytes()).unwrap(), event);
    }
    assert_eq!(guard.dropped(), []);
}

#[test]
fn calls_pass_or_go_however_the_stream_is_cut() {
    let items =
        [say(0, "let me"), call(1, "rm"), call(2, "look"), call(3, "refund"), call(4, "rm"), say(5, "so")];
    let stream = streamed(&answer(&items), 4);
    for step in [1, 7, 300, 99_999] {
        let (out, asked) = play(&stream, step, &Ok(()));
        assert_eq!(asked, [("refund".to_owned(), "{\"at\":3}".to_owned())]);
        let told = "\n\n`rm` is off.";
        assert_eq!(client(&out), ["let me", told, "look {\"at\":2}", "refund {\"at\":3}", told, "so"]);
        let (out, _) = play(&stream, step, &Err("ask again later".to_owned()));
        assert_eq!(client(&out), ["let me", told, "look {\"at\":2}", "\n\nask again later", told, "so"]);
        assert!(!out.contains("\"refund\""));
    }
    // The first words of an answer have no gap before them.
    let (out, _) = play(&streamed(&answer(&[call(0, "rm"), call(1, "rm")]), 4), 50, &Ok(()));
    assert_eq!(client(&out), ["`rm` is off.", "\n\n`rm` is off."]);
    assert_eq!(run([out.as_bytes()]).observed.finish_reason.as_deref(), Some("stop"));
}

#[test]
fn what_was_dropped_is_told_once() {
    let mut guard = StreamGuard::new(1 << 16, Box::new(rule));
    guard.feed(streamed(&answer(&[call(0, "rm"), call(1, "look")]), 3).as_bytes()).unwrap();
    let called =
        Called { id: "call_0".to_owned(), name: "rm".to_owned(), arguments: "{\"at\":0}".to_owned() };
    assert_eq!(guard.dropped(), [called]);
    assert_eq!(guard.dropped(), []);
}

#[test]
fn nothing_behind_a_call_that_is_asked_about_passes_before_the_answer() {
    let stream = streamed(&answer(&[say(0, "a"), call(1, "refund"), say(2, "b")]), 9);
    let begins = stream.find("event: response.output_item.added\ndata: {\"item\":{\"arguments\"").unwrap();
    let mut guard = StreamGuard::new(1 << 16, Box::new(rule));
    let mut out = guard.feed(stream.as_bytes()).unwrap().to_vec();
    assert_eq!(out, &stream.as_bytes()[..begins]);
    assert_eq!(guard.feed(b": keep-alive\n\n").unwrap(), "");
    assert_eq!(guard.asking().unwrap().len(), 1);
    out.extend_from_slice(&guard.answer(vec![Ok(())]));
    assert_eq!(String::from_utf8(out).unwrap(), format!("{stream}: keep-alive\n\n"));
    assert_eq!(guard.asking(), None);
}

#[test]
fn half_a_call_that_was_held_never_comes() {
    let stream = streamed(&answer(&[say(0, "a"), call(1, "refund")]), 3);
    let done = stream.find("event: response.output_item.done\ndata: {\"item\":{\"arguments\"").unwrap();
    let (out, asked) = play(&stream[..done], 20, &Ok(()));
    assert!(!out.contains("refund") && out.contains("\"a\"") && asked.is_empty(), "{out}");
    // The answer fails, or ends for lack of tokens, with half a call in it.
    let half = |status: &str| {
        let mut half = call(1, "refund");
        half["status"] = json!("incomplete");
        let mut answer = answer(&[say(0, "a"), half]);
        answer["status"] = json!(status);
        streamed(&answer, 3)
    };
    for status in ["failed", "incomplete", "cancelled"] {
        let (out, asked) = play(&half(status), 20, &Ok(()));
        assert_eq!((client(&out)[1].as_str(), asked.len()), (&*format!("\n\n{ENDED_EARLY}"), 0), "{status}");
        assert!(!out.contains("refund"));
    }
    let error = "event: error\ndata: {\"type\":\"error\",\"message\":\"m\"}\n\n";
    let (out, asked) = play(&format!("{}{error}", &stream[..done]), 20, &Ok(()));
    assert!(out.ends_with(error) && !out.contains("refund") && asked.is_empty(), "{out}");
}

#[test]
fn a_call_is_known_by_the_name_it_has_in_the_end() {
    let event = |kind: &str, at: u64, item: Value| {
        let data = json!({ "type": kind, "output_index": at, "item": item });
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let (added, done) = ("response.output_item.added", "response.output_item.done");
    let nameless = json!({ "type": "function_call", "id": "fc_0", "call_id": "call_0", "arguments": "" });
    // Its name comes late.
    let late = |name: &str| [event(added, 0, nameless.clone()), event(done, 0, call(0, name))].concat();
    assert_eq!(play(&late("look"), 20, &Ok(())).0, late("look"));
    assert!(!play(&late("rm"), 20, &Ok(())).0.contains("\"rm\""));
    // It becomes another one.
    let changed = [event(added, 0, call(0, "look")), event(done, 0, call(0, "rm"))].concat();
    let (out, _) = play(&changed, 20, &Ok(()));
    assert!(out.contains("\"look\"") && !out.contains("\"rm\""), "{out}");
    // It comes in the last event alone.
    let last = |name: &str| {
        let data = json!({ "type": "response.completed", "response": answer(&[call(0, name)]) });
        format!("event: response.completed\ndata: {data}\n\n")
    };
    assert_eq!(play(&last("look"), 20, &Ok(())).0, last("look"));
    assert_eq!(play(&last("refund"), 20, &Ok(())).0, last("refund"));
    for name in ["rm", "refund"] {
        let (out, _) = play(&last(name), 20, &Err("no".to_owned()));
        assert!(!out.contains("function_call") && out.contains("output_text"), "{out}");
    }
    // Its kind is spelt with escapes.
    let escaped = last("rm").replace("function_call", "function\\u005fcall");
    assert!(!play(&escaped, 20, &Ok(())).0.contains("\"rm\""));
    // It can't be read.
    let twice = last("look").replace("\"name\":", "\"name\":\"rm\",\"name\":");
    assert!(!play(&twice, 20, &Ok(())).0.contains("\"rm\""));
}

#[test]
fn calls_in_one_place_are_told_apart_by_their_ids() {
    let stream = streamed(&answer(&[call(0, "refund"), call(1, "refund"), call(2, "look")]), 3)
        .replace("\"output_index\":1", "\"output_index\":0")
        .replace("\"output_index\":2", "\"output_index\":0");
    let (out, asked) = play(&stream, 20, &Ok(()));
    let asked: Vec<_> = asked.iter().map(|(_, arguments)| arguments.as_str()).collect();
    assert_eq!((out.as_str(), asked), (stream.as_str(), vec!["{\"at\":0}", "{\"at\":1}"]));
}

#[test]
fn people_are_asked_about_what_the_client_would_do() {
    let stream = streamed(&answer(&[call(0, "refund")]), 99);
    let other = stream.replace(r#""delta":"{\"at\":0}""#, r#""delta":"{}""#);
    assert_ne!(stream, other);
    assert_eq!(play(&other, 20, &Ok(())).1[0].1, "{\"at\":0}");
}

#[test]
fn what_is_too_long_to_be_held_is_let_go_without_its_calls() {
    let stream = streamed(&answer(&[call(0, "refund"), say(1, "b")]), 9);
    let (begin, end) = stream.split_at(stream.find("event: response.output_item.done").unwrap());
    let mut guard = StreamGuard::new(2 << 20, Box::new(rule));
    let mut out = guard.feed(begin.as_bytes()).unwrap().to_vec();
    let long = format!("data: {{\"type\":\"response.new\",\"x\":\"{}\"}}\n\n", "x".repeat(1 << 20));
    for _ in 0..=HELD_BYTES_MAX >> 20 {
        out.extend_from_slice(&guard.feed(long.as_bytes()).unwrap());
    }
    assert!(out.len() > HELD_BYTES_MAX);
    out.extend_from_slice(&guard.feed(end.as_bytes()).unwrap());
    let out = String::from_utf8(out).unwrap();
    assert!(guard.asking().is_none() && out.contains(TOO_LONG) && !out.contains("\"refund\""));
}

#[test]
fn what_else_the_client_runs_is_held_too() {
    let shell = |name: &str, environment: &str| {
        json!({
            "type": "shell_call", "id": "sh_0", "call_id": "call_0", "status": "completed", "name": name,
            "action": { "commands": ["ls"] }, "environment": { "type": environment },
        })
    };
    let play = |item: Value| {
        let rule = |name: &str| if name == "shell" { Rule::Ask } else { Rule::Pass };
        let mut guard = StreamGuard::new(1 << 16, Box::new(rule));
        guard.feed(streamed(&answer(&[item]), 9).as_bytes()).unwrap();
        guard.asking().map(|calls| calls[0].arguments.clone())
    };
    assert_eq!(play(shell("x", "local")).as_deref(), Some(r#"{"commands":["ls"]}"#));
    assert_eq!(play(shell("x", "container_reference")), None);
}

#[test]
fn only_numbers_change_behind_what_was_left_out() {
    let stream = streamed(&answer(&[call(0, "rm"), say(1, "é")]), 9)
        .replace("\"delta\":\"é\"", "\"delta\" : \"\\u00e9\"");
    let (out, _) = play(&stream, 50, &Ok(()));
    assert!(out.contains("\"delta\" : \"\\u00e9\""), "{out}");
    assert_eq!(client(&out), ["`rm` is off.", "é"]);
}

#[test]
fn whole_answers_lose_the_calls_that_do_not_pass() {
    let without = |items: &[Value]| {
        let body = serde_json::to_vec_pretty(&answer(items)).unwrap();
        let calls = Calls::of(&body).unwrap();
        let verdict = |called: &Called| match rule(&called.name) {
            Rule::Pass => Ok(()),
            Rule::Ask => Err("ask".to_owned()),
            Rule::Drop(told) => Err(told),
        };
        let verdicts: Vec<Verdict> = calls.iter().map(verdict).collect();
        let out = calls.without(&verdicts)?;
        let out: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(out["usage"], json!({ "input_tokens": 1, "output_tokens": 2 }));
        let items: Vec<String> = out["output"].as_array().unwrap().iter().map(shown).collect();
        Some(items)
    };
    assert!(Calls::of(answer(&[say(0, "hi")]).to_string().as_bytes()).is_none());
    assert!(Calls::of(b"<html> a_call").is_none());
    assert_eq!(without(&[call(0, "look")]), None);
    let got = without(&[say(0, "hm"), call(1, "rm"), call(2, "look"), call(3, "refund")]);
    assert_eq!(got.unwrap(), ["hm", "\n\n`rm` is off.", "look {\"at\":2}", "\n\nask"]);
    assert_eq!(without(&[call(0, "rm")]).unwrap(), ["`rm` is off."]);
}

proptest! {
    #[test]
    fn a_stream_without_drops_is_the_providers(answer in any_answer(), chars in 1_usize..6, step in 1_usize..200) {
        // Calls of `rm` are of another tool here.
        let stream = streamed(&answer, chars).replace("\"rm\"", "\"look\"");
        let (out, _) = play(&stream, step, &Ok(()));
        prop_assert_eq!(out, stream);
    }

    #[test]
    fn what_a_client_gets_is_whole_whatever_is_dropped(answer in any_answer(), chars in 1_usize..6, step in 1_usize..200) {
        let stream = streamed(&answer, chars);
        let (out, _) = play(&stream, step, &Err("no".to_owned()));
        let items = client(&out);
        // By the key, as any text may be cut so that a piece of it reads like a tool's name.
        for gone in ["rm", "refund"] {
            prop_assert!(!out.contains(&format!(r#""name":"{gone}""#)), "{gone}: {out}");
        }
        // The whole answer loses the same calls.
        let body = answer.to_string();
        if let Some(calls) = Calls::of(body.as_bytes()) {
            let verdicts: Vec<Verdict> = calls.iter().map(|called| match rule(&called.name) {
                Rule::Pass => Ok(()),
                Rule::Ask => Err("no".to_owned()),
                Rule::Drop(told) => Err(told),
            }).collect();
            let whole = calls.without(&verdicts).map_or(body, |whole| String::from_utf8(whole).unwrap());
            let whole: Value = serde_json::from_str(&whole).unwrap();
            let whole: Vec<String> = whole["output"].as_array().unwrap().iter().map(shown).collect();
            prop_assert_eq!(items.len(), whole.len());
        }
    }
}

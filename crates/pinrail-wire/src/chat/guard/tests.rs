use serde_json::{Value, json};

use super::*;

/// `look` passes, `refund` is asked about, `rm` is dropped.
fn rule(name: &str) -> Rule {
    match name {
        "refund" => Rule::Ask,
        "rm" => Rule::Drop("`rm` is off.".to_owned()),
        _ => Rule::Pass,
    }
}

fn guard() -> StreamGuard {
    StreamGuard::new(1 << 16, Box::new(rule))
}

fn event(delta: Value, finish: Value) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    format!("data: {}\n\n", json!({ "id": "c", "model": "m", "choices": [choice] }))
}

fn begin(index: u64, name: &str) -> String {
    let function = json!({ "name": name, "arguments": "" });
    let call = json!({ "index": index, "id": format!("c{index}"), "type": "function", "function": function });
    event(json!({ "tool_calls": [call] }), Value::Null)
}

fn more(index: u64, arguments: &str) -> String {
    let call = json!({ "index": index, "function": { "arguments": arguments } });
    event(json!({ "tool_calls": [call] }), Value::Null)
}

fn end() -> String {
    event(json!({}), json!("tool_calls"))
}

/// What a client makes of the bytes: text, calls as name and arguments, finish reason.
fn client(bytes: &[u8]) -> (String, Vec<(String, String)>, Option<String>) {
    use crate::Limits;
    use crate::chat::StreamObserver;
    let limits = Limits { event_bytes_max: 1 << 16, text_bytes_max: 1 << 16 };
    let mut observer = StreamObserver::new(false, limits);
    observer.feed(Bytes::copy_from_slice(bytes)).unwrap();
    let finished = observer.finish();
    assert_eq!(finished.unreadable_events, 0);
    let indexes: Vec<_> = finished.observed.tool_calls.iter().map(|call| call.index).collect();
    assert_eq!(indexes, (0..u32::try_from(indexes.len()).unwrap()).collect::<Vec<_>>(), "counted from 0");
    let calls = finished.observed.tool_calls.into_iter().map(|call| (call.name, call.arguments));
    (finished.text.text, calls.collect(), finished.observed.finish_reason)
}

fn call(name: &str, arguments: &str) -> (String, String) {
    (name.to_owned(), arguments.to_owned())
}

/// Feeds a stream in pieces of this length, answering every question with `verdict`.
fn play(stream: &str, step: usize, verdict: &Verdict) -> (Vec<u8>, Vec<Called>) {
    let (mut guard, mut out, mut asked) = (guard(), Vec::new(), Vec::new());
    for chunk in stream.as_bytes().chunks(step) {
        out.extend_from_slice(&guard.feed(chunk).unwrap());
        while let Some(calls) = guard.asking() {
            asked.extend_from_slice(calls);
            let verdicts = calls.iter().map(|_| verdict.clone()).collect();
            out.extend_from_slice(&guard.answer(verdicts));
        }
    }
    out.extend_from_slice(&guard.finish());
    (out, asked)
}

#[test]
fn what_calls_nothing_passes_byte_for_byte() {
    let text = event(json!({ "role": "assistant", "content": "hi" }), Value::Null);
    let stream = format!(": keep\n\n{text}{}data: [DONE]\n\n", event(json!({}), json!("stop")));
    for step in [1, 7, 9_999] {
        assert_eq!(play(&stream, step, &Ok(())).0, stream.as_bytes());
    }
}

#[test]
fn calls_pass_or_go_however_the_stream_is_cut() {
    let said = event(json!({ "content": "let me" }), Value::Null);
    let body = [
        said,
        begin(0, "rm"),
        more(0, "{\"p\":"),
        begin(1, "look"),
        more(0, "1}"),
        more(1, "{}"),
        begin(2, "refund"),
        more(2, "{\"a\""),
        more(2, ":1}"),
        end(),
    ];
    let stream = format!("{}data: [DONE]\n\n", body.concat());
    for step in [1, 3, 50, 99_999] {
        let (out, asked) = play(&stream, step, &Ok(()));
        assert_eq!(asked.len(), 1);
        assert_eq!((asked[0].name.as_str(), asked[0].arguments.as_str()), ("refund", "{\"a\":1}"));
        let calls = vec![call("look", "{}"), call("refund", "{\"a\":1}")];
        let expected = ("let me\n\n`rm` is off.".to_owned(), calls, Some("tool_calls".to_owned()));
        assert_eq!(client(&out), expected);
        assert!(out.ends_with(b"data: [DONE]\n\n"));
        let (out, _) = play(&stream, step, &Err("ask again later".to_owned()));
        let text = "let me\n\n`rm` is off.\n\nask again later".to_owned();
        assert_eq!(client(&out), (text, vec![call("look", "{}")], Some("tool_calls".to_owned())));
    }
}

#[test]
fn an_answer_without_calls_left_stops() {
    let stream = [begin(0, "rm"), more(0, "{}"), end()].concat();
    let (out, _) = play(&stream, 11, &Ok(()));
    assert_eq!(client(&out), ("`rm` is off.".to_owned(), vec![], Some("stop".to_owned())));
    assert!(!String::from_utf8(out).unwrap().contains("\"rm\""));
}

#[test]
fn nothing_of_a_call_passes_before_its_name_is_whole() {
    let mut guard = guard();
    let half = |name: &str| {
        let call = json!({ "index": 0, "id": "c", "function": { "name": name } });
        event(json!({ "tool_calls": [call] }), Value::Null)
    };
    for name in ["r", "m"] {
        assert_eq!(guard.feed(half(name).as_bytes()).unwrap(), Bytes::new());
    }
    assert_eq!(guard.feed(more(0, "{}").as_bytes()).unwrap(), Bytes::new());
    // A call that passed doesn't become another one.
    let mut guard = self::guard();
    assert_eq!(guard.feed(half("look").as_bytes()).unwrap(), Bytes::new());
    let mut out = guard.feed(more(0, "{").as_bytes()).unwrap().to_vec();
    out.extend_from_slice(&guard.feed(half("rm").as_bytes()).unwrap());
    assert!(!String::from_utf8(out).unwrap().contains("rm"));
}

#[test]
fn half_a_call_that_was_held_never_comes() {
    let stream = [begin(0, "refund"), more(0, "{\"a\":")].concat();
    let (out, asked) = play(&stream, 20, &Ok(()));
    assert_eq!((out, asked), (Vec::new(), Vec::new()));
    // A provider that forgets to end its choice.
    let stream = [begin(0, "refund"), more(0, "{}"), "data: [DONE]\n\n".to_owned()].concat();
    let (out, asked) = play(&stream, 20, &Err("no".to_owned()));
    assert_eq!((client(&out), asked.len()), (("no".to_owned(), vec![], Some("stop".to_owned())), 1));
}

#[test]
fn older_clients_have_one_function() {
    let piece = |call: Value| event(json!({ "function_call": call }), Value::Null);
    let end = event(json!({}), json!("function_call"));
    let called = |name: &str| {
        [piece(json!({ "name": name, "arguments": "" })), piece(json!({ "arguments": "{}" })), end.clone()]
            .concat()
    };
    let (out, _) = play(&called("rm"), 9, &Ok(()));
    assert_eq!(client(&out), ("`rm` is off.".to_owned(), vec![], Some("stop".to_owned())));
    let (out, _) = play(&called("look"), 9, &Ok(()));
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains(r#""name":"look""#) && text.contains(r#""finish_reason":"function_call""#),
        "{text}"
    );
}

#[test]
fn whole_answers_lose_the_calls_that_do_not_pass() {
    let one = |name: &str| json!({ "id": name, "type": "function", "function": { "name": name, "arguments": "{}" } });
    let answer = |content: Value, calls: Value| {
        let message = json!({ "role": "assistant", "content": content, "tool_calls": calls });
        json!({ "id": "c", "choices": [{ "index": 0, "message": message, "finish_reason": "tool_calls" }] })
    };
    let without = |answer: &Value| {
        let calls = Calls::of(answer.to_string().as_bytes()).unwrap();
        let verdict = |called: &Called| match rule(&called.name) {
            Rule::Pass => Ok(()),
            Rule::Ask => Err("ask".to_owned()),
            Rule::Drop(told) => Err(told),
        };
        let verdicts: Vec<Verdict> = calls.iter().map(verdict).collect();
        let body = calls.without(&verdicts)?;
        Some(serde_json::from_slice::<Value>(&body).unwrap()["choices"][0].clone())
    };
    assert!(Calls::of(answer(json!("hi"), json!([])).to_string().as_bytes()).is_none());
    assert_eq!(without(&answer(Value::Null, json!([one("look")]))), None);
    let some = without(&answer(json!("hm"), json!([one("rm"), one("look")]))).unwrap();
    assert_eq!(some["message"]["content"], "hm\n\n`rm` is off.");
    assert_eq!(some["message"]["tool_calls"], json!([one("look")]));
    assert_eq!(some["finish_reason"], "tool_calls");
    let none = without(&answer(Value::Null, json!([one("rm"), one("refund")]))).unwrap();
    assert_eq!(none["message"]["content"], "`rm` is off.\n\nask");
    assert_eq!((none["message"].get("tool_calls"), &none["finish_reason"]), (None, &json!("stop")));
}

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::observe::observe_answer;
use super::*;

const STREAM: &[u8] = include_bytes!("../../../tests/fixtures/stream.txt");
const TOOLS: &[u8] = include_bytes!("../../../tests/fixtures/stream_tools.txt");
const LIMITS: Limits = Limits { event_bytes_max: 1 << 16, text_bytes_max: 1 << 16 };

/// Runs a stream through an observer; gives what was passed on and what was noted.
fn run<'c>(strip_usage: bool, chunks: impl IntoIterator<Item = &'c [u8]>) -> (Vec<u8>, Finished) {
    let mut observer = StreamObserver::new(strip_usage, LIMITS);
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&observer.feed(Bytes::copy_from_slice(chunk)).unwrap());
    }
    let finished = observer.finish();
    out.extend_from_slice(&finished.forward);
    (out, finished)
}

/// The fixture without its usage chunk.
fn stripped() -> Vec<u8> {
    let text = std::str::from_utf8(STREAM).unwrap();
    text.split_inclusive("\n\n")
        .filter(|event| !event.contains("\"choices\":[]"))
        .collect::<String>()
        .into_bytes()
}

#[test]
fn a_text_stream() {
    let (out, finished) = run(false, [STREAM]);
    assert_eq!(out, STREAM);
    assert_eq!((finished.ending, finished.text.text.as_str()), (Ending::Done, "Hello, José"));
    let observed = finished.observed;
    assert_eq!(observed.served_model.as_deref(), Some("gpt-4o-2024-08-06"));
    assert_eq!(observed.fingerprint.as_deref(), Some("fp_44709d6fcb"));
    assert_eq!(observed.finish_reason.as_deref(), Some("stop"));
    assert_eq!((observed.text_chars, observed.choices), (11, 1));
    assert_eq!(observed.usage.map(|u| (u.total_tokens, u.cached_prompt_tokens)), Some((13, 8)));
}

#[test]
fn a_tool_stream_gathers_interleaved_arguments() {
    let (_, finished) = run(true, TOOLS.chunks(7));
    let calls: Vec<_> = finished
        .observed
        .tool_calls
        .iter()
        .map(|c| (c.id.as_str(), c.name.as_str(), c.arguments.as_str()))
        .collect();
    assert_eq!(calls, [("call_a", "get_weather", r#"{"city":"Oslo"}"#), ("call_b", "get_time", "{}")]);
    assert_eq!((finished.ending, finished.text.text.as_str()), (Ending::Done, ""));
}

#[test]
fn every_split_passes_on_and_notes_the_same() {
    let (want_out, want) = run(true, [STREAM]);
    assert_eq!(want_out, stripped());
    for cut in 0..=STREAM.len() {
        let (first, second) = STREAM.split_at(cut);
        assert_eq!(run(true, [first, second]), (want_out.clone(), want.clone()), "cut at {cut}");
        assert_eq!(run(false, [first, second]).1, want, "cut at {cut}");
    }
    assert_eq!(run(true, STREAM.chunks(1)).0, want_out);
}

#[test]
fn chunks_are_passed_on_at_once_and_uncopied() {
    let mut plain = StreamObserver::new(false, LIMITS);
    for chunk in STREAM.chunks(10) {
        let chunk = Bytes::from_static(chunk);
        let out = plain.feed(chunk.clone()).unwrap();
        assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), chunk.len()));
    }
    let mut by_event = StreamObserver::new(true, LIMITS);
    let end = memchr::memmem::find(STREAM, b"\n\n").unwrap() + 2;
    let whole = Bytes::from_static(&STREAM[..end]);
    let out = by_event.feed(whole.clone()).unwrap();
    assert_eq!((out.as_ptr(), out.len()), (whole.as_ptr(), whole.len()));
    assert_eq!(by_event.feed(Bytes::from_static(b": keep-alive\n\n")).unwrap(), ": keep-alive\n\n");
    assert_eq!(by_event.feed(Bytes::from_static(b"data: {\"id\"")).unwrap(), "");
    assert_eq!(by_event.observed().served_model.as_deref(), Some("gpt-4o-2024-08-06"));
}

#[test]
fn only_the_usage_chunk_is_left_out() {
    let check = |data: &str, left_out: bool| {
        let event = format!("data: {data}\n\n");
        let (out, _) = run(true, [event.as_bytes()]);
        assert_eq!(out.is_empty(), left_out, "{data}");
    };
    check(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, true);
    check(r#"{"usage":{"prompt_tokens":1}}"#, true);
    check(r#"{"choices":[],"usage":null}"#, false);
    check(r#"{"choices":[],"prompt_filter_results":[]}"#, false);
    check(r#"{"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":1}}"#, false);
    check(r#"{"choices":[],"usage":{},"error":{"message":"m"}}"#, false);
    check("not json", false);
    check("[DONE]", false);
}

#[test]
fn endings() {
    let check = |stream: &str, want: Ending| {
        for strip_usage in [false, true] {
            assert_eq!(run(strip_usage, [stream.as_bytes()]).1.ending, want, "{stream:?}");
        }
    };
    let finish = |index: u32| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n")
    };
    let begin = |index: u32| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"a\"}}}}]}}\n\n")
    };
    check("", Ending::Cut);
    check("data: [DONE]\n\n", Ending::Done);
    check("data: [DONE]", Ending::Done);
    check(&begin(0), Ending::Cut);
    check(&finish(0), Ending::Done);
    check(finish(0).trim_end(), Ending::Done);
    check(&finish(0)[..60], Ending::Cut);
    check(&format!("{}{}{}", begin(0), begin(1), finish(0)), Ending::Cut);
    check(&format!("{}{}{}{}", begin(0), begin(1), finish(1), finish(0)), Ending::Done);
    let error = |text: &str| Ending::ErrorEvent(text.to_owned());
    check(
        &format!("{}data: {{\"error\":{{\"message\":\"overloaded\"}}}}\n\n", begin(0)),
        error("overloaded"),
    );
    check("data: {\"error\":\"gone\"}\n\ndata: [DONE]\n\n", error("gone"));
    check(
        "data: {\"error\":{\"message\":\"m\"},\"choices\":[{\"finish_reason\":\"error\"}]}\n\n",
        error("m"),
    );
    check("event: error\ndata: {\"message\":\"m\"}\n\n", error("{\"message\":\"m\"}"));
    check("event: error\ndata: plain words\n\n", error("plain words"));
}

#[test]
fn nonsense_is_counted_and_passed_on() {
    let stream = b"data: {nonsense\n\nevent: ping\n\ndata: 7\n\ndata: [DONE]\n\n";
    let (out, finished) = run(true, [&stream[..]]);
    assert_eq!((out.as_slice(), finished.unreadable_events), (&stream[..], 2));
    let mut observer = StreamObserver::new(true, Limits { event_bytes_max: 10, ..LIMITS });
    assert!(observer.feed(Bytes::from_static(b"data: 0123456789")).is_err());
}

#[test]
fn half_an_event_is_marked_or_withheld() {
    let cut = &STREAM[..STREAM.len() / 2];
    let (out, finished) = run(false, [cut]);
    assert!(out == cut && finished.mid_event && finished.ending == Ending::Cut);
    let (out, finished) = run(true, [cut]);
    assert!(out.ends_with(b"\n\n") && cut.starts_with(&out) && !finished.mid_event);
    assert!(!run(false, [STREAM]).1.mid_event);
}

#[test]
fn text_is_gathered_up_to_its_bound() {
    let check = |text_bytes_max: usize, want: &str, cut: bool| {
        let mut observer = StreamObserver::new(false, Limits { text_bytes_max, ..LIMITS });
        observer.feed(Bytes::from_static(STREAM)).unwrap();
        assert_eq!(observer.finish().text, Gathered { text: want.to_owned(), cut }, "{text_bytes_max}");
    };
    check(12, "Hello, José", false);
    check(11, "Hello, Jos", true);
    check(3, "Hel", true);
    check(0, "", true);
}

#[test]
fn calls_without_an_index_are_told_apart_by_id() {
    let call = |json: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{json}]}}}}]}}\n\n");
    let stream = [
        call(r#"{"id":"a","function":{"name":"f","arguments":"{"}}"#),
        call(r#"{"function":{"arguments":"}"}}"#),
        call(r#"{"id":"b","function":{"name":"g","arguments":"[]"}}"#),
    ];
    let calls = run(false, [stream.concat().as_bytes()]).1.observed.tool_calls;
    let got: Vec<_> = calls.iter().map(|c| (c.index, c.name.as_str(), c.arguments.as_str())).collect();
    assert_eq!(got, [(0, "f", "{}"), (1, "g", "[]")]);
}

/// Splits a text into deltas of a few characters.
fn pieces(text: &str, chars: usize) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(chars).map(|piece| piece.iter().collect()).collect()
}

/// Streams an answer as a provider would.
fn streamed(answer: &Value, chars: usize) -> Vec<u8> {
    let mut deltas = Vec::new();
    for choice in answer["choices"].as_array().unwrap() {
        let index = &choice["index"];
        let mut push = |delta: Value, reason: &Value| {
            deltas.push(json!([{"index": index, "delta": delta, "finish_reason": reason}]));
        };
        let message = &choice["message"];
        push(json!({"role": "assistant", "refusal": message["refusal"]}), &Value::Null);
        for piece in pieces(message["content"].as_str().unwrap_or_default(), chars) {
            push(json!({"content": piece}), &Value::Null);
        }
        for (at, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let function = &call["function"];
            let start = json!({"index": at, "id": call["id"], "function": {"name": function["name"], "arguments": ""}});
            push(json!({"tool_calls": [start]}), &Value::Null);
            for piece in pieces(function["arguments"].as_str().unwrap(), chars) {
                push(json!({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}), &Value::Null);
            }
        }
        push(json!({}), &choice["finish_reason"]);
    }
    let mut stream = Vec::new();
    let mut event = |choices: Value, usage: &Value| {
        let (id, model, fingerprint) = (&answer["id"], &answer["model"], &answer["system_fingerprint"]);
        let chunk = json!({"id": id, "model": model, "system_fingerprint": fingerprint, "choices": choices, "usage": usage});
        stream.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
    };
    for choices in deltas {
        event(choices, &Value::Null);
    }
    event(json!([]), &answer["usage"]);
    stream.extend_from_slice(b"data: [DONE]\n\n");
    stream
}

fn any_answer() -> impl Strategy<Value = Value> {
    let call = ("[a-z]{1,4}", "[{}\":a-zé\\\\]{0,10}");
    let choice = (
        prop::option::of("[a-z \"\\\\é😀\n]{0,20}"),
        prop::option::of("[a-z]{0,4}"),
        prop::collection::vec(call, 0..3),
        "(stop|length|tool_calls|content_filter)",
    );
    (prop::collection::vec(choice, 1..3), prop::option::of("fp_[a-z]{2}"), 0_u64..1000).prop_map(
        |(choices, fingerprint, tokens)| {
            let choices: Vec<Value> = choices
                .into_iter()
                .enumerate()
                .map(|(index, (content, refusal, calls, reason))| {
                    let calls: Vec<Value> = calls
                        .into_iter()
                        .enumerate()
                        .map(|(at, (name, arguments))| {
                            json!({"id": format!("call_{at}"), "function": {"name": name, "arguments": arguments}})
                        })
                        .collect();
                    let message = json!({"content": content, "refusal": refusal, "tool_calls": calls});
                    json!({"index": index, "message": message, "finish_reason": reason})
                })
                .collect();
            let usage = json!({"prompt_tokens": tokens, "completion_tokens": 5});
            json!({"id": "c", "model": "m-1", "system_fingerprint": fingerprint, "choices": choices, "usage": usage})
        },
    )
}

proptest! {
    #[test]
    fn a_stream_is_observed_like_its_answer(answer in any_answer(), chars in 1_usize..6, bytes in 1_usize..200) {
        let whole = observe_answer(answer.to_string().as_bytes()).unwrap();
        let stream = streamed(&answer, chars);
        let (_, finished) = run(true, stream.chunks(bytes));
        prop_assert_eq!(finished.observed, whole);
        prop_assert_eq!(finished.ending, Ending::Done);
        prop_assert_eq!(finished.text.text, answer["choices"][0]["message"]["content"].as_str().unwrap_or_default());
    }
}

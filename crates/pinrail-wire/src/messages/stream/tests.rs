use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::messages::canned::write_event;
use crate::messages::observe_answer_text;

const LIMITS: Limits = Limits { event_bytes_max: 1 << 16, text_bytes_max: 1 << 16 };

macro_rules! stream {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/messages/stream_", $name, ".txt")).as_slice()
    };
}

const TEXT: &[u8] = stream!("text");
const ALL: [&[u8]; 6] = [
    TEXT,
    stream!("tools"),
    stream!("thinking"),
    stream!("web_search"),
    stream!("refusal"),
    stream!("error"),
];

/// Runs a stream through an observer, which must pass on what it gets at once and uncopied.
fn run<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Finished {
    let mut observer = StreamObserver::new(LIMITS);
    for chunk in chunks {
        let chunk = Bytes::copy_from_slice(chunk);
        let out = observer.feed(chunk.clone()).unwrap();
        assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), chunk.len()));
    }
    let finished = observer.finish();
    assert_eq!(finished.forward, Bytes::new());
    finished
}

#[test]
fn a_text_stream() {
    let finished = run([TEXT]);
    assert_eq!((finished.ending, finished.text.text.as_str()), (Ending::Done, "Hello, José!\n\"Hi\""));
    assert_eq!((finished.unreadable_events, finished.mid_event), (0, false));
    let observed = finished.observed;
    assert_eq!(observed.id.as_deref(), Some("msg_01XFDUDYJgAACzvnptvVoYEL"));
    assert_eq!(observed.served_model.as_deref(), Some("claude-sonnet-4-5-20250929"));
    assert_eq!(observed.finish_reason.as_deref(), Some("end_turn"));
    assert_eq!((observed.text_chars, observed.choices), (17, 1));
    let usage = observed.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.cached_prompt_tokens, usage.completion_tokens), (33, 8, 15));
    assert_eq!(usage.total_tokens, 48);
}

#[test]
fn each_feature_is_observed() {
    let check = |stream: &[u8], ending: Ending, reason: Option<&str>, text: &str| {
        let finished = run([stream]);
        assert_eq!((finished.ending, finished.text.text.as_str()), (ending, text));
        assert_eq!(finished.observed.finish_reason.as_deref(), reason);
        assert_eq!((finished.unreadable_events, finished.mid_event), (0, false));
        assert_eq!(finished.observed.refusal, reason == Some("refusal"));
        finished.observed
    };
    let calls = check(stream!("tools"), Ending::Done, Some("tool_use"), "I look.").tool_calls;
    let calls: Vec<_> = calls.iter().map(|c| (c.index, &*c.id, &*c.name, &*c.arguments)).collect();
    let want = [(0, "toolu_01A", "get_weather", r#"{"city": "Oslo"}"#), (1, "toolu_01B", "get_time", "{}")];
    assert_eq!(calls, want);
    let thinking = check(stream!("thinking"), Ending::Done, Some("end_turn"), "27 * 453 = 12,231");
    assert_eq!(thinking.usage.map(|usage| (usage.prompt_tokens, usage.reasoning_tokens)), Some((40, 97)));
    let searched = check(stream!("web_search"), Ending::Done, Some("end_turn"), "In Oslo it snows.");
    assert_eq!(searched.usage.map(|usage| usage.prompt_tokens), Some(10_682));
    assert_eq!(searched.tool_calls, []);
    check(stream!("refusal"), Ending::Done, Some("refusal"), "To make");
    check(stream!("error"), Ending::ErrorEvent("Overloaded".to_owned()), None, "One");
}

#[test]
fn every_split_notes_the_same() {
    for stream in ALL {
        let want = run([stream]);
        for cut in 0..=stream.len() {
            let (first, second) = stream.split_at(cut);
            assert_eq!(run([first, second]), want, "cut at {cut}");
        }
        assert_eq!(run(stream.chunks(1)), want);
    }
}

#[test]
fn endings() {
    let check = |stream: &str, want: Ending| {
        assert_eq!(run([stream.as_bytes()]).ending, want, "{stream:?}");
    };
    let event = |data: &str| format!("data: {data}\n\n");
    let delta = event(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#);
    let error = |text: &str| Ending::ErrorEvent(text.to_owned());
    check("", Ending::Cut);
    check("event: ping\ndata: {\"type\":\"ping\"}\n\n", Ending::Cut);
    check(&event(r#"{"type":"message_start","message":{"content":[]}}"#), Ending::Cut);
    check(&event(r#"{"type":"message_delta","delta":{"stop_reason":null}}"#), Ending::Cut);
    check(&delta, Ending::Done);
    check(delta.trim_end(), Ending::Done);
    check(
        &event(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":"none"}"#),
        Ending::Done,
    );
    check(&event(r#"{"type":"message_stop"}"#), Ending::Done);
    check("event: message_stop\ndata: {}\n\n", Ending::Done);
    check(&event("[DONE]"), Ending::Cut);
    let overloaded = event(r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#);
    check(&format!("{delta}{overloaded}"), error("m"));
    check("event: error\ndata: plain words\n\n", error("plain words"));
}

#[test]
fn nonsense_is_counted_and_the_unknown_is_not() {
    let stream = b"data: {nonsense\n\n: note\n\ndata: 7\n\nevent: x\ndata: {\"type\":\"tomorrow\",\"index\":3}\n\ndata: {\"type\":\"content_block_start\",\"index\":0}\n\ndata: [DONE]\n\n";
    assert_eq!(run([&stream[..]]).unreadable_events, 3);
    let mut observer = StreamObserver::new(Limits { event_bytes_max: 10, ..LIMITS });
    assert!(observer.feed(Bytes::from_static(b"data: 0123456789")).is_err());
}

#[test]
fn half_an_event_is_marked() {
    let cut = memchr::memmem::find(TEXT, b"text_delta").unwrap();
    let finished = run([&TEXT[..cut]]);
    assert!(finished.mid_event && finished.ending == Ending::Cut);
}

#[test]
fn text_is_gathered_up_to_its_bound() {
    let check = |text_bytes_max: usize, want: &str, cut: bool| {
        let mut observer = StreamObserver::new(Limits { text_bytes_max, ..LIMITS });
        observer.feed(Bytes::from_static(TEXT)).unwrap();
        assert_eq!(observer.finish().text, Gathered { text: want.to_owned(), cut }, "{text_bytes_max}");
    };
    check(99, "Hello, José!\n\"Hi\"", false);
    check(11, "Hello, Jos", true);
    check(0, "", true);
}

#[test]
fn arguments_in_pieces_take_the_place_of_those_at_the_beginning() {
    let start = |input: Value| {
        let block = json!({ "type": "tool_use", "id": "t", "name": "f", "input": input });
        json!({ "type": "content_block_start", "index": 0, "content_block": block })
    };
    let piece = |text: &str| {
        let delta = json!({ "type": "input_json_delta", "partial_json": text });
        json!({ "type": "content_block_delta", "index": 0, "delta": delta })
    };
    let stop = json!({ "type": "content_block_stop", "index": 0 });
    let check = |events: &[Value], want: &str| {
        let mut stream = Vec::new();
        events.iter().for_each(|event| write_event(&mut stream, event));
        assert_eq!(run([stream.as_slice()]).observed.tool_calls[0].arguments, want);
    };
    check(&[start(json!({ "a": 1 })), piece(""), stop.clone()], r#"{"a":1}"#);
    check(&[start(json!({ "a": 1 })), piece("{\"a\""), piece(":2}"), stop.clone()], r#"{"a":2}"#);
    check(&[start(json!({})), stop], "{}");
    // Half a call has no arguments rather than wrong ones.
    check(&[start(json!({}))], "");
}

/// Splits a text into pieces of a few characters.
fn pieces(text: &str, chars: usize) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(chars).map(|piece| piece.iter().collect()).collect()
}

/// Streams an answer as a provider would.
fn streamed(answer: &Value, chars: usize) -> Vec<u8> {
    let mut events = vec![];
    let mut begun = answer.clone();
    (begun["content"], begun["stop_reason"]) = (json!([]), Value::Null);
    begun["usage"]["output_tokens"] = json!(1);
    events.push(json!({ "type": "message_start", "message": begun }));
    for (index, block) in answer["content"].as_array().unwrap().iter().enumerate() {
        let (field, kind, key, empty) = match block["type"].as_str().unwrap() {
            "text" => ("text", "text_delta", "text", json!("")),
            "thinking" => ("thinking", "thinking_delta", "thinking", json!("")),
            _ => ("input", "input_json_delta", "partial_json", json!({})),
        };
        let text = block[field].as_str().map_or_else(|| block[field].to_string(), str::to_owned);
        let mut start = block.clone();
        start[field] = empty;
        events.push(json!({ "type": "content_block_start", "index": index, "content_block": start }));
        for piece in pieces(&text, chars) {
            let delta = json!({ "type": kind, key: piece });
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    let delta = json!({ "stop_reason": answer["stop_reason"], "stop_sequence": null });
    let usage = json!({ "output_tokens": answer["usage"]["output_tokens"] });
    events.push(json!({ "type": "message_delta", "delta": delta, "usage": usage }));
    events.push(json!({ "type": "message_stop" }));
    let mut stream = Vec::new();
    events.iter().for_each(|event| write_event(&mut stream, event));
    stream
}

fn any_answer() -> impl Strategy<Value = Value> {
    let text = "[a-z \"\\\\é😀\n]{0,20}";
    let block = prop_oneof![
        text.prop_map(|text| json!({ "type": "text", "text": text })),
        text.prop_map(|text| json!({ "type": "thinking", "thinking": text, "signature": "s" })),
        ("[a-z]{1,4}", text).prop_map(
            |(name, text)| json!({ "type": "tool_use", "id": name, "name": name, "input": { "a": text } })
        ),
        text.prop_map(
            |text| json!({ "type": "server_tool_use", "id": "s", "name": "x", "input": { "a": text } })
        ),
    ];
    let reason = "(end_turn|max_tokens|tool_use|refusal|pause_turn)";
    (prop::collection::vec(block, 0..5), reason, prop::option::of(0_u64..1000)).prop_map(
        |(content, reason, cached)| {
            let usage = json!({ "input_tokens": 7, "cache_read_input_tokens": cached, "output_tokens": 5 });
            json!({ "id": "m", "model": "m-1", "content": content, "stop_reason": reason, "usage": usage })
        },
    )
}

proptest! {
    #[test]
    fn a_stream_is_observed_like_its_answer(answer in any_answer(), chars in 1_usize..6, bytes in 1_usize..200) {
        let (whole, text) = observe_answer_text(answer.to_string().as_bytes(), 1 << 16).unwrap();
        let finished = run(streamed(&answer, chars).chunks(bytes));
        prop_assert_eq!(finished.observed, whole);
        prop_assert_eq!((finished.ending, finished.text), (Ending::Done, text));
        prop_assert_eq!(finished.unreadable_events, 0);
    }
}

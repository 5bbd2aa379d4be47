//! The features of the format: each passes untouched and is observed for what it is.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Edit, Ending, Finished, Limits, Observed};

const LIMITS: Limits = Limits { event_bytes_max: 1 << 20, text_bytes_max: 1 << 16 };
const TEXT: &str = include_str!("../../tests/fixtures/responses/stream_text.txt");
const CALLS: &str = include_str!("../../tests/fixtures/responses/stream_calls.txt");

macro_rules! fixtures {
    ($folder:literal: $($name:literal)*) => {
        [$(($name, include_str!(concat!("../../tests/fixtures/responses/", $folder, "/", $name, ".json")))),*]
    };
}

const REQUESTS: [(&str, &str); 10] = fixtures!("requests":
    "text" "images_and_files" "parallel_calls" "custom_tools" "reasoning" "structured" "built_in_tools" "stored"
    "logprobs" "novelties");

const ANSWERS: [(&str, &str); 14] = fixtures!("answers":
    "text" "parallel_calls" "custom_tools" "reasoning" "structured" "built_in_tools" "client_tools" "refusal"
    "out_of_tokens" "filtered" "logprobs" "picture" "background" "novelties");

/// Streams an answer as the provider would, its texts and arguments in pieces of this many characters.
pub(super) fn streamed(answer: &Value, chars: usize) -> String {
    let mut events = Vec::new();
    let mut begun = answer.clone();
    (begun["output"], begun["usage"], begun["status"]) = (json!([]), Value::Null, json!("in_progress"));
    for kind in ["response.created", "response.in_progress"] {
        events.push(json!({ "type": kind, "response": begun }));
    }
    for (at, item) in answer["output"].as_array().unwrap().iter().enumerate() {
        item_events(at, item, chars, &mut events);
    }
    let kind = format!("response.{}", answer["status"].as_str().unwrap_or("completed"));
    events.push(json!({ "type": kind, "response": answer }));
    let mut stream = String::new();
    for (number, mut event) in events.into_iter().enumerate() {
        event["sequence_number"] = json!(number);
        stream.push_str(&format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
    }
    stream
}

fn item_events(at: usize, item: &Value, chars: usize, events: &mut Vec<Value>) {
    let mut begun = item.clone();
    let mut deltas: Vec<(&str, &Value, usize)> = Vec::new();
    match item["type"].as_str().unwrap() {
        "message" => {
            begun["content"] = json!([]);
            for (n, part) in item["content"].as_array().unwrap().iter().enumerate() {
                deltas.push(match part["type"].as_str().unwrap() {
                    "refusal" => ("response.refusal.delta", &part["refusal"], n),
                    _ => ("response.output_text.delta", &part["text"], n),
                });
            }
        }
        "function_call" => {
            begun["arguments"] = json!("");
            deltas.push(("response.function_call_arguments.delta", &item["arguments"], 0));
        }
        "custom_tool_call" => {
            begun["input"] = json!("");
            deltas.push(("response.custom_tool_call_input.delta", &item["input"], 0));
        }
        "mcp_call" => deltas.push(("response.mcp_call_arguments.delta", &item["arguments"], 0)),
        _ => {}
    }
    let of_item = |kind: &str, item: &Value| json!({ "type": kind, "output_index": at, "item": item });
    events.push(of_item("response.output_item.added", &begun));
    for (kind, whole, part) in deltas {
        let whole: Vec<char> = whole.as_str().unwrap_or_default().chars().collect();
        for piece in whole.chunks(chars) {
            let delta: String = piece.iter().collect();
            let (id, at) = (&item["id"], json!(at));
            events.push(json!({ "type": kind, "item_id": id, "output_index": at, "content_index": part, "delta": delta }));
        }
    }
    events.push(of_item("response.output_item.done", item));
}

/// Runs a stream through an observer, and checks that its chunks are passed on as they are.
pub(super) fn run<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Finished {
    let mut observer = StreamObserver::new(LIMITS);
    for chunk in chunks {
        let chunk = Bytes::copy_from_slice(chunk);
        let out = observer.feed(chunk.clone()).unwrap();
        assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), chunk.len()));
    }
    let finished = observer.finish();
    assert_eq!((finished.forward.len(), finished.unreadable_events), (0, 0));
    finished
}

fn observe(answer: &str) -> (Observed, String) {
    let (observed, gathered) = observe_answer_text(answer.as_bytes(), 1 << 16).unwrap();
    (observed, gathered.text)
}

#[test]
fn every_feature_of_a_request_passes_untouched() {
    for (name, body) in REQUESTS {
        let request =
            ResponsesRequest::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let edit = Edit { model: "gpt-5.4-2026-03-05", ..Edit::default() };
        let out = request.rewrite(&edit);
        let out = ResponsesRequest::parse(&out).unwrap();
        let sent = request.fields().iter().filter(|(key, _)| key != "model");
        let got = out.fields().iter().filter(|(key, _)| key != "model");
        let text = |(key, value): &(std::borrow::Cow<'_, str>, &serde_json::value::RawValue)| {
            (key.to_string(), value.get().to_owned())
        };
        assert!(sent.map(text).eq(got.map(text)), "{name}");
        assert_eq!(out.model(), edit.model);

        let managed = Edit { system: Some("Be good."), ..edit };
        let out: Value = serde_json::from_slice(&request.rewrite(&managed)).unwrap();
        let mut want: Value = serde_json::from_str(body).unwrap();
        (want["model"], want["instructions"]) = (json!(edit.model), json!("Be good."));
        assert_eq!(out, want, "{name}");
    }
}

#[test]
fn every_feature_of_an_answer_is_observed() {
    let said = |name: &str| {
        let (_, body) = ANSWERS.iter().find(|(file, _)| *file == name).unwrap();
        let (observed, text) = observe(body);
        assert_eq!(observed.id.as_deref(), Some("resp_67ccd2bed1ec8190"), "{name}");
        assert_eq!(observed.served_model.as_deref(), Some("gpt-5.4-2026-03-05"), "{name}");
        assert_eq!((observed.choices, observed.text_chars), (1, text.chars().count() as u64), "{name}");
        let calls: Vec<String> = observed
            .tool_calls
            .iter()
            .map(|call| format!("{} {} {}", call.id, call.name, call.arguments))
            .collect();
        let flags = [(observed.refusal, "refusal"), (observed.beyond_text, "beyond text")];
        let flags: Vec<_> = flags.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
        let reason = observed.finish_reason.unwrap_or_default();
        [vec![reason, text], calls, flags.into_iter().map(str::to_owned).collect()].concat()
    };
    let check = |name: &str, want: &[&str]| assert_eq!(said(name), want, "{name}");
    check("text", &["stop", "In a quiet forest, a silver unicorn named José drank."]);
    check(
        "parallel_calls",
        &[
            "tool_calls",
            "Let me look.",
            r#"call_1 get_weather {"city":"Oslo"}"#,
            r#"call_2 get_weather {"city":"Rome"}"#,
        ],
    );
    check("custom_tools", &["tool_calls", "", "call_1 sql SELECT count(*)\nFROM orders"]);
    check("reasoning", &["stop", "97 is prime."]);
    check("structured", &["stop", r#"{"name":"Jane","age":54}"#]);
    check("built_in_tools", &["stop", "There are 17 orders [1]."]);
    let tools = said("client_tools");
    let names: Vec<_> = tools[2..].iter().map(|call| call.split(' ').nth(1).unwrap()).collect();
    assert_eq!(
        (tools[0].as_str(), names),
        ("tool_calls", vec!["shell", "apply_patch", "computer_use_preview", "mcp"])
    );
    check("refusal", &["stop", "", "refusal"]);
    check("out_of_tokens", &["length", "In a quiet"]);
    check("filtered", &["content_filter", "", "refusal"]);
    check("logprobs", &["stop", "Hi"]);
    check("picture", &["stop", "", "beyond text"]);
    check("background", &["queued", "", "beyond text"]);
    check("novelties", &["stop", "Done."]);
}

#[test]
fn tokens_are_counted_by_kind() {
    let usage = |name: &str| {
        let (_, body) = ANSWERS.iter().find(|(file, _)| *file == name).unwrap();
        observe(body).0.usage.map(|u| {
            [u.prompt_tokens, u.completion_tokens, u.total_tokens, u.cached_prompt_tokens, u.reasoning_tokens]
        })
    };
    assert_eq!(usage("text"), Some([36, 87, 123, 8, 0]));
    assert_eq!(usage("reasoning"), Some([20, 300, 320, 0, 256]));
    assert_eq!(usage("background"), None);
}

#[test]
fn a_stream_of_each_feature_is_observed_like_the_whole() {
    for (name, body) in ANSWERS {
        let answer: Value = serde_json::from_str(body).unwrap();
        let stream = streamed(&answer, 3);
        let finished = run(stream.as_bytes().chunks(100));
        let (observed, text) = observe(&answer.to_string());
        assert_eq!(finished.text.text, text, "{name}");
        if name == "background" {
            // Its stream goes on, and here it is cut.
            assert_eq!(finished.ending, Ending::Cut);
            continue;
        }
        assert_eq!((finished.observed, finished.ending), (observed, Ending::Done), "{name}");
    }
}

#[test]
fn every_split_passes_on_and_notes_the_same() {
    for stream in [TEXT, CALLS] {
        let want = run([stream.as_bytes()]);
        assert_eq!(want.ending, Ending::Done);
        for cut in 0..=stream.len() {
            let (first, second) = stream.as_bytes().split_at(cut);
            assert_eq!(run([first, second]), want, "cut at {cut}");
        }
        assert_eq!(run(stream.as_bytes().chunks(1)), want);
    }
    assert_eq!(run([TEXT.as_bytes()]).text.text, "Hello, José 😀");
    let observed = run([CALLS.as_bytes()]).observed;
    let calls: Vec<_> = observed.tool_calls.iter().map(|c| (&*c.id, &*c.name, &*c.arguments)).collect();
    assert_eq!(calls, [("call_1", "get_weather", r#"{"city":"Oslo"}"#), ("call_2", "sql", "SELECT 1")]);
}

#[test]
fn half_an_event_is_marked() {
    let cut = &TEXT.as_bytes()[..TEXT.len() / 2];
    let finished = run([cut]);
    assert!(finished.mid_event && finished.ending == Ending::Cut);
    assert!(!run([TEXT.as_bytes()]).mid_event);
}

pub(super) fn any_answer() -> impl Strategy<Value = Value> {
    let text = "[a-z \"\\\\é😀\n]{0,12}";
    let item = prop_oneof![
        text.prop_map(
            |text| json!({ "type": "message", "content": [{ "type": "output_text", "text": text }] })
        ),
        text.prop_map(
            |text| json!({ "type": "message", "content": [{ "type": "refusal", "refusal": text }] })
        ),
        ("(look|refund|rm)", "[{}\":a-zé\\\\]{0,10}").prop_map(
            |(name, arguments)| json!({ "type": "function_call", "name": name, "arguments": arguments })
        ),
        ("(look|refund|rm)", text)
            .prop_map(|(name, input)| json!({ "type": "custom_tool_call", "name": name, "input": input })),
        Just(json!({ "type": "reasoning", "summary": [] })),
        Just(json!({ "type": "web_search_call", "status": "completed" })),
    ];
    (prop::collection::vec(item, 0..5), "(completed|incomplete)", 0_u64..1000).prop_map(
        |(items, status, tokens)| {
            let number = |(at, mut item): (usize, Value)| {
                item["id"] = json!(format!("item_{at}"));
                if item.get("name").is_some() {
                    item["call_id"] = json!(format!("call_{at}"));
                }
                item
            };
            let output: Vec<Value> = items.into_iter().enumerate().map(number).collect();
            json!({
                "id": "resp_1", "model": "m-1", "status": status, "output": output,
                "usage": { "input_tokens": tokens, "output_tokens": 5 },
            })
        },
    )
}

proptest! {
    #[test]
    fn a_stream_is_observed_like_its_answer(answer in any_answer(), chars in 1_usize..6, bytes in 1_usize..200) {
        let (observed, text) = observe(&answer.to_string());
        let finished = run(streamed(&answer, chars).as_bytes().chunks(bytes));
        prop_assert_eq!(finished.observed, observed);
        prop_assert_eq!((finished.ending, finished.text.text), (Ending::Done, text));
    }
}

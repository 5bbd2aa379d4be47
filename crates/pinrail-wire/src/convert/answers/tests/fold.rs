//! Puts a client's stream together as clients do, and checks what they rely on.

use serde_json::{Value, json};

use crate::dialect::Dialect;
use crate::sse::Splitter;

/// The whole answer that a stream makes up.
pub fn fold(dialect: Dialect, stream: &[u8]) -> Value {
    let mut events = Vec::new();
    let mut splitter = Splitter::new(1 << 24);
    let mut done = false;
    splitter
        .feed(stream, |event| {
            assert!(!done, "an event behind the end");
            match event.data.as_deref() {
                None => {}
                Some(b"[DONE]") => done = true,
                Some(data) => {
                    let value: Value = serde_json::from_slice(data).unwrap();
                    if let Some(name) = event.name {
                        assert_eq!(value["type"].as_str().unwrap().as_bytes(), name);
                    }
                    events.push(value);
                }
            }
        })
        .unwrap();
    assert!(!splitter.mid_event());
    let whole = match dialect {
        Dialect::Chat => chat(&events, done),
        Dialect::Responses => responses(&events),
        Dialect::Messages => messages(&events),
    };
    plain(dialect, whole)
}

/// Evens out what says the same: no content and an empty one, arguments with and without spaces.
pub fn plain(dialect: Dialect, mut whole: Value) -> Value {
    if dialect == Dialect::Chat
        && let Some(message) = whole.pointer_mut("/choices/0/message")
    {
        let message = message.as_object_mut().unwrap();
        message.retain(|_, value| !value.is_null() && value != "");
    }
    read_arguments(&mut whole);
    whole
}

/// Arguments are the same when they are the same JSON.
fn read_arguments(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(read_arguments),
        Value::Object(fields) => {
            for (key, value) in fields {
                let read = value.as_str().filter(|_| key == "arguments").map(serde_json::from_str::<Value>);
                match read {
                    Some(Ok(read)) => *value = read,
                    Some(Err(_)) | None => read_arguments(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn chat(events: &[Value], done: bool) -> Value {
    assert!(done, "no [DONE]");
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let (usage, chunks) = events.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    let mut whole = events[0].clone();
    whole["object"] = json!("chat.completion");
    whole["usage"] = usage["usage"].clone();
    let mut choice = json!({ "index": 0, "message": {}, "logprobs": null, "finish_reason": null });
    for (at, chunk) in chunks.iter().enumerate() {
        let piece = &chunk["choices"][0];
        assert_eq!(piece["finish_reason"].is_string(), at + 1 == chunks.len());
        choice["finish_reason"] = piece["finish_reason"].clone();
        if piece["logprobs"].is_object() {
            merge(&mut choice["logprobs"], &piece["logprobs"]);
        }
        merge(&mut choice["message"], &piece["delta"]);
    }
    for call in choice["message"].get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        call.as_object_mut().unwrap().remove("index");
    }
    whole["choices"] = json!([choice]);
    whole
}

/// Adds a delta as OpenAI's clients do: texts go on, entries of lists are found by their index.
fn merge(kept: &mut Value, new: &Value) {
    match new {
        Value::Object(fields) => {
            if kept.is_null() {
                *kept = json!({});
            }
            for (key, value) in fields {
                let same = ["type", "index", "id", "role", "name"].contains(&key.as_str());
                if same || kept.get(key).is_none() {
                    kept[key] = value.clone();
                } else {
                    merge(&mut kept[key], value);
                }
            }
        }
        Value::Array(list) => {
            for item in list {
                let kept = kept.as_array_mut().unwrap();
                let at = item.get("index").map(|index| usize::try_from(index.as_u64().unwrap()).unwrap());
                match at.and_then(|at| kept.get_mut(at)) {
                    Some(entry) => merge(entry, item),
                    None => kept.push(item.clone()),
                }
            }
        }
        Value::String(text) => {
            let before = kept.as_str().unwrap_or_default().to_owned();
            *kept = json!(before + text);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn messages(events: &[Value]) -> Value {
    let mut whole = events[0]["message"].clone();
    assert_eq!(events[0]["type"], "message_start");
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    let (mut content, mut open, mut input): (Vec<Value>, bool, String) = (Vec::new(), false, String::new());
    for event in &events[1..] {
        let block_event = event["type"].as_str().unwrap().starts_with("content_block");
        let started = event["type"] == "content_block_start";
        if block_event {
            assert_eq!(open, !started);
            assert_eq!(event["index"], content.len() - usize::from(open));
        }
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                content.push(event["content_block"].clone());
                (open, input) = (true, String::new());
            }
            "content_block_stop" => {
                open = false;
                if !input.is_empty() {
                    content.last_mut().unwrap()["input"] = serde_json::from_str(&input).unwrap();
                }
            }
            "content_block_delta" => {
                let (block, delta) = (content.last_mut().unwrap(), &event["delta"]);
                let mut add = |key: &str| {
                    let text = block[key].as_str().unwrap().to_owned() + delta[key].as_str().unwrap();
                    block[key] = json!(text);
                };
                match delta["type"].as_str().unwrap() {
                    "text_delta" => add("text"),
                    "thinking_delta" => add("thinking"),
                    "signature_delta" => add("signature"),
                    "input_json_delta" => input.push_str(delta["partial_json"].as_str().unwrap()),
                    "citations_delta" => {
                        if block.get("citations").is_none() {
                            block["citations"] = json!([]);
                        }
                        block["citations"].as_array_mut().unwrap().push(delta["citation"].clone());
                    }
                    other => panic!("{other}"),
                }
            }
            "message_delta" => {
                for (key, value) in event["delta"].as_object().unwrap() {
                    whole[key] = value.clone();
                }
                whole["usage"] = event["usage"].clone();
            }
            "ping" | "message_stop" => {}
            other => panic!("{other}"),
        }
    }
    assert!(!open);
    whole["content"] = json!(content);
    whole
}

/// The last event repeats the answer; what came before must add up to it.
fn responses(events: &[Value]) -> Value {
    assert_eq!(events[0]["type"], "response.created");
    assert_eq!(events[1]["type"], "response.in_progress");
    let whole = events.last().unwrap()["response"].clone();
    assert_eq!(events[0]["response"]["id"], whole["id"]);
    let mut items: Vec<Value> = Vec::new();
    let mut said = String::new();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], at);
        let kind = event["type"].as_str().unwrap();
        if let Some(index) = event.get("output_index") {
            assert_eq!(index, items.len(), "{event}");
        }
        match kind {
            "response.output_item.done" => {
                let item = event["item"].clone();
                assert!(!item["content"].as_array().is_some_and(Vec::is_empty));
                items.push(item);
            }
            _ if kind.ends_with(".delta") => {
                let item = &whole["output"][items.len()];
                assert_eq!(event["item_id"], item["id"], "{event}");
                said.push_str(event["delta"].as_str().unwrap());
            }
            _ if kind.ends_with(".done") && event.get("part").is_none() => {
                let text =
                    ["text", "arguments", "refusal", "input"].iter().find_map(|key| event.get(key)).unwrap();
                assert_eq!(text, &json!(said), "{kind}");
                said.clear();
            }
            _ => {}
        }
    }
    assert_eq!(whole["output"], json!(items));
    whole
}

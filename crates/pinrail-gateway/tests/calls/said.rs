//! What clients ask, what providers say and what clients read, in each dialect.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use pinrail_domain::provider::{Api, ProviderSpec};
use pinrail_wire::Dialect;
use serde_json::{Value, json};

use crate::world::{SNAPSHOT, Setup};

pub const ALL: [Dialect; 3] = [Dialect::Chat, Dialect::Responses, Dialect::Messages];

/// An answer as a client of its dialect reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    pub text: String,
    pub calls: Vec<(String, Value)>,
    /// In the dialect's words.
    pub finish: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub model: String,
}

/// A request in a dialect, with these fields besides `model` and what is said.
pub fn ask(client: Dialect, said: &str, fields: Value) -> Request<Full<Bytes>> {
    let turns = json!([{"role": "user", "content": said}]);
    let (path, mut body) = match client {
        Dialect::Chat => ("/v1/chat/completions", json!({"model": "support", "messages": turns})),
        Dialect::Responses => ("/v1/responses", json!({"model": "support", "input": said})),
        Dialect::Messages => {
            ("/v1/messages", json!({"model": "support", "max_tokens": 100, "messages": turns}))
        }
    };
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    Request::post(path).body(Full::new(body.to_string().into())).unwrap()
}

/// The fields of a request for a stream that tells its usage.
pub fn streaming(client: Dialect) -> Value {
    match client {
        Dialect::Chat => json!({"stream": true, "stream_options": {"include_usage": true}}),
        Dialect::Responses | Dialect::Messages => json!({"stream": true}),
    }
}

/// A provider that speaks a dialect and no other.
pub fn speaking(provider: Dialect) -> Setup {
    let setup = Setup::default();
    let spec = ProviderSpec { apis: vec![api(provider)], ..setup.spec };
    Setup { spec, ..setup }
}

pub fn api(dialect: Dialect) -> Api {
    match dialect {
        Dialect::Chat => Api::Chat,
        Dialect::Responses => Api::Responses,
        Dialect::Messages => Api::Messages,
    }
}

/// A whole answer of a provider that says `hello`.
pub fn hello(provider: Dialect) -> Value {
    match provider {
        Dialect::Chat => json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": SNAPSHOT,
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"
            }],
            "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        }),
        Dialect::Responses => response(&json!([message("hello")])),
        Dialect::Messages => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": SNAPSHOT,
            "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 10, "output_tokens": 2}
        }),
    }
}

/// A whole answer of a provider that calls tools.
pub fn calling(provider: Dialect, tools: &[&str]) -> Value {
    let mut answer = hello(provider);
    let all = |form: fn(&str) -> Value| Value::Array(tools.iter().map(|name| form(name)).collect());
    match provider {
        Dialect::Chat => {
            let calls = all(
                |name| json!({"id": name, "type": "function", "function": {"name": name, "arguments": "{\"cents\":5}"}}),
            );
            answer["choices"][0]["message"] =
                json!({"role": "assistant", "content": null, "tool_calls": calls});
            answer["choices"][0]["finish_reason"] = json!("tool_calls");
        }
        Dialect::Responses => answer["output"] = all(call),
        Dialect::Messages => {
            answer["content"] =
                all(|name| json!({"type": "tool_use", "id": name, "name": name, "input": {"cents": 5}}));
            answer["stop_reason"] = json!("tool_use");
        }
    }
    answer
}

/// The events of a stream that says the same as a whole answer with one text or calls.
pub fn events(provider: Dialect, whole: &Value) -> Vec<String> {
    match provider {
        Dialect::Chat => chat_events(whole),
        Dialect::Responses => response_events(whole),
        Dialect::Messages => message_events(whole),
    }
}

/// What a provider says of an error.
pub fn error(provider: Dialect, kind: &str, message: &str) -> Value {
    match provider {
        Dialect::Chat | Dialect::Responses => {
            json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
        }
        Dialect::Messages => json!({"type": "error", "error": {"type": kind, "message": message}}),
    }
}

/// The event of a stream in which a provider says that it failed.
pub fn error_event(provider: Dialect) -> String {
    match provider {
        Dialect::Chat => format!("data: {}\n\n", error(provider, "server_error", "overloaded")),
        Dialect::Responses => {
            let error = json!({"code": "server_error", "message": "overloaded"});
            let mut failed = response(&json!([]));
            failed["status"] = json!("failed");
            failed["error"] = error;
            named(json!({"type": "response.failed", "sequence_number": 9, "response": failed}))
        }
        Dialect::Messages => named(error(provider, "overloaded_error", "overloaded")),
    }
}

impl Said {
    /// Reads a whole answer.
    pub fn whole(client: Dialect, answer: &Value) -> Said {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let parsed = |value: &Value| serde_json::from_str(value.as_str().unwrap()).unwrap();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let usage = &answer["usage"];
        let mut said = Said { model: text(&answer["model"]), ..Said::default() };
        let (input, output) = match client {
            Dialect::Chat => {
                let choice = &answer["choices"][0];
                said.text = text(&choice["message"]["content"]);
                said.finish = text(&choice["finish_reason"]);
                for call in list(&choice["message"]["tool_calls"]) {
                    let function = &call["function"];
                    said.calls.push((text(&function["name"]), parsed(&function["arguments"])));
                }
                ("prompt_tokens", "completion_tokens")
            }
            Dialect::Responses => {
                said.finish = text(&answer["status"]);
                for item in list(&answer["output"]) {
                    match item["type"].as_str().unwrap() {
                        "message" => said.text.push_str(item["content"][0]["text"].as_str().unwrap()),
                        "function_call" => {
                            said.calls.push((text(&item["name"]), parsed(&item["arguments"])));
                        }
                        other => panic!("{other}"),
                    }
                }
                ("input_tokens", "output_tokens")
            }
            Dialect::Messages => {
                said.finish = text(&answer["stop_reason"]);
                for block in list(&answer["content"]) {
                    match block["type"].as_str().unwrap() {
                        "text" => said.text.push_str(block["text"].as_str().unwrap()),
                        "tool_use" => said.calls.push((text(&block["name"]), block["input"].clone())),
                        other => panic!("{other}"),
                    }
                }
                ("input_tokens", "output_tokens")
            }
        };
        said.input_tokens = usage[input].as_u64().unwrap_or_default();
        said.output_tokens = usage[output].as_u64().unwrap_or_default();
        said
    }

    /// Reads a stream to its end.
    pub fn streamed(client: Dialect, stream: &str) -> Said {
        let events = data(stream);
        let whole = match client {
            Dialect::Chat => {
                assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
                gather_chat(&events)
            }
            Dialect::Responses => {
                for (at, event) in events.iter().enumerate() {
                    assert_eq!(event["sequence_number"], at, "{stream}");
                }
                let last = events.last().unwrap();
                assert_eq!(last["type"], "response.completed", "{stream}");
                let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
                let text: String = deltas.map(|event| event["delta"].as_str().unwrap()).collect();
                let whole = last["response"].clone();
                assert_eq!(text, Said::whole(client, &whole).text, "{stream}");
                whole
            }
            Dialect::Messages => {
                assert_eq!(events.last().unwrap()["type"], "message_stop", "{stream}");
                gather_message(&events)
            }
        };
        Said::whole(client, &whole)
    }
}

/// The data of a stream's events.
pub fn data(stream: &str) -> Vec<Value> {
    let lines = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn gather_chat(events: &[Value]) -> Value {
    let mut whole = json!({"choices": [{"message": {"content": ""}}]});
    let mut text = String::new();
    let mut calls: Vec<(Value, String)> = Vec::new();
    for event in events {
        whole["model"] = event["model"].clone();
        if !event["usage"].is_null() {
            whole["usage"] = event["usage"].clone();
        }
        let Some(choice) = event["choices"].get(0) else { continue };
        text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if at == calls.len() {
                calls.push((call["function"]["name"].clone(), String::new()));
            }
            calls[at].1.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
        }
        if !choice["finish_reason"].is_null() {
            whole["choices"][0]["finish_reason"] = choice["finish_reason"].clone();
        }
    }
    let calls: Vec<_> = calls
        .into_iter()
        .map(|(name, arguments)| json!({"function": {"name": name, "arguments": arguments}}))
        .collect();
    whole["choices"][0]["message"] = json!({"content": text, "tool_calls": calls});
    whole
}

fn gather_message(events: &[Value]) -> Value {
    let mut whole = events[0]["message"].clone();
    let mut content: Vec<Value> = Vec::new();
    let mut inputs: Vec<String> = Vec::new();
    for event in events {
        let at = usize::try_from(event["index"].as_u64().unwrap_or_default()).unwrap();
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!(at, content.len());
                content.push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                let text = content[at]["text"].as_str().unwrap_or_default();
                let text = format!("{text}{}", delta["text"].as_str().unwrap_or_default());
                content[at]["text"] = json!(text);
                inputs[at].push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            "message_delta" => {
                whole["stop_reason"] = event["delta"]["stop_reason"].clone();
                for (name, count) in event["usage"].as_object().unwrap() {
                    whole["usage"][name] = count.clone();
                }
            }
            _ => {}
        }
    }
    for (block, input) in content.iter_mut().zip(inputs).filter(|(_, input)| !input.is_empty()) {
        block["input"] = serde_json::from_str(&input).unwrap();
    }
    whole["content"] = json!(content);
    whole
}

fn message(text: &str) -> Value {
    let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
    json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content})
}

fn call(name: &str) -> Value {
    json!({
        "id": format!("fc_{name}"), "type": "function_call", "status": "completed", "call_id": name, "name": name,
        "arguments": "{\"cents\":5}"
    })
}

fn response(output: &Value) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": null,
        "incomplete_details": null, "model": SNAPSHOT, "output": output,
        "usage": {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
    })
}

/// An event whose name is its type.
fn named(data: Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

fn chat_events(whole: &Value) -> Vec<String> {
    let choice = &whole["choices"][0];
    let event = |choices: Value, usage: &Value| {
        let object = "chat.completion.chunk";
        let data = json!({
            "id": "chatcmpl-1", "object": object, "created": 1, "model": SNAPSHOT, "choices": choices, "usage": usage
        });
        format!("data: {data}\n\n")
    };
    let delta = |delta: Value, finish: &Value| {
        event(json!([{"index": 0, "delta": delta, "finish_reason": finish}]), &Value::Null)
    };
    let mut all = vec![delta(json!({"role": "assistant", "content": ""}), &Value::Null)];
    for letter in choice["message"]["content"].as_str().unwrap_or_default().chars() {
        all.push(delta(json!({"content": letter}), &Value::Null));
    }
    for (at, call) in choice["message"]["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let mut call = call.clone();
        call["index"] = json!(at);
        all.push(delta(json!({"tool_calls": [call]}), &Value::Null));
    }
    all.push(delta(json!({}), &choice["finish_reason"]));
    all.push(event(json!([]), &whole["usage"]));
    all.push("data: [DONE]\n\n".to_owned());
    all
}

fn response_events(whole: &Value) -> Vec<String> {
    let mut begun = whole.clone();
    (begun["output"], begun["status"], begun["usage"]) = (json!([]), json!("in_progress"), Value::Null);
    let mut all = vec![json!({"type": "response.created", "response": begun})];
    for (at, item) in whole["output"].as_array().unwrap().iter().enumerate() {
        let mut empty = item.clone();
        empty["status"] = json!("in_progress");
        let id = &item["id"];
        let mut push = |kind: &str, mut data: Value| {
            data["type"] = json!(format!("response.{kind}"));
            data["output_index"] = json!(at);
            all.push(data);
        };
        if item["type"] == "message" {
            empty["content"] = json!([]);
            push("output_item.added", json!({"item": empty}));
            let part = &item["content"][0];
            let none = json!({"type": "output_text", "text": "", "annotations": []});
            push("content_part.added", json!({"item_id": id, "content_index": 0, "part": none}));
            for letter in part["text"].as_str().unwrap().chars() {
                push("output_text.delta", json!({"item_id": id, "content_index": 0, "delta": letter}));
            }
            push("output_text.done", json!({"item_id": id, "content_index": 0, "text": part["text"]}));
            push("content_part.done", json!({"item_id": id, "content_index": 0, "part": part}));
        } else {
            empty["arguments"] = json!("");
            push("output_item.added", json!({"item": empty}));
            let arguments = &item["arguments"];
            push("function_call_arguments.delta", json!({"item_id": id, "delta": arguments}));
            push("function_call_arguments.done", json!({"item_id": id, "arguments": arguments}));
        }
        push("output_item.done", json!({"item": item}));
    }
    all.push(json!({"type": "response.completed", "response": whole}));
    let numbered = all.into_iter().enumerate().map(|(at, mut event)| {
        event["sequence_number"] = json!(at);
        named(event)
    });
    numbered.collect()
}

fn message_events(whole: &Value) -> Vec<String> {
    let mut begun = whole.clone();
    (begun["content"], begun["stop_reason"]) = (json!([]), Value::Null);
    begun["usage"]["output_tokens"] = json!(1);
    let mut all = vec![json!({"type": "message_start", "message": begun})];
    for (at, block) in whole["content"].as_array().unwrap().iter().enumerate() {
        let mut empty = block.clone();
        let mut deltas = Vec::new();
        if block["type"] == "text" {
            empty["text"] = json!("");
            let letters = block["text"].as_str().unwrap().chars();
            deltas.extend(letters.map(|letter| json!({"type": "text_delta", "text": letter})));
        } else {
            empty["input"] = json!({});
            let input = block["input"].to_string();
            deltas.push(json!({"type": "input_json_delta", "partial_json": input}));
        }
        all.push(json!({"type": "content_block_start", "index": at, "content_block": empty}));
        for delta in deltas {
            all.push(json!({"type": "content_block_delta", "index": at, "delta": delta}));
        }
        all.push(json!({"type": "content_block_stop", "index": at}));
    }
    let delta = json!({"stop_reason": whole["stop_reason"], "stop_sequence": null});
    all.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 2}}));
    all.push(json!({"type": "message_stop"}));
    all.into_iter().map(named).collect()
}

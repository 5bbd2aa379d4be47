//! Anthropic's dialect: the shape of answers and streams, thinking, caching, counting, and the list of models.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Client, GOOD, events};

fn ask(question: &str, extra: Value) -> Value {
    let mut body =
        json!({"model": GOOD, "max_tokens": 4000, "messages": [{"role": "user", "content": question}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

/// Joins a stream as a client does.
fn join(stream: &str) -> Value {
    let events = events(stream);
    assert!(events.iter().all(|(name, data)| data["type"] == *name), "{stream}");
    let mut message = Value::Null;
    for (name, data) in &events {
        let index = data["index"].as_u64().unwrap_or(0) as usize;
        match name.as_str() {
            "message_start" => message = data["message"].clone(),
            "content_block_start" => {
                assert_eq!(message["content"].as_array().unwrap().len(), index);
                message["content"].as_array_mut().unwrap().push(data["content_block"].clone());
            }
            "content_block_delta" => {
                let delta = data["delta"].as_object().unwrap();
                let (key, more) = delta.iter().find(|(key, _)| *key != "type").unwrap();
                let block = &mut message["content"][index];
                let so_far = block[key].as_str().unwrap_or("").to_owned();
                block[key] = json!(so_far + more.as_str().unwrap());
            }
            "content_block_stop" => {
                let block = message["content"][index].as_object_mut().unwrap();
                if let Some(json) = block.remove("partial_json") {
                    block.insert("input".to_owned(), serde_json::from_str(json.as_str().unwrap()).unwrap());
                }
            }
            "message_delta" => {
                for key in ["stop_reason", "stop_sequence", "stop_details"] {
                    message[key] = data["delta"][key].clone();
                }
                message["usage"] = data["usage"].clone();
            }
            "message_stop" | "ping" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(events.last().unwrap().0, "message_stop");
    message
}

#[tokio::test]
async fn a_stream_says_what_the_whole_message_says() {
    let tools = json!([{"name": "look_up", "input_schema": {"type": "object", "required": ["what"], "properties": {"what": {"type": "string"}}}}]);
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    let omitted = json!({"type": "adaptive", "display": "omitted"});
    let client = Client::builtin(1);
    for extra in [json!({}), json!({ "thinking": thinking }), json!({ "thinking": omitted })] {
        for question in ["What is 17 + 25?", "look_up 'the sea' please"] {
            let mut body = ask(question, extra.clone());
            body["tools"] = tools.clone();
            let mut whole = client.post("/v1/messages", &body).await.json();
            body["stream"] = json!(true);
            let mut joined = join(&client.post("/v1/messages", &body).await.text());
            for message in [&mut whole, &mut joined] {
                message.as_object_mut().unwrap().remove("id");
            }
            assert_eq!(joined, whole, "{question} {extra}");
        }
    }
}

#[tokio::test]
async fn a_message_has_anthropics_shape_and_a_stream_its_events() {
    let client = Client::builtin(7);
    let mut body = ask("What is 17 + 25?", json!({}));
    let reply = client.post("/v1/messages", &body).await;
    assert!(reply.header("request-id").starts_with("req_") && reply.header("x-pinrail-sim") == "1");
    let message = reply.json();
    assert!(message["id"].as_str().unwrap().starts_with("msg_"));
    assert_eq!(
        (&message["type"], &message["role"], &message["model"]),
        (&json!("message"), &json!("assistant"), &json!(GOOD))
    );
    assert_eq!(message["content"], json!([{"type": "text", "text": "17 + 25 is 42."}]));
    assert_eq!((&message["stop_reason"], &message["stop_sequence"]), (&json!("end_turn"), &Value::Null));
    assert_eq!(
        (&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]),
        (&json!(8), &json!(5))
    );
    body["stream"] = json!(true);
    let names: Vec<String> =
        events(&client.post("/v1/messages", &body).await.text()).into_iter().map(|(name, _)| name).collect();
    let delta = "content_block_delta";
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "ping",
            delta,
            delta,
            delta,
            delta,
            delta,
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
}

#[tokio::test]
async fn each_stop_reason_is_told() {
    let client = Client::scripted(
        "[[checkpoint]]\nid = \"m\"\n[[checkpoint]]\nid = \"no\"\nrefusal_rate = 1\n[[checkpoint]]\nid = \"cut\"\ncontent_filter_rate = 1",
        1,
    );
    let check = async |model: &str, extra: Value, want: Value| {
        let mut body = ask("Repeat: one two three four", extra);
        body["model"] = json!(model);
        let message = client.post("/v1/messages", &body).await.json();
        assert_eq!(json!([message["stop_reason"], message["stop_sequence"]]), want, "{message}");
    };
    check("m", json!({}), json!(["end_turn", null])).await;
    check("m", json!({"max_tokens": 2}), json!(["max_tokens", null])).await;
    check("m", json!({"stop_sequences": ["four", "three"]}), json!(["stop_sequence", "three"])).await;
    check("no", json!({}), json!(["refusal", null])).await;
    check("cut", json!({}), json!(["refusal", null])).await;
    let tools = json!([{"name": "t", "input_schema": {"type": "object"}}]);
    check("m", json!({"tools": tools, "tool_choice": {"type": "any"}}), json!(["tool_use", null])).await;
}

#[tokio::test]
async fn a_thought_goes_there_and_back_unless_it_is_changed() {
    let client = Client::builtin(1);
    let tools = json!([{"name": "look_up", "input_schema": {"type": "object", "properties": {"what": {"type": "string"}}}}]);
    let extra = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": tools});
    let mut body = ask("look_up 'the sea'", extra);
    let said = client.post("/v1/messages", &body).await.json();
    assert_eq!((&said["content"][0]["type"], &said["stop_reason"]), (&json!("thinking"), &json!("tool_use")));
    assert!(said["usage"]["output_tokens_details"]["thinking_tokens"].as_u64().unwrap() > 0);
    let mut turns = body["messages"].as_array().unwrap().clone();
    turns.push(json!({"role": "assistant", "content": said["content"]}));
    turns.push(json!({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": said["content"][1]["id"], "content": "salty", "is_error": false}]}));
    body["messages"] = json!(turns);
    let answer = client.post("/v1/messages", &body).await.json();
    assert_eq!(answer["content"][1]["text"], "The tool answered: \"salty\"", "{answer}");
    body["messages"][1]["content"][0]["thinking"] = json!("Something else.");
    let refused = client.post("/v1/messages", &body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused.json()["error"],
        json!({"type": "invalid_request_error", "message": "messages.1.content.0: Invalid `signature` in `thinking` block"})
    );
}

#[tokio::test]
async fn structured_output_follows_its_schema() {
    let client = Client::builtin(1);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "schema": schema});
    for extra in [json!({"output_config": {"format": format}}), json!({ "output_format": format })] {
        let message = client.post("/v1/messages", &ask("The city is 'Oslo'", extra)).await.json();
        assert_eq!(message["content"][0]["text"], "{\"city\":\"Oslo\"}");
    }
}

#[tokio::test]
async fn a_marked_prompt_is_written_to_the_cache_and_then_read() {
    let client = Client::builtin(1);
    let body = ask(
        "hi",
        json!({"system": [{"type": "text", "text": "one two three", "cache_control": {"type": "ephemeral"}}]}),
    );
    let mut usages = Vec::new();
    for _ in 0..2 {
        let usage = client.post("/v1/messages", &body).await.json()["usage"].clone();
        usages.push(json!([
            usage["input_tokens"],
            usage["cache_creation_input_tokens"],
            usage["cache_read_input_tokens"]
        ]));
    }
    assert_eq!(usages, [json!([4, 6, 0]), json!([4, 0, 6])]);
}

#[tokio::test]
async fn tokens_are_counted_models_listed_and_the_version_is_needed() {
    let client = Client::builtin(1);
    let body = json!({"model": GOOD, "messages": [{"role": "user", "content": "one two three"}]});
    assert_eq!(client.post("/v1/messages/count_tokens", &body).await.json(), json!({"input_tokens": 6}));
    assert!(client.sim.counters().models.is_empty(), "counting is no request to a model");
    let list = client.with_header("anthropic-version", "2023-06-01").get("/v1/models").await.json();
    assert_eq!((&list["has_more"], &list["first_id"]), (&json!(false), &json!("sim-1")));
    assert_eq!(
        (&list["data"][1]["type"], &list["data"][1]["created_at"]),
        (&json!("model"), &json!("2026-01-15T00:00:00Z"))
    );
    let unknown = client.with_header("anthropic-version", "2023-06-01").get("/v1/models/nobody").await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["type"]),
        (StatusCode::NOT_FOUND, &json!("not_found_error"))
    );
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let refused = client.without_version().post(path, &ask("hi", json!({}))).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.json()["error"]["message"], "anthropic-version: header is required");
    }
    let mut unknown = ask("hi", json!({}));
    unknown["model"] = json!("claude-nobody");
    let refused = client.post("/v1/messages", &unknown).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (StatusCode::NOT_FOUND, &json!("not_found_error"))
    );
}

//! The same conversation in each dialect: one answer, one fate, one pace.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Client, chat};

/// The three requests for one question, with a tool on offer.
fn asked(model: &str, question: &str) -> [(&'static str, Value); 3] {
    let schema = json!({"type": "object", "required": ["what"], "properties": {"what": {"type": "string"}}});
    let mut in_chat = chat(model, question);
    in_chat["messages"].as_array_mut().unwrap().insert(0, json!({"role": "system", "content": "Be kind."}));
    in_chat["tools"] = json!([{"type": "function", "function": {"name": "look_up", "parameters": schema}}]);
    [
        ("/v1/chat/completions", in_chat),
        (
            "/v1/messages",
            json!({"model": model, "max_tokens": 1000, "system": "Be kind.",
                "tools": [{"name": "look_up", "input_schema": schema}],
                "messages": [{"role": "user", "content": question}]}),
        ),
        (
            "/v1/responses",
            json!({"model": model, "instructions": "Be kind.", "input": question,
                "tools": [{"type": "function", "name": "look_up", "parameters": schema}]}),
        ),
    ]
}

/// Brings an answer of any dialect to one form: text, refusal or calls, and the tokens.
fn said(path: &str, answer: &Value) -> Value {
    let call = |name: &Value, arguments: Value| json!({"name": name, "arguments": arguments});
    let parse = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match path {
        "/v1/chat/completions" => {
            let message = &answer["choices"][0]["message"];
            let calls: Vec<Value> = list(&message["tool_calls"])
                .iter()
                .map(|one| call(&one["function"]["name"], parse(&one["function"]["arguments"])))
                .collect();
            let text = message["content"].as_str().or(message["refusal"].as_str()).unwrap_or("");
            let usage = &answer["usage"];
            json!({"text": text, "calls": calls, "tokens": [usage["prompt_tokens"], usage["completion_tokens"]]})
        }
        "/v1/messages" => {
            let blocks = list(&answer["content"]);
            let text: String = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            let used = blocks.iter().filter(|block| block["type"] == "tool_use");
            let calls: Vec<Value> = used.map(|one| call(&one["name"], one["input"].clone())).collect();
            let usage = &answer["usage"];
            json!({"text": text, "calls": calls, "tokens": [usage["input_tokens"], usage["output_tokens"]]})
        }
        _ => {
            let items = list(&answer["output"]);
            let parts = items.iter().flat_map(|item| list(&item["content"]));
            let text: String = parts
                .map(|part| part["text"].as_str().or(part["refusal"].as_str()).unwrap_or("").to_owned())
                .collect();
            let called = items.iter().filter(|item| item["type"] == "function_call");
            let calls: Vec<Value> = called.map(|one| call(&one["name"], parse(&one["arguments"]))).collect();
            let usage = &answer["usage"];
            json!({"text": text, "calls": calls, "tokens": [usage["input_tokens"], usage["output_tokens"]]})
        }
    }
}

#[tokio::test]
async fn each_dialect_gets_the_same_answer() {
    let script =
        "[[checkpoint]]\nid = \"m\"\naccuracy = 0.5\nrefusal_rate = 0.2\ntools = { call_rate = 0.3 }";
    let client = Client::scripted(script, 3);
    let mut kinds = std::collections::BTreeSet::new();
    for case in 0..40 {
        let question = format!("What is {case} + 7? Or look_up 'the sea'");
        let question = if case % 2 == 0 { question } else { format!("What is {case} + 7?") };
        let mut answers = Vec::new();
        for (path, body) in asked("m", &question) {
            answers.push(said(path, &client.post(path, &body).await.json()));
        }
        assert_eq!((&answers[0], &answers[0]), (&answers[1], &answers[2]), "{question}");
        let calls = answers[0]["calls"].as_array().unwrap().len();
        kinds.insert((calls, answers[0]["text"].as_str().unwrap().starts_with("I'm sorry")));
    }
    assert_eq!(kinds.len(), 3, "text, refusals and calls: {kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn each_dialect_has_the_same_pace_streamed_or_not() {
    let script = "[[checkpoint]]\nid = \"m\"\nlatency = { first_ms = 50, per_token_ms = 10 }";
    for question in ["What is 17 + 25?", "look_up 'the sea'"] {
        let mut times = std::collections::BTreeSet::new();
        for (path, mut body) in asked("m", question) {
            for stream in [false, true] {
                body["stream"] = json!(stream);
                let client = Client::scripted(script, 3);
                let began = tokio::time::Instant::now();
                client.stream(path, &body).await.rest().await;
                times.insert(began.elapsed().as_millis());
            }
        }
        assert_eq!(times.len(), 1, "{question}: {times:?}");
    }
}

#[tokio::test]
async fn each_dialect_meets_the_same_mishaps_in_its_own_form() {
    let refused = |status: u16| {
        format!(
            "[[checkpoint]]\nid = \"m\"\nerror_rate = 1\nerror_statuses = [{{ status = {status}, retry_after_seconds = 3 }}]"
        )
    };
    for (status, anthropic) in [
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
        (401, "authentication_error"),
    ] {
        let client = Client::scripted(&refused(status), 3);
        for (path, body) in asked("m", "hello") {
            let reply = client.post(path, &body).await;
            assert_eq!(
                (reply.status.as_u16(), reply.header("retry-after").as_str()),
                (status, "3"),
                "{path}"
            );
            let body = reply.json();
            if path == "/v1/messages" {
                assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!(anthropic)));
                assert_eq!(body["request_id"], reply.header("request-id"));
            } else {
                assert!(
                    body["error"]["message"].is_string() && reply.header("x-request-id").starts_with("req_")
                );
            }
        }
    }
    for (rate, whole) in [("cut_stream_rate", false), ("garbage_rate", true), ("stream_error_rate", true)] {
        let client = Client::scripted(&format!("[[checkpoint]]\nid = \"m\"\n{rate} = 1"), 3);
        for (path, mut body) in asked("m", "hello") {
            body["stream"] = json!(true);
            let (text, ended) = client.stream(path, &body).await.rest().await;
            assert_eq!(ended, whole, "{path} {rate}");
            let ends = ["[DONE]", "message_stop", "response.completed"];
            assert!(!ends.iter().any(|end| text.contains(end)), "{path} {rate}: {text}");
            let last = text.trim_end().rsplit("data: ").next().unwrap().to_owned();
            let last: Result<Value, _> = serde_json::from_str(&last);
            assert_eq!(last.is_err(), rate == "garbage_rate", "{path} {rate}: {text}");
            if rate == "stream_error_rate" {
                let last = last.unwrap();
                let error = if path == "/v1/responses" { &last["response"]["error"] } else { &last["error"] };
                assert!(error["message"].is_string(), "{path}: {last}");
            }
        }
        let count = client.sim.counters().models["m"];
        let want = [
            ("cut_stream_rate", count.cut),
            ("garbage_rate", count.garbage),
            ("stream_error_rate", count.errors),
        ];
        assert!(
            want.iter().all(|(name, count)| *count == if *name == rate { 3 } else { 0 }),
            "{rate}: {want:?}"
        );
    }
}

#[tokio::test]
async fn a_key_is_taken_in_either_header() {
    let client = Client::scripted("api_key = \"secret-one\"\n[[checkpoint]]\nid = \"m\"", 1);
    for (path, body) in asked("m", "hello") {
        assert_eq!(client.post(path, &body).await.status, StatusCode::UNAUTHORIZED);
        let bearer = client.with_key("secret-one");
        assert_eq!(bearer.post(path, &body).await.status, StatusCode::OK);
        let header = client.with_header("x-api-key", "secret-one");
        assert_eq!(header.post(path, &body).await.status, StatusCode::OK);
    }
}

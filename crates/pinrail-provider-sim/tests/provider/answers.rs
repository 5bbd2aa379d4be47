//! What is said: quality, determinism, the shape of answers and streams.

use axum::http::StatusCode;
use pinrail_provider_sim::{SEED_DEFAULT, Task};
use serde_json::{Value, json};

use crate::support::{self, Client, GOOD, WORSE, chat, text_of};

fn sums() -> impl Iterator<Item = String> {
    (0..400).map(|case| format!("What is {} + {}?", 100 + case, 7 * case + 3))
}

/// Counts right answers to the 400 sums.
async fn right_of_400(client: &Client, model: &str) -> usize {
    let mut right = 0;
    for question in sums() {
        let said = text_of(&client.ask(model, &question).await);
        let want = Task::find(&question).unwrap().right();
        right += usize::from(said.ends_with(&format!(" is {want}.")));
    }
    right
}

#[tokio::test]
async fn quality_differs_by_checkpoint_as_scripted() {
    let client = Client::builtin(1);
    let (good, worse) = (right_of_400(&client, GOOD).await, right_of_400(&client, WORSE).await);
    assert!((368..=392).contains(&good), "{good} of 400 at 0.95");
    assert!((296..=344).contains(&worse), "{worse} of 400 at 0.80");
}

#[tokio::test]
async fn the_same_seed_says_the_same_and_another_seed_does_not() {
    let (one, same, other) = (Client::builtin(1), Client::builtin(1), Client::builtin(2));
    let mut differ = 0;
    // Another order, and other conversations in between, change nothing.
    let mut backwards: Vec<String> = sums().take(60).collect();
    backwards.reverse();
    let mut said_backwards = Vec::new();
    for question in &backwards {
        same.ask(GOOD, "something else").await;
        said_backwards.push(same.ask(WORSE, question).await);
    }
    said_backwards.reverse();
    for (question, said) in sums().take(60).zip(said_backwards) {
        assert_eq!(one.ask(WORSE, &question).await, said, "{question}");
        differ += usize::from(text_of(&other.ask(WORSE, &question).await) != text_of(&said));
    }
    assert!(differ > 5, "only {differ} of 60 answers differ by seed");
}

#[tokio::test]
async fn repeats_differ_only_when_sampling() {
    let script = "[[checkpoint]]\nid = \"m\"\naccuracy = 0.5\nverbosity = \"terse\"";
    let distinct = async |temperature: Value| {
        let client = Client::scripted(script, 1);
        let mut said = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let body = json!({"model": "m", "temperature": temperature, "messages": [{"role": "user", "content": "2 + 2"}]});
            said.insert(text_of(&client.post("/v1/chat/completions", &body).await.json()));
        }
        said.len()
    };
    assert_eq!(distinct(json!(0)).await, 1);
    assert_eq!(distinct(json!(null)).await, 1);
    assert!(distinct(json!(1)).await > 1);
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let tools = json!([{"type": "function", "function": {"name": "look_up", "parameters": {
        "type": "object", "required": ["what"], "properties": {"what": {"type": "string"}}}}}]);
    let client = Client::builtin(1);
    for question in ["What is 17 + 25?", "Hello there", "look_up 'the sea' please", "Repeat: a  b\tc"] {
        let mut body = chat(GOOD, question);
        body["tools"] = tools.clone();
        let whole = client.post("/v1/chat/completions", &body).await.json();
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let stream = client.post("/v1/chat/completions", &body).await;
        assert_eq!(stream.header("content-type"), "text/event-stream; charset=utf-8");
        let (joined, usage) = support::join(&stream.text());
        let choice = &whole["choices"][0];
        assert_eq!(joined["content"], choice["message"]["content"].as_str().unwrap_or(""), "{question}");
        assert_eq!(
            joined["tool_calls"],
            choice["message"].get("tool_calls").cloned().unwrap_or(json!([])),
            "{question}"
        );
        assert_eq!(joined["finish_reason"], choice["finish_reason"]);
        assert_eq!(joined["system_fingerprint"], whole["system_fingerprint"]);
        assert_eq!(usage, whole["usage"], "{question}");
    }
}

#[tokio::test]
async fn usage_comes_in_a_stream_only_when_asked_for() {
    let client = Client::builtin(1);
    let mut body = chat(GOOD, "Hello");
    body["stream"] = json!(true);
    let text = client.post("/v1/chat/completions", &body).await.text();
    assert!(!text.contains("usage") && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn an_answer_has_openais_shape() {
    let client = Client::builtin(1);
    let reply = client.post("/v1/chat/completions", &chat("sim-1", "What is 17 + 25?")).await;
    assert_eq!((reply.status, reply.header("x-pinrail-sim").as_str()), (StatusCode::OK, "1"));
    assert!(reply.header("x-request-id").starts_with("req_"));
    let body = reply.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!((&body["model"], &body["created"]), (&json!(GOOD), &json!(support::NOW)));
    assert_eq!(body["system_fingerprint"], "fp_sim1jan15");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let usage = &body["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(8), &json!(5), &json!(13))
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
}

#[tokio::test]
async fn the_default_seed_answers_the_documented_question_right() {
    let client = Client::builtin(SEED_DEFAULT);
    for model in ["sim-1", GOOD, WORSE, "sim-2-2026-09-01"] {
        let said = text_of(&client.ask(model, "What is 17 + 25?").await);
        assert!(said.contains("17 + 25 is 42."), "{model}: {said}");
    }
}

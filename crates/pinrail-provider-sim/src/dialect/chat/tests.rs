use serde_json::{Value, json};

use crate::failure::Failure;
use crate::limits::ANSWER_TOKENS_MAX;
use crate::request::Request;

fn parse(body: Value) -> Result<Request, Failure> {
    super::read(body.to_string().as_bytes()).map(|(request, _)| request)
}

fn with(extra: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let Value::Object(extra) = extra else { panic!("an object") };
    body.as_object_mut().unwrap().extend(extra);
    body
}

#[test]
fn what_can_not_be_served_is_refused_by_name() {
    let check = |body: Value, param: &str| {
        let failure = parse(body.clone()).expect_err(&body.to_string());
        assert_eq!((failure.status.as_u16(), failure.param.as_deref()), (400, Some(param)), "{body}");
    };
    let tool = json!([{"type": "function", "function": {"name": "t"}}]);
    check(json!([]), "body");
    check(with(json!({"n": 2})), "n");
    check(with(json!({"logprobs": 1})), "logprobs");
    check(with(json!({"top_logprobs": 2})), "top_logprobs");
    check(with(json!({"logprobs": true, "top_logprobs": 21})), "top_logprobs");
    check(with(json!({"functions": []})), "functions");
    check(with(json!({"model": ""})), "model");
    check(with(json!({"messages": []})), "messages");
    check(with(json!({"messages": [{"role": "robot", "content": ""}]})), "messages[0].role");
    check(with(json!({"messages": [{"role": "user"}]})), "messages[0].content");
    check(with(json!({"messages": [{"role": "tool", "content": "x"}]})), "messages[0].tool_call_id");
    check(
        with(json!({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]})),
        "messages[0].role",
    );
    check(with(json!({"stream": "yes"})), "stream");
    check(with(json!({"stream_options": {"include_usage": true}})), "stream_options");
    check(with(json!({"max_tokens": 0})), "max_tokens");
    check(with(json!({"max_completion_tokens": -1})), "max_completion_tokens");
    check(with(json!({"temperature": 3})), "temperature");
    check(with(json!({"stop": [1]})), "stop");
    check(with(json!({"tools": [{"type": "retrieval"}]})), "tools[0]");
    check(
        with(json!({"tools": [{"type": "function", "function": {"name": "a b"}}]})),
        "tools[0].function.name",
    );
    check(with(json!({"tool_choice": "required"})), "tool_choice");
    check(
        with(json!({"tools": tool, "tool_choice": {"type": "function", "function": {"name": "u"}}})),
        "tool_choice",
    );
    check(with(json!({"response_format": {"type": "xml"}})), "response_format");
}

#[test]
fn a_call_without_its_result_is_refused() {
    let call = json!({"id": "c1", "type": "function", "function": {"name": "t", "arguments": "{}"}});
    let body = with(json!({"messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "user", "content": "and?"},
    ]}));
    let failure = parse(body).unwrap_err();
    assert!(failure.message.contains("c1"), "{}", failure.message);
}

#[test]
fn harmless_fields_are_accepted_and_null_means_missing() {
    let request = parse(with(json!({
        "n": 1, "logprobs": false, "top_p": 0.5, "seed": 3, "user": "u", "metadata": {"a": "b"}, "tools": null,
        "tool_choice": null, "stream": null, "stop": null, "temperature": null, "max_tokens": null, "store": false,
    })))
    .unwrap();
    assert_eq!((request.stream, request.temperature, request.tokens_max), (false, 0.0, ANSWER_TOKENS_MAX));
}

#[test]
fn the_conversation_is_what_was_said_and_offered() {
    let hash = |body: Value| parse(body).unwrap().conversation();
    let plain = hash(with(json!({})));
    assert_eq!(plain, hash(with(json!({"stream": true, "temperature": 1, "user": "x"}))));
    assert_eq!(
        plain,
        hash(with(json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]})))
    );
    assert_ne!(plain, hash(with(json!({"messages": [{"role": "user", "content": "ho"}]}))));
    assert_ne!(plain, hash(with(json!({"tools": [{"type": "function", "function": {"name": "t"}}]}))));
}

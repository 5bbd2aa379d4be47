use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::failure::Failure;
use crate::request::Request;
use crate::script::Script;
use crate::sim::Sim;

fn sim() -> Sim {
    Sim::new(Script::builtin(), 7, Arc::new(|| 0))
}

fn parse(body: Value) -> Result<Request, Failure> {
    read(body.to_string().as_bytes(), &sim()).map(|(request, _)| request)
}

fn with(extra: Value) -> Value {
    let mut body = json!({"model": "m", "input": "hi"});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

fn check(extra: Value, param: &str, code: Option<&str>, want: &str) {
    let failure = parse(with(extra.clone())).expect_err(&extra.to_string());
    assert_eq!((failure.param.as_deref(), failure.code), (Some(param), code), "{extra}");
    assert!(failure.message.contains(want), "{extra}: {}", failure.message);
}

#[test]
fn mistakes_are_refused_in_openais_words() {
    check(json!({"model": ""}), "model", Some("missing_required_parameter"), "'model'");
    check(json!({"input": null}), "input", Some("missing_required_parameter"), "'input'");
    check(json!({"messages": []}), "messages", Some("unknown_parameter"), "Unknown parameter: 'messages'.");
    check(json!({"stop": ["x"]}), "stop", Some("unknown_parameter"), "Unknown parameter: 'stop'.");
    check(json!({"stream": "yes"}), "stream", Some("invalid_type"), "expected a boolean");
    check(
        json!({"max_output_tokens": 5}),
        "max_output_tokens",
        Some("integer_below_min_value"),
        "Expected a value >= 16, but got 5 instead.",
    );
    check(json!({"include": ["all"]}), "include[0]", Some("invalid_value"), "'reasoning.encrypted_content'");
    check(
        json!({"previous_response_id": "resp_1"}),
        "previous_response_id",
        Some("previous_response_not_found"),
        "Previous response with id 'resp_1' not found.",
    );
    check(
        json!({"tools": [{"type": "function"}]}),
        "tools[0].name",
        Some("missing_required_parameter"),
        "tools[0].name",
    );
    check(
        json!({"tools": [{"type": "function", "name": "a b"}]}),
        "tools[0].name",
        Some("invalid_value"),
        "Invalid 'tools[0].name': string does not match pattern.",
    );
    check(
        json!({"tools": [{"type": "function", "name": "t", "strict": true, "parameters": {"type": "object"}}]}),
        "tools[0].parameters",
        Some("invalid_function_parameters"),
        "Invalid schema for function 't': In context=()",
    );
    check(
        json!({"text": {"format": {"type": "json_schema", "schema": {}}}}),
        "text.format.name",
        Some("missing_required_parameter"),
        "text.format.name",
    );
    check(
        json!({"text": {"format": {"type": "json_schema", "name": "n", "strict": true, "schema": {"type": "object"}}}}),
        "text.format.schema",
        Some("invalid_json_schema"),
        "Invalid schema for response_format 'n'",
    );
}

#[test]
fn mistakes_in_items_are_refused_in_openais_words() {
    let input = |item: Value| json!({"input": [{"role": "user", "content": "hi"}, item]});
    let call = json!({"type": "function_call", "call_id": "call_1", "name": "t", "arguments": "{}"});
    check(input(call), "input", None, "No tool output found for function call call_1.");
    check(
        input(json!({"type": "function_call_output", "call_id": "call_1", "output": "x"})),
        "input",
        None,
        "No tool call found for function call output with call_id call_1.",
    );
    check(
        input(json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABx"})),
        "input",
        Some("invalid_encrypted_content"),
        "could not be verified",
    );
    check(
        input(json!({"type": "item_reference", "id": "msg_1"})),
        "input",
        None,
        "Item with id 'msg_1' not found.",
    );
    check(input(json!({"type": "wish"})), "input[1].type", Some("invalid_value"), "'wish'");
    check(
        input(json!({"role": "user", "content": [{"type": "text", "text": "x"}]})),
        "input[1].content[0].type",
        Some("invalid_value"),
        "'input_text'",
    );
}

#[test]
fn a_conversation_is_the_same_as_in_the_chat_dialect() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let ours = parse(json!({
        "model": "m", "instructions": "Be kind.", "user": "u", "metadata": {"a": "b"},
        "tools": [{"type": "function", "name": "t", "description": "d", "parameters": schema, "strict": false}, {"type": "web_search"}],
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "Look: "},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait.", "annotations": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "t", "arguments": "{\"a\":1}"},
            {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "t", "arguments": "{\"a\":2}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "one"},
            {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "two"}]},
        ],
    }))
    .unwrap();
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "t", "arguments": arguments}});
    let chat = json!({
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "t", "description": "d", "parameters": schema}}],
        "messages": [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [
                {"type": "text", "text": "Look: "},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": "Wait.", "tool_calls": [call("call_1", "{\"a\": 1}"), call("call_2", "{\"a\": 2}")]},
            {"role": "tool", "tool_call_id": "call_1", "content": "one"},
            {"role": "tool", "tool_call_id": "call_2", "content": "two"},
        ],
    });
    let (chat, _) = crate::dialect::chat::read(chat.to_string().as_bytes()).unwrap();
    assert_eq!(ours.conversation(), chat.conversation(), "{ours:#?}\n{chat:#?}");
    assert_eq!(ours.tools.len(), 1, "built-in tools are never called");
}

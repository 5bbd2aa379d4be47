use serde_json::{Value, json};

use super::read::Version;
use super::*;
use crate::failure::Failure;
use crate::request::{Request, Role, ToolChoice};
use crate::thought::seal;

fn parse(body: Value) -> Result<Request, Failure> {
    read(body.to_string().as_bytes(), Version::First, 7).map(|(request, _)| request)
}

fn with(extra: Value) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

fn turns(turns: Value) -> Value {
    with(json!({ "messages": turns }))
}

fn used(id: &str) -> Value {
    json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "t", "input": {"a": 1}}]})
}

fn result(id: &str) -> Value {
    json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "done"}]})
}

#[test]
fn mistakes_are_refused_in_anthropics_words() {
    let check = |body: Value, want: &str| {
        let failure = parse(body.clone()).expect_err(&body.to_string());
        assert_eq!((failure.status.as_u16(), failure.message.as_str()), (400, want), "{body}");
    };
    let without = |key: &str| {
        let mut body = with(json!({}));
        body.as_object_mut().unwrap().remove(key);
        body
    };
    for key in ["model", "max_tokens", "messages"] {
        check(without(key), &format!("{key}: Field required"));
    }
    check(with(json!({"max_token": 1})), "max_token: Extra inputs are not permitted");
    check(with(json!({"messages": []})), "messages: at least one message is required");
    check(with(json!({"stream": "yes"})), "stream: Input should be a valid boolean");
    check(with(json!({"temperature": 1.5})), "temperature: range: 0..1");
    check(
        with(json!({"stop_sequences": [" "]})),
        "stop_sequences: each stop sequence must contain non-whitespace",
    );
    check(
        turns(json!([{"role": "tool", "content": "x"}])),
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    );
    check(
        turns(json!([{"role": "user", "content": [{"type": "text", "text": ""}]}])),
        "messages: text content blocks must be non-empty",
    );
    check(
        turns(
            json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": ""}, {"role": "user", "content": "?"}]),
        ),
        "messages.1: all messages must have non-empty content except for the optional final assistant message",
    );
    check(
        turns(json!([{"role": "user", "content": "hi"}, used("toolu_1"), {"role": "user", "content": "?"}])),
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. Each \
         `tool_use` block must have a corresponding `tool_result` block in the next message.",
    );
    check(
        turns(json!([{"role": "user", "content": "hi"}, result("toolu_1")])),
        "messages.1.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1. Each `tool_result` \
         block must have a corresponding `tool_use` block in the previous message.",
    );
    check(with(json!({"tools": [{"name": "t"}]})), "tools.0.custom.input_schema: Field required");
    check(
        with(json!({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]})),
        "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
    );
    check(
        with(json!({"tool_choice": {"type": "any"}})),
        "tool_choice may only be specified while providing tools.",
    );
    check(
        with(json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}})),
        "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
    );
}

#[test]
fn thinking_has_its_own_rules() {
    let check = |extra: Value, want: &str| {
        let failure = parse(with(extra.clone())).expect_err(&extra.to_string());
        assert!(failure.message.contains(want), "{extra}: {}", failure.message);
    };
    let on = json!({"type": "enabled", "budget_tokens": 1024});
    let tools = json!([{"name": "t", "input_schema": {"type": "object"}}]);
    check(json!({"thinking": {"type": "enabled", "budget_tokens": 10}}), "greater than or equal to 1024");
    check(json!({"thinking": on}), "must be greater than `thinking.budget_tokens`");
    check(json!({"thinking": on, "max_tokens": 2000, "temperature": 0.5}), "may only be set to 1");
    check(
        json!({"thinking": {"type": "adaptive"}, "tools": tools, "tool_choice": {"type": "any"}}),
        "when tool_choice forces tool use",
    );
    let asked = json!({"role": "user", "content": "hi"});
    check(
        json!({"thinking": on, "max_tokens": 2000, "messages": [asked, used("toolu_1"), result("toolu_1")]}),
        "messages.1.content.0.type: Expected `thinking`",
    );
    let thought = |text: &str, signature: &str| {
        let mut turn = used("toolu_1");
        turn["content"]
            .as_array_mut()
            .unwrap()
            .insert(0, json!({"type": "thinking", "thinking": text, "signature": signature}));
        json!({"thinking": on, "max_tokens": 2000, "messages": [asked, turn, result("toolu_1")]})
    };
    let signature = seal(7, "I think");
    assert!(parse(with(thought("I think", &signature))).unwrap().thinking);
    assert!(parse(with(thought("", &signature))).is_ok(), "an omitted thought comes back empty");
    check(thought("I thought", &signature), "messages.1.content.0: Invalid `signature` in `thinking` block");
    check(thought("I think", "abc"), "Invalid `signature` in `thinking` block");
}

#[test]
fn a_conversation_is_the_same_as_in_the_chat_dialect() {
    let picture =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let ours = parse(with(json!({
        "system": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind.", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "t", "description": "d", "input_schema": schema}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look: "}, picture]},
            used("toolu_1"),
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "done"}]},
                {"type": "text", "text": "And now?"},
            ]},
        ],
    })))
    .unwrap();
    let chat = json!({
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "t", "description": "d", "parameters": schema}}],
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [
                {"type": "text", "text": "Look: "},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "t", "arguments": "{ \"a\": 1 }"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "done"},
            {"role": "user", "content": "And now?"},
        ],
    });
    let (chat, _) = crate::dialect::chat::read(chat.to_string().as_bytes()).unwrap();
    assert_eq!(ours.conversation(), chat.conversation(), "{ours:#?}\n{chat:#?}");
    assert_eq!(ours.prompt_tokens(), chat.prompt_tokens());
    assert!(ours.cached && !chat.cached);
}

#[test]
fn choices_and_formats_are_read() {
    let tools = json!([{"name": "t", "input_schema": {"type": "object"}}, {"type": "web_search_20260209", "name": "web_search"}]);
    let choice = |choice: Value| {
        let request = parse(with(json!({"tools": tools, "tool_choice": choice}))).unwrap();
        (request.tool_choice, request.parallel_tool_calls, request.tools.len())
    };
    assert_eq!(choice(json!({"type": "auto"})), (ToolChoice::Auto, true, 1));
    assert_eq!(
        choice(json!({"type": "any", "disable_parallel_tool_use": true})),
        (ToolChoice::Required, false, 1)
    );
    assert_eq!(choice(json!({"type": "tool", "name": "t"})), (ToolChoice::Named("t".to_owned()), true, 1));
    assert_eq!(choice(json!({"type": "none"})), (ToolChoice::None, true, 1));
    let system = parse(with(json!({"system": "Be kind."}))).unwrap();
    assert_eq!((system.messages[0].role, system.messages.len()), (Role::System, 2));
}

#[test]
fn the_newer_version_takes_less() {
    let check = |body: Value, want: &str| {
        let text = body.to_string();
        assert!(read(text.as_bytes(), Version::First, 7).is_ok(), "{body}");
        let failure = read(text.as_bytes(), Version::WithoutSampling, 7).expect_err(&text);
        assert_eq!(failure.message, want, "{body}");
    };
    check(with(json!({"temperature": 1})), "temperature: Extra inputs are not permitted");
    check(with(json!({"top_p": 1})), "top_p: Extra inputs are not permitted");
    let cited = json!([{"type": "text", "text": "x", "citations": [{"type": "char_location"}]}]);
    check(
        turns(json!([{"role": "user", "content": cited}])),
        "messages.0.content.0.text.citations: Extra inputs are not permitted",
    );
    let document =
        json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}});
    check(
        turns(json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": [document]}])),
        "messages.1.content.0: `document` blocks are not permitted in `assistant` messages",
    );
    assert!(read(with(json!({})).to_string().as_bytes(), Version::WithoutSampling, 7).is_ok());
}

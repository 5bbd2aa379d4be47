//! What was said in a body, turn by turn: the texts of requests and answers in the dialects that the gateway speaks.
//!
//! Reads what it knows and passes nothing over in silence: a part of another kind is shown as the JSON that it is. A body that
//! can't be read (it was cut, or is no JSON) has no turns, and is shown as it is.

use serde_json::Value;

/// One thing that somebody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// `system`, `user`, `assistant`, `tool`, or what the client wrote.
    pub who: String,
    pub text: String,
}

/// The turns of a body; none where it can't be read as a conversation.
#[must_use]
pub fn turns(body: &str) -> Option<Vec<Turn>> {
    let body: Value = serde_json::from_str(body).ok()?;
    let mut turns = Vec::new();
    for (name, who) in [("instructions", "system"), ("system", "system"), ("prompt", "user")] {
        say(&mut turns, who, &body[name]);
    }
    match body["input"].as_array() {
        Some(items) => items.iter().for_each(|item| message(&mut turns, item, "user")),
        None => say(&mut turns, "user", &body["input"]),
    }
    for item in items(&body["messages"]) {
        message(&mut turns, item, "user");
    }
    for choice in items(&body["choices"]) {
        message(&mut turns, &choice["message"], "assistant");
    }
    for item in items(&body["output"]) {
        message(&mut turns, item, "assistant");
    }
    say(&mut turns, body["role"].as_str().unwrap_or("assistant"), &body["content"]);
    if let Some(error) = body["error"]["message"].as_str() {
        push(&mut turns, "error", error.to_owned());
    }
    (!turns.is_empty()).then_some(turns)
}

/// What a body says, as one text: what is compared.
#[must_use]
pub fn text(body: &str) -> String {
    let Some(turns) = turns(body) else { return body.to_owned() };
    turns.iter().map(|turn| format!("{}:\n{}\n", turn.who, turn.text)).collect::<Vec<_>>().join("\n")
}

fn message(turns: &mut Vec<Turn>, message: &Value, otherwise: &str) {
    match message["type"].as_str() {
        Some("function_call") => return push(turns, "assistant", called(message)),
        Some("function_call_output") => return push(turns, "tool", plain(&message["output"])),
        Some("reasoning") => return say(turns, "reasoning", &message["summary"]),
        Some(_) | None => {}
    }
    let who = message["role"].as_str().unwrap_or(otherwise);
    say(turns, who, &message["content"]);
    if let Some(refusal) = message["refusal"].as_str() {
        push(turns, "refusal", refusal.to_owned());
    }
    for call in items(&message["tool_calls"]) {
        push(turns, who, called(&call["function"]));
    }
}

/// A content: a text, or parts.
fn say(turns: &mut Vec<Turn>, who: &str, content: &Value) {
    let Some(parts) = content.as_array() else { return push(turns, who, plain(content)) };
    for part in parts {
        match part["type"].as_str() {
            Some("tool_use") => push(turns, who, called(part)),
            Some("tool_result") => push(turns, "tool", parts_text(&part["content"])),
            Some("thinking") => push(turns, "reasoning", plain(&part["thinking"])),
            Some(_) | None => push(turns, who, part_text(part)),
        }
    }
}

fn part_text(part: &Value) -> String {
    part["text"].as_str().map_or_else(|| plain(part), str::to_owned)
}

fn parts_text(content: &Value) -> String {
    match content.as_array() {
        Some(parts) => parts.iter().map(part_text).collect::<Vec<_>>().join("\n"),
        None => plain(content),
    }
}

fn called(call: &Value) -> String {
    let arguments = if call["input"].is_null() { &call["arguments"] } else { &call["input"] };
    format!("→ {} {}", call["name"].as_str().unwrap_or("?"), plain(arguments))
}

/// A value as people read it: a text as it is, JSON over several lines.
pub fn plain(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    let Some(text) = value.as_str() else { return pretty(value) };
    let inner = serde_json::from_str::<Value>(text).ok();
    inner
        .filter(|inner| inner.is_object() || inner.is_array())
        .map_or_else(|| text.to_owned(), |inner| pretty(&inner))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn push(turns: &mut Vec<Turn>, who: &str, text: String) {
    if !text.is_empty() {
        turns.push(Turn { who: who.to_owned(), text });
    }
}

//! The conversation as a messages request tells it: blocks in turns of the user and the assistant.
//!
//! A user turn's tool results come before what else it says. Signatures of thoughts are checked; thoughts themselves are
//! forgotten, as they don't count in the conversation.

use serde_json::Value;

use super::read::wrong;
use crate::failure::Failure;
use crate::limits::MESSAGES_MAX;
use crate::request::{CallMade, Message, Role, file, picture, unseen};
use crate::thought;

/// One turn, read.
struct Turn {
    text: String,
    calls: Vec<CallMade>,
    results: Vec<Message>,
}

/// Reads the messages.
pub fn read(value: Option<&Value>, seed: u64) -> Result<Vec<Message>, Failure> {
    let list = match value {
        None | Some(Value::Null) => return Err(wrong("messages", "Field required")),
        Some(Value::Array(list)) if list.is_empty() => {
            return Err(wrong("messages", "at least one message is required"));
        }
        Some(Value::Array(list)) if list.len() > MESSAGES_MAX => {
            return Err(wrong("messages", &format!("List should have at most {MESSAGES_MAX} items")));
        }
        Some(Value::Array(list)) => list,
        Some(_) => return Err(wrong("messages", "Input should be a valid array")),
    };
    let mut messages: Vec<Message> = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for (at, message) in list.iter().enumerate() {
        let role = read_role(at, message)?;
        let turn = read_turn(at, message.get("content"), role, at + 1 == list.len(), seed)?;
        check_pairs(at, &turn, &mut open)?;
        open.extend(turn.calls.iter().map(|call| call.id.clone()));
        let only_results = !turn.results.is_empty() && turn.text.is_empty();
        messages.extend(turn.results);
        if !only_results {
            messages.push(Message { calls: turn.calls, ..Message::text(role, turn.text) });
        }
    }
    if let Some(id) = open.first() {
        return Err(unanswered(list.len() - 1, id));
    }
    Ok(messages)
}

/// Checks that a turn which calls tools, and whose results come now, begins with its thought: the rule of
/// `thinking.type: enabled`.
pub fn check_thoughts(value: Option<&Value>) -> Result<(), Failure> {
    let turns: &[Value] = value.and_then(Value::as_array).map_or(&[], Vec::as_slice);
    let kind = |block: &Value, is: &str| block.get("type").and_then(Value::as_str) == Some(is);
    let blocks = |turn: &Value| turn.get("content").and_then(Value::as_array).cloned().unwrap_or_default();
    let brings_results =
        turns.last().is_some_and(|turn| blocks(turn).iter().any(|block| kind(block, "tool_result")));
    let Some(at) = turns.len().checked_sub(2).filter(|_| brings_results) else { return Ok(()) };
    match blocks(&turns[at]).first() {
        Some(first) if !kind(first, "thinking") && !kind(first, "redacted_thinking") => {
            let found = first.get("type").and_then(Value::as_str).unwrap_or("nothing");
            Err(wrong(
                &format!("messages.{at}.content.0.type"),
                &format!(
                    "Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is enabled, a \
                     final `assistant` message must start with a thinking block (preceding the lastmost set of \
                     `tool_use` and `tool_result` blocks)."
                ),
            ))
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses what version 2026-10-21 of the API no longer takes.
pub fn refuse_what_is_gone(value: Option<&Value>) -> Result<(), Failure> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    for (at, turn) in list(value).iter().enumerate() {
        let role = turn.get("role").and_then(Value::as_str);
        for (block_at, block) in list(turn.get("content")).iter().enumerate() {
            let path = format!("messages.{at}.content.{block_at}");
            let kind = block.get("type").and_then(Value::as_str);
            if role == Some("assistant") && kind == Some("document") {
                return Err(wrong(&path, "`document` blocks are not permitted in `assistant` messages"));
            }
            if role == Some("user") && kind == Some("text") && !list(block.get("citations")).is_empty() {
                return Err(wrong(&format!("{path}.text.citations"), "Extra inputs are not permitted"));
            }
        }
    }
    Ok(())
}

fn read_role(at: usize, message: &Value) -> Result<Role, Failure> {
    let path = format!("messages.{at}.role");
    match message.get("role").and_then(Value::as_str) {
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some("system") => Ok(Role::System),
        Some(_) => Err(wrong(&path, "Input should be 'user', 'assistant' or 'system'")),
        None => Err(wrong(&path, "Field required")),
    }
}

fn read_turn(
    at: usize,
    content: Option<&Value>,
    role: Role,
    is_last: bool,
    seed: u64,
) -> Result<Turn, Failure> {
    let mut turn = Turn { text: String::new(), calls: Vec::new(), results: Vec::new() };
    match content {
        None | Some(Value::Null) => return Err(wrong(&format!("messages.{at}.content"), "Field required")),
        Some(Value::String(text)) => turn.text.clone_from(text),
        Some(Value::Array(blocks)) => {
            for (block_at, block) in blocks.iter().enumerate() {
                read_block(&format!("messages.{at}.content.{block_at}"), block, role, seed, &mut turn)?;
            }
        }
        Some(_) => {
            return Err(wrong(
                &format!("messages.{at}.content"),
                "Input should be a valid string or a list of blocks",
            ));
        }
    }
    let is_empty = matches!(content, Some(Value::String(text)) if text.is_empty())
        || matches!(content, Some(Value::Array(blocks)) if blocks.is_empty());
    if is_empty && !(is_last && role == Role::Assistant) {
        return Err(wrong(
            &format!("messages.{at}"),
            "all messages must have non-empty content except for the optional final assistant message",
        ));
    }
    if is_last && role == Role::Assistant && turn.text.ends_with(char::is_whitespace) {
        return Err(wrong("messages", "final assistant content cannot end with trailing whitespace"));
    }
    Ok(turn)
}

fn read_block(path: &str, block: &Value, role: Role, seed: u64, turn: &mut Turn) -> Result<(), Failure> {
    let text = |key: &str| block.get(key).and_then(Value::as_str);
    let needed = |key: &str| text(key).ok_or_else(|| wrong(&format!("{path}.{key}"), "Field required"));
    match text("type") {
        Some("text") => match needed("text")? {
            "" => return Err(wrong("messages", "text content blocks must be non-empty")),
            part => turn.text.push_str(part),
        },
        Some("image") => turn.text.push_str(&source(path, block, picture)?),
        Some("document") => turn.text.push_str(&source(path, block, file)?),
        Some("tool_use") if role == Role::Assistant => {
            let Some(input @ Value::Object(_)) = block.get("input") else {
                return Err(wrong(&format!("{path}.tool_use.input"), "Input should be a valid dictionary"));
            };
            let (id, name) = (call_id(needed("id")?), needed("name")?.to_owned());
            turn.calls.push(CallMade { id, name, arguments: input.to_string() });
        }
        Some("tool_use") => {
            return Err(Failure::invalid(path, "`tool_use` blocks can only be in `assistant` messages"));
        }
        Some("tool_result") if role == Role::User => {
            let id = call_id(needed("tool_use_id")?);
            turn.results.push(Message::result(id, read_result(path, block.get("content"))?));
        }
        Some("tool_result") => {
            return Err(Failure::invalid(path, "`tool_result` blocks can only be in `user` messages"));
        }
        Some("thinking") => {
            // A thought whose text was omitted comes back with its seal alone.
            let thinking = Some(needed("thinking")?).filter(|thinking| !thinking.is_empty());
            if !thought::holds(seed, needed("signature")?, thinking) {
                return Err(wrong(path, "Invalid `signature` in `thinking` block"));
            }
        }
        Some("redacted_thinking") => {
            if !thought::holds(seed, needed("data")?, None) {
                return Err(wrong(path, "Invalid `data` in `redacted_thinking` block"));
            }
        }
        Some(other) => turn.text.push_str(&unseen(other, block)),
        None => return Err(wrong(&format!("{path}.type"), "Field required")),
    }
    Ok(())
}

fn read_result(path: &str, content: Option<&Value>) -> Result<String, Failure> {
    let mut text = String::new();
    match content {
        None | Some(Value::Null) => {}
        Some(Value::String(whole)) => text.clone_from(whole),
        Some(Value::Array(blocks)) => {
            for (at, block) in blocks.iter().enumerate() {
                let path = format!("{path}.tool_result.content.{at}");
                match (block.get("type").and_then(Value::as_str), block.get("text").and_then(Value::as_str)) {
                    (Some("text"), Some(part)) => text.push_str(part),
                    (Some("text"), None) => return Err(wrong(&format!("{path}.text"), "Field required")),
                    (Some("image"), _) => text.push_str(&source(&path, block, picture)?),
                    (Some("document"), _) => text.push_str(&source(&path, block, file)?),
                    (Some(other), _) => text.push_str(&unseen(other, block)),
                    (None, _) => return Err(wrong(&format!("{path}.type"), "Field required")),
                }
            }
        }
        Some(_) => {
            let path = format!("{path}.tool_result.content");
            return Err(wrong(&path, "Input should be a valid string or a list of blocks"));
        }
    }
    Ok(text)
}

/// Reads where a picture or a document comes from, and writes it as `unseen` does.
fn source(path: &str, block: &Value, write: fn(&str) -> String) -> Result<String, Failure> {
    let Some(source) = block.get("source") else {
        return Err(wrong(&format!("{path}.source"), "Field required"));
    };
    let text = |key: &str| source.get(key).and_then(Value::as_str);
    let missing = |key: &str| wrong(&format!("{path}.source.{key}"), "Field required");
    match text("type") {
        Some("base64") => {
            let kind = text("media_type").ok_or_else(|| missing("media_type"))?;
            let data = text("data").ok_or_else(|| missing("data"))?;
            Ok(write(&format!("data:{kind};base64,{data}")))
        }
        Some("url") => Ok(write(text("url").ok_or_else(|| missing("url"))?)),
        Some("file") => Ok(write(text("file_id").ok_or_else(|| missing("file_id"))?)),
        Some("text") => Ok(text("data").ok_or_else(|| missing("data"))?.to_owned()),
        Some(other) => Ok(unseen(other, source)),
        None => Err(missing("type")),
    }
}

/// Brings the id of a call to the form that all dialects share here.
fn call_id(id: &str) -> String {
    id.strip_prefix("toolu_").map_or_else(|| id.to_owned(), |rest| format!("call_{rest}"))
}

fn own_id(id: &str) -> String {
    super::write::tool_use_id(id)
}

fn check_pairs(at: usize, turn: &Turn, open: &mut Vec<String>) -> Result<(), Failure> {
    for (result_at, result) in turn.results.iter().enumerate() {
        let id = result.tool_call_id.as_deref().unwrap_or("");
        let Some(found) = open.iter().position(|open| open == id) else {
            let path = format!("messages.{at}.content.{result_at}");
            return Err(wrong(
                &path,
                &format!(
                    "unexpected `tool_use_id` found in `tool_result` blocks: {}. Each `tool_result` block must have a \
                     corresponding `tool_use` block in the previous message.",
                    own_id(id)
                ),
            ));
        };
        open.swap_remove(found);
    }
    match open.first() {
        Some(id) => Err(unanswered(at.saturating_sub(1), id)),
        None => Ok(()),
    }
}

fn unanswered(at: usize, id: &str) -> Failure {
    wrong(
        &format!("messages.{at}"),
        &format!(
            "`tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must \
             have a corresponding `tool_result` block in the next message.",
            own_id(id)
        ),
    )
}

//! The conversation as a chat request tells it.

use serde_json::Value;

use crate::failure::Failure;
use crate::limits::MESSAGES_MAX;
use crate::request::{CallMade, Message, Role, file, picture, unseen};

/// Reads the messages and checks the pairing of tool calls and results, as OpenAI does.
pub fn read(value: Option<&Value>) -> Result<Vec<Message>, Failure> {
    let list = match value {
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(_) | None => {
            return Err(Failure::invalid("messages", "`messages` must be a list of at least one"));
        }
    };
    if list.len() > MESSAGES_MAX {
        return Err(Failure::invalid("messages", format!("`messages` has more than {MESSAGES_MAX}")));
    }
    let messages =
        list.iter().enumerate().map(|(at, message)| read_one(at, message)).collect::<Result<Vec<_>, _>>()?;
    check_pairs(&messages)?;
    Ok(messages)
}

fn read_one(at: usize, value: &Value) -> Result<Message, Failure> {
    let param = |key: &str| format!("messages[{at}].{key}");
    let role = match value.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        Some(_) | None => {
            let message = "`role` must be one of system, developer, user, assistant, tool";
            return Err(Failure::invalid(param("role"), message));
        }
    };
    let tool_call_id = value.get("tool_call_id").and_then(Value::as_str).map(str::to_owned);
    if role == Role::Tool && tool_call_id.is_none() {
        return Err(Failure::invalid(
            param("tool_call_id"),
            "A message of role `tool` needs a `tool_call_id`",
        ));
    }
    let calls = match value.get("tool_calls") {
        Some(Value::Array(calls)) if role == Role::Assistant => {
            calls.iter().map(|call| read_call(&param("tool_calls"), call)).collect::<Result<Vec<_>, _>>()?
        }
        Some(_) | None => Vec::new(),
    };
    let text = match value.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => read_parts(&param("content"), parts)?,
        None | Some(Value::Null) if role == Role::Assistant => String::new(),
        Some(_) | None => {
            return Err(Failure::invalid(param("content"), "`content` must be a string or a list of parts"));
        }
    };
    Ok(Message { role, text, calls, tool_call_id })
}

fn read_parts(param: &str, parts: &[Value]) -> Result<String, Failure> {
    let mut text = String::new();
    for part in parts {
        match part.get("type").and_then(Value::as_str) {
            Some("text") => text.push_str(part.get("text").and_then(Value::as_str).unwrap_or("")),
            Some("refusal") => text.push_str(part.get("refusal").and_then(Value::as_str).unwrap_or("")),
            Some(other) => text.push_str(&read_unseen(other, part)),
            None => return Err(Failure::invalid(param, "Each part of `content` needs a `type`")),
        }
    }
    Ok(text)
}

fn read_call(param: &str, call: &Value) -> Result<CallMade, Failure> {
    let text = |pointer: &str| call.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    match (text("/id"), text("/function/name"), text("/function/arguments")) {
        (Some(id), Some(name), Some(arguments)) => Ok(CallMade { id, name, arguments }),
        (Some(_) | None, Some(_) | None, Some(_) | None) => Err(Failure::invalid(
            param,
            "Each tool call needs `id`, `function.name` and `function.arguments`",
        )),
    }
}

fn read_unseen(kind: &str, part: &Value) -> String {
    let text = |pointer: &str| part.pointer(pointer).and_then(Value::as_str);
    match (kind, text("/image_url/url"), text("/file/file_data").or_else(|| text("/file/file_id"))) {
        ("image_url", Some(url), _) => picture(url),
        ("file", _, Some(content)) => file(content),
        (other, _, _) => unseen(other, part),
    }
}

/// Checks that every call is followed by its result, and every result belongs to a call right before.
fn check_pairs(messages: &[Message]) -> Result<(), Failure> {
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        match message.role {
            Role::Tool => {
                let id = message.tool_call_id.as_deref().unwrap_or("");
                let Some(found) = open.iter().position(|open| *open == id) else {
                    let text = "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'";
                    return Err(Failure::invalid(format!("messages[{at}].role"), text));
                };
                open.swap_remove(found);
            }
            Role::System | Role::User | Role::Assistant => {
                check_answered(at, &open)?;
                open = message.calls.iter().map(|call| call.id.as_str()).collect();
            }
        }
    }
    check_answered(messages.len(), &open)
}

fn check_answered(at: usize, open: &[&str]) -> Result<(), Failure> {
    if open.is_empty() {
        return Ok(());
    }
    let text = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
         'tool_call_id'. These did not have response messages: {}",
        open.join(", ")
    );
    Err(Failure::invalid(format!("messages[{at}]"), text))
}

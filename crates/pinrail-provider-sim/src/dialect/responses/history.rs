//! The conversation as a responses request tells it: a text, or items of many types.
//!
//! A function call belongs to the assistant's message before it, as it does in the other dialects. What was reasoned
//! doesn't count in the conversation; that it comes back unchanged does.

use serde_json::Value;

use super::read::coded;
use crate::failure::Failure;
use crate::limits::MESSAGES_MAX;
use crate::request::{CallMade, Message, Role, file, picture, unseen};
use crate::sim::Sim;
use crate::thought;

/// What the encrypted form of a thought begins with.
pub const SEAL_PREFIX: &str = "gAAAAAB";

/// Reads `input`.
pub fn read(value: Option<&Value>, sim: &Sim) -> Result<Vec<Message>, Failure> {
    let items = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(text)) => return Ok(vec![Message::text(Role::User, text)]),
        Some(Value::Array(items)) if items.len() <= MESSAGES_MAX => items,
        Some(Value::Array(_)) => {
            return Err(Failure::invalid("input", format!("`input` has more than {MESSAGES_MAX} items")));
        }
        Some(_) => {
            let message = "Invalid type for 'input': expected a string or an array of input items.";
            return Err(coded("input", message, "invalid_type"));
        }
    };
    let mut messages = Vec::new();
    for (at, item) in items.iter().enumerate() {
        read_item(&format!("input[{at}]"), item, sim, &mut messages)?;
    }
    Ok(messages)
}

/// Checks that every output belongs to a call before it, and that every call has its output.
pub fn check_pairs(messages: &[Message]) -> Result<(), Failure> {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        open.extend(message.calls.iter().map(|call| call.id.as_str()));
        if let Some(id) = &message.tool_call_id {
            let Some(found) = open.iter().position(|open| open == id) else {
                let text = format!("No tool call found for function call output with call_id {id}.");
                return Err(Failure::invalid("input", text));
            };
            open.swap_remove(found);
        }
    }
    match open.first() {
        Some(id) => Err(Failure::invalid("input", format!("No tool output found for function call {id}."))),
        None => Ok(()),
    }
}

fn read_item(path: &str, item: &Value, sim: &Sim, messages: &mut Vec<Message>) -> Result<(), Failure> {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    let needed = |key: &str| {
        text(key).ok_or_else(|| {
            let param = format!("{path}.{key}");
            let message = format!("Missing required parameter: '{param}'.");
            coded(param, message, "missing_required_parameter")
        })
    };
    match text("type") {
        None | Some("message") => messages.push(read_message(path, item)?),
        Some("function_call") => {
            let call = CallMade {
                id: needed("call_id")?.to_owned(),
                name: needed("name")?.to_owned(),
                arguments: needed("arguments")?.to_owned(),
            };
            match messages.last_mut() {
                Some(last) if last.role == Role::Assistant => last.calls.push(call),
                Some(_) | None => {
                    messages.push(Message { calls: vec![call], ..Message::text(Role::Assistant, "") });
                }
            }
        }
        Some("function_call_output") => {
            let path = format!("{path}.output");
            let output = match item.get("output") {
                Some(Value::String(whole)) => whole.clone(),
                Some(Value::Array(parts)) => read_parts(&path, parts)?,
                Some(_) | None => {
                    let message = format!("Missing required parameter: '{path}'.");
                    return Err(coded(path, message, "missing_required_parameter"));
                }
            };
            messages.push(Message::result(needed("call_id")?, output));
        }
        Some("reasoning") => check_reasoning(item, sim)?,
        Some("item_reference") => {
            let id = needed("id")?;
            let kept = sim.responses().item(id);
            let kept =
                kept.ok_or_else(|| Failure::invalid("input", format!("Item with id '{id}' not found.")))?;
            read_item(path, &kept, sim, messages)?;
        }
        // What built-in tools did is known only to have been there.
        Some(other)
            if other.ends_with("_call") || other.ends_with("_output") || other.starts_with("mcp_") =>
        {
            messages.push(Message::text(Role::Assistant, unseen(other, item)));
        }
        Some(other) => {
            let message = format!("Invalid value: '{other}'.");
            return Err(coded(format!("{path}.type"), message, "invalid_value"));
        }
    }
    Ok(())
}

fn read_message(path: &str, item: &Value) -> Result<Message, Failure> {
    let role = match item.get("role").and_then(Value::as_str) {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system" | "developer") => Role::System,
        Some(other) => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
            );
            return Err(coded(format!("{path}.role"), message, "invalid_value"));
        }
        None => {
            let param = format!("{path}.role");
            let message = format!("Missing required parameter: '{param}'.");
            return Err(coded(param, message, "missing_required_parameter"));
        }
    };
    let path = format!("{path}.content");
    match item.get("content") {
        Some(Value::String(text)) => Ok(Message::text(role, text)),
        Some(Value::Array(parts)) => Ok(Message::text(role, read_parts(&path, parts)?)),
        Some(_) | None => {
            let message = format!("Missing required parameter: '{path}'.");
            Err(coded(path, message, "missing_required_parameter"))
        }
    }
}

fn read_parts(path: &str, parts: &[Value]) -> Result<String, Failure> {
    let mut whole = String::new();
    for (at, part) in parts.iter().enumerate() {
        let text = |key: &str| part.get(key).and_then(Value::as_str);
        let from = |keys: [&str; 3]| keys.into_iter().find_map(text);
        match (text("type"), from(["image_url", "file_id", ""]), from(["file_data", "file_url", "file_id"])) {
            (Some("input_text" | "output_text"), ..) => whole.push_str(text("text").unwrap_or("")),
            (Some("refusal"), ..) => whole.push_str(text("refusal").unwrap_or("")),
            (Some("input_image"), Some(url), _) => whole.push_str(&picture(url)),
            (Some("input_file"), _, Some(content)) => whole.push_str(&file(content)),
            (Some(kind @ ("input_image" | "input_file" | "input_audio")), ..) => {
                whole.push_str(&unseen(kind, part));
            }
            (Some(other), ..) => {
                let message = format!(
                    "Invalid value: '{other}'. Supported values are: 'input_text', 'input_image', 'output_text', \
                     'refusal', 'input_file', and 'input_audio'."
                );
                return Err(coded(format!("{path}[{at}].type"), message, "invalid_value"));
            }
            (None, ..) => {
                let param = format!("{path}[{at}].type");
                let message = format!("Missing required parameter: '{param}'.");
                return Err(coded(param, message, "missing_required_parameter"));
            }
        }
    }
    Ok(whole)
}

fn check_reasoning(item: &Value, sim: &Sim) -> Result<(), Failure> {
    let Some(content) = item.get("encrypted_content").and_then(Value::as_str) else { return Ok(()) };
    let whole = content.strip_prefix(SEAL_PREFIX).is_some_and(|seal| thought::holds(sim.seed(), seal, None));
    if whole {
        return Ok(());
    }
    let shown: String = content.chars().take(4).collect();
    let message = format!(
        "The encrypted content {shown}... could not be verified. Reason: Encrypted content could not be decrypted or \
         parsed."
    );
    Err(coded("input", message, "invalid_encrypted_content"))
}

//! The conversation: its messages, and that every tool call and result belong together.

use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use crate::draw::feed;
use crate::failure::Failure;
use crate::limits::MESSAGES_MAX;
use crate::tokens;

/// Who said a message. `developer` counts as the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// One message, its text parts joined.
#[derive(Clone, Debug)]
pub struct Message {
    pub role: Role,
    pub text: String,
    /// The calls that an assistant message made.
    pub calls: Vec<CallMade>,
    /// The call that a tool message answers.
    pub tool_call_id: Option<String>,
}

/// A tool call in the history.
#[derive(Clone, Debug)]
pub struct CallMade {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

impl Message {
    /// Feeds all that counts into the conversation's hash.
    pub fn feed(&self, hash: &mut Xxh3) {
        hash.update(&[self.role as u8]);
        feed(hash, self.text.as_bytes());
        feed(hash, self.tool_call_id.as_deref().unwrap_or("").as_bytes());
        hash.update(&(self.calls.len() as u64).to_le_bytes());
        for call in &self.calls {
            [&call.id, &call.name, &call.arguments].iter().for_each(|part| feed(hash, part.as_bytes()));
        }
    }

    /// Counts the message's tokens.
    pub fn tokens(&self) -> usize {
        let calls: usize = self.calls.iter().map(|call| 1 + tokens::count(&call.arguments)).sum();
        tokens::count(&self.text) + calls
    }
}

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
            // The simulator can't look at pictures or listen; it knows that something was there, and what exactly
            // counts in the conversation's hash.
            Some(other) => {
                let mut hash = Xxh3::new();
                crate::draw::feed_json(&mut hash, part);
                text.push_str(&format!("[{other} {:08x}]", hash.digest() >> 32));
            }
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

//! The messages of a conversation.

use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use crate::draw::{feed, feed_json};
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub text: String,
    /// The calls that an assistant message made.
    pub calls: Vec<CallMade>,
    /// The call that a tool message answers.
    pub tool_call_id: Option<String>,
}

/// A tool call in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallMade {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

impl Message {
    /// Makes a message that is nothing but text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into(), calls: Vec::new(), tool_call_id: None }
    }

    /// Makes the result of a tool call.
    pub fn result(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self { tool_call_id: Some(id.into()), ..Self::text(Role::Tool, text) }
    }

    /// Feeds all that counts into the conversation's hash.
    pub fn feed(&self, hash: &mut Xxh3) {
        hash.update(&[self.role as u8]);
        feed(hash, self.text.as_bytes());
        feed(hash, self.tool_call_id.as_deref().unwrap_or("").as_bytes());
        hash.update(&(self.calls.len() as u64).to_le_bytes());
        for call in &self.calls {
            [&call.id, &call.name, &call.plain_arguments()]
                .iter()
                .for_each(|part| feed(hash, part.as_bytes()));
        }
    }

    /// Counts the message's tokens.
    pub fn tokens(&self) -> usize {
        let calls: usize = self.calls.iter().map(|call| 1 + tokens::count(&call.plain_arguments())).sum();
        tokens::count(&self.text) + calls
    }

    /// Counts what the message costs in a prompt.
    pub fn prompt_tokens(&self) -> usize {
        3 + self.tokens()
    }
}

impl CallMade {
    /// Gives the arguments without the white space that clients put between them, where they are JSON.
    fn plain_arguments(&self) -> String {
        serde_json::from_str::<Value>(&self.arguments)
            .map_or_else(|_| self.arguments.clone(), |value| value.to_string())
    }
}

/// Writes a part that the simulator can't look at or listen to: it knows that something was there, and what exactly
/// counts in the conversation's hash.
pub fn unseen(kind: &str, part: &Value) -> String {
    let mut hash = Xxh3::new();
    feed_json(&mut hash, part);
    format!("[{kind} {:08x}]", hash.digest() >> 32)
}

/// Writes a picture by its address, which may be a `data:` URL.
pub fn picture(url: &str) -> String {
    unseen("image_url", &json!({ "type": "image_url", "image_url": { "url": url } }))
}

/// Writes a file by its content, a `data:` URL, an address or the id of an uploaded one.
pub fn file(content: &str) -> String {
    unseen("file", &json!({ "type": "file", "file": content }))
}

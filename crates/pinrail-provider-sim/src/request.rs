//! A request as the simulator understands it, whatever dialect it came in: a dialect's reader makes it, the answer
//! depends on nothing else. So the same conversation gets the same answer in each dialect.
//!
//! What a dialect says in its own way is brought to one form here: tools and pictures to the chat dialect's, tool call
//! ids to `call_…`. What the model thought earlier doesn't count.

mod message;

use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

pub use message::{CallMade, Message, Role, file, picture, unseen};

use crate::draw::feed_json;
use crate::tokens;

/// One request for an answer, checked.
#[derive(Clone, Debug)]
pub struct Request {
    pub model: String,
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: ToolChoice,
    pub parallel_tool_calls: bool,
    pub stream: bool,
    pub tokens_max: usize,
    pub stop: Vec<String>,
    pub temperature: f64,
    pub format: Format,
    /// How many alternatives per token are wanted with their probabilities; nothing: no probabilities at all.
    pub logprobs: Option<usize>,
    /// Whether the model thinks before it answers.
    pub thinking: bool,
    /// Whether the prompt is marked to be cached.
    pub cached: bool,
}

/// A function that the model may call.
#[derive(Clone, Debug)]
pub struct Tool {
    pub name: String,
    /// The JSON schema of the arguments; `null` when the tool has none.
    pub parameters: Value,
    /// Name, description and parameters in the chat dialect's form, which the conversation's hash covers.
    pub definition: Value,
}

/// Whether the model may, must or must not call a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    None,
    Auto,
    Required,
    Named(String),
}

/// The form that the answer's text must have.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    Text,
    JsonObject,
    JsonSchema(Value),
}

impl Tool {
    /// Makes a tool; without `parameters` it takes none.
    pub fn new(name: &str, description: Option<&Value>, parameters: Option<&Value>) -> Self {
        let mut function = json!({ "name": name });
        for (key, value) in [("description", description), ("parameters", parameters)] {
            if let Some(value) = value {
                function[key] = value.clone();
            }
        }
        Self {
            name: name.to_owned(),
            parameters: parameters.cloned().unwrap_or(Value::Null),
            definition: json!({ "type": "function", "function": function }),
        }
    }
}

impl Request {
    /// Hashes what an answer depends on: the messages and the offered tools.
    pub fn conversation(&self) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(&(self.messages.len() as u64).to_le_bytes());
        for message in &self.messages {
            message.feed(&mut hash);
        }
        hash.update(&(self.tools.len() as u64).to_le_bytes());
        for tool in &self.tools {
            feed_json(&mut hash, &tool.definition);
        }
        hash.digest()
    }

    /// Estimates the prompt's tokens: words, and a little for each message and tool.
    pub fn prompt_tokens(&self) -> usize {
        let said: usize = self.messages.iter().map(Message::prompt_tokens).sum();
        let offered: usize =
            self.tools.iter().map(|tool| 3 + tokens::count(&tool.definition.to_string())).sum();
        said + offered
    }

    /// Gives the text of the last user message, or nothing when there is none.
    pub fn user_text(&self) -> &str {
        self.messages
            .iter()
            .rev()
            .find(|message| message.role == Role::User)
            .map_or("", |message| &message.text)
    }

    /// Gives the texts of all system and developer messages in one.
    pub fn system_text(&self) -> String {
        let texts: Vec<&str> =
            self.messages.iter().filter(|m| m.role == Role::System).map(|m| m.text.as_str()).collect();
        texts.join("\n")
    }

    /// Finds an offered tool.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

//! A chat request as the simulator understands it: checked, and refused in OpenAI's words where it can't be served.
//!
//! Fields that change nothing here (`top_p`, `seed`, `user`, `metadata`, …) are accepted and ignored. Fields that would
//! silently change an answer's shape (`n` above 1, `functions`) are refused.

mod messages;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use xxhash_rust::xxh3::Xxh3;

pub use messages::{Message, Role};

use crate::draw::feed_json;
use crate::failure::Failure;
use crate::limits::{ANSWER_TOKENS_MAX, TOOLS_MAX, TOP_LOGPROBS_MAX};
use crate::tokens;

/// One `POST /v1/chat/completions`, checked.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    pub model: String,
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: ToolChoice,
    pub parallel_tool_calls: bool,
    pub stream: bool,
    pub include_usage: bool,
    pub tokens_max: usize,
    pub stop: Vec<String>,
    pub temperature: f64,
    pub format: Format,
    /// How many alternatives per token are wanted with their probabilities; nothing: no probabilities at all.
    pub logprobs: Option<usize>,
}

/// A function that the model may call.
#[derive(Clone, Debug)]
pub struct Tool {
    pub name: String,
    /// The JSON schema of the arguments; `null` when the tool has none.
    pub parameters: Value,
    /// The whole definition as it came, which the conversation's hash covers.
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

impl ChatRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// A 400 in OpenAI's form that names the parameter.
    pub fn parse(body: &[u8]) -> Result<Self, Failure> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| Failure::invalid("body", format!("The body is not valid JSON: {error}")))?;
        let Value::Object(map) = value else {
            return Err(Failure::invalid("body", "The body must be a JSON object"));
        };
        refuse_unsupported(&map)?;
        let tools = read_tools(map.get("tools"))?;
        let tool_choice = read_tool_choice(map.get("tool_choice"), &tools)?;
        let stream = read_bool(&map, "stream")?.unwrap_or(false);
        Ok(Self {
            model: read_model(&map)?,
            messages: messages::read(map.get("messages"))?,
            tools,
            tool_choice,
            parallel_tool_calls: read_bool(&map, "parallel_tool_calls")?.unwrap_or(true),
            stream,
            include_usage: read_include_usage(&map, stream)?,
            tokens_max: read_tokens_max(&map)?,
            stop: read_stop(map.get("stop"))?,
            temperature: read_temperature(&map)?,
            format: read_format(map.get("response_format"))?,
            logprobs: read_logprobs(&map)?,
        })
    }

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
        let said: usize = self.messages.iter().map(|message| 3 + message.tokens()).sum();
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

fn refuse_unsupported(map: &Map<String, Value>) -> Result<(), Failure> {
    let present = |key: &str| map.get(key).filter(|value| !value.is_null());
    if present("n").is_some_and(|n| n.as_u64() != Some(1)) {
        return Err(Failure::invalid("n", "The simulator gives one choice: leave `n` out or send 1"));
    }
    for old in ["functions", "function_call"] {
        if present(old).is_some() {
            return Err(Failure::invalid(
                old,
                format!("`{old}` is not supported: use `tools` and `tool_choice`"),
            ));
        }
    }
    Ok(())
}

fn read_model(map: &Map<String, Value>) -> Result<String, Failure> {
    match map.get("model").and_then(Value::as_str) {
        Some(model) if !model.is_empty() => Ok(model.to_owned()),
        Some(_) | None => Err(Failure::invalid("model", "You must provide a `model`")),
    }
}

fn read_bool(map: &Map<String, Value>, key: &str) -> Result<Option<bool>, Failure> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(wanted)) => Ok(Some(*wanted)),
        Some(_) => Err(Failure::invalid(key, format!("`{key}` must be true or false"))),
    }
}

fn read_include_usage(map: &Map<String, Value>, stream: bool) -> Result<bool, Failure> {
    match map.get("stream_options") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Object(options)) if stream => Ok(read_bool(options, "include_usage")?.unwrap_or(false)),
        Some(_) => Err(Failure::invalid(
            "stream_options",
            "`stream_options` is an object and only goes with `stream: true`",
        )),
    }
}

fn read_tokens_max(map: &Map<String, Value>) -> Result<usize, Failure> {
    let mut smallest = ANSWER_TOKENS_MAX;
    for key in ["max_tokens", "max_completion_tokens"] {
        match map.get(key) {
            None | Some(Value::Null) => {}
            Some(value) => match value.as_u64() {
                Some(max) if max > 0 => smallest = smallest.min(usize::try_from(max).unwrap_or(usize::MAX)),
                Some(_) | None => {
                    return Err(Failure::invalid(
                        key,
                        format!("`{key}` must be a whole number of at least 1"),
                    ));
                }
            },
        }
    }
    Ok(smallest)
}

fn read_logprobs(map: &Map<String, Value>) -> Result<Option<usize>, Failure> {
    let wanted = read_bool(map, "logprobs")?.unwrap_or(false);
    match map.get("top_logprobs") {
        None | Some(Value::Null) => Ok(wanted.then_some(0)),
        Some(_) if !wanted => {
            Err(Failure::invalid("top_logprobs", "`top_logprobs` only goes with `logprobs: true`"))
        }
        Some(top) => match top.as_u64().filter(|top| *top <= TOP_LOGPROBS_MAX) {
            Some(top) => Ok(Some(usize::try_from(top).unwrap_or(usize::MAX))),
            None => Err(Failure::invalid(
                "top_logprobs",
                format!("`top_logprobs` must be a whole number from 0 to {TOP_LOGPROBS_MAX}"),
            )),
        },
    }
}

fn read_temperature(map: &Map<String, Value>) -> Result<f64, Failure> {
    match map.get("temperature") {
        None | Some(Value::Null) => Ok(0.0),
        Some(value) => value
            .as_f64()
            .filter(|temperature| (0.0..=2.0).contains(temperature))
            .ok_or_else(|| Failure::invalid("temperature", "`temperature` must be a number from 0 to 2")),
    }
}

fn read_stop(value: Option<&Value>) -> Result<Vec<String>, Failure> {
    let wrong = || Failure::invalid("stop", "`stop` must be a string or up to 4 strings");
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(one)) => return Ok(vec![one.clone()]),
        Some(Value::Array(list)) if list.len() <= 4 => list,
        Some(_) => return Err(wrong()),
    };
    list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

fn read_format(value: Option<&Value>) -> Result<Format, Failure> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Format::Text) };
    match value.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => match value.pointer("/json_schema/schema") {
            Some(schema) => Ok(Format::JsonSchema(schema.clone())),
            None => Err(Failure::invalid("response_format.json_schema", "`json_schema` needs a `schema`")),
        },
        Some(_) | None => {
            Err(Failure::invalid("response_format", "`type` must be text, json_object or json_schema"))
        }
    }
}

fn read_tools(value: Option<&Value>) -> Result<Vec<Tool>, Failure> {
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= TOOLS_MAX => list,
        Some(_) => {
            return Err(Failure::invalid("tools", format!("`tools` must be a list of at most {TOOLS_MAX}")));
        }
    };
    let read = |(at, definition): (usize, &Value)| {
        let name = definition.pointer("/function/name").and_then(Value::as_str);
        match (definition.get("type").and_then(Value::as_str), name) {
            (Some("function"), Some(name)) if !name.is_empty() => Ok(Tool {
                name: name.to_owned(),
                parameters: definition.pointer("/function/parameters").cloned().unwrap_or(Value::Null),
                definition: definition.clone(),
            }),
            (Some(_) | None, Some(_) | None) => Err(Failure::invalid(
                format!("tools[{at}]"),
                "A tool must be {\"type\": \"function\", \"function\": {\"name\": …}}",
            )),
        }
    };
    list.iter().enumerate().map(read).collect()
}

fn read_tool_choice(value: Option<&Value>, tools: &[Tool]) -> Result<ToolChoice, Failure> {
    let refuse = |message: &str| Err(Failure::invalid("tool_choice", message));
    let choice = match value {
        None | Some(Value::Null) => return Ok(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" => ToolChoice::Required,
            _ => return refuse("`tool_choice` must be none, auto, required or name a function"),
        },
        Some(object) => match object.pointer("/function/name").and_then(Value::as_str) {
            Some(name) if tools.iter().any(|tool| tool.name == name) => ToolChoice::Named(name.to_owned()),
            Some(name) => return refuse(&format!("`tool_choice` names `{name}`, which is not in `tools`")),
            None => return refuse("`tool_choice` must be none, auto, required or name a function"),
        },
    };
    if tools.is_empty() && choice != ToolChoice::None {
        return refuse("`tool_choice` is only allowed when `tools` are specified");
    }
    Ok(choice)
}

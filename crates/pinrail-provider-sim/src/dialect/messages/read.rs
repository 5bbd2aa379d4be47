//! Reads a messages request, and refuses in Anthropic's words what can't be served.
//!
//! Fields that nobody knows are refused, as the real API does. Server tools, containers and the like are accepted and
//! change nothing: a tool without `input_schema` of its own is never called.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::{format, history, thinking, tools};
use crate::failure::Failure;
use crate::limits::ANSWER_TOKENS_MAX;
use crate::request::{Message, Request, Role};

/// The fields that the API knows, those of its betas included.
const KNOWN: [&str; 33] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "container",
    "context_management",
    "mcp_servers",
    "output_config",
    "output_format",
    "cache_control",
    "inference_geo",
    "speed",
    "diagnostics",
    "billing_policy",
    "compaction",
    "fallback_credit_token",
    "fallbacks",
    "thread",
    "betas",
    "user_profile_id",
    "workspace_id",
    "anthropic_beta",
    "anthropic_version",
];

/// A version of the API, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 2023-06-01, and the one before.
    First,
    /// 2026-10-21: no `temperature`, `top_p` and `top_k`, no documents in the assistant's turns, and no citations in the
    /// user's texts.
    WithoutSampling,
}

/// Says whether a request is made in Anthropic's format.
pub fn speaks(headers: &HeaderMap) -> bool {
    headers.contains_key("anthropic-version")
}

/// Reads which version of the API the request is made for.
///
/// # Errors
/// The real API's refusal, where it names none or one that doesn't exist.
pub fn read_version(headers: &HeaderMap) -> Result<Version, Failure> {
    match headers.get("anthropic-version").and_then(|value| value.to_str().ok()) {
        None => Err(wrong("anthropic-version", "header is required")),
        Some("2023-01-01" | "2023-06-01") => Ok(Version::First),
        Some("2026-10-21") => Ok(Version::WithoutSampling),
        Some(other) => Err(wrong("anthropic-version", &format!("\"{other}\" is not a valid version"))),
    }
}

/// Reads a request body; says also whether thoughts are to be shown.
///
/// # Errors
/// A refusal whose message begins with the path of what is wrong.
pub fn read(body: &[u8], version: Version, seed: u64) -> Result<(Request, bool), Failure> {
    let map = read_object(body, version)?;
    let tokens_max = read_tokens_max(&map)?;
    read_rest(&map, seed, tokens_max)
}

/// Reads the body of a request to count tokens, which needs no `max_tokens`.
///
/// # Errors
/// As [`read`].
pub fn read_to_count(body: &[u8], version: Version, seed: u64) -> Result<Request, Failure> {
    read_rest(&read_object(body, version)?, seed, ANSWER_TOKENS_MAX).map(|(request, _)| request)
}

/// Refuses something by its path.
pub fn wrong(path: &str, what: &str) -> Failure {
    Failure::invalid(path, format!("{path}: {what}"))
}

fn read_object(body: &[u8], version: Version) -> Result<Map<String, Value>, Failure> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::invalid("body", format!("The request body is not valid JSON: {error}")))?;
    let Value::Object(map) = value else {
        return Err(Failure::invalid("body", "Input should be an object"));
    };
    let is_unknown = |key: &str| {
        let is_gone = version == Version::WithoutSampling && ["temperature", "top_k", "top_p"].contains(&key);
        is_gone || !KNOWN.contains(&key)
    };
    if let Some(unknown) = map.keys().find(|key| is_unknown(key)) {
        return Err(wrong(unknown, "Extra inputs are not permitted"));
    }
    if version == Version::WithoutSampling {
        history::refuse_what_is_gone(map.get("messages"))?;
    }
    Ok(map)
}

fn read_rest(map: &Map<String, Value>, seed: u64, tokens_max: usize) -> Result<(Request, bool), Failure> {
    let model = read_model(map)?;
    let thinking = thinking::read(map)?;
    let tools = tools::read(map.get("tools"))?;
    let (tool_choice, parallel_tool_calls) = tools::read_choice(map.get("tool_choice"), &tools)?;
    let temperature = read_temperature(map)?;
    thinking::check(map, &thinking, &tool_choice, temperature)?;
    let mut messages: Vec<Message> = Vec::new();
    if let Some(system) = read_system(map.get("system"))? {
        messages.push(Message::text(Role::System, system));
    }
    messages.extend(history::read(map.get("messages"), seed)?);
    if thinking.budget.is_some() {
        history::check_thoughts(map.get("messages"))?;
    }
    let request = Request {
        model,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        stream: read_bool(map, "stream")?.unwrap_or(false),
        tokens_max,
        stop: read_stop(map.get("stop_sequences"))?,
        temperature: temperature.unwrap_or(0.0),
        format: format::read(map)?,
        logprobs: None,
        thinking: thinking.wanted,
        cached: ["cache_control", "system", "tools", "messages"]
            .iter()
            .any(|key| map.get(*key).is_some_and(|value| *key == "cache_control" || is_marked(value, 0))),
    };
    Ok((request, thinking.shown))
}

/// Looks for a prompt-caching mark: on a tool, a block, or a block of a tool's result.
fn is_marked(value: &Value, depth: usize) -> bool {
    const DEPTH_MAX: usize = 4;
    match value {
        Value::Array(items) => items.iter().any(|item| is_marked(item, depth)),
        Value::Object(map) => {
            map.get("cache_control").is_some_and(|mark| !mark.is_null())
                || depth < DEPTH_MAX && map.get("content").is_some_and(|inner| is_marked(inner, depth + 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn read_model(map: &Map<String, Value>) -> Result<String, Failure> {
    match map.get("model") {
        None | Some(Value::Null) => Err(wrong("model", "Field required")),
        Some(Value::String(model)) if model.is_empty() => {
            Err(wrong("model", "String should have at least 1 character"))
        }
        Some(Value::String(model)) => Ok(model.clone()),
        Some(_) => Err(wrong("model", "Input should be a valid string")),
    }
}

fn read_bool(map: &Map<String, Value>, key: &str) -> Result<Option<bool>, Failure> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(wanted)) => Ok(Some(*wanted)),
        Some(_) => Err(wrong(key, "Input should be a valid boolean")),
    }
}

fn read_tokens_max(map: &Map<String, Value>) -> Result<usize, Failure> {
    match map.get("max_tokens") {
        None | Some(Value::Null) => Err(wrong("max_tokens", "Field required")),
        Some(value) => match (value.as_u64(), value.as_i64()) {
            // 0 fills the prompt cache and answers nothing.
            (Some(max), _) => {
                Ok(usize::try_from(max).map_or(ANSWER_TOKENS_MAX, |max| max.min(ANSWER_TOKENS_MAX)))
            }
            (None, Some(_)) => Err(wrong("max_tokens", "must be greater than or equal to 0")),
            (None, None) => Err(wrong("max_tokens", "Input should be a valid integer")),
        },
    }
}

fn read_temperature(map: &Map<String, Value>) -> Result<Option<f64>, Failure> {
    match map.get("temperature") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(temperature) if (0.0..=1.0).contains(&temperature) => Ok(Some(temperature)),
            Some(_) => Err(wrong("temperature", "range: 0..1")),
            None => Err(wrong("temperature", "Input should be a valid number")),
        },
    }
}

fn read_stop(value: Option<&Value>) -> Result<Vec<String>, Failure> {
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(wrong("stop_sequences", "Input should be a valid array")),
    };
    let read = |(at, item): (usize, &Value)| match item.as_str() {
        Some(text) if text.trim().is_empty() => {
            Err(wrong("stop_sequences", "each stop sequence must contain non-whitespace"))
        }
        Some(text) => Ok(text.to_owned()),
        None => Err(wrong(&format!("stop_sequences.{at}"), "Input should be a valid string")),
    };
    list.iter().enumerate().map(read).collect()
}

fn read_system(value: Option<&Value>) -> Result<Option<String>, Failure> {
    let blocks = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => return Ok((!text.is_empty()).then(|| text.clone())),
        Some(Value::Array(blocks)) => blocks,
        Some(_) => return Err(wrong("system", "Input should be a valid string or a list of text blocks")),
    };
    let mut text = String::new();
    for (at, block) in blocks.iter().enumerate() {
        match (block.get("type").and_then(Value::as_str), block.get("text").and_then(Value::as_str)) {
            (Some("text"), Some("")) => return Err(wrong("system", "text content blocks must be non-empty")),
            (Some("text"), Some(part)) => text.push_str(part),
            (Some("text"), None) => return Err(wrong(&format!("system.{at}.text"), "Field required")),
            (Some(_) | None, _) => {
                return Err(wrong(&format!("system.{at}.type"), "Input should be 'text'"));
            }
        }
    }
    Ok((!text.is_empty()).then_some(text))
}

//! Reads a messages request, and refuses in Anthropic's words what can't be served.
//!
//! Fields that nobody knows are refused, as the real API does. Server tools, containers and the like are accepted and
//! change nothing: a tool without `input_schema` of its own is never called.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::history;
use crate::failure::Failure;
use crate::limits::{ANSWER_TOKENS_MAX, TOOLS_MAX};
use crate::request::{Format, Message, Request, Role, Tool, ToolChoice};

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

/// What a request's `thinking` asks for.
struct Thinking {
    wanted: bool,
    /// Whether the text of the thought is to be sent.
    shown: bool,
    /// Set with `type: enabled`, whose rules are stricter.
    budget: Option<u64>,
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
    let thinking = read_thinking(map)?;
    let tools = read_tools(map.get("tools"))?;
    let (tool_choice, parallel_tool_calls) = read_tool_choice(map.get("tool_choice"), &tools)?;
    let temperature = read_temperature(map)?;
    check_thinking(map, &thinking, &tool_choice, temperature)?;
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
        format: read_format(map)?,
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

fn read_thinking(map: &Map<String, Value>) -> Result<Thinking, Failure> {
    let off = Thinking { wanted: false, shown: false, budget: None };
    let Some(value) = map.get("thinking").filter(|value| !value.is_null()) else { return Ok(off) };
    let shown = value.get("display").and_then(Value::as_str) != Some("omitted");
    match value.get("type").and_then(Value::as_str) {
        Some("disabled") => Ok(off),
        Some("adaptive" | "between_tools") => Ok(Thinking { wanted: true, shown, budget: None }),
        Some("enabled") => match value.get("budget_tokens").map(Value::as_u64) {
            None => Err(wrong("thinking.enabled.budget_tokens", "Field required")),
            Some(Some(budget)) if budget >= 1024 => {
                Ok(Thinking { wanted: true, shown, budget: Some(budget) })
            }
            Some(_) => {
                Err(wrong("thinking.enabled.budget_tokens", "Input should be greater than or equal to 1024"))
            }
        },
        Some(_) | None => Err(wrong(
            "thinking",
            "Input tag found using 'type' does not match any of the expected tags: 'adaptive', \
             'between_tools', 'disabled', 'enabled'",
        )),
    }
}

fn check_thinking(
    map: &Map<String, Value>,
    thinking: &Thinking,
    tool_choice: &ToolChoice,
    temperature: Option<f64>,
) -> Result<(), Failure> {
    let forced = matches!(tool_choice, ToolChoice::Required | ToolChoice::Named(_));
    let tokens_max = map.get("max_tokens").and_then(Value::as_u64);
    if thinking.wanted && forced {
        return Err(Failure::invalid(
            "thinking",
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    if thinking.wanted && temperature.is_some_and(|temperature| temperature != 1.0) {
        return Err(Failure::invalid(
            "temperature",
            "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.",
        ));
    }
    match (thinking.budget, tokens_max) {
        (Some(budget), Some(max)) if max <= budget => {
            Err(Failure::invalid("max_tokens", "`max_tokens` must be greater than `thinking.budget_tokens`."))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

fn read_tools(value: Option<&Value>) -> Result<Vec<Tool>, Failure> {
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= TOOLS_MAX => list,
        Some(Value::Array(_)) => {
            return Err(wrong("tools", &format!("List should have at most {TOOLS_MAX} items")));
        }
        Some(_) => return Err(wrong("tools", "Input should be a valid array")),
    };
    let mut tools: Vec<Tool> = Vec::new();
    for (at, definition) in list.iter().enumerate() {
        match definition.get("type").and_then(Value::as_str) {
            None | Some("custom") => {
                let tool = read_tool(at, definition)?;
                if tools.iter().any(|known| known.name == tool.name) {
                    return Err(wrong("tools", "Tool names must be unique."));
                }
                tools.push(tool);
            }
            Some(_) => {}
        }
    }
    Ok(tools)
}

fn read_tool(at: usize, definition: &Value) -> Result<Tool, Failure> {
    let path = |key: &str| format!("tools.{at}.custom.{key}");
    let fits = |name: &str| {
        (1..=128).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    let name = match definition.get("name").and_then(Value::as_str) {
        Some(name) if fits(name) => name,
        Some(_) => return Err(wrong(&path("name"), "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")),
        None => return Err(wrong(&path("name"), "Field required")),
    };
    match definition.get("input_schema") {
        None | Some(Value::Null) => Err(wrong(&path("input_schema"), "Field required")),
        Some(schema) if schema.get("type").and_then(Value::as_str) == Some("object") => {
            Ok(Tool::new(name, definition.get("description"), Some(schema)))
        }
        Some(Value::Object(schema)) if !schema.contains_key("type") => {
            Err(wrong(&path("input_schema.type"), "Field required"))
        }
        Some(_) => Err(wrong(&path("input_schema.type"), "Input should be 'object'")),
    }
}

fn read_tool_choice(value: Option<&Value>, tools: &[Tool]) -> Result<(ToolChoice, bool), Failure> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok((ToolChoice::Auto, true)) };
    let choice = match value.get("type").and_then(Value::as_str) {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => match value.get("name").and_then(Value::as_str) {
            Some(name) if tools.iter().any(|tool| tool.name == name) => ToolChoice::Named(name.to_owned()),
            Some(name) => {
                return Err(Failure::invalid(
                    "tool_choice",
                    format!("Tool '{name}' not found in provided tools"),
                ));
            }
            None => return Err(wrong("tool_choice.tool.name", "Field required")),
        },
        Some(_) | None => {
            return Err(wrong(
                "tool_choice",
                "Input tag found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'",
            ));
        }
    };
    if tools.is_empty() && matches!(choice, ToolChoice::Required | ToolChoice::Named(_)) {
        return Err(Failure::invalid(
            "tool_choice",
            "tool_choice may only be specified while providing tools.",
        ));
    }
    let single = value.get("disable_parallel_tool_use").and_then(Value::as_bool).unwrap_or(false);
    Ok((choice, !single))
}

fn read_format(map: &Map<String, Value>) -> Result<Format, Failure> {
    let present = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
    let in_config = present(map.get("output_config").and_then(|config| config.get("format")));
    let Some(format) = in_config.or_else(|| present(map.get("output_format"))) else {
        return Ok(Format::Text);
    };
    match (format.get("type").and_then(Value::as_str), format.get("schema")) {
        (Some("json_schema"), Some(schema)) => {
            check_schema(schema, 0)?;
            Ok(Format::JsonSchema(schema.clone()))
        }
        (Some("json_schema"), None) => Err(wrong("output_config.format.schema", "Field required")),
        (Some(_) | None, _) => Err(wrong("output_config.format.type", "Input should be 'json_schema'")),
    }
}

/// Checks that every object of an answer's schema closes its list of properties, as the API demands.
fn check_schema(schema: &Value, depth: usize) -> Result<(), Failure> {
    if depth > crate::limits::SCHEMA_DEPTH_MAX {
        return Ok(());
    }
    match schema {
        Value::Object(map) => {
            let is_object = map.get("type").and_then(Value::as_str) == Some("object");
            if is_object && map.get("additionalProperties") != Some(&Value::Bool(false)) {
                return Err(wrong(
                    "output_config.format.schema",
                    "For 'object' type, 'additionalProperties' must be explicitly set to false",
                ));
            }
            map.values().try_for_each(|inner| check_schema(inner, depth + 1))
        }
        Value::Array(items) => items.iter().try_for_each(|inner| check_schema(inner, depth + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

//! Reads a chat request, and refuses in OpenAI's words what can't be served.
//!
//! Fields that change nothing here (`top_p`, `seed`, `user`, `metadata`, …) are accepted and ignored. Fields that would
//! silently change an answer's shape (`n` above 1, `functions`) are refused.

use serde_json::{Map, Value};

use super::history;
use crate::dialect::strict;
use crate::failure::Failure;
use crate::limits::{ANSWER_TOKENS_MAX, TOOLS_MAX, TOP_LOGPROBS_MAX};
use crate::request::{Format, Request, Tool, ToolChoice};

/// Reads a request body; says also whether a stream shall tell its usage.
///
/// # Errors
/// A 400 that names the parameter.
pub fn read(body: &[u8]) -> Result<(Request, bool), Failure> {
    let map = read_object(body)?;
    refuse_unsupported(&map)?;
    let tools = read_tools(map.get("tools"))?;
    let tool_choice = read_tool_choice(map.get("tool_choice"), &tools)?;
    let stream = read_bool(&map, "stream")?.unwrap_or(false);
    let include_usage = read_include_usage(&map, stream)?;
    let request = Request {
        model: read_model(&map)?,
        messages: history::read(map.get("messages"))?,
        tools,
        tool_choice,
        parallel_tool_calls: read_bool(&map, "parallel_tool_calls")?.unwrap_or(true),
        stream,
        tokens_max: read_tokens_max(&map)?,
        stop: read_stop(map.get("stop"))?,
        temperature: read_temperature(&map)?,
        format: read_format(map.get("response_format"))?,
        logprobs: read_logprobs(&map)?,
        thinking: map.get("reasoning_effort").and_then(Value::as_str).is_some_and(|effort| effort != "none"),
        cached: false,
    };
    Ok((request, include_usage))
}

/// Takes a body that must be a JSON object.
pub fn read_object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::invalid("body", format!("The body is not valid JSON: {error}")))?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Failure::invalid("body", "The body must be a JSON object"))
        }
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

pub fn read_model(map: &Map<String, Value>) -> Result<String, Failure> {
    match map.get("model").and_then(Value::as_str) {
        Some(model) if !model.is_empty() => Ok(model.to_owned()),
        Some(_) | None => Err(Failure::invalid("model", "You must provide a `model`")),
    }
}

pub fn read_bool(map: &Map<String, Value>, key: &str) -> Result<Option<bool>, Failure> {
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

pub fn read_temperature(map: &Map<String, Value>) -> Result<f64, Failure> {
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
            Some(schema) => {
                let is_strict = value.pointer("/json_schema/strict") == Some(&Value::Bool(true));
                let name = value.pointer("/json_schema/name").and_then(Value::as_str).unwrap_or("");
                match strict::fault(schema).filter(|_| is_strict) {
                    Some(fault) => Err(Failure::invalid(
                        "response_format",
                        format!("Invalid schema for response_format '{name}': {fault}"),
                    )),
                    None => Ok(Format::JsonSchema(schema.clone())),
                }
            }
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
            (Some("function"), Some(name)) if !name.is_empty() => read_function(at, name, definition),
            (Some(_) | None, Some(_) | None) => Err(Failure::invalid(
                format!("tools[{at}]"),
                "A tool must be {\"type\": \"function\", \"function\": {\"name\": …}}",
            )),
        }
    };
    list.iter().enumerate().map(read).collect()
}

fn read_function(at: usize, name: &str, definition: &Value) -> Result<Tool, Failure> {
    if let Some(fault) = strict::name_fault(&format!("tools[{at}].function.name"), name) {
        return Err(fault);
    }
    let parameters = definition.pointer("/function/parameters");
    let is_strict = definition.pointer("/function/strict") == Some(&Value::Bool(true));
    match parameters.filter(|_| is_strict).and_then(strict::fault) {
        Some(fault) => Err(Failure {
            code: Some("invalid_function_parameters"),
            ..Failure::invalid(
                format!("tools[{at}].function.parameters"),
                format!("Invalid schema for function '{name}': {fault}"),
            )
        }),
        None => Ok(Tool::new(name, definition.pointer("/function/description"), parameters)),
    }
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

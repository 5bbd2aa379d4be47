//! Reads a responses request, and refuses in OpenAI's words what can't be served.
//!
//! Fields that nobody knows are refused, as the real API does. Built-in tools are accepted and never called.

use serde_json::{Map, Value};

use super::history;
use crate::dialect::{chat, strict};
use crate::failure::Failure;
use crate::limits::{ANSWER_TOKENS_MAX, TOOLS_MAX, TOP_LOGPROBS_MAX};
use crate::request::{Format, Message, Request, Role, Tool, ToolChoice};
use crate::sim::Sim;

/// The fields that the API knows.
const KNOWN: [&str; 33] = [
    "access_programs",
    "background",
    "background_options",
    "context_management",
    "conversation",
    "image",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
];

/// The values of `include`.
const INCLUDABLE: [&str; 8] = [
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
];

/// Fewest tokens that may be asked for.
const OUTPUT_TOKENS_MIN: u64 = 16;

/// What the answer repeats of the request, and what becomes of it.
pub struct Wish {
    /// The request's own fields.
    pub asked: Map<String, Value>,
    /// Whether the response is kept.
    pub store: bool,
    /// The conversation without the instructions, from which a later request may go on.
    pub context: Vec<Message>,
    /// Whether reasoning shows its summary.
    pub summary: bool,
}

/// Reads a request body.
///
/// # Errors
/// A refusal that names the parameter.
pub fn read(body: &[u8], sim: &Sim) -> Result<(Request, Wish), Failure> {
    let map = chat::read_object(body)?;
    refuse_unsupported(&map)?;
    let mut context = read_previous(&map, sim)?;
    context.extend(history::read(map.get("input"), sim)?);
    history::check_pairs(&context)?;
    let mut messages = Vec::new();
    if let Some(instructions) =
        map.get("instructions").and_then(Value::as_str).filter(|text| !text.is_empty())
    {
        messages.push(Message::text(Role::System, instructions));
    }
    messages.extend(context.iter().cloned());
    if messages.is_empty() {
        return Err(coded("input", "Missing required parameter: 'input'.", "missing_required_parameter"));
    }
    let tools = read_tools(map.get("tools"))?;
    let (thinking, summary) = read_reasoning(map.get("reasoning"));
    let request = Request {
        model: read_model(&map)?,
        messages,
        tool_choice: read_tool_choice(map.get("tool_choice"), &tools)?,
        tools,
        parallel_tool_calls: read_bool(&map, "parallel_tool_calls")?.unwrap_or(true),
        stream: read_bool(&map, "stream")?.unwrap_or(false),
        tokens_max: read_tokens_max(&map)?,
        stop: Vec::new(),
        temperature: chat::read_temperature(&map)?,
        format: read_format(map.get("text"))?,
        logprobs: read_logprobs(&map)?,
        thinking,
        cached: false,
    };
    let store = read_bool(&map, "store")?.unwrap_or(true);
    Ok((request, Wish { asked: map, store, context, summary }))
}

/// Refuses a parameter with one of the API's codes.
pub fn coded(param: impl Into<String>, message: impl Into<String>, code: &'static str) -> Failure {
    Failure { code: Some(code), ..Failure::invalid(param, message) }
}

fn refuse_unsupported(map: &Map<String, Value>) -> Result<(), Failure> {
    let unknown = |key: &&String| !KNOWN.contains(&key.as_str()) && *key != "user";
    if let Some(key) = map.keys().find(unknown) {
        return Err(coded(key, format!("Unknown parameter: '{key}'."), "unknown_parameter"));
    }
    let present = |key: &str| map.get(key).is_some_and(|value| !value.is_null());
    let unserved = ["conversation", "prompt"].into_iter().find(|key| present(key));
    if let Some(key) =
        unserved.or_else(|| (map.get("background") == Some(&Value::Bool(true))).then_some("background"))
    {
        return Err(Failure::invalid(key, format!("The simulator doesn't serve `{key}`: leave it out")));
    }
    for (at, wanted) in map.get("include").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let wanted = wanted.as_str().unwrap_or("");
        if !INCLUDABLE.contains(&wanted) {
            let list: Vec<String> = INCLUDABLE.iter().map(|known| format!("'{known}'")).collect();
            let message = format!("Invalid value: '{wanted}'. Supported values are: {}.", list.join(", "));
            return Err(coded(format!("include[{at}]"), message, "invalid_value"));
        }
    }
    Ok(())
}

fn read_previous(map: &Map<String, Value>, sim: &Sim) -> Result<Vec<Message>, Failure> {
    let Some(id) = map.get("previous_response_id").filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let id = id.as_str().unwrap_or("");
    sim.responses().get(id).map(|kept| kept.context.clone()).ok_or_else(|| {
        let message = format!("Previous response with id '{id}' not found.");
        coded("previous_response_id", message, "previous_response_not_found")
    })
}

fn read_model(map: &Map<String, Value>) -> Result<String, Failure> {
    match map.get("model").and_then(Value::as_str) {
        Some(model) if !model.is_empty() => Ok(model.to_owned()),
        Some(_) | None => {
            Err(coded("model", "Missing required parameter: 'model'.", "missing_required_parameter"))
        }
    }
}

fn read_bool(map: &Map<String, Value>, key: &str) -> Result<Option<bool>, Failure> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(wanted)) => Ok(Some(*wanted)),
        Some(_) => Err(coded(key, format!("Invalid type for '{key}': expected a boolean."), "invalid_type")),
    }
}

fn read_tokens_max(map: &Map<String, Value>) -> Result<usize, Failure> {
    let key = "max_output_tokens";
    match map.get(key).filter(|value| !value.is_null()) {
        None => Ok(ANSWER_TOKENS_MAX),
        Some(value) => match (value.as_u64(), value.as_i64()) {
            (Some(max), _) if max >= OUTPUT_TOKENS_MIN => {
                Ok(usize::try_from(max).map_or(ANSWER_TOKENS_MAX, |max| max.min(ANSWER_TOKENS_MAX)))
            }
            (None, None) => {
                Err(coded(key, format!("Invalid type for '{key}': expected an integer."), "invalid_type"))
            }
            (Some(_) | None, _) => Err(coded(
                key,
                format!(
                    "Invalid '{key}': integer below minimum value. Expected a value >= {OUTPUT_TOKENS_MIN}, but got \
                     {value} instead."
                ),
                "integer_below_min_value",
            )),
        },
    }
}

fn read_reasoning(value: Option<&Value>) -> (bool, bool) {
    let text = |key: &str| value.and_then(|value| value.get(key)).and_then(Value::as_str);
    let summary = text("summary").or_else(|| text("generate_summary")).is_some();
    let effort = text("effort");
    (effort != Some("none") && (effort.is_some() || summary), summary)
}

fn read_logprobs(map: &Map<String, Value>) -> Result<Option<usize>, Failure> {
    let included = map.get("include").and_then(Value::as_array).is_some_and(|list| {
        list.iter().any(|wanted| wanted.as_str() == Some("message.output_text.logprobs"))
    });
    match map.get("top_logprobs").filter(|value| !value.is_null()) {
        None => Ok(included.then_some(0)),
        Some(value) => match value.as_u64().filter(|top| *top <= TOP_LOGPROBS_MAX) {
            Some(top) => Ok((included || top > 0).then(|| usize::try_from(top).unwrap_or(usize::MAX))),
            None => Err(Failure::invalid(
                "top_logprobs",
                format!("`top_logprobs` must be a whole number from 0 to {TOP_LOGPROBS_MAX}"),
            )),
        },
    }
}

fn read_format(text: Option<&Value>) -> Result<Format, Failure> {
    let Some(format) = text.and_then(|text| text.get("format")).filter(|value| !value.is_null()) else {
        return Ok(Format::Text);
    };
    let missing = |key: &str| {
        let param = format!("text.format.{key}");
        let message = format!("Missing required parameter: '{param}'.");
        coded(param, message, "missing_required_parameter")
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => {
            let name = format.get("name").and_then(Value::as_str).ok_or_else(|| missing("name"))?;
            let schema = format.get("schema").ok_or_else(|| missing("schema"))?;
            let is_strict = format.get("strict").and_then(Value::as_bool).unwrap_or(false);
            match strict::fault(schema).filter(|_| is_strict) {
                Some(fault) => Err(coded(
                    "text.format.schema",
                    format!("Invalid schema for response_format '{name}': {fault}"),
                    "invalid_json_schema",
                )),
                None => Ok(Format::JsonSchema(schema.clone())),
            }
        }
        Some(other) => Err(coded(
            "text.format.type",
            format!(
                "Invalid value: '{other}'. Supported values are: 'json_object', 'json_schema', and 'text'."
            ),
            "invalid_value",
        )),
        None => Err(missing("type")),
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
    let mut tools = Vec::new();
    for (at, definition) in list.iter().enumerate() {
        let missing = |key: &str| {
            let param = format!("tools[{at}].{key}");
            let message = format!("Missing required parameter: '{param}'.");
            coded(param, message, "missing_required_parameter")
        };
        match definition.get("type").and_then(Value::as_str) {
            Some("function") => tools.push(read_function(at, definition, missing)?),
            Some(_) => {}
            None => return Err(missing("type")),
        }
    }
    Ok(tools)
}

fn read_function(at: usize, definition: &Value, missing: impl Fn(&str) -> Failure) -> Result<Tool, Failure> {
    let name = definition.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| missing("name"))?;
    if let Some(fault) = strict::name_fault(&format!("tools[{at}].name"), name) {
        return Err(fault);
    }
    let parameters = definition.get("parameters").filter(|value| !value.is_null());
    let is_strict = definition.get("strict").and_then(Value::as_bool).unwrap_or(false);
    match parameters.filter(|_| is_strict).and_then(strict::fault) {
        Some(fault) => Err(coded(
            format!("tools[{at}].parameters"),
            format!("Invalid schema for function '{name}': {fault}"),
            "invalid_function_parameters",
        )),
        None => Ok(Tool::new(name, definition.get("description").filter(|text| !text.is_null()), parameters)),
    }
}

fn read_tool_choice(value: Option<&Value>, tools: &[Tool]) -> Result<ToolChoice, Failure> {
    let mode = |word: Option<&str>| match word {
        Some("none") => Ok(ToolChoice::None),
        Some("auto") => Ok(ToolChoice::Auto),
        Some("required") => Ok(ToolChoice::Required),
        Some(other) => Err(coded(
            "tool_choice",
            format!("Invalid value: '{other}'. Supported values are: 'none', 'auto', and 'required'."),
            "invalid_value",
        )),
        None => Err(coded("tool_choice", "Invalid type for 'tool_choice'.", "invalid_type")),
    };
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(ToolChoice::Auto) };
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let choice = match (value, text("type")) {
        (Value::String(word), _) => mode(Some(word))?,
        (_, Some("function")) => match text("name") {
            Some(name) if tools.iter().any(|tool| tool.name == name) => ToolChoice::Named(name.to_owned()),
            Some(name) => {
                let message = format!("Tool choice 'function' not found in 'tools' parameter: '{name}'.");
                return Err(Failure::invalid("tool_choice", message));
            }
            None => {
                let message = "Missing required parameter: 'tool_choice.name'.";
                return Err(coded("tool_choice.name", message, "missing_required_parameter"));
            }
        },
        (_, Some("allowed_tools")) => mode(text("mode"))?,
        // Built-in tools are never called, whatever the choice.
        (_, Some(_)) => ToolChoice::Auto,
        (_, None) => mode(None)?,
    };
    if tools.is_empty() && matches!(choice, ToolChoice::Required | ToolChoice::Named(_)) {
        let message = "Tool choice 'required' must be specified with 'tools' parameter.";
        return Err(Failure::invalid("tool_choice", message));
    }
    Ok(choice)
}

//! What the value of each kind of assertion must be, and its one form: `a, b` and `[a, b]` are the same list, `4` and
//! `"4"` the same text.

use std::rc::Rc;

use serde_json::{Value, json};

use super::yaml;
use crate::suite::AssertKind;

/// What is missing of an assertion before its templates are filled.
pub fn missing(kind: AssertKind, value: &Value, threshold: Option<f64>, is_empty: bool) -> Option<String> {
    let needs = match kind {
        AssertKind::Latency => threshold.is_none().then_some("needs a `threshold`, in milliseconds"),
        AssertKind::Cost => threshold.is_none().then_some("needs a `threshold`, in US dollars"),
        AssertKind::AssertSet => is_empty.then_some("needs `assert`, a list with at least one assertion"),
        AssertKind::IsJson
        | AssertKind::ContainsJson
        | AssertKind::IsRefusal
        | AssertKind::IsValidOpenaiToolsCall => None,
        AssertKind::ToolCalls => {
            value.is_null().then_some("needs a `value`: the calls, each with `name` and `arguments`")
        }
        AssertKind::WordCount => {
            value.is_null().then_some("needs a `value`: a number of words, or `min` and `max`")
        }
        AssertKind::Javascript | AssertKind::Python => {
            value.is_null().then_some("needs a `value`: the script")
        }
        AssertKind::LlmRubric => value.is_null().then_some("needs a `value`: what a good answer is"),
        AssertKind::Factuality => value.is_null().then_some("needs a `value`: what is true"),
        AssertKind::Equals
        | AssertKind::Contains
        | AssertKind::Icontains
        | AssertKind::ContainsAny
        | AssertKind::ContainsAll
        | AssertKind::IcontainsAny
        | AssertKind::IcontainsAll
        | AssertKind::StartsWith
        | AssertKind::Regex
        | AssertKind::Levenshtein
        | AssertKind::FinishReason
        | AssertKind::ToolCallF1
        | AssertKind::Similar => value.is_null().then_some("needs a `value`"),
    };
    needs.map(str::to_owned)
}

/// What is wrong with an assertion's `config`; scripts may have any.
pub fn bad_config(kind: AssertKind, config: &Value) -> Option<String> {
    let is_script = matches!(kind, AssertKind::Javascript | AssertKind::Python);
    if config.is_null() || (is_script && config.is_object()) {
        return None;
    }
    if kind != AssertKind::ToolCalls {
        let what =
            if is_script { "must be a map" } else { "goes with `javascript`, `python` and `tool-calls`" };
        return Some(format!("has a `config`, which {what}"));
    }
    let wrong = config.as_object().map(|fields| {
        fields.iter().find(|(key, value)| match key.as_str() {
            "order" => !matches!(value.as_str(), Some("any" | "same")),
            "extra" => !value.is_boolean(),
            _ => true,
        })
    });
    const KNOWN: &str = "`tool-calls` knows `order` (any or same) and `extra` (true or false)";
    match wrong {
        Some(None) => None,
        Some(Some((key, value))) => Some(format!("has `{key}: {value}` in its `config`: {KNOWN}")),
        None => Some(format!("has a `config` that is no map: {KNOWN}")),
    }
}

/// A filled value in its one form; the error is for a person.
pub fn shaped(kind: AssertKind, value: Value) -> Result<Value, String> {
    match kind {
        AssertKind::Equals => Ok(if value.is_object() || value.is_array() { value } else { text(value)? }),
        AssertKind::Contains
        | AssertKind::Icontains
        | AssertKind::StartsWith
        | AssertKind::Regex
        | AssertKind::Levenshtein
        | AssertKind::FinishReason
        | AssertKind::Javascript
        | AssertKind::Python
        | AssertKind::Factuality => text(value),
        AssertKind::ContainsAny
        | AssertKind::ContainsAll
        | AssertKind::IcontainsAny
        | AssertKind::IcontainsAll
        | AssertKind::ToolCallF1 => texts(value),
        AssertKind::Similar if value.is_array() => texts(value),
        AssertKind::Similar => text(value),
        AssertKind::LlmRubric if value.is_object() || value.is_array() => Ok(value),
        AssertKind::LlmRubric => text(value),
        AssertKind::IsJson | AssertKind::ContainsJson => schema(value),
        AssertKind::WordCount => word_count(value),
        AssertKind::ToolCalls => calls(value),
        AssertKind::Latency
        | AssertKind::Cost
        | AssertKind::IsRefusal
        | AssertKind::IsValidOpenaiToolsCall
        | AssertKind::AssertSet => {
            if value.is_null() {
                Ok(value)
            } else {
                Err("has no use for a value with this type".to_owned())
            }
        }
    }
}

/// The calls that are expected, each a map.
fn calls(value: Value) -> Result<Value, String> {
    match value {
        Value::Array(items) => items.into_iter().map(call).collect::<Result<Vec<_>, _>>().map(Value::Array),
        one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            Ok(Value::Array(vec![call(one)?]))
        }
    }
}

fn call(value: Value) -> Result<Value, String> {
    const SHAPE: &str = "must be calls such as {name: look_up, arguments: {order: 7}}";
    match value {
        Value::String(name) => Ok(json!({ "name": name })),
        Value::Object(fields) => {
            if let Some(unknown) = fields.keys().find(|key| *key != "name" && *key != "arguments") {
                return Err(format!("{SHAPE}; `{unknown}` is not a key of a call"));
            }
            if !fields.get("name").is_some_and(Value::is_string) {
                return Err(format!("{SHAPE}; one has no name"));
            }
            if !fields.get("arguments").is_none_or(|arguments| arguments.is_object() || arguments.is_null()) {
                return Err(format!("{SHAPE}; the arguments of one are no map"));
            }
            Ok(Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(SHAPE.to_owned()),
    }
}

fn text(value: Value) -> Result<Value, String> {
    match value {
        Value::String(_) => Ok(value),
        Value::Number(_) | Value::Bool(_) => Ok(Value::String(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => Err("must be a text".to_owned()),
    }
}

/// A list of texts, or one text with commas; a part in quotes may hold commas.
fn texts(value: Value) -> Result<Value, String> {
    let items = match value {
        Value::Array(items) => items.into_iter().map(text).collect::<Result<Vec<_>, _>>()?,
        Value::String(line) => split(&line)?.into_iter().map(Value::String).collect(),
        other @ (Value::Number(_) | Value::Bool(_)) => vec![text(other)?],
        Value::Null | Value::Object(_) => return Err("must be a list of texts".to_owned()),
    };
    if items.is_empty() { Err("is an empty list".to_owned()) } else { Ok(Value::Array(items)) }
}

/// The parts between commas, empty ones left out. One that begins with a quote goes to the next quote, commas and all;
/// in it `\"` and `""` are quotes.
fn split(line: &str) -> Result<Vec<String>, String> {
    const SEPARATES: [char; 4] = [',', ' ', '\t', '\n'];
    let mut parts = Vec::new();
    let mut rest = line.trim_start_matches(SEPARATES);
    while !rest.is_empty() {
        let Some(inner) = rest.strip_prefix('"') else {
            let end = rest.find(',').unwrap_or(rest.len());
            parts.push(rest[..end].trim().to_owned());
            rest = rest[end..].trim_start_matches(SEPARATES);
            continue;
        };
        let (mut part, mut letters) = (String::new(), inner.char_indices().peekable());
        let end = loop {
            let Some((at, letter)) = letters.next() else {
                return Err("has a quote that doesn't end".to_owned());
            };
            match (letter, letters.peek().map(|(_, next)| *next)) {
                ('\\', Some(escaped @ ('"' | '\\'))) | ('"', Some(escaped @ '"')) => {
                    part.push(escaped);
                    letters.next();
                }
                ('"', _) => break at + 1,
                (letter, _) => part.push(letter),
            }
        };
        parts.push(part);
        rest = inner[end..].trim_start_matches([' ', '\t', '\n']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err("has something between a quote and the next comma".to_owned());
        }
        rest = rest.trim_start_matches(SEPARATES);
    }
    Ok(parts)
}

/// None, a schema, or a schema's text as JSON or YAML.
fn schema(value: Value) -> Result<Value, String> {
    let value = match value {
        Value::String(text) => {
            let file: Rc<str> = Rc::from("");
            let read = yaml::read(&text, &file);
            read.map_err(|bad| {
                format!("holds a schema that cannot be read: line {}: {}", bad.at.line, bad.what)
            })?
            .json()
        }
        value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            value
        }
    };
    match value {
        Value::Null | Value::Object(_) | Value::Bool(_) => Ok(value),
        Value::Number(_) | Value::Array(_) | Value::String(_) => Err("must be a JSON schema".to_owned()),
    }
}

fn word_count(value: Value) -> Result<Value, String> {
    const SHAPE: &str = "must be a number of words, or a map with `min`, `max` or both";
    let is_count = |value: &Value| value.as_u64().is_some();
    match value {
        Value::String(text) => match text.trim().parse::<u64>() {
            Ok(count) => Ok(json!(count)),
            Err(_) => Err(SHAPE.to_owned()),
        },
        Value::Number(_) if is_count(&value) => Ok(value),
        Value::Object(fields)
            if !fields.is_empty()
                && fields
                    .iter()
                    .all(|(key, value)| ["min", "max"].contains(&key.as_str()) && is_count(value)) =>
        {
            Ok(Value::Object(fields))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(SHAPE.to_owned())
        }
    }
}

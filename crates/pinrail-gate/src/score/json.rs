//! Assertions on JSON in the text, and what JSON values mean to JavaScript.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::CannotScore;
use super::judged::{Claim, Judged, clip};
use crate::suite::Assertion;

/// `is-json`: the whole text is JSON, and of the schema where one is given.
pub(super) fn is_json(assertion: &Assertion, text: &str) -> Result<Judged, CannotScore> {
    let schema = schema_of(assertion)?;
    let claim = match (serde_json::from_str::<Value>(text), schema) {
        (Err(fault), _) => Claim::new(false, "be JSON").but(fault.to_string()),
        (Ok(_), None) => Claim::new(true, "be JSON"),
        (Ok(value), Some(schema)) => {
            let fault = fault_in(&schema, &value);
            Claim::new(fault.is_none(), "be JSON of the schema").but(fault.unwrap_or_default())
        }
    };
    Ok(claim.judge(assertion))
}

/// `contains-json`: a JSON object stands somewhere in the text, and one is of the schema where one is given.
pub(super) fn contains_json(assertion: &Assertion, text: &str) -> Result<Judged, CannotScore> {
    let schema = schema_of(assertion)?;
    let objects = objects_in(text);
    let claim = match schema {
        None => Claim::new(!objects.is_empty(), "contain a JSON object"),
        Some(schema) => {
            let faults: Vec<String> = objects.iter().map_while(|object| fault_in(&schema, object)).collect();
            let but =
                if objects.is_empty() { Some("it has none".to_owned()) } else { faults.last().cloned() };
            let holds = faults.len() < objects.len();
            Claim::new(holds, "contain a JSON object of the schema").but(but.unwrap_or_default())
        }
    };
    Ok(claim.judge(assertion))
}

/// The JSON objects that stand in a text, in order; none within another.
pub(super) fn objects_in(text: &str) -> Vec<Value> {
    let mut objects = Vec::new();
    let mut at = 0;
    let mut tries = 0;
    while let Some(start) = text[at..].find('{').map(|found| at + found) {
        tries += 1;
        if tries > OBJECT_TRIES_MAX {
            break;
        }
        let end = text.floor_char_boundary(start.saturating_add(OBJECT_BYTES_MAX));
        let mut stream = serde_json::Deserializer::from_str(&text[start..end]).into_iter::<Value>();
        match stream.next() {
            Some(Ok(object)) => {
                objects.push(object);
                at = start + stream.byte_offset();
            }
            Some(Err(_)) | None => at = start + 1,
        }
    }
    objects
}

/// Makes a schema ready. It refers to nothing outside of itself.
pub(super) fn schema(value: &Value) -> Result<Validator, CannotScore> {
    let options = PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_MAX);
    jsonschema::options()
        .with_draft(draft_of(value))
        .with_pattern_options(options)
        .should_validate_formats(true)
        .build(value)
        .map_err(|fault| {
            CannotScore::Script(format!("the JSON schema isn't one: {}", clip(&fault.to_string(), 300)))
        })
}

/// What of a value isn't as the schema has it, if anything.
pub(super) fn fault_in(schema: &Validator, value: &Value) -> Option<String> {
    let fault = schema.iter_errors(value).next()?;
    let at = fault.instance_path().to_string();
    let says = clip(&fault.to_string(), 200);
    Some(if at.is_empty() { says } else { format!("{says} (at {at})") })
}

/// Whether two values are the same; numbers by what they are worth, so that 1 is 1.0.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, a)| other.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// A value as text: a text as it is, a whole number without a fraction, else its JSON.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            Some(_) | None => number.to_string(),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Braces that are tried as the beginning of an object, and how far each is read, maybe in vain: 100 MB in all.
const OBJECT_TRIES_MAX: usize = 1_000;
const OBJECT_BYTES_MAX: usize = 100_000;

/// Steps back of one pattern on one text: a millisecond or so. What takes more doesn't match.
const BACKTRACK_MAX: usize = 100_000;

fn schema_of(assertion: &Assertion) -> Result<Option<Validator>, CannotScore> {
    match &assertion.value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => {
            let value = serde_json::from_str(text)
                .map_err(|fault| CannotScore::Script(format!("the JSON schema isn't JSON: {fault}")))?;
            schema(&value).map(Some)
        }
        value @ (Value::Object(_) | Value::Bool(_)) => schema(value).map(Some),
        Value::Number(_) | Value::Array(_) => {
            Err(CannotScore::Script("a JSON schema is an object, true or false".to_owned()))
        }
    }
}

/// What the schema says of itself, else draft 7.
fn draft_of(value: &Value) -> Draft {
    if value.get("$schema").is_some() { Draft::Draft202012.detect(value) } else { Draft::Draft7 }
}

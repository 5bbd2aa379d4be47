//! Structured output.

use serde_json::{Map, Value};

use super::read::wrong;
use crate::failure::Failure;
use crate::limits::SCHEMA_DEPTH_MAX;
use crate::request::Format;

/// Reads the form that the answer must have.
pub fn read(map: &Map<String, Value>) -> Result<Format, Failure> {
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
    if depth > SCHEMA_DEPTH_MAX {
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

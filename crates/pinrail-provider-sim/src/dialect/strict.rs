//! What OpenAI demands of functions and schemas: a name of certain letters; and where a schema is to be followed strictly,
//! that every object closes its list of properties and requires all of them.

use serde_json::Value;

use crate::failure::Failure;
use crate::limits::SCHEMA_DEPTH_MAX;

/// Says in the API's words what is wrong with a schema, if anything.
pub fn fault(schema: &Value) -> Option<String> {
    find(schema, &mut Vec::new())
}

/// Says in the API's words what is wrong with a function's name, if anything; `path` is where it stands.
pub fn name_fault(path: &str, name: &str) -> Option<Failure> {
    const BYTES_MAX: usize = 64;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let (message, code) = if name.len() > BYTES_MAX {
        let long = format!("string too long. Expected a string with maximum length {BYTES_MAX}");
        (long, "string_above_max_length")
    } else if !name.bytes().all(fits) {
        let shape =
            "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.";
        (shape.to_owned(), "invalid_value")
    } else {
        return None;
    };
    Some(Failure { code: Some(code), ..Failure::invalid(path, format!("Invalid '{path}': {message}")) })
}

fn find(schema: &Value, place: &mut Vec<String>) -> Option<String> {
    if place.len() > 2 * SCHEMA_DEPTH_MAX {
        return None;
    }
    if schema.get("type").and_then(Value::as_str) == Some("object") {
        let context = context(place);
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Some(format!(
                "In context={context}, 'additionalProperties' is required to be supplied and to be false."
            ));
        }
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        let missing = properties.into_iter().flatten().find(|(name, _)| !required.contains(&name.as_str()));
        if let Some((name, _)) = missing {
            return Some(format!(
                "In context={context}, 'required' is required to be supplied and to be an array including every key \
                 in properties. Missing '{name}'."
            ));
        }
    }
    for key in ["properties", "$defs", "definitions"] {
        for (name, inner) in schema.get(key).and_then(Value::as_object).into_iter().flatten() {
            place.extend([key.to_owned(), name.clone()]);
            let found = find(inner, place);
            place.truncate(place.len() - 2);
            if found.is_some() {
                return found;
            }
        }
    }
    for key in ["anyOf", "allOf"] {
        for (at, inner) in schema.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
            place.extend([key.to_owned(), at.to_string()]);
            let found = find(inner, place);
            place.truncate(place.len() - 2);
            if found.is_some() {
                return found;
            }
        }
    }
    let items = schema.get("items")?;
    place.push("items".to_owned());
    let found = find(items, place);
    place.pop();
    found
}

/// Writes a place as the API does, which is how Python writes a tuple.
fn context(place: &[String]) -> String {
    match place {
        [] => "()".to_owned(),
        [one] => format!("('{one}',)"),
        many => format!("({})", many.iter().map(|part| format!("'{part}'")).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_fault_is_named_with_its_place() {
        let check =
            |schema: Value, want: Option<&str>| assert_eq!(fault(&schema).as_deref(), want, "{schema}");
        let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
        check(json!({"type": "string"}), None);
        check(closed.clone(), None);
        check(
            json!({"type": "object"}),
            Some("In context=(), 'additionalProperties' is required to be supplied and to be false."),
        );
        let mut open = closed.clone();
        open["required"] = json!([]);
        check(
            json!({"type": "object", "properties": {"list": {"type": "array", "items": open}}, "required": ["list"], "additionalProperties": false}),
            Some(
                "In context=('properties', 'list', 'items'), 'required' is required to be supplied and to be an array \
                 including every key in properties. Missing 'a'.",
            ),
        );
        check(
            json!({"anyOf": [closed, {"type": "object"}]}),
            Some(
                "In context=('anyOf', '1'), 'additionalProperties' is required to be supplied and to be false.",
            ),
        );
    }
}

//! Tool definitions and tool choices by the tool's name.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json;

/// A tool's definition, as far as its name goes. A provider's built-in tool has none but its type.
#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    function: Option<Named>,
    #[serde(default)]
    custom: Option<Named>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// The names of an array's tools, in order; one that can't be read has an empty name.
#[must_use]
pub fn tool_names(tools: &RawValue) -> Vec<String> {
    json::items(tools.get()).map(name).collect()
}

/// An array of tools without those that are withheld, and their names; none when nothing is.
#[must_use]
pub fn without_tools(
    tools: &RawValue,
    withheld: impl Fn(&str) -> bool,
) -> Option<(Box<RawValue>, Vec<String>)> {
    let (mut kept, mut gone) = (String::from("["), Vec::new());
    for item in json::items(tools.get()) {
        let name = name(item);
        if withheld(&name) {
            gone.push(name);
            continue;
        }
        if kept.len() > 1 {
            kept.push(',');
        }
        kept.push_str(item);
    }
    kept.push(']');
    if gone.is_empty() {
        return None;
    }
    let kept = RawValue::from_string(kept).expect("items of an array are an array again");
    Some((kept, gone))
}

/// Whether a `tool_choice` or `function_call` asks for one of these tools.
#[must_use]
pub fn chooses(choice: &RawValue, withheld: impl Fn(&str) -> bool) -> bool {
    fn any(value: &Value, withheld: &dyn Fn(&str) -> bool) -> bool {
        match value {
            Value::Object(fields) => fields.iter().any(|(key, value)| match value {
                Value::String(name) => key == "name" && withheld(name),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    any(value, withheld)
                }
            }),
            Value::Array(items) => items.iter().any(|item| any(item, withheld)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
    serde_json::from_str(choice.get()).is_ok_and(|value| any(&value, &withheld))
}

fn name(item: &str) -> String {
    let Ok(Definition { name, function, custom, kind }) = serde_json::from_str(item) else {
        return String::new();
    };
    function.or(custom).map(|Named { name }| name).or(name).or(kind).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn withheld_tools_go_and_the_others_stay_as_they_are() {
        let tools = raw(
            r#"[ {"type":"function","function":{"name":"refund", "x" : 1}}, {"type": "function","function":{"name":"look"}},{"type":"web_search"},{"name":"mail","inputSchema":{}}]"#,
        );
        assert_eq!(tool_names(&tools), ["refund", "look", "web_search", "mail"]);
        assert!(without_tools(&tools, |_| false).is_none());
        let (kept, gone) = without_tools(&tools, |name| ["refund", "mail"].contains(&name)).unwrap();
        assert_eq!(kept.get(), r#"[{"type": "function","function":{"name":"look"}},{"type":"web_search"}]"#);
        assert_eq!(gone, ["refund", "mail"]);
        assert_eq!(without_tools(&tools, |_| true).unwrap().0.get(), "[]");
    }

    #[test]
    fn a_choice_names_its_tools() {
        let check = |choice: &str, expected: bool| {
            assert_eq!(chooses(&raw(choice), |name| name == "refund"), expected, "{choice}");
        };
        check(r#"{"type":"function","function":{"name":"refund"}}"#, true);
        check(r#"{"type":"function","function":{"name":"look"}}"#, false);
        check(
            r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"refund"}}]}}"#,
            true,
        );
        check(r#"{"name":"refund"}"#, true);
        check(r#""required""#, false);
    }
}

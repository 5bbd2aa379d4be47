//! The tools of a request, and how they are to be used.

use serde_json::Value;

use super::read::wrong;
use crate::failure::Failure;
use crate::limits::TOOLS_MAX;
use crate::request::{Tool, ToolChoice};

/// Reads the tools; those that the server runs are left out, since nobody calls them here.
pub fn read(value: Option<&Value>) -> Result<Vec<Tool>, Failure> {
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

/// Reads which tools may or must be called, and whether several at once.
pub fn read_choice(value: Option<&Value>, tools: &[Tool]) -> Result<(ToolChoice, bool), Failure> {
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

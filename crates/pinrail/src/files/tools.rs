//! Tool definitions: OpenAI-shaped ones stay as they are, MCP-shaped ones become OpenAI-shaped.
//!
//! Conditions: the file is a JSON array of tools, or MCP's `{"tools": […]}`. An array in which every tool is
//! OpenAI-shaped is stored byte for byte. Otherwise each MCP tool `{name, description?, inputSchema}` becomes
//! `{"type": "function", "function": {name, description?, parameters}}`, the order is kept, and the array is stored
//! as canonical JSON (RFC 8785): the same tools always give the same bytes. What a model can't be told (`title`,
//! `outputSchema`, `annotations`, `_meta`, …) is left out.

use pinrail_domain::canonical;
use pinrail_domain::id::ToolName;
use serde_json::{Map, Value, json};

/// A tool schema set, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    pub bytes: Vec<u8>,
    pub names: Vec<ToolName>,
    /// How many were MCP-shaped.
    pub converted: usize,
}

/// As many as the server takes.
const TOOLS_MAX: usize = 1_000;

/// Reads tool definitions; the error is for a person.
pub fn read(text: &str) -> Result<Tools, String> {
    let root: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    let (list, wrapped) = match root {
        Value::Array(list) => (list, false),
        Value::Object(mut object) => match object.remove("tools") {
            Some(Value::Array(list)) => (list, true),
            Some(_) | None => return Err("must be a JSON array of tools, or {\"tools\": […]}".to_owned()),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err("must be a JSON array of tools, or {\"tools\": […]}".to_owned());
        }
    };
    if list.len() > TOOLS_MAX {
        return Err(format!("holds {} tools; at most {TOOLS_MAX} are allowed", list.len()));
    }
    let mut names = Vec::with_capacity(list.len());
    let mut tools = Vec::with_capacity(list.len());
    let mut converted = 0;
    for (index, tool) in list.into_iter().enumerate() {
        let (name, tool, was_mcp) = openai_shaped(tool).map_err(|what| format!("tool {index} {what}"))?;
        let name = ToolName::new(&name).map_err(|bad| format!("tool {index}: {bad}"))?;
        if names.contains(&name) {
            return Err(format!("tool `{name}` is defined twice"));
        }
        converted += usize::from(was_mcp);
        names.push(name);
        tools.push(tool);
    }
    let bytes = if converted == 0 && !wrapped {
        text.as_bytes().to_vec()
    } else {
        canonical::to_vec(&tools).map_err(|error| format!("has no canonical form: {error}"))?
    };
    Ok(Tools { bytes, names, converted })
}

fn openai_shaped(tool: Value) -> Result<(String, Value, bool), String> {
    const SHAPES: &str = "is neither OpenAI-shaped ({\"type\": \"function\", \"function\": {\"name\", …}}) \
                          nor MCP-shaped ({\"name\", \"inputSchema\"})";
    let Value::Object(mut tool) = tool else { return Err(SHAPES.to_owned()) };
    if let Some(name) = tool.get("function").and_then(|function| function.get("name")) {
        let name = name.as_str().ok_or("has a function.name that is no text")?.to_owned();
        return Ok((name, Value::Object(tool), false));
    }
    let Some(Value::String(name)) = tool.remove("name") else { return Err(SHAPES.to_owned()) };
    let Some(parameters @ Value::Object(_)) = tool.remove("inputSchema") else {
        return Err(format!("(`{name}`) has no inputSchema that is an object"));
    };
    let mut function = Map::new();
    function.insert("name".to_owned(), Value::String(name.clone()));
    if let Some(description @ Value::String(_)) = tool.remove("description") {
        function.insert("description".to_owned(), description);
    }
    function.insert("parameters".to_owned(), parameters);
    Ok((name, json!({ "type": "function", "function": function }), true))
}

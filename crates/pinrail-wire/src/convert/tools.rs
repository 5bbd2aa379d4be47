//! Tool definitions of the three dialects and of MCP.

use std::borrow::Cow;

use super::look::{Node, Object};
use super::losses::Losses;
use super::out::Map;
use super::turns::{Grammar, Takes, Tool};

/// The schema of a tool without arguments.
const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;

/// Why a tool that a provider runs can't be carried.
const SERVER_TOOL: &str = "is a tool that another vendor's provider runs";

/// Reads a tool of chat.
pub(super) fn of_chat<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Tool<'a>> {
    let mut tool = node.object(losses)?;
    let kind = tool.kind(losses);
    let found = match kind.as_ref() {
        "function" => {
            let mut function = tool.need("function", "an object", losses)?.object(losses)?;
            let found = schema_tool(node, &mut function, "parameters", losses);
            function.rest(losses);
            found
        }
        "custom" => {
            let mut custom = tool.need("custom", "an object", losses)?.object(losses)?;
            let found = free_tool(node, &mut custom, losses);
            custom.rest(losses);
            found
        }
        _ => return server_tool(node, &kind, losses),
    };
    tool.hints(&["cache_control"]);
    tool.rest(losses);
    found
}

/// Reads a tool of responses.
pub(super) fn of_responses<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Tool<'a>> {
    let mut tool = node.object(losses)?;
    let kind = tool.kind(losses);
    let found = match kind.as_ref() {
        "function" => schema_tool(node, &mut tool, "parameters", losses),
        "custom" => free_tool(node, &mut tool, losses),
        _ => return server_tool(node, &kind, losses),
    };
    let why = "is an option of tools that the provider's format lacks";
    tool.lose("defer_loading", "tool_options", &["false"], why, losses);
    tool.lose("allowed_callers", "tool_options", &[r#"["direct"]"#], why, losses);
    tool.lose("output_schema", "tool_options", &[], why, losses);
    tool.lose("async", "tool_options", &["false"], why, losses);
    tool.rest(losses);
    found
}

/// Reads a tool of messages.
pub(super) fn of_messages<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Tool<'a>> {
    let mut tool = node.object(losses)?;
    let kind = tool.str("type", losses).unwrap_or(Cow::Borrowed("custom"));
    if kind != "custom" {
        return server_tool(node, &kind, losses);
    }
    let found = schema_tool(node, &mut tool, "input_schema", losses);
    let why = "is an option of tools that the provider's format lacks";
    tool.lose("defer_loading", "tool_options", &["false"], why, losses);
    tool.lose("allowed_callers", "tool_options", &[r#"["direct"]"#], why, losses);
    tool.lose("input_examples", "tool_options", &["[]"], why, losses);
    tool.hints(&["cache_control", "eager_input_streaming"]);
    tool.rest(losses);
    found
}

/// Reads a tool as an MCP server lists it; what it says about the tool beside its interface is not for the model.
pub(super) fn of_mcp<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Tool<'a>> {
    let mut tool = node.object(losses)?;
    schema_tool(node, &mut tool, "inputSchema", losses)
}

/// Writes a tool of chat.
pub(super) fn to_chat(tool: &Tool<'_>) -> String {
    let mut inner = Map::new();
    inner.str("name", &tool.name);
    inner.str_if("description", tool.description.as_deref());
    let mut out;
    match &tool.takes {
        Takes::Schema { schema, strict } => {
            inner.raw("parameters", schema);
            if *strict {
                inner.flag("strict", true);
            }
            out = Map::of("function");
            out.raw("function", &inner.end());
        }
        Takes::Free(grammar) => {
            if let Some(Grammar { syntax, definition }) = grammar {
                let mut parts = Map::new();
                parts.raw("syntax", syntax);
                parts.raw("definition", definition);
                let mut format = Map::of("grammar");
                format.raw("grammar", &parts.end());
                inner.raw("format", &format.end());
            }
            out = Map::of("custom");
            out.raw("custom", &inner.end());
        }
    }
    out.end()
}

/// Writes a tool of responses, where a function is strict unless it says that it isn't.
pub(super) fn to_responses(tool: &Tool<'_>) -> String {
    let kind = match &tool.takes {
        Takes::Schema { .. } => "function",
        Takes::Free(_) => "custom",
    };
    let mut out = Map::of(kind);
    out.str("name", &tool.name);
    out.str_if("description", tool.description.as_deref());
    match &tool.takes {
        Takes::Schema { schema, strict } => {
            out.raw("parameters", schema);
            out.flag("strict", *strict);
        }
        Takes::Free(Some(Grammar { syntax, definition })) => {
            let mut format = Map::of("grammar");
            format.raw("syntax", syntax);
            format.raw("definition", definition);
            out.raw("format", &format.end());
        }
        Takes::Free(None) => {}
    }
    out.end()
}

/// Writes a tool of messages.
pub(super) fn to_messages(tool: &Tool<'_>, losses: &mut Losses) -> Option<String> {
    let Takes::Schema { schema, strict } = &tool.takes else {
        losses.add(
            &tool.path,
            "custom_tools",
            "is a tool that takes free text, which the provider's format lacks",
        );
        return None;
    };
    let mut out = Map::new();
    out.str("name", &tool.name);
    out.str_if("description", tool.description.as_deref());
    out.raw("input_schema", schema);
    if *strict {
        out.flag("strict", true);
    }
    Some(out.end())
}

fn schema_tool<'a>(
    node: &Node<'a>,
    tool: &mut Object<'a>,
    schema: &str,
    losses: &mut Losses,
) -> Option<Tool<'a>> {
    let name = tool.need_str("name", losses)?;
    let description = tool.str("description", losses);
    let schema = tool.take(schema).map(|node| node.text).filter(|text| *text != "{}");
    let strict = tool.flag("strict", losses).unwrap_or(false);
    let takes = Takes::Schema { schema: schema.unwrap_or(NO_ARGUMENTS), strict };
    Some(Tool { path: node.path.clone(), name, description, takes })
}

fn free_tool<'a>(node: &Node<'a>, tool: &mut Object<'a>, losses: &mut Losses) -> Option<Tool<'a>> {
    let name = tool.need_str("name", losses)?;
    let description = tool.str("description", losses);
    let mut grammar = None;
    if let Some(mut format) = tool.take("format").and_then(|node| node.object(losses)) {
        if format.kind(losses) == "grammar" {
            // Chat has the parts in an object of their own, responses beside the type.
            let parts = format.take("grammar").and_then(|node| node.object(losses));
            let mut parts = parts.unwrap_or(format);
            let syntax = parts.need("syntax", "`lark` or `regex`", losses)?.text;
            let definition = parts.need("definition", "a string", losses)?.text;
            parts.rest(losses);
            grammar = Some(Grammar { syntax, definition });
        } else {
            format.rest(losses);
        }
    }
    Some(Tool { path: node.path.clone(), name, description, takes: Takes::Free(grammar) })
}

fn server_tool<'a>(node: &Node<'a>, kind: &str, losses: &mut Losses) -> Option<Tool<'a>> {
    if kind.is_empty() {
        losses.malformed(format!("{}.type", node.path), "a string");
    } else {
        losses.add(&node.path, "server_tools", format!("(`{kind}`) {SERVER_TOOL}"));
    }
    None
}

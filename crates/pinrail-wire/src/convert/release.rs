//! A release's tools in the dialect of its provider.
//!
//! A release lists its tools in any of four shapes: chat's, responses', messages' or MCP's. A tool that has its provider's shape
//! already stays byte for byte, whatever else it says; so does a tool that the provider itself runs. Others are carried over.

use serde_json::value::RawValue;

use super::look::Node;
use super::losses::{Losses, Lossy};
use super::out::List;
use super::tools as shapes;
use super::turns::Tool;
use crate::dialect::Dialect;
use crate::json::{self, Fields};

/// Says which tool of a release has no form in its provider's dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{tool}: {why}")]
pub struct ForeignTool {
    /// By name, or by place where it has none.
    pub tool: String,
    pub why: String,
}

/// The shape of one tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Chat,
    Responses,
    Messages,
    Mcp,
    /// A tool that a provider runs: only its type is known.
    Server,
}

/// Tools that OpenAI's responses run, by type; chat has none of them.
const RESPONSES_RUN: &[&str] = &[
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "namespace",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search_preview",
];

/// Writes a release's tools in a dialect.
///
/// # Errors
/// [`ForeignTool`] for the first tool that has no form there, or none at all.
pub fn tools(tools: &RawValue, to: Dialect) -> Result<Box<RawValue>, ForeignTool> {
    let foreign = |why: &str| ForeignTool { tool: "the tools".to_owned(), why: why.to_owned() };
    if !tools.get().starts_with('[') {
        return Err(foreign("they must be an array"));
    }
    let (mut list, mut changed) = (List::new(), false);
    for (at, item) in json::items(tools.get()).enumerate() {
        match tool(at, item, to)? {
            None => list.push(item),
            Some(written) => {
                changed = true;
                list.push(&written);
            }
        }
    }
    if !changed {
        return Ok(tools.to_owned());
    }
    Ok(RawValue::from_string(list.end()).expect("a list of JSON is JSON"))
}

/// Writes one tool; none when it may stay as it is.
fn tool(at: usize, item: &str, to: Dialect) -> Result<Option<String>, ForeignTool> {
    let fields = Fields::read(item).ok().filter(|_| item.starts_with('{'));
    let text = |key: &str| -> Option<String> { serde_json::from_str(fields.as_ref()?.get(key)?.get()).ok() };
    let inner = |key: &str| -> Option<String> {
        let inner = Fields::read(fields.as_ref()?.get(key)?.get()).ok()?;
        serde_json::from_str(inner.get("name")?.get()).ok()
    };
    let kind = text("type");
    let name =
        text("name").or_else(|| inner("function")).or_else(|| inner("custom")).or_else(|| kind.clone());
    let name = name.map_or_else(|| format!("tools[{at}]"), |name| format!("the tool `{name}`"));
    let foreign = |why: String| ForeignTool { tool: name.clone(), why };
    let Some(fields) = &fields else { return Err(foreign("must be an object".to_owned())) };
    let shape = shape(fields, kind.as_deref());
    let lossy = Lossy::default();
    let mut losses = Losses::new(&lossy);
    let node = Node { path: String::new(), text: item };
    let tool: Option<Tool<'_>> = match (shape, to) {
        (Shape::Chat, Dialect::Chat)
        | (Shape::Responses, Dialect::Responses)
        | (Shape::Messages, Dialect::Messages) => return Ok(None),
        (Shape::Server, to) => {
            let kind = kind.unwrap_or_default();
            if runs(&kind, to) {
                return Ok(None);
            }
            return Err(foreign(format!(
                "its type is `{kind}`, which no provider that speaks {} runs",
                to.word()
            )));
        }
        (Shape::Chat, Dialect::Responses | Dialect::Messages) => shapes::of_chat(&node, &mut losses),
        (Shape::Responses, Dialect::Chat | Dialect::Messages) => shapes::of_responses(&node, &mut losses),
        (Shape::Messages, Dialect::Chat | Dialect::Responses) => shapes::of_messages(&node, &mut losses),
        (Shape::Mcp, Dialect::Chat | Dialect::Responses | Dialect::Messages) => {
            shapes::of_mcp(&node, &mut losses)
        }
    };
    let written = tool.and_then(|tool| match to {
        Dialect::Chat => Some(shapes::to_chat(&tool)),
        Dialect::Responses => Some(shapes::to_responses(&tool)),
        Dialect::Messages => shapes::to_messages(&tool, &mut losses),
    });
    match losses.settle() {
        Ok(_) => Ok(written),
        Err(refused) => Err(foreign(refused.fields[0].to_string())),
    }
}

fn shape(fields: &Fields<'_>, kind: Option<&str>) -> Shape {
    let has = |key: &str| fields.get(key).is_some();
    if has("function") || (kind == Some("custom") && has("custom")) {
        Shape::Chat
    } else if has("inputSchema") {
        Shape::Mcp
    } else if has("input_schema") {
        Shape::Messages
    } else if kind.is_none_or(|kind| kind == "function" || kind == "custom") {
        Shape::Responses
    } else {
        Shape::Server
    }
}

/// Says whether a provider of a dialect may run tools of a type. Anthropic's types end in a date, or name servers of MCP.
fn runs(kind: &str, dialect: Dialect) -> bool {
    let dated = kind.rsplit_once('_').is_some_and(|(_, date)| {
        date.len() == 8 && date.starts_with("20") && date.bytes().all(|byte| byte.is_ascii_digit())
    });
    let anthropic = dated || kind == "mcp_toolset";
    match dialect {
        Dialect::Messages => anthropic,
        Dialect::Responses => !anthropic,
        // Some compatible providers run tools of their own.
        Dialect::Chat => !anthropic && !RESPONSES_RUN.contains(&kind),
    }
}

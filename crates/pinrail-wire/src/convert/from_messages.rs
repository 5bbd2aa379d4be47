//! Reads messages' requests. Source of the format: Anthropic's API reference, "Create a Message".

use std::borrow::Cow;

use super::ids;
use super::look::{Node, Object};
use super::losses::Losses;
use super::thinking::Thought;
use super::turns::{
    Arguments, Call, Effort, File, FileSource, Form, Format, Image, ImageSource, Output, Part, Reasoning,
    Role, Said, What, Wish,
};
use super::{choice, tools};
use crate::request::{METADATA_PREFIX, OWN_FIELD};

/// Budgets of thinking below this many tokens are low effort.
const BUDGET_MEDIUM: u64 = 4096;

/// Budgets of thinking from this many tokens on are high effort.
const BUDGET_HIGH: u64 = 16384;

const ELSEWHERE: &str = "has no counterpart in the provider's format";

/// Reads a body's fields.
pub(super) fn read<'a>(mut body: Object<'a>, losses: &mut Losses) -> Form<'a> {
    let mut form = Form {
        model: body.take("model").map(|node| node.text),
        stream: body.take("stream").map(|node| node.text),
        tokens_max: body.take("max_tokens").and_then(|node| node.number(losses)),
        top_p: body.take("top_p").and_then(|node| node.number(losses)),
        ..Form::default()
    };
    let number =
        |node: Node<'a>, losses: &mut Losses| Some(Said { value: node.number(losses)?, path: node.path });
    form.temperature = body.take("temperature").and_then(|node| number(node, losses));
    form.top_k = body.take("top_k").and_then(|node| number(node, losses));
    if let Some(node) = body.take("system") {
        let parts = content(&node, losses);
        form.instruct("system", parts);
    }
    if let Some(messages) = body.need("messages", "an array of messages", losses) {
        for message in messages.items(losses) {
            self::message(&message, &mut form, losses);
        }
    }
    if let Some(node) = body.take("stop_sequences") {
        let value: Vec<_> = node.items(losses).iter().filter_map(|item| item.str(losses)).collect();
        form.stop = (!value.is_empty()).then_some(Said { path: node.path, value });
    }
    if let Some(node) = body.take("tools") {
        let items = node.items(losses);
        form.tools = Some(items.iter().filter_map(|tool| tools::of_messages(tool, losses)).collect());
    }
    if let Some(node) = body.take("tool_choice") {
        (form.choice, form.parallel) = choice::of_messages(&node, losses);
    }
    effort_and_format(&mut body, &mut form, losses);
    if let Some(mut metadata) = body.take("metadata").and_then(|node| node.object(losses)) {
        form.user = metadata.str("user_id", losses);
        metadata.forget(METADATA_PREFIX);
        metadata.rest(losses);
    }
    form.tier = body.take("service_tier").and_then(|node| {
        let word = node.str(losses)?;
        let value = if word == "standard_only" { Cow::Borrowed("default") } else { word };
        Some(Said { path: node.path, value })
    });
    refuse(&mut body, losses);
    body.hints(&["cache_control", "diagnostics", OWN_FIELD]);
    body.rest(losses);
    form
}

fn refuse(body: &mut Object<'_>, losses: &mut Losses) {
    body.lose("container", "stored_state", &[], "lies at Anthropic", losses);
    body.lose("context_management", "context_management", &[], ELSEWHERE, losses);
    body.lose("inference_geo", "inference_geo", &[], ELSEWHERE, losses);
    body.lose("mcp_servers", "server_tools", &["[]"], "are tools that Anthropic calls itself", losses);
    body.lose("speed", "service_tier", &["\"standard\""], ELSEWHERE, losses);
    body.lose("user_profile_id", "user_profile", &[], ELSEWHERE, losses);
}

fn effort_and_format<'a>(body: &mut Object<'a>, form: &mut Form<'a>, losses: &mut Losses) {
    let mut effort = None;
    let mut format = body.take("output_format");
    if let Some(mut config) = body.take("output_config").and_then(|node| node.object(losses)) {
        format = config.take("format").or(format);
        effort = config.take("effort");
        config.rest(losses);
    }
    if let Some(node) = format
        && let Some(mut object) = node.object(losses)
    {
        if object.kind(losses) != "json_schema" {
            losses.malformed(object.path_of("type"), "`json_schema`");
        }
        let schema = object.need("schema", "a JSON schema", losses).map_or("{}", |node| node.text);
        object.rest(losses);
        let value = Format::Schema { name: None, description: None, schema, strict: true };
        form.format = Some(Said { path: node.path, value });
    }
    form.reasoning = reasoning(body.take("thinking"), effort, losses);
}

fn reasoning(
    thinking: Option<Node<'_>>,
    effort: Option<Node<'_>>,
    losses: &mut Losses,
) -> Option<Said<Reasoning>> {
    let path = thinking.as_ref().or(effort.as_ref())?.path.clone();
    let effort = effort.and_then(|node| {
        let word = node.str(losses)?;
        let effort = Effort::of(&word);
        if effort.is_none() {
            losses.add(
                node.path,
                "unknown_fields",
                format!("is `{word}`, an effort that is not known to Pinrail"),
            );
        }
        effort
    });
    let said = effort.map_or(Wish::Unsaid, Wish::On);
    let Some(mut thinking) = thinking.and_then(|node| node.object(losses)) else {
        return Some(Said { path, value: Reasoning { wish: said, summary: None } });
    };
    let budget = thinking.take("budget_tokens").and_then(|node| node.number(losses)?.parse::<u64>().ok());
    let display = thinking.take("display").and_then(|node| Some((node.str(losses)?, node.path)));
    let wish = match thinking.kind(losses).as_ref() {
        "disabled" => Wish::Off,
        "enabled" | "adaptive" => {
            let by_budget = match budget {
                Some(..BUDGET_MEDIUM) => Effort::Low,
                Some(BUDGET_MEDIUM..BUDGET_HIGH) => Effort::Medium,
                Some(BUDGET_HIGH..) | None => Effort::High,
            };
            Wish::On(effort.unwrap_or(by_budget))
        }
        kind => {
            let why = format!("is `{kind}`, which has no counterpart in the provider's format");
            losses.add(thinking.path_of("type"), "reasoning_mode", why);
            said
        }
    };
    thinking.rest(losses);
    let shown = display.filter(|(word, _)| word == "summarized");
    let summary = shown.map(|(_, path)| Said { path, value: Cow::Borrowed("auto") });
    Some(Said { path, value: Reasoning { wish, summary } })
}

fn message<'a>(node: &Node<'a>, form: &mut Form<'a>, losses: &mut Losses) {
    let Some(mut message) = node.object(losses) else { return };
    let Some(role) = message.need_str("role", losses) else { return };
    let Some(content) = message.need("content", "a string or an array of blocks", losses) else { return };
    let parts = self::content(&content, losses);
    match role.as_ref() {
        "user" => form.turn(&node.path, Role::User, parts),
        "assistant" => form.assistant(&node.path, parts),
        "system" => form.turn(&node.path, Role::System, parts),
        _ => losses.malformed(format!("{}.role", node.path), "`user`, `assistant` or `system`"),
    }
    message.rest(losses);
}

fn content<'a>(node: &Node<'a>, losses: &mut Losses) -> Vec<Part<'a>> {
    if node.is_str() {
        let text = node.str(losses);
        return text.map(|text| Part::text(&node.path, text)).into_iter().collect();
    }
    node.items(losses).iter().filter_map(|block| self::block(block, losses)).collect()
}

fn block<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Part<'a>> {
    let mut block = node.object(losses)?;
    let kind = block.kind(losses);
    block.hints(&["cache_control"]);
    let what = match kind.as_ref() {
        "text" => {
            let why = "are citations, which the provider's format can't hold";
            block.lose("citations", "citations", &["[]"], why, losses);
            What::Text(block.need_str("text", losses)?)
        }
        "image" => What::Image(image(&mut block, losses)?),
        "document" => What::File(document(&mut block, losses)?),
        "thinking" | "redacted_thinking" => {
            let thought = serde_json::from_str(node.text).ok().and_then(|map| Thought::of_block(&map))?;
            return Some(Part::new(&node.path, What::Thought(thought)));
        }
        "tool_use" => What::Call(call(&mut block, losses)?),
        "tool_result" => What::Result(result(&mut block, losses)?),
        "search_result" => {
            losses.add(
                &node.path,
                "search_results",
                "is a search result, which the provider's format can't hold",
            );
            return None;
        }
        "container_upload" => {
            losses.add(&node.path, "stored_state", "is a file in a container at Anthropic");
            return None;
        }
        _ => {
            losses.add(
                &node.path,
                "server_tools",
                format!("(`{kind}`) comes from a tool that Anthropic runs itself"),
            );
            return None;
        }
    };
    block.rest(losses);
    Some(Part::new(&node.path, what))
}

fn image<'a>(block: &mut Object<'a>, losses: &mut Losses) -> Option<Image<'a>> {
    block.lose("transformations", "images", &["[]", "{}"], ELSEWHERE, losses);
    let mut source = block.need("source", "an object", losses)?.object(losses)?;
    let found = match source.kind(losses).as_ref() {
        "base64" => ImageSource::Data {
            media: source.need_str("media_type", losses)?,
            data: source.need_str("data", losses)?,
        },
        "url" => ImageSource::Url(source.need_str("url", losses)?),
        _ => {
            losses.add(&source.path, "files", "is a file that lies at Anthropic");
            return None;
        }
    };
    source.rest(losses);
    Some(Image { source: found, detail: None })
}

fn document<'a>(block: &mut Object<'a>, losses: &mut Losses) -> Option<File<'a>> {
    let name = block.str("title", losses);
    block.lose("context", "files", &["\"\""], "tells of a document what the provider's format can't", losses);
    block.lose("citations", "citations", &[r#"{"enabled":false}"#], ELSEWHERE, losses);
    let mut source = block.need("source", "an object", losses)?.object(losses)?;
    let found = match source.kind(losses).as_ref() {
        "base64" => FileSource::Data {
            media: source.need_str("media_type", losses)?,
            data: source.need_str("data", losses)?,
        },
        "text" => {
            source.hints(&["media_type"]);
            FileSource::Text(source.need_str("data", losses)?)
        }
        "url" => FileSource::Url(source.need_str("url", losses)?),
        kind => {
            let why = if kind == "file" { "is a file that lies at Anthropic" } else { ELSEWHERE };
            losses.add(&source.path, "files", why);
            return None;
        }
    };
    source.rest(losses);
    Some(File { name, source: found })
}

fn call<'a>(block: &mut Object<'a>, losses: &mut Losses) -> Option<Call<'a>> {
    let id = ids::of_messages(block.need_str("id", losses)?);
    let name = block.need_str("name", losses)?;
    let input = block.need("input", "an object", losses)?;
    caller(block, losses);
    Some(Call { id, name, arguments: Arguments::Json(Cow::Borrowed(input.text)) })
}

fn result<'a>(block: &mut Object<'a>, losses: &mut Losses) -> Option<Output<'a>> {
    let id = ids::of_messages(block.need_str("tool_use_id", losses)?);
    let content = block.take("content").map(|node| content(&node, losses)).unwrap_or_default();
    let failed = block.flag("is_error", losses).unwrap_or(false);
    caller(block, losses);
    Some(Output { id, content, failed })
}

/// Calls come from the model itself, or from a tool that Anthropic runs.
fn caller(block: &mut Object<'_>, losses: &mut Losses) {
    let why = "belongs to tools that Anthropic runs itself";
    block.lose("caller", "server_tools", &[r#"{"type":"direct"}"#, r#"{"type": "direct"}"#], why, losses);
    block.lose("toolset_name", "server_tools", &[], why, losses);
}

//! Reads responses' requests. Source of the format: OpenAI's API reference, "Create a model response".

use super::look::{Node, Object};
use super::losses::Losses;
use super::openai;
use super::thinking::Thought;
use super::turns::{Arguments, Call, Form, Format, Image, Output, Part, Role, Said, What};
use super::{choice, media, tools};

const ELSEWHERE: &str = "has no counterpart in the provider's format";

/// Reads a body's fields.
pub(super) fn read<'a>(mut body: Object<'a>, losses: &mut Losses) -> Form<'a> {
    let mut form = Form::default();
    if let Some(node) = body.take("instructions")
        && let Some(text) = node.str(losses)
    {
        form.instruct(&node.path, vec![Part::text(&node.path, text)]);
    }
    match body.take("input") {
        Some(node) if node.is_str() => {
            let text = node.str(losses).map(|text| Part::text(&node.path, text));
            form.turn(&node.path, Role::User, text.into_iter().collect());
        }
        Some(node) => {
            for item in node.items(losses) {
                self::item(&item, &mut form, losses);
            }
        }
        // A stored prompt or conversation may stand for it; those are refused by their own names.
        None => {}
    }
    form.tokens_max = body.take("max_output_tokens").and_then(|node| node.number(losses));
    text(&mut body, &mut form, losses);
    if let Some(mut reasoning) = body.take("reasoning").and_then(|node| node.object(losses)) {
        let effort = reasoning.take("effort");
        let deprecated = reasoning.take("generate_summary");
        let summary = reasoning.take("summary").or(deprecated);
        form.reasoning = openai::reasoning(effort, summary, losses);
        reasoning.lose("mode", "reasoning_mode", &["\"standard\""], ELSEWHERE, losses);
        reasoning.lose("context", "reasoning_mode", &["\"auto\""], ELSEWHERE, losses);
        reasoning.rest(losses);
    }
    if let Some(node) = body.take("tools") {
        let items = node.items(losses);
        form.tools = Some(items.iter().filter_map(|tool| tools::of_responses(tool, losses)).collect());
    }
    form.choice = body.take("tool_choice").and_then(|node| choice::of_openai(&node, losses));
    refuse(&mut body, losses);
    openai::shared(&mut body, &mut form, losses);
    // What is kept is kept under ids that the client would have to send back, and those are refused.
    body.hints(&["store", "stream_options"]);
    body.rest(losses);
    form
}

/// Tells the fields that no other dialect has.
fn refuse(body: &mut Object<'_>, losses: &mut Losses) {
    const STORED: &str = "names what lies at OpenAI";
    body.lose("previous_response_id", "stored_state", &[], STORED, losses);
    body.lose("conversation", "stored_state", &[], STORED, losses);
    body.lose("prompt", "stored_state", &[], STORED, losses);
    body.lose("background", "background", &["false"], ELSEWHERE, losses);
    body.lose("background_options", "background", &[], ELSEWHERE, losses);
    body.lose("context_management", "context_management", &["[]"], ELSEWHERE, losses);
    body.lose("truncation", "truncation", &["\"disabled\""], ELSEWHERE, losses);
    body.lose("max_tool_calls", "server_tools", &[], "limits the tools that OpenAI runs itself", losses);
    body.lose("top_logprobs", "logprobs", &["0"], ELSEWHERE, losses);
    if let Some(node) = body.take("include") {
        for wish in node.items(losses) {
            let feature = match wish.text {
                r#""reasoning.encrypted_content""# | r#""message.input_image.image_url""# => continue,
                r#""message.output_text.logprobs""# => "logprobs",
                _ => "server_tools",
            };
            losses.add(wish.path, feature, "asks for what the provider's answer doesn't have");
        }
    }
}

fn text<'a>(body: &mut Object<'a>, form: &mut Form<'a>, losses: &mut Losses) {
    let Some(mut text) = body.take("text").and_then(|node| node.object(losses)) else { return };
    form.verbosity =
        text.take("verbosity").and_then(|node| Some(Said { value: node.str(losses)?, path: node.path }));
    if let Some(node) = text.take("format")
        && let Some(mut format) = node.object(losses)
    {
        let value = match format.kind(losses).as_ref() {
            "text" => None,
            "json_object" => Some(Format::Object),
            "json_schema" => openai::schema(&mut format, losses),
            _ => {
                losses.malformed(format!("{}.type", node.path), "`text`, `json_object` or `json_schema`");
                None
            }
        };
        format.rest(losses);
        form.format = value.map(|value| Said { path: node.path, value });
    }
    text.rest(losses);
}

fn item<'a>(node: &Node<'a>, form: &mut Form<'a>, losses: &mut Losses) {
    let Some(mut item) = node.object(losses) else { return };
    let kind = item.str("type", losses);
    let kind = kind.as_deref().unwrap_or(if item.has("role") { "message" } else { "item_reference" });
    // Ids name items that OpenAI keeps; `status` and `phase` say how far they came.
    item.hints(&["id", "status", "phase"]);
    match kind {
        "message" => message(node, &mut item, form, losses),
        "reasoning" => {
            let thought = serde_json::from_str(node.text).ok().and_then(|map| Thought::of_item(&map));
            if let Some(thought) = thought.filter(|thought| !thought.is_empty()) {
                form.assistant(&node.path, vec![Part::new(&node.path, What::Thought(thought))]);
            }
            return;
        }
        "function_call" | "custom_tool_call" => {
            let free = kind == "custom_tool_call";
            if let Some(call) = call(&mut item, free, losses) {
                form.assistant(&node.path, vec![Part::new(&node.path, What::Call(call))]);
            }
        }
        "function_call_output" | "custom_tool_call_output" => {
            if let Some(output) = output(&mut item, losses) {
                form.result(&node.path, Part::new(&node.path, What::Result(output)));
            }
        }
        "item_reference" | "compaction" | "compaction_trigger" => {
            losses.add(&node.path, "stored_state", "names what lies at OpenAI, or what only it can read");
            return;
        }
        other => {
            losses.add(
                &node.path,
                "server_tools",
                format!("(`{other}`) comes from a tool that OpenAI runs itself"),
            );
            return;
        }
    }
    item.rest(losses);
}

fn message<'a>(node: &Node<'a>, item: &mut Object<'a>, form: &mut Form<'a>, losses: &mut Losses) {
    let Some(role) = item.need_str("role", losses) else { return };
    let Some(content) = item.need("content", "a string or an array of parts", losses) else { return };
    let parts = self::content(&content, losses);
    match role.as_ref() {
        "user" => form.turn(&node.path, Role::User, parts),
        "system" | "developer" => form.instruct(&node.path, parts),
        "assistant" => {
            let said = |part: &Part<'_>| !matches!(&part.what, What::Text(text) if text.is_empty());
            form.assistant(&node.path, parts.into_iter().filter(said).collect());
        }
        _ => losses.malformed(format!("{}.role", node.path), "`user`, `assistant`, `system` or `developer`"),
    }
}

fn content<'a>(node: &Node<'a>, losses: &mut Losses) -> Vec<Part<'a>> {
    if node.is_str() {
        let text = node.str(losses);
        return text.map(|text| Part::text(&node.path, text)).into_iter().collect();
    }
    node.items(losses).iter().filter_map(|part| self::part(part, losses)).collect()
}

fn part<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Part<'a>> {
    let mut part = node.object(losses)?;
    let kind = part.kind(losses);
    let what = match kind.as_ref() {
        "input_text" | "text" => What::Text(part.need_str("text", losses)?),
        "output_text" => {
            let why = "are citations, which the provider's format can't hold";
            part.lose("annotations", "citations", &["[]"], why, losses);
            part.hints(&["logprobs"]);
            What::Text(part.need_str("text", losses)?)
        }
        "refusal" => What::Refusal(part.need_str("refusal", losses)?),
        "input_image" => {
            let detail = part.str("detail", losses).filter(|detail| detail != "auto");
            if part.has("file_id") {
                losses.add(part.path_of("file_id"), "files", "is a file that lies at OpenAI");
                return None;
            }
            let source = media::image(part.need_str("image_url", losses)?);
            What::Image(Image { source, detail })
        }
        "input_file" => {
            part.hints(&["detail"]);
            What::File(openai::file(&mut part, losses)?)
        }
        "input_audio" => {
            losses.add(
                part.path_of("input_audio"),
                "audio",
                "is audio, which the provider's format can't hold",
            );
            return None;
        }
        other => {
            losses.add(
                &node.path,
                "unknown_fields",
                format!("is of type `{other}`, which is not known to Pinrail"),
            );
            return None;
        }
    };
    part.hints(&["prompt_cache_breakpoint", "file_id"]);
    part.rest(losses);
    Some(Part::new(&node.path, what))
}

fn call<'a>(item: &mut Object<'a>, free: bool, losses: &mut Losses) -> Option<Call<'a>> {
    let id = item.need_str("call_id", losses)?;
    let name = item.need_str("name", losses)?;
    let arguments = if free {
        Arguments::Free(item.need_str("input", losses)?)
    } else {
        Arguments::Json(item.need_str("arguments", losses)?)
    };
    caller(item, losses);
    item.lose("async", "tool_options", &["false"], ELSEWHERE, losses);
    Some(Call { id, name, arguments })
}

fn output<'a>(item: &mut Object<'a>, losses: &mut Losses) -> Option<Output<'a>> {
    let id = item.need_str("call_id", losses)?;
    let output = item.need("output", "a string or an array of parts", losses)?;
    let content = content(&output, losses);
    item.hints(&["name"]);
    caller(item, losses);
    Some(Output { id, content, failed: false })
}

/// Calls come from the model itself, or from a program that OpenAI runs.
fn caller(item: &mut Object<'_>, losses: &mut Losses) {
    let why = "belongs to tools that OpenAI runs itself";
    item.lose("caller", "server_tools", &[r#"{"type":"direct"}"#, r#"{"type": "direct"}"#], why, losses);
    item.lose("namespace", "server_tools", &["\"\""], why, losses);
}

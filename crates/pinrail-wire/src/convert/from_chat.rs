//! Reads chat's requests. Source of the format: OpenAI's API reference, "Create chat completion"; `reasoning_content` and
//! `reasoning_details` are those of DeepSeek's and OpenRouter's references.

use std::borrow::Cow;

use super::look::{Node, Object};
use super::losses::Losses;
use super::openai;
use super::thinking::Thought;
use super::turns::{Arguments, Call, Form, Format, Image, Output, Part, Role, Said, What};
use super::{choice, media, tools};

/// What LiteLLM's client notes on a message or a call that it got, and sends back with it. No provider reads it.
const CLIENTS_NOTE: &str = "provider_specific_fields";

/// Reads a body's fields.
pub(super) fn read<'a>(mut body: Object<'a>, losses: &mut Losses) -> Form<'a> {
    let mut form = Form::default();
    if let Some(messages) = body.need("messages", "an array of messages", losses) {
        for message in messages.items(losses) {
            self::message(&message, &mut form, losses);
        }
    }
    let tokens_max = body.take("max_tokens");
    form.tokens_max = body.take("max_completion_tokens").or(tokens_max).and_then(|node| node.number(losses));
    form.stop = body.take("stop").and_then(|node| stop(&node, losses));
    form.format = body.take("response_format").and_then(|node| format(&node, losses));
    if let Some(node) = body.take("tools") {
        form.tools =
            Some(node.items(losses).iter().filter_map(|tool| tools::of_chat(tool, losses)).collect());
    }
    form.choice = body.take("tool_choice").and_then(|node| choice::of_openai(&node, losses));
    let effort = body.take("reasoning_effort");
    form.reasoning = effort.and_then(|node| openai::reasoning(Some(node), None, losses));
    form.verbosity =
        body.take("verbosity").and_then(|node| Some(Said { value: node.str(losses)?, path: node.path }));
    form.store =
        body.take("store").and_then(|node| Some(Said { value: node.flag(losses)?, path: node.path }));
    refuse(&mut body, losses);
    openai::shared(&mut body, &mut form, losses);
    body.hints(&["stream_options"]);
    body.rest(losses);
    form
}

/// Tells the fields that no other dialect has.
fn refuse(body: &mut Object<'_>, losses: &mut Losses) {
    const ELSEWHERE: &str = "has no counterpart in the provider's format";
    body.lose("n", "n", &["1"], "asks for several answers, and the provider gives one", losses);
    body.lose("logprobs", "logprobs", &["false"], ELSEWHERE, losses);
    body.lose("top_logprobs", "logprobs", &["0"], ELSEWHERE, losses);
    body.lose("logit_bias", "logit_bias", &["{}"], ELSEWHERE, losses);
    body.lose("frequency_penalty", "penalties", &["0", "0.0"], ELSEWHERE, losses);
    body.lose("presence_penalty", "penalties", &["0", "0.0"], ELSEWHERE, losses);
    body.lose("seed", "seed", &[], ELSEWHERE, losses);
    body.lose("prediction", "prediction", &[], ELSEWHERE, losses);
    body.lose("audio", "audio", &[], "asks for audio, and the provider answers in text", losses);
    body.lose("web_search_options", "web_search", &[], ELSEWHERE, losses);
    body.lose("functions", "functions", &["[]"], "is the deprecated form of `tools`", losses);
    body.lose(
        "function_call",
        "functions",
        &["\"auto\"", "\"none\""],
        "is the deprecated form of `tool_choice`",
        losses,
    );
    if let Some(node) = body.take("modalities") {
        for form in node.items(losses) {
            if form.text != "\"text\"" {
                losses.add(form.path, "audio", "asks for audio, and the provider answers in text");
            }
        }
    }
}

fn message<'a>(node: &Node<'a>, form: &mut Form<'a>, losses: &mut Losses) {
    let Some(mut message) = node.object(losses) else { return };
    let Some(role) = message.need_str("role", losses) else { return };
    if role == "function" {
        return losses.add(&node.path, "functions", "is the deprecated form of a tool's result");
    }
    if role == "tool" {
        message.hints(&["name"]);
    }
    message.lose("name", "names", &[], "names a participant, which the provider's format can't", losses);
    match role.as_ref() {
        "system" | "developer" => {
            let parts = content(&mut message, losses);
            form.instruct(&node.path, parts);
        }
        "user" => {
            let parts = content(&mut message, losses);
            form.turn(&node.path, Role::User, parts);
        }
        "assistant" => {
            let parts = assistant(&mut message, losses);
            form.assistant(&node.path, parts);
        }
        "tool" => {
            let id = message.need_str("tool_call_id", losses).unwrap_or_default();
            let content = content(&mut message, losses);
            let part = Part::new(&node.path, What::Result(Output { id, content, failed: false }));
            form.result(&node.path, part);
        }
        _ => {
            losses.malformed(format!("{}.role", node.path), "system, developer, user, assistant or tool");
            return;
        }
    }
    message.rest(losses);
}

fn content<'a>(message: &mut Object<'a>, losses: &mut Losses) -> Vec<Part<'a>> {
    let Some(node) = message.take("content") else { return Vec::new() };
    if node.is_str() {
        let text = node.str(losses);
        return text.map(|text| Part::text(node.path, text)).into_iter().collect();
    }
    node.items(losses).iter().filter_map(|part| self::part(part, losses)).collect()
}

fn part<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Part<'a>> {
    let mut part = node.object(losses)?;
    let what = match part.kind(losses).as_ref() {
        "text" => What::Text(part.need_str("text", losses)?),
        "refusal" => What::Refusal(part.need_str("refusal", losses)?),
        "image_url" => {
            let mut image = part.need("image_url", "an object", losses)?.object(losses)?;
            let source = media::image(image.need_str("url", losses)?);
            let detail = image.str("detail", losses).filter(|detail| detail != "auto");
            image.rest(losses);
            What::Image(Image { source, detail })
        }
        "file" => {
            let mut file = part.need("file", "an object", losses)?.object(losses)?;
            let found = openai::file(&mut file, losses)?;
            file.rest(losses);
            What::File(found)
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
    part.hints(&["prompt_cache_breakpoint", "cache_control"]);
    part.rest(losses);
    Some(Part::new(&node.path, what))
}

/// Reads an assistant's message: what it thought, said and called, in this order.
fn assistant<'a>(message: &mut Object<'a>, losses: &mut Losses) -> Vec<Part<'a>> {
    let mut parts = thoughts(message, losses);
    let said = |part: &Part<'_>| !matches!(&part.what, What::Text(text) if text.is_empty());
    parts.extend(content(message, losses).into_iter().filter(said));
    if let Some(node) = message.take("refusal")
        && let Some(text) = node.str(losses)
    {
        parts.push(Part::new(node.path, What::Refusal(text)));
    }
    if let Some(node) = message.take("tool_calls") {
        parts.extend(node.items(losses).iter().filter_map(|call| self::call(call, losses)));
    }
    message.lose("function_call", "functions", &[], "is the deprecated form of `tool_calls`", losses);
    message.lose("audio", "audio", &[], "is audio, which the provider's format can't hold", losses);
    let why = "are citations, which the provider's format can't hold";
    message.lose("annotations", "citations", &["[]"], why, losses);
    message.hints(&[CLIENTS_NOTE]);
    parts
}

fn thoughts<'a>(message: &mut Object<'a>, losses: &mut Losses) -> Vec<Part<'a>> {
    let details = message.take("reasoning_details");
    let plain = message.take("reasoning_content");
    let plain = message.take("reasoning").or(plain);
    if let Some(node) = details {
        let mut parts = Vec::new();
        for detail in node.items(losses) {
            match serde_json::from_str(detail.text).ok().and_then(|map| Thought::of_detail(&map)) {
                Some(thought) => parts.push(Part::new(detail.path, What::Thought(thought))),
                None => {
                    losses.add(detail.path, "thinking", "is thinking in a form that is not known to Pinrail")
                }
            }
        }
        return parts;
    }
    let Some(node) = plain else { return Vec::new() };
    let text = node.str(losses).filter(|text| !text.is_empty());
    let thought = |text: Cow<'_, str>| What::Thought(Thought { text: text.into_owned(), seal: None });
    text.map(|text| Part::new(node.path, thought(text))).into_iter().collect()
}

fn call<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Part<'a>> {
    let mut call = node.object(losses)?;
    let id = call.need_str("id", losses)?;
    let kind = call.str("type", losses).unwrap_or(Cow::Borrowed("function"));
    let (inner, text) = match kind.as_ref() {
        "function" => ("function", "arguments"),
        "custom" => ("custom", "input"),
        _ => {
            losses.malformed(format!("{}.type", node.path), "`function` or `custom`");
            return None;
        }
    };
    let mut called = call.need(inner, "an object", losses)?.object(losses)?;
    let name = called.need_str("name", losses)?;
    let text = called.need_str(text, losses)?;
    called.rest(losses);
    call.hints(&["index", CLIENTS_NOTE]);
    call.rest(losses);
    let arguments = if inner == "custom" { Arguments::Free(text) } else { Arguments::Json(text) };
    Some(Part::new(&node.path, What::Call(Call { id, name, arguments })))
}

fn stop<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Said<Vec<Cow<'a, str>>>> {
    let value: Vec<_> = if node.is_str() {
        node.str(losses).into_iter().collect()
    } else {
        node.items(losses).iter().filter_map(|item| item.str(losses)).collect()
    };
    (!value.is_empty()).then(|| Said { path: node.path.clone(), value })
}

fn format<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Said<Format<'a>>> {
    let mut format = node.object(losses)?;
    let value = match format.kind(losses).as_ref() {
        "text" => None,
        "json_object" => Some(Format::Object),
        "json_schema" => {
            let mut schema = format.need("json_schema", "an object", losses)?.object(losses)?;
            let found = openai::schema(&mut schema, losses);
            schema.rest(losses);
            found
        }
        _ => {
            losses.malformed(format!("{}.type", node.path), "`text`, `json_object` or `json_schema`");
            None
        }
    };
    format.rest(losses);
    value.map(|value| Said { path: node.path.clone(), value })
}

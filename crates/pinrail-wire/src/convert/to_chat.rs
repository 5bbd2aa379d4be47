//! Writes chat's requests. Source of the format: OpenAI's API reference, "Create chat completion".

use super::losses::Losses;
use super::openai;
use super::out::{List, Map, quoted};
use super::turns::{Arguments, Call, Form, Format, Image, Output, Part, Role, Turn, What, Wish};
use super::{choice, media, tools};

/// Writes a body.
pub(super) fn write(form: &Form<'_>, losses: &mut Losses) -> String {
    let mut out = Map::new();
    out.raw_if("model", form.model);
    out.raw("messages", &messages(form, losses));
    out.raw_if("stream", form.stream);
    out.raw_if("max_completion_tokens", form.tokens_max);
    openai::write_shared(form, &mut out);
    if let Some(said) = &form.top_k {
        losses.add(&said.path, "top_k", "has no counterpart in the provider's format");
    }
    if let Some(said) = &form.stop {
        let mut list = List::new();
        for text in &said.value {
            list.push(&quoted(text));
        }
        out.raw("stop", &list.end());
    }
    if let Some(list) = &form.tools {
        let mut written = List::new();
        for tool in list {
            written.push(&tools::to_chat(tool));
        }
        if !written.is_empty() {
            out.raw("tools", &written.end());
        }
    }
    if let Some(said) = &form.choice {
        out.raw("tool_choice", &choice::to_chat(&said.value));
    }
    if let Some(said) = &form.format {
        out.raw("response_format", &format(&said.value));
    }
    reasoning(form, &mut out, losses);
    out.str_if("service_tier", form.tier.as_ref().map(|said| said.value.as_ref()));
    out.str_if("verbosity", form.verbosity.as_ref().map(|said| said.value.as_ref()));
    out.end()
}

fn reasoning(form: &Form<'_>, out: &mut Map, losses: &mut Losses) {
    let Some(said) = &form.reasoning else { return };
    match said.value.wish {
        Wish::Unsaid => {}
        Wish::Off => out.str("reasoning_effort", "none"),
        Wish::On(effort) => out.str("reasoning_effort", effort.word()),
    }
    if let Some(summary) = &said.value.summary {
        losses.add(
            &summary.path,
            "reasoning_summary",
            "asks for a summary of the reasoning, which chat can't",
        );
    }
}

fn format(format: &Format<'_>) -> String {
    match format {
        Format::Object => Map::of("json_object").end(),
        Format::Schema { .. } => {
            let mut schema = Map::new();
            openai::write_schema(&mut schema, format);
            let mut out = Map::of("json_schema");
            out.raw("json_schema", &schema.end());
            out.end()
        }
    }
}

fn messages(form: &Form<'_>, losses: &mut Losses) -> String {
    let mut list = List::new();
    for text in &form.system {
        list.push(&message("system", &quoted(text)).end());
    }
    let running = form.running_from();
    for (at, turn) in form.turns.iter().enumerate() {
        match turn.role {
            Role::System => list.push(&message("system", &texts(&turn.parts)).end()),
            Role::User => user(turn, &mut list, losses),
            Role::Assistant => list.push(&assistant(turn, at >= running, losses)),
        }
    }
    list.end()
}

fn message(role: &str, content: &str) -> Map {
    let mut out = Map::new();
    out.str("role", role);
    out.raw("content", content);
    out
}

/// Results of tools are messages of their own, and come before what the user says with them.
fn user(turn: &Turn<'_>, list: &mut List, losses: &mut Losses) {
    let mut rest = Vec::new();
    for part in &turn.parts {
        match &part.what {
            What::Result(output) => list.push(&result(output, losses)),
            What::Text(_)
            | What::Refusal(_)
            | What::Image(_)
            | What::File(_)
            | What::Thought(_)
            | What::Call(_) => rest.push(part),
        }
    }
    if !rest.is_empty() || turn.parts.is_empty() {
        list.push(&message("user", &content(&rest, losses)).end());
    }
}

fn result(output: &Output<'_>, losses: &mut Losses) -> String {
    let mut said = openai::result_texts(output);
    for part in &output.content {
        match &part.what {
            What::Image(_) => {
                losses.add(&part.path, "images", "is an image in a tool's result, where chat has texts only");
            }
            What::File(_) => {
                losses.add(&part.path, "files", "is a file in a tool's result, where chat has texts only");
            }
            What::Text(_) | What::Refusal(_) | What::Thought(_) | What::Call(_) | What::Result(_) => {}
        }
    }
    if said.is_empty() {
        said.push("");
    }
    let mut out = Map::new();
    out.str("role", "tool");
    out.str("tool_call_id", &output.id);
    out.raw("content", &openai::text_or_parts(&said, "text"));
    out.end()
}

fn content(parts: &[&Part<'_>], losses: &mut Losses) -> String {
    match parts {
        [] => return quoted(""),
        [Part { what: What::Text(text), .. }] => return quoted(text),
        _ => {}
    }
    let mut list = List::new();
    for part in parts {
        if let Some(written) = content_part(part, losses) {
            list.push(&written);
        }
    }
    list.end()
}

fn content_part(part: &Part<'_>, losses: &mut Losses) -> Option<String> {
    let mut out;
    match &part.what {
        What::Text(text) | What::Refusal(text) => {
            out = Map::of("text");
            out.str("text", text);
        }
        What::Image(Image { source, detail }) => {
            let mut image = Map::new();
            image.str("url", &media::image_url(source));
            image.str_if("detail", detail.as_deref());
            out = Map::of("image_url");
            out.raw("image_url", &image.end());
        }
        What::File(file) => {
            let file = openai::write_file(file, &part.path, false, losses)?;
            out = Map::of("file");
            out.raw("file", &file.end());
        }
        What::Thought(_) | What::Call(_) | What::Result(_) => return None,
    }
    Some(out.end())
}

fn texts(parts: &[Part<'_>]) -> String {
    let mut said = Vec::new();
    for part in parts {
        if let What::Text(text) = &part.what {
            said.push(text.as_ref());
        }
    }
    openai::text_or_parts(&said, "text")
}

fn assistant(turn: &Turn<'_>, running: bool, losses: &mut Losses) -> String {
    let (mut said, mut thought, mut calls) = (Vec::new(), String::new(), List::new());
    let mut refusal: Option<&str> = None;
    for part in &turn.parts {
        match &part.what {
            What::Text(text) => said.push(text.as_ref()),
            What::Refusal(text) => refusal = Some(text),
            What::Thought(told) if told.seal.is_none() => thought.push_str(&told.text),
            What::Thought(_) if running => {
                losses.add(&part.path, "thinking", "is thinking that only another vendor's model can read");
            }
            What::Thought(_) => {}
            What::Call(call) => calls.push(&self::call(call)),
            What::Image(_) | What::File(_) | What::Result(_) => {}
        }
    }
    let mut out = Map::new();
    out.str("role", "assistant");
    if !said.is_empty() {
        out.raw("content", &openai::text_or_parts(&said, "text"));
    } else if calls.is_empty() && refusal.is_none() {
        out.str("content", "");
    } else {
        out.raw("content", "null");
    }
    out.str_if("refusal", refusal);
    if !thought.is_empty() {
        out.str("reasoning_content", &thought);
    }
    if !calls.is_empty() {
        out.raw("tool_calls", &calls.end());
    }
    out.end()
}

fn call(call: &Call<'_>) -> String {
    let mut inner = Map::new();
    inner.str("name", &call.name);
    let kind = match &call.arguments {
        Arguments::Json(text) => {
            inner.str("arguments", text);
            "function"
        }
        Arguments::Free(text) => {
            inner.str("input", text);
            "custom"
        }
    };
    let mut out = Map::new();
    out.str("id", &call.id);
    out.str("type", kind);
    out.raw(kind, &inner.end());
    out.end()
}

//! Writes responses' requests. Source of the format: OpenAI's API reference, "Create a model response".
//!
//! Conditions: the answer isn't kept at the provider (`store` is false) unless the client asked for it, since neither of the other
//! dialects keeps any by itself; a model that reasons is asked to encrypt its reasoning into the answer, so that the next request
//! can bring it back.

use std::collections::HashSet;

use super::losses::Losses;
use super::openai;
use super::out::{List, Map, quoted};
use super::thinking::Seal;
use super::turns::{Arguments, Call, Form, Format, Image, Output, Part, Role, Turn, What, Wish};
use super::{choice, media, tools};

/// Writes a body.
pub(super) fn write(form: &Form<'_>, losses: &mut Losses) -> String {
    let mut out = Map::new();
    out.raw_if("model", form.model);
    let mut system = form.system.iter();
    out.str_if("instructions", system.next().map(AsRef::as_ref));
    let mut input = List::new();
    for text in system {
        input.push(&message("system", &quoted(text)));
    }
    let free = form.free_calls();
    let running = form.running_from();
    for (at, turn) in form.turns.iter().enumerate() {
        self::turn(turn, at >= running, &free, &mut input, losses);
    }
    out.raw("input", &input.end());
    out.raw_if("stream", form.stream);
    out.raw_if("max_output_tokens", form.tokens_max);
    openai::write_shared(form, &mut out);
    if let Some(said) = &form.top_k {
        losses.add(&said.path, "top_k", "has no counterpart in the provider's format");
    }
    if let Some(said) = &form.stop {
        losses.add(&said.path, "stop", "has no counterpart in the provider's format");
    }
    if let Some(list) = &form.tools {
        let mut written = List::new();
        for tool in list {
            written.push(&tools::to_responses(tool));
        }
        if !written.is_empty() {
            out.raw("tools", &written.end());
        }
    }
    if let Some(said) = &form.choice {
        out.raw("tool_choice", &choice::to_responses(&said.value));
    }
    text(form, &mut out);
    reasoning(form, &mut out);
    out.str_if("service_tier", form.tier.as_ref().map(|said| said.value.as_ref()));
    out.flag("store", form.store.as_ref().is_some_and(|said| said.value));
    out.end()
}

fn text(form: &Form<'_>, out: &mut Map) {
    let mut text = Map::new();
    if let Some(said) = &form.format {
        let mut format = Map::of(match &said.value {
            Format::Object => "json_object",
            Format::Schema { .. } => "json_schema",
        });
        openai::write_schema(&mut format, &said.value);
        text.raw("format", &format.end());
    }
    text.str_if("verbosity", form.verbosity.as_ref().map(|said| said.value.as_ref()));
    if !text.is_empty() {
        out.raw("text", &text.end());
    }
}

fn reasoning(form: &Form<'_>, out: &mut Map) {
    let Some(said) = &form.reasoning else { return };
    let mut reasoning = Map::new();
    match said.value.wish {
        Wish::Unsaid => {}
        Wish::Off => reasoning.str("effort", "none"),
        Wish::On(effort) => reasoning.str("effort", effort.word()),
    }
    reasoning.str_if("summary", said.value.summary.as_ref().map(|said| said.value.as_ref()));
    if !reasoning.is_empty() {
        out.raw("reasoning", &reasoning.end());
    }
    if matches!(said.value.wish, Wish::On(_)) {
        out.raw("include", r#"["reasoning.encrypted_content"]"#);
    }
}

fn message(role: &str, content: &str) -> String {
    let mut out = Map::of("message");
    out.str("role", role);
    out.raw("content", content);
    out.end()
}

/// Results and calls of tools are items of their own; what is said between them is a message.
fn turn(turn: &Turn<'_>, running: bool, free: &HashSet<&str>, input: &mut List, losses: &mut Losses) {
    let role = match turn.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let mut said: Vec<&Part<'_>> = Vec::new();
    for part in &turn.parts {
        let item = match &part.what {
            What::Result(output) => {
                // Results come before what the user says with them, as in every dialect.
                input.push(&result(output, free, losses));
                continue;
            }
            What::Text(_) | What::Refusal(_) | What::Image(_) | What::File(_) => {
                said.push(part);
                continue;
            }
            What::Call(call) => self::call(call),
            What::Thought(thought) => match &thought.seal {
                Some(Seal::Encrypted { .. }) => thought.item("").to_string(),
                Some(Seal::Signature(_) | Seal::Redacted(_)) | None => {
                    if running && !thought.is_empty() {
                        losses.add(&part.path, "thinking", "is thinking that OpenAI's model didn't encrypt");
                    }
                    continue;
                }
            },
        };
        flush(role, &mut said, input, losses);
        input.push(&item);
    }
    let empty = turn.parts.is_empty() && turn.role == Role::User;
    if empty {
        input.push(&message(role, &quoted("")));
    }
    flush(role, &mut said, input, losses);
}

fn flush(role: &str, said: &mut Vec<&Part<'_>>, input: &mut List, losses: &mut Losses) {
    if role == "assistant" {
        said.drain(..).for_each(|part| input.push(&assistant(part)));
    } else if !said.is_empty() {
        let content = content(said, losses);
        said.clear();
        input.push(&message(role, &content));
    }
}

/// Writes what the assistant said before. A list of parts would be an item of an earlier answer, which has an id; a text alone needs none.
fn assistant(part: &Part<'_>) -> String {
    match &part.what {
        What::Refusal(text) => {
            let mut refusal = Map::of("refusal");
            refusal.str("refusal", text);
            let mut list = List::new();
            list.push(&refusal.end());
            let id: String = part.path.chars().filter(char::is_ascii_alphanumeric).collect();
            let mut out = Map::of("message");
            out.str("id", &format!("msg_{id}"));
            out.str("role", "assistant");
            out.str("status", "completed");
            out.raw("content", &list.end());
            out.end()
        }
        What::Text(text) => message("assistant", &quoted(text)),
        What::Image(_) | What::File(_) | What::Thought(_) | What::Call(_) | What::Result(_) => {
            message("assistant", &quoted(""))
        }
    }
}

fn content(parts: &[&Part<'_>], losses: &mut Losses) -> String {
    if let [Part { what: What::Text(text), .. }] = parts {
        return quoted(text);
    }
    let mut list = List::new();
    for part in parts {
        if let Some(part) = content_part(part, losses) {
            list.push(&part);
        }
    }
    list.end()
}

fn content_part(part: &Part<'_>, losses: &mut Losses) -> Option<String> {
    let mut out;
    match &part.what {
        What::Text(text) => {
            out = Map::of("input_text");
            out.str("text", text);
        }
        What::Image(Image { source, detail }) => {
            out = Map::of("input_image");
            out.str("image_url", &media::image_url(source));
            out.str("detail", detail.as_deref().unwrap_or("auto"));
        }
        What::File(file) => {
            out = Map::of("input_file");
            out.merge(openai::write_file(file, &part.path, true, losses)?);
        }
        What::Refusal(_) | What::Thought(_) | What::Call(_) | What::Result(_) => return None,
    }
    Some(out.end())
}

fn result(output: &Output<'_>, free: &HashSet<&str>, losses: &mut Losses) -> String {
    let kind =
        if free.contains(output.id.as_ref()) { "custom_tool_call_output" } else { "function_call_output" };
    let mut out = Map::of(kind);
    out.str("call_id", &output.id);
    if let ([Part { what: What::Text(text), .. }], false) = (&*output.content, openai::tells_failure(output))
    {
        out.str("output", text);
        return out.end();
    }
    let mut list = List::new();
    if openai::tells_failure(output) {
        list.push(&content_text("Error"));
    }
    for part in &output.content {
        if let Some(part) = content_part(part, losses) {
            list.push(&part);
        }
    }
    out.raw("output", &if list.is_empty() { quoted("") } else { list.end() });
    out.end()
}

fn content_text(text: &str) -> String {
    let mut out = Map::of("input_text");
    out.str("text", text);
    out.end()
}

fn call(call: &Call<'_>) -> String {
    let (kind, key, text) = match &call.arguments {
        Arguments::Json(text) => ("function_call", "arguments", text),
        Arguments::Free(text) => ("custom_tool_call", "input", text),
    };
    let mut out = Map::of(kind);
    out.str("call_id", &call.id);
    out.str("name", &call.name);
    out.str(key, text);
    out.end()
}

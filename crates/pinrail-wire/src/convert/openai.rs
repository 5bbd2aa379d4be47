//! What the requests of OpenAI's two dialects have in common.

use std::borrow::Cow;

use super::look::{Node, Object};
use super::losses::Losses;
use super::media;
use super::out::{List, Map, quoted};
use super::turns::{Effort, File, FileSource, Form, Format, Output, Reasoning, Said, What, Wish};
use crate::request::{METADATA_PREFIX, OWN_FIELD};

/// Hints under the same name in both dialects.
const HINTS: &[&str] =
    &["prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier"];

/// Longest name of a user that OpenAI takes, in characters; a longer one is left out.
const USER_CHARS_MAX: usize = 64;

/// Reads the fields that are the same in both dialects.
pub(super) fn shared<'a>(body: &mut Object<'a>, form: &mut Form<'a>, losses: &mut Losses) {
    form.model = body.take("model").map(|node| node.text);
    form.stream = body.take("stream").map(|node| node.text);
    form.temperature =
        body.take("temperature").and_then(|node| Some(Said { value: node.number(losses)?, path: node.path }));
    form.top_p = body.take("top_p").and_then(|node| node.number(losses));
    form.top_k =
        body.take("top_k").and_then(|node| Some(Said { value: node.number(losses)?, path: node.path }));
    form.parallel = body.flag("parallel_tool_calls", losses);
    form.user = body.str("user", losses);
    form.tier =
        body.take("service_tier").and_then(|node| Some(Said { value: node.str(losses)?, path: node.path }));
    if let Some(mut metadata) = body.take("metadata").and_then(|node| node.object(losses)) {
        let ours = |key: &str| key.starts_with(METADATA_PREFIX);
        form.metadata = metadata.drain().filter(|(key, _)| !ours(key)).collect();
    }
    for hint in HINTS {
        if let Some(node) = body.take(hint) {
            form.hints.push((*hint, node.text));
        }
    }
    body.lose("moderation", "moderation", &[], "has no counterpart in the provider's format", losses);
    body.hints(&[OWN_FIELD]);
}

/// Writes the fields that are the same in both dialects.
pub(super) fn write_shared(form: &Form<'_>, out: &mut Map) {
    out.raw_if("temperature", form.temperature.as_ref().map(|said| said.value));
    out.raw_if("top_p", form.top_p);
    if let Some(parallel) = form.parallel {
        out.flag("parallel_tool_calls", parallel);
    }
    if let Some(user) = form.user.as_deref().filter(|user| user.chars().count() <= USER_CHARS_MAX) {
        out.str("user", user);
    }
    if !form.metadata.is_empty() {
        let mut metadata = Map::new();
        for (key, value) in &form.metadata {
            metadata.raw(key, value);
        }
        out.raw("metadata", &metadata.end());
    }
    for (hint, value) in &form.hints {
        out.raw(hint, value);
    }
}

/// Reads how much to reason, and whether to tell a summary.
pub(super) fn reasoning(
    effort: Option<Node<'_>>,
    summary: Option<Node<'_>>,
    losses: &mut Losses,
) -> Option<Said<Reasoning>> {
    let path = effort.as_ref().or(summary.as_ref())?.path.clone();
    let wish = match &effort {
        None => Wish::Unsaid,
        Some(node) => {
            let word = node.str(losses)?;
            match Effort::of(&word) {
                Some(effort) => Wish::On(effort),
                None if word == "none" => Wish::Off,
                None => {
                    losses.add(
                        &node.path,
                        "unknown_fields",
                        format!("is `{word}`, an effort that is not known to Pinrail"),
                    );
                    return None;
                }
            }
        }
    };
    let summary = summary.and_then(|node| {
        let value = Cow::Owned(node.str(losses)?.into_owned());
        Some(Said { value, path: node.path })
    });
    Some(Said { path, value: Reasoning { wish, summary } })
}

/// Reads a file: by id, by address or with its content.
pub(super) fn file<'a>(file: &mut Object<'a>, losses: &mut Losses) -> Option<File<'a>> {
    let name = file.str("filename", losses);
    let (id, url) = (file.str("file_id", losses), file.str("file_url", losses));
    let source = match (id, url, file.take("file_data")) {
        (_, _, Some(node)) => {
            let found = media::file(node.str(losses)?, name.as_deref());
            if found.is_none() {
                losses.add(node.path, "files", "doesn't say what kind of file it is; a data URL does");
            }
            found?
        }
        (Some(id), _, None) => FileSource::Id(id),
        (None, Some(url), None) => FileSource::Url(url),
        (None, None, None) => {
            losses.malformed(&file.path, "a file with `file_data` or `file_id`");
            return None;
        }
    };
    Some(File { name, source })
}

/// Writes a file's fields; what can't be written is told.
pub(super) fn write_file(file: &File<'_>, path: &str, url_too: bool, losses: &mut Losses) -> Option<Map> {
    let mut out = Map::new();
    let name = |media: &str| file.name.clone().unwrap_or(Cow::Borrowed(media::name_of(media)));
    match &file.source {
        FileSource::Id(id) => out.str("file_id", id),
        FileSource::Url(url) if url_too => out.str("file_url", url),
        FileSource::Url(_) => {
            losses.add(path, "files", "is a file by its address, which chat can't name");
            return None;
        }
        FileSource::Data { media, data } => {
            out.str("filename", &name(media));
            out.str("file_data", &media::file_data(media, data));
        }
        FileSource::Text(text) => {
            out.str("filename", &name(media::PLAIN));
            out.str("file_data", &media::text_data(text));
        }
    }
    Some(out)
}

/// Reads a structured output's schema.
pub(super) fn schema<'a>(schema: &mut Object<'a>, losses: &mut Losses) -> Option<Format<'a>> {
    let name = schema.str("name", losses);
    let description =
        schema.take("description").and_then(|node| Some(Said { value: node.str(losses)?, path: node.path }));
    let strict = schema.flag("strict", losses).unwrap_or(false);
    let schema = schema.take("schema").map_or("{}", |node| node.text);
    Some(Format::Schema { name, description, schema, strict })
}

/// Writes a structured output's schema.
pub(super) fn write_schema(out: &mut Map, format: &Format<'_>) {
    match format {
        Format::Object => {}
        Format::Schema { name, description, schema, strict } => {
            out.str("name", name.as_deref().unwrap_or("answer"));
            out.str_if("description", description.as_ref().map(|said| said.value.as_ref()));
            out.raw("schema", schema);
            out.flag("strict", *strict);
        }
    }
}

/// Texts as one string where there is one, else as an array of parts.
pub(super) fn text_or_parts(texts: &[&str], kind: &str) -> String {
    if let [text] = texts {
        return quoted(text);
    }
    let mut list = List::new();
    for text in texts {
        let mut part = Map::of(kind);
        part.str("text", text);
        list.push(&part.end());
    }
    list.end()
}

/// The texts of a tool's result.
pub(super) fn result_texts<'s>(output: &'s Output<'_>) -> Vec<&'s str> {
    let mut said = Vec::new();
    if tells_failure(output) {
        said.push("Error");
    }
    for part in &output.content {
        if let What::Text(text) = &part.what {
            said.push(text.as_ref());
        }
    }
    said
}

/// Neither dialect can say that a tool failed. So its result says it, unless it does so already.
pub(super) fn tells_failure(output: &Output<'_>) -> bool {
    let first = output.content.iter().find_map(|part| match &part.what {
        What::Text(text) => Some(text.as_ref()),
        What::Refusal(_)
        | What::Image(_)
        | What::File(_)
        | What::Thought(_)
        | What::Call(_)
        | What::Result(_) => None,
    });
    let says = |text: &str| text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"));
    output.failed && !first.is_some_and(says)
}

//! Writes messages' requests. Source of the format: Anthropic's API reference, "Create a Message".
//!
//! Conditions: turns of one role that follow each other become one; texts without a visible character fall, since messages takes
//! none; results of tools come first in their turn. Instructions in the middle stay messages of role `system`, right behind the
//! user's turn that they follow or precede, which is where messages takes them.

use std::borrow::Cow;

use super::losses::Losses;
use super::out::{List, Map, quoted};
use super::turns::{
    Arguments, Call, Choice, Effort, File, FileSource, Form, Format, Image, ImageSource, Output, Part, Role,
    Turn, What, Wish,
};
use super::{choice, ids, media, tools};
use crate::json::check_depth;

/// `max_tokens` where the client doesn't say one: every current model of Anthropic answers as long. A release's parameters override it.
pub const TOKENS_MAX: &str = "8192";

/// `max_tokens` where the client doesn't say one and the model thinks, since thinking counts.
pub const TOKENS_MAX_THINKING: &str = "32000";

/// How deep the arguments of a call may nest; they come as a text, into which the check of the body didn't look.
const ARGUMENTS_DEPTH_MAX: usize = 64;

/// Writes a body.
pub(super) fn write(form: &Form<'_>, losses: &mut Losses) -> String {
    let mut out = Map::new();
    let mut rest = Map::new();
    let thinks = reasoning_and_format(form, &mut rest, losses);
    out.raw_if("model", form.model);
    let usual = if thinks { TOKENS_MAX_THINKING } else { TOKENS_MAX };
    out.raw("max_tokens", form.tokens_max.unwrap_or(usual));
    let mut system: Vec<&str> = form.system.iter().map(Cow::as_ref).collect();
    let messages = messages(form, &mut system, losses);
    system.retain(|text| !text.trim().is_empty());
    if !system.is_empty() {
        let parts: Vec<String> = system.iter().map(|text| text_block(text)).collect();
        out.raw("system", &one_or_list(&system, &parts));
    }
    out.raw("messages", &messages);
    out.raw_if("stream", form.stream);
    sampling(form, thinks, &mut out, losses);
    if let Some(list) = &form.tools {
        let mut written = List::new();
        for tool in list {
            if let Some(tool) = tools::to_messages(tool, losses) {
                written.push(&tool);
            }
        }
        if !written.is_empty() {
            out.raw("tools", &written.end());
        }
    }
    if let Some(choice) = choice::to_messages(form.choice.as_ref(), form.parallel, losses) {
        out.raw("tool_choice", &choice);
    }
    out.merge(rest);
    let known = form.hints.iter().find(|(hint, _)| *hint == "safety_identifier").map(|(_, value)| *value);
    if let Some(user) = form.user.as_deref().map(quoted).or(known.map(str::to_owned)) {
        let mut metadata = Map::new();
        metadata.raw("user_id", &user);
        out.raw("metadata", &metadata.end());
    }
    out.end()
}

fn sampling(form: &Form<'_>, thinks: bool, out: &mut Map, losses: &mut Losses) {
    if let Some(said) = &form.temperature {
        let value = said.value.parse::<f64>().unwrap_or(1.0);
        if value > 1.0 {
            losses.add(&said.path, "temperature", "is above 1, the most that the provider's format takes");
        } else if thinks && value < 1.0 {
            losses.add(
                &said.path,
                "temperature",
                "is below 1, and Anthropic's models that think have no other",
            );
        }
        if !thinks {
            out.raw("temperature", if value > 1.0 { "1" } else { said.value });
        }
    }
    out.raw_if("top_p", form.top_p);
    out.raw_if("top_k", form.top_k.as_ref().map(|said| said.value));
    if let Some(said) = &form.stop {
        let mut list = List::new();
        for text in &said.value {
            if text.trim().is_empty() {
                losses.add(
                    &said.path,
                    "stop",
                    "holds white space alone, which the provider's format doesn't stop at",
                );
            } else {
                list.push(&quoted(text));
            }
        }
        if !list.is_empty() {
            out.raw("stop_sequences", &list.end());
        }
    }
    if let Some(said) = &form.tier {
        match said.value.as_ref() {
            "auto" => out.str("service_tier", "auto"),
            "default" => out.str("service_tier", "standard_only"),
            _ => losses.add(&said.path, "service_tier", "is a class of service that Anthropic doesn't have"),
        }
    }
    if let Some(said) = &form.verbosity
        && said.value != "medium"
    {
        losses.add(&said.path, "verbosity", "has no counterpart in the provider's format");
    }
    if let Some(said) = &form.store
        && said.value
    {
        losses.add(&said.path, "store", "asks to keep the answer, which the provider can't");
    }
}

/// Writes `thinking` and `output_config`, and says whether the model thinks.
fn reasoning_and_format(form: &Form<'_>, out: &mut Map, losses: &mut Losses) -> bool {
    let mut config = Map::new();
    let mut thinks = false;
    if let Some(said) = &form.reasoning {
        let forced =
            matches!(form.choice.as_ref().map(|said| &said.value), Some(Choice::Any | Choice::Tool(_)));
        match said.value.wish {
            Wish::Unsaid => {}
            Wish::Off => out.raw("thinking", &Map::of("disabled").end()),
            Wish::On(_) if forced => {
                let why = "asks for thinking along with a tool that must be called, and Anthropic's models don't think then";
                losses.add(&said.path, "thinking", why);
            }
            Wish::On(effort) => {
                thinks = true;
                let mut thinking = Map::of("adaptive");
                if said.value.summary.is_some() {
                    thinking.str("display", "summarized");
                }
                out.raw("thinking", &thinking.end());
                config.str("effort", effort.max(Effort::Low).word());
            }
        }
    }
    if let Some(said) = &form.format {
        match &said.value {
            Format::Object => {
                losses.add(
                    &said.path,
                    "json_object",
                    "promises JSON of any shape, and the provider's format needs a schema",
                );
            }
            Format::Schema { description, schema, .. } => {
                if let Some(description) = description {
                    losses.add(
                        &description.path,
                        "schema_description",
                        "has no counterpart in the provider's format",
                    );
                }
                let mut format = Map::of("json_schema");
                format.raw("schema", schema);
                config.raw("format", &format.end());
            }
        }
    }
    if !config.is_empty() {
        out.raw("output_config", &config.end());
    }
    thinks
}

/// One message that is being gathered.
struct Gathered<'s> {
    role: Role,
    /// Results of tools, then all else.
    results: Vec<String>,
    blocks: Vec<String>,
    /// The text, where there is one and nothing else.
    texts: Vec<&'s str>,
}

fn messages<'s>(form: &'s Form<'_>, system: &mut Vec<&'s str>, losses: &mut Losses) -> String {
    let mut list: Vec<Gathered<'s>> = Vec::new();
    let mut waiting: Vec<Gathered<'s>> = Vec::new();
    let running = form.running_from();
    for (at, turn) in form.turns.iter().enumerate() {
        let gathered = gather(turn, at >= running, losses);
        if gathered.results.is_empty() && gathered.blocks.is_empty() {
            continue;
        }
        if turn.role == Role::System {
            if losses.allows("system_position") {
                losses.add(&turn.path, "system_position", "stands in the middle");
                system.extend(gathered.texts);
            } else if list.last().is_some_and(|last| last.role == Role::User) {
                list.push(gathered);
            } else {
                waiting.push(gathered);
            }
            continue;
        }
        match list.last_mut() {
            Some(last) if last.role == gathered.role => last.join(gathered),
            Some(_) | None => list.push(gathered),
        }
        if turn.role == Role::User {
            list.append(&mut waiting);
        }
    }
    list.append(&mut waiting);
    let mut out = List::new();
    for message in list {
        out.push(&message.write());
    }
    out.end()
}

impl<'s> Gathered<'s> {
    fn join(&mut self, other: Gathered<'s>) {
        self.results.extend(other.results);
        self.blocks.extend(other.blocks);
        self.texts.extend(other.texts);
    }

    fn write(self) -> String {
        let role = match self.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let mut blocks = self.results;
        blocks.extend(self.blocks);
        let mut out = Map::new();
        out.str("role", role);
        out.raw("content", &one_or_list(&self.texts, &blocks));
        out.end()
    }
}

fn gather<'s>(turn: &'s Turn<'_>, running: bool, losses: &mut Losses) -> Gathered<'s> {
    let mut out = Gathered { role: turn.role, results: Vec::new(), blocks: Vec::new(), texts: Vec::new() };
    for part in &turn.parts {
        match &part.what {
            What::Result(output) => out.results.push(result(output, losses)),
            What::Text(text) | What::Refusal(text) => {
                if !text.trim().is_empty() {
                    out.texts.push(text);
                    out.blocks.push(text_block(text));
                }
            }
            What::Thought(thought) => {
                use super::thinking::Seal::{Encrypted, Redacted, Signature};
                match &thought.seal {
                    Some(Signature(_) | Redacted(_)) => out.blocks.push(thought.block().to_string()),
                    Some(Encrypted { .. }) | None if running && !thought.is_empty() => {
                        losses.add(&part.path, "thinking", "is thinking that Anthropic's model didn't sign");
                    }
                    Some(Encrypted { .. }) | None => {}
                }
            }
            What::Call(call) => out.blocks.push(self::call(call, part, losses)),
            What::Image(_) | What::File(_) => out.blocks.extend(seen(part, losses)),
        }
    }
    out
}

/// Writes an image or a file.
fn seen(part: &Part<'_>, losses: &mut Losses) -> Option<String> {
    let mut source;
    let (kind, title) = match &part.what {
        What::Image(Image { source: ImageSource::Url(url), .. }) => {
            if url.starts_with("data:") {
                losses.add(&part.path, "images", "is a data URL that isn't in base64");
                return None;
            }
            source = Map::of("url");
            source.str("url", url);
            ("image", None)
        }
        What::Image(Image { source: ImageSource::Data { media, data }, .. }) => {
            source = base64(media, data);
            ("image", None)
        }
        What::File(File { name, source: found }) => {
            source = file(found, part, losses)?;
            ("document", name.as_deref())
        }
        What::Text(_) | What::Refusal(_) | What::Thought(_) | What::Call(_) | What::Result(_) => return None,
    };
    let mut out = Map::of(kind);
    out.raw("source", &source.end());
    out.str_if("title", title);
    Some(out.end())
}

fn file(source: &FileSource<'_>, part: &Part<'_>, losses: &mut Losses) -> Option<Map> {
    let mut out;
    match source {
        FileSource::Id(_) => {
            losses.add(&part.path, "files", "is a file that lies at OpenAI");
            return None;
        }
        FileSource::Url(url) => {
            out = Map::of("url");
            out.str("url", url);
        }
        FileSource::Data { media, data } if media == media::PDF => out = base64(media, data),
        FileSource::Data { media, .. } => {
            losses.add(
                &part.path,
                "files",
                format!("is a file of type `{media}`; the provider's format takes PDF and plain text"),
            );
            return None;
        }
        FileSource::Text(text) => {
            out = Map::of("text");
            out.str("media_type", media::PLAIN);
            out.str("data", text);
        }
    }
    Some(out)
}

fn base64(media: &str, data: &str) -> Map {
    let mut out = Map::of("base64");
    out.str("media_type", media);
    out.str("data", data);
    out
}

fn result(output: &Output<'_>, losses: &mut Losses) -> String {
    let (mut blocks, mut texts) = (Vec::new(), Vec::new());
    for part in &output.content {
        match &part.what {
            What::Text(text) => {
                if !text.trim().is_empty() {
                    texts.push(text.as_ref());
                    blocks.push(text_block(text));
                }
            }
            What::Refusal(_)
            | What::Image(_)
            | What::File(_)
            | What::Thought(_)
            | What::Call(_)
            | What::Result(_) => blocks.extend(seen(part, losses)),
        }
    }
    let mut out = Map::of("tool_result");
    out.str("tool_use_id", &ids::to_messages(&output.id));
    if !blocks.is_empty() {
        out.raw("content", &one_or_list(&texts, &blocks));
    }
    if output.failed {
        out.flag("is_error", true);
    }
    out.end()
}

fn call(call: &Call<'_>, part: &Part<'_>, losses: &mut Losses) -> String {
    let input = match &call.arguments {
        Arguments::Json(text) if text.trim().is_empty() => Cow::Borrowed("{}"),
        Arguments::Json(text) if is_object(text) => Cow::Borrowed(text.trim()),
        Arguments::Json(text) => {
            losses.add(&part.path, "tool_arguments", "has arguments that are no JSON object");
            Cow::Owned(wrapped("arguments", text))
        }
        Arguments::Free(text) => {
            losses.add(
                &part.path,
                "custom_tools",
                "calls a tool that takes free text, which the provider's format lacks",
            );
            Cow::Owned(wrapped("input", text))
        }
    };
    let mut out = Map::of("tool_use");
    out.str("id", &ids::to_messages(&call.id));
    out.str("name", &call.name);
    out.raw("input", &input);
    out.end()
}

fn wrapped(key: &str, text: &str) -> String {
    let mut out = Map::new();
    out.str(key, text);
    out.end()
}

fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
        && check_depth(text.as_bytes(), ARGUMENTS_DEPTH_MAX).is_ok()
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn text_block(text: &str) -> String {
    let mut out = Map::of("text");
    out.str("text", text);
    out.end()
}

/// One text alone stands for itself; anything else is a list of blocks.
fn one_or_list(texts: &[&str], blocks: &[String]) -> String {
    if let ([text], [_]) = (texts, blocks) {
        return quoted(text);
    }
    let mut list = List::new();
    for block in blocks {
        list.push(block);
    }
    list.end()
}

//! Writes the body that goes upstream: the client's, with the release put in.
//!
//! Conditions, in the order in which they win: the dedicated edits (`model`, `system`, `tools`, `free_choice`) over the
//! release's parameters, those over what the client sent. A system prompt that is put in also takes the place of the
//! messages of role `system`, unless the client's are kept. Kept with blocks, ours is a block before them; kept with a
//! text, ours comes before it with an empty line between. Every value that isn't edited is copied byte for byte, in its
//! place; new fields come last. Whitespace between fields is not kept.

use serde_json::value::RawValue;

use super::request::MessagesRequest;
use crate::edit::{Edit, Writer, is_empty, write_metadata};
use crate::json::{self, Fields};
use crate::request::{OWN_FIELD, string};

/// Fields that a release sets in its own ways and never as a parameter.
pub const PARAMS_RESERVED: [&str; 6] = ["model", "messages", "system", "tools", "stream", "metadata"];

/// What becomes of one of the client's fields.
enum Fate<'e> {
    Keep,
    Drop,
    Replace(&'e RawValue),
    Model,
    System(&'e str),
    /// Without those of role `system`.
    Messages,
    Metadata,
    /// The model chooses.
    Auto,
}

impl MessagesRequest<'_> {
    /// Writes the request as `edit` wants it; its `functions` and `include_usage` mean nothing here.
    ///
    /// `metadata` loses its keys that begin with `pinrail_`, and goes when none is left. The field `pinrail` goes.
    #[must_use]
    pub fn rewrite(&self, edit: &Edit<'_>) -> Vec<u8> {
        let mut writer = Writer { out: Vec::with_capacity(self.body_bytes + added_bytes(edit)) };
        for (name, value) in &self.fields {
            match self.fate(name, edit) {
                Fate::Keep => writer.raw(name, value),
                Fate::Drop => {}
                Fate::Replace(value) => writer.raw(name, value),
                Fate::Model => json::write_str(writer.key(name), edit.model),
                Fate::System(system) => self.write_system(system, edit, value, &mut writer),
                Fate::Messages => self.write_messages(writer.key(name)),
                Fate::Metadata => write_metadata(self.metadata.as_ref(), value, &mut writer),
                Fate::Auto => write_auto(value, writer.key(name)),
            }
        }
        let absent = |name: &str| !self.fields.iter().any(|(key, _)| key == name);
        if let Some(system) = edit.system.filter(|system| !system.is_empty() && absent("system")) {
            json::write_str(writer.key("system"), system);
        }
        for (name, value) in edit.params.iter().filter(|(name, _)| sets(edit, name) && absent(name)) {
            writer.raw(name, value);
        }
        if let Some(tools) = edit.tools.filter(|tools| !is_empty(tools) && absent("tools")) {
            writer.raw("tools", tools);
        }
        writer.out.push(b'}');
        writer.out
    }

    fn fate<'e>(&self, name: &str, edit: &Edit<'e>) -> Fate<'e> {
        match (name, edit.tools, edit.system) {
            ("model", _, _) => Fate::Model,
            (OWN_FIELD, _, _) => Fate::Drop,
            ("system", _, Some(system)) => Fate::System(system),
            ("messages", _, Some(_)) if !edit.keep_client_system && self.has_system_messages() => {
                Fate::Messages
            }
            ("tools", Some(tools), _) if !is_empty(tools) => Fate::Replace(tools),
            ("tools", Some(_), _) => Fate::Drop,
            _ if without_tools(edit, name) => Fate::Drop,
            ("tool_choice", _, _) if edit.free_choice => Fate::Auto,
            _ => match edit.params.iter().find(|(param, _)| param == name && sets(edit, param)) {
                Some((_, value)) => Fate::Replace(value),
                None if name == "metadata" => Fate::Metadata,
                None => Fate::Keep,
            },
        }
    }

    fn has_system_messages(&self) -> bool {
        self.messages().iter().any(super::Message::is_system)
    }

    fn write_system(&self, ours: &str, edit: &Edit<'_>, clients: &RawValue, writer: &mut Writer) {
        let kept = self.param("system").filter(|_| edit.keep_client_system);
        match kept {
            Some(_) if ours.is_empty() => writer.raw("system", clients),
            Some(blocks) if blocks.get().starts_with('[') => {
                let out = writer.key("system");
                out.extend_from_slice(br#"[{"type":"text","text":"#);
                json::write_str(out, ours);
                out.push(b'}');
                for block in json::items(blocks.get()) {
                    out.push(b',');
                    out.extend_from_slice(block.as_bytes());
                }
                out.push(b']');
            }
            Some(text) => {
                let theirs = string("system", text).unwrap_or_default();
                let between = if theirs.is_empty() { "" } else { "\n\n" };
                json::write_str(writer.key("system"), &format!("{ours}{between}{theirs}"));
            }
            None if ours.is_empty() => {}
            None => json::write_str(writer.key("system"), ours),
        }
    }

    fn write_messages(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (at, message) in self.messages().iter().filter(|message| !message.is_system()).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(message.raw.as_bytes());
        }
        out.push(b']');
    }
}

/// Says whether a parameter of this name is put into the request.
fn sets(edit: &Edit<'_>, name: &str) -> bool {
    let chosen = edit.free_choice && name == "tool_choice";
    !PARAMS_RESERVED.contains(&name) && !without_tools(edit, name) && !chosen
}

/// Says whether the field goes because the release has no tools.
fn without_tools(edit: &Edit<'_>, name: &str) -> bool {
    name == "tool_choice" && edit.tools.is_some_and(is_empty)
}

/// Writes the choice that is the model's; how many tools it may call at once stays as the client said.
fn write_auto(choice: &RawValue, out: &mut Vec<u8>) {
    let mut auto = Writer { out: Vec::new() };
    json::write_str(auto.key("type"), "auto");
    let choice = Fields::read(choice.get()).ok();
    if let Some(one_at_once) = choice.as_ref().and_then(|choice| choice.get("disable_parallel_tool_use")) {
        auto.raw("disable_parallel_tool_use", one_at_once);
    }
    out.extend_from_slice(&auto.out);
    out.push(b'}');
}

fn added_bytes(edit: &Edit<'_>) -> usize {
    let params: usize = edit.params.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
    // Room for the fixed text and a few escapes; a guess that is too low costs one more allocation.
    128 + edit.model.len()
        + params
        + edit.system.map_or(0, |text| text.len() + text.len() / 16)
        + edit.tools.map_or(0, |tools| tools.get().len())
}

#[cfg(test)]
mod tests;

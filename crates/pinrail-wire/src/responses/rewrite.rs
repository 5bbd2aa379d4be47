//! Writes the body that goes upstream: the client's, with the release put in.
//!
//! Conditions, in the order in which they win: the dedicated edits (`model`, `system`, `tools`) over the release's
//! parameters, those over what the client sent. A parameter that is an object (`text`, `reasoning`) replaces the
//! client's whole. The release's system prompt becomes `instructions`; the client's instructions and its system and
//! developer messages go, unless they are kept: then its instructions follow ours after a blank line. Input items that
//! give the model further tools go with the client's tools. Every value that isn't edited is copied byte for byte, in
//! its place; new fields come last. Whitespace between fields is not kept. Older names of fields (`functions`) and
//! the asking for usage mean nothing here.

use serde_json::value::RawValue;

use super::request::{InputItem, ResponsesRequest};
use crate::edit::{Edit, Writer, is_empty, write_metadata};
use crate::json;
use crate::request::OWN_FIELD;

/// Fields that a release sets in its own ways, and fields that are the client's alone.
pub const PARAMS_RESERVED: [&str; 11] = [
    "model",
    "input",
    "instructions",
    "tools",
    "stream",
    "stream_options",
    "metadata",
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
];

/// What becomes of one of the client's fields.
enum Fate<'e> {
    Keep,
    Drop,
    Replace(&'e RawValue),
    Model,
    Instructions(&'e str),
    Input,
    Metadata,
    /// `"auto"`.
    Auto,
}

impl ResponsesRequest<'_> {
    /// Names a field of the client that can't stand beside what the release sets; the request is then to be refused.
    ///
    /// A stored prompt brings instructions and tools of its own, which nobody here has seen.
    #[must_use]
    pub fn conflicts(&self, edit: &Edit<'_>) -> Option<&'static str> {
        let managed = edit.system.is_some() || edit.tools.is_some();
        (managed && self.param("prompt").is_some()).then_some("prompt")
    }

    /// Writes the request as `edit` wants it.
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
                Fate::Instructions(system) => self.write_instructions(system, edit, &mut writer),
                Fate::Input => self.write_input(edit, writer.key(name)),
                Fate::Metadata => write_metadata(self.metadata.as_ref(), value, &mut writer),
                Fate::Auto => json::write_str(writer.key(name), "auto"),
            }
        }
        let absent = |name: &str| !self.fields.iter().any(|(key, _)| key == name);
        if let Some(system) = edit.system.filter(|_| absent("instructions")) {
            self.write_instructions(system, edit, &mut writer);
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
            ("instructions", _, Some(system)) => Fate::Instructions(system),
            ("input", _, _) if self.input().items().iter().any(|item| !stays(item, edit)) => Fate::Input,
            ("tools", Some(tools), _) if !is_empty(tools) => Fate::Replace(tools),
            ("tools", Some(_), _) => Fate::Drop,
            _ if goes_without_tools(edit, name) => Fate::Drop,
            ("tool_choice", _, _) if edit.free_choice => Fate::Auto,
            _ => match edit.params.iter().find(|(param, _)| param == name && sets(edit, param)) {
                Some((_, value)) => Fate::Replace(value),
                None if name == "metadata" => Fate::Metadata,
                None => Fate::Keep,
            },
        }
    }

    fn write_instructions(&self, system: &str, edit: &Edit<'_>, writer: &mut Writer) {
        let theirs = self.instructions().filter(|text| edit.keep_client_system && !text.is_empty());
        match (system, theirs) {
            ("", None) => {}
            ("", Some(text)) | (text, None) => json::write_str(writer.key("instructions"), text),
            (ours, Some(theirs)) => {
                json::write_str(writer.key("instructions"), &format!("{ours}\n\n{theirs}"));
            }
        }
    }

    fn write_input(&self, edit: &Edit<'_>, out: &mut Vec<u8>) {
        out.push(b'[');
        for item in self.input().items().iter().filter(|item| stays(item, edit)) {
            if !out.ends_with(b"[") {
                out.push(b',');
            }
            out.extend_from_slice(item.raw.as_bytes());
        }
        out.push(b']');
    }
}

/// Says whether an item of the client's input goes upstream.
fn stays(item: &InputItem<'_>, edit: &Edit<'_>) -> bool {
    let replaced = item.is_system() && edit.system.is_some() && !edit.keep_client_system;
    let tools_replaced = item.adds_tools() && edit.tools.is_some();
    !replaced && !tools_replaced
}

/// Says whether a parameter of this name is put into the request.
fn sets(edit: &Edit<'_>, name: &str) -> bool {
    let chosen = edit.free_choice && name == "tool_choice";
    !PARAMS_RESERVED.contains(&name) && !goes_without_tools(edit, name) && !chosen
}

/// Says whether the field goes because the release has no tools.
fn goes_without_tools(edit: &Edit<'_>, name: &str) -> bool {
    matches!(name, "tool_choice" | "parallel_tool_calls") && edit.tools.is_some_and(is_empty)
}

fn added_bytes(edit: &Edit<'_>) -> usize {
    let params: usize = edit.params.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
    // Room for the fixed text and a few escapes; a guess that is too low costs one more allocation.
    64 + edit.model.len()
        + params
        + edit.system.map_or(0, |text| text.len() + text.len() / 16)
        + edit.tools.map_or(0, |tools| tools.get().len())
}

#[cfg(test)]
mod tests;

//! Writes the body that goes upstream: the client's, with the release put in.
//!
//! Conditions, in the order in which they win: the dedicated edits (`model`, `system`, `tools`, `include_usage`)
//! over the release's parameters, those over what the client sent. `max_tokens` and `max_completion_tokens` are
//! two names of one parameter: setting one removes the client's other. Every value that isn't edited is copied
//! byte for byte, in its place; new fields come last. Whitespace between fields is not kept.

use serde_json::value::RawValue;

use super::request::ChatRequest;
use crate::edit::{Edit, Writer, is_empty, write_metadata};
use crate::json;
use crate::request::OWN_FIELD;

/// Fields that a release sets in its own ways and never as a parameter.
pub const PARAMS_RESERVED: [&str; 7] =
    ["model", "messages", "tools", "functions", "function_call", "stream", "stream_options"];

/// What becomes of one of the client's fields.
enum Fate<'e> {
    Keep,
    Drop,
    Replace(&'e RawValue),
    Model,
    Messages(&'e str),
    Metadata,
    StreamOptions,
    /// `"auto"`.
    Auto,
}

impl ChatRequest<'_> {
    /// Writes the request as `edit` wants it.
    ///
    /// `metadata` loses its keys that begin with `pinrail_`, and goes when none is left. The field `pinrail` goes.
    #[must_use]
    pub fn rewrite(&self, edit: &Edit<'_>) -> Vec<u8> {
        let mut writer = Writer { out: Vec::with_capacity(self.body_bytes + edit.added_bytes()) };
        for (name, value) in &self.fields {
            match self.fate(name, edit) {
                Fate::Keep => writer.raw(name, value),
                Fate::Drop => {}
                Fate::Replace(value) => writer.raw(name, value),
                Fate::Model => json::write_str(writer.key(name), edit.model),
                Fate::Messages(system) => self.write_messages(system, edit, writer.key(name)),
                Fate::Metadata => write_metadata(self.metadata.as_ref(), value, &mut writer),
                Fate::StreamOptions => self.write_stream_options(&mut writer),
                Fate::Auto => json::write_str(writer.key(name), "auto"),
            }
        }
        let absent = |name: &str| !self.fields.iter().any(|(key, _)| key == name);
        for (name, value) in edit.params.iter().filter(|(name, _)| edit.sets(name) && absent(name)) {
            writer.raw(name, value);
        }
        if let Some(tools) = edit.tools.filter(|tools| !is_empty(tools) && absent("tools")) {
            writer.raw("tools", tools);
        }
        if self.stream() && edit.include_usage && absent("stream_options") {
            self.write_stream_options(&mut writer);
        }
        writer.out.push(b'}');
        writer.out
    }

    fn fate<'e>(&self, name: &str, edit: &Edit<'e>) -> Fate<'e> {
        match (name, edit.tools, edit.system) {
            ("model", _, _) => Fate::Model,
            (OWN_FIELD, _, _) => Fate::Drop,
            ("messages", _, Some(system)) => Fate::Messages(system),
            ("tools", Some(tools), _) if !is_empty(tools) => Fate::Replace(tools),
            ("tools" | "functions" | "function_call", Some(_), _) => Fate::Drop,
            ("functions", None, _) if edit.functions.is_some() => match edit.functions {
                Some(functions) if !is_empty(functions) => Fate::Replace(functions),
                Some(_) | None => Fate::Drop,
            },
            ("function_call", None, _) if edit.functions.is_some_and(is_empty) => Fate::Drop,
            _ if edit.without_tools(name) => Fate::Drop,
            ("tool_choice" | "function_call", _, _) if edit.free_choice => Fate::Auto,
            ("stream_options", _, _) if self.stream() && edit.include_usage && !self.include_usage() => {
                Fate::StreamOptions
            }
            _ => match edit.params.iter().find(|(param, _)| param == name && edit.sets(param)) {
                Some((_, value)) => Fate::Replace(value),
                None if twin(name).is_some_and(|twin| edit.params.iter().any(|(param, _)| param == twin)) => {
                    Fate::Drop
                }
                None if name == "metadata" => Fate::Metadata,
                None => Fate::Keep,
            },
        }
    }

    fn write_messages(&self, system: &str, edit: &Edit<'_>, out: &mut Vec<u8>) {
        out.push(b'[');
        if !system.is_empty() {
            out.extend_from_slice(br#"{"role":"system","content":"#);
            json::write_str(out, system);
            out.push(b'}');
        }
        for message in self.messages().iter().filter(|m| edit.keep_client_system || !m.is_system()) {
            if !out.ends_with(b"[") {
                out.push(b',');
            }
            out.extend_from_slice(message.raw.as_bytes());
        }
        out.push(b']');
    }

    fn write_stream_options(&self, writer: &mut Writer) {
        let mut options = Writer { out: Vec::new() };
        for (key, value) in self.stream_options.iter().flat_map(|options| &options.list) {
            if key != "include_usage" {
                options.raw(key, value);
            }
        }
        options.key("include_usage").extend_from_slice(b"true}");
        writer.key("stream_options").extend_from_slice(&options.out);
    }
}

impl Edit<'_> {
    /// Says whether a parameter of this name is put into the request.
    fn sets(&self, name: &str) -> bool {
        let chosen = self.free_choice && name == "tool_choice";
        !PARAMS_RESERVED.contains(&name) && !self.without_tools(name) && !chosen
    }

    /// Says whether the field goes because the release has no tools.
    fn without_tools(&self, name: &str) -> bool {
        matches!(name, "tool_choice" | "parallel_tool_calls") && self.tools.is_some_and(is_empty)
    }

    fn added_bytes(&self) -> usize {
        let params: usize = self.params.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
        // Room for the fixed text and a few escapes; a guess that is too low costs one more allocation.
        128 + self.model.len()
            + params
            + self.system.map_or(0, |text| text.len() + text.len() / 16)
            + self.tools.map_or(0, |tools| tools.get().len())
    }
}

/// Gives the other name of a parameter that has two.
pub(super) fn twin(name: &str) -> Option<&'static str> {
    match name {
        "max_tokens" => Some("max_completion_tokens"),
        "max_completion_tokens" => Some("max_tokens"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

//! Writes the body that goes upstream: the client's, with the release put in.
//!
//! Conditions, in the order in which they win: the dedicated edits (`model`, `system`, `tools`, `include_usage`)
//! over the release's parameters, those over what the client sent. `max_tokens` and `max_completion_tokens` are
//! two names of one parameter: setting one removes the client's other. Every value that isn't edited is copied
//! byte for byte, in its place; new fields come last. Whitespace between fields is not kept.

use serde_json::value::RawValue;

use super::request::{ChatRequest, METADATA_PREFIX, OWN_FIELD};
use crate::json;

/// What a release changes in a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edit<'e> {
    /// The model that the provider is asked for.
    pub model: &'e str,
    /// Parameters that override what the client sent; names in [`PARAMS_RESERVED`] are passed over.
    pub params: &'e [(String, Box<RawValue>)],
    /// The release's system prompt, put first in place of all system and developer messages of the client.
    /// An empty one removes them and adds nothing. `None` leaves the messages alone.
    pub system: Option<&'e str>,
    /// Keeps the client's system and developer messages, behind the release's.
    pub keep_client_system: bool,
    /// The release's tools, in place of the client's. With an empty array the request has no tools and none of
    /// the fields that providers refuse without tools. `None` leaves the client's.
    pub tools: Option<&'e RawValue>,
    /// The client's functions (what tools were before) in place of its own; with an empty array it has none. Counts only
    /// where `tools` is `None`.
    pub functions: Option<&'e RawValue>,
    /// Leaves the choice of the tool to the model, whatever the client's `tool_choice` or `function_call` says.
    pub free_choice: bool,
    /// Asks for the usage at the end of a stream.
    pub include_usage: bool,
}

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

/// Collects the fields of the object being written.
struct Writer {
    out: Vec<u8>,
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
                Fate::Metadata => self.write_metadata(&mut writer),
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

    fn write_metadata(&self, writer: &mut Writer) {
        let Some(metadata) = &self.metadata else {
            // It is `null`, since `parse` refused everything else that is no object.
            return writer.key("metadata").extend_from_slice(b"null");
        };
        let ours = metadata.list.iter().filter(|(key, _)| key.starts_with(METADATA_PREFIX)).count();
        if ours == 0 {
            let value = self.param("metadata").expect("metadata was read from this field");
            return writer.raw("metadata", value);
        }
        if ours == metadata.list.len() {
            return;
        }
        let mut kept = Writer { out: Vec::new() };
        for (key, value) in metadata.list.iter().filter(|(key, _)| !key.starts_with(METADATA_PREFIX)) {
            kept.raw(key, value);
        }
        let out = writer.key("metadata");
        out.extend_from_slice(&kept.out);
        out.push(b'}');
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

impl Writer {
    /// Begins a field and gives the buffer to write its value to.
    fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.push(if self.out.is_empty() { b'{' } else { b',' });
        json::write_str(&mut self.out, name);
        self.out.push(b':');
        &mut self.out
    }

    fn raw(&mut self, name: &str, value: &RawValue) {
        self.key(name).extend_from_slice(value.get().as_bytes());
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

/// Says whether the value is an array with nothing in it.
pub(super) fn is_empty(array: &RawValue) -> bool {
    array.get().starts_with('[') && json::items(array.get()).next().is_none()
}

#[cfg(test)]
mod tests;

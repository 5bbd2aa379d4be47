//! What a release changes in a request, in whatever dialect, and how an object is written anew.

use serde_json::value::RawValue;

use crate::json::{self, Fields};
use crate::request::METADATA_PREFIX;

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

/// Collects the fields of the object being written.
pub(crate) struct Writer {
    pub out: Vec<u8>,
}

impl Writer {
    /// Begins a field and gives the buffer to write its value to.
    pub fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.push(if self.out.is_empty() { b'{' } else { b',' });
        json::write_str(&mut self.out, name);
        self.out.push(b':');
        &mut self.out
    }

    pub fn raw(&mut self, name: &str, value: &RawValue) {
        self.key(name).extend_from_slice(value.get().as_bytes());
    }
}

/// Writes `metadata` without what speaks to Pinrail; nothing where nothing else was in it.
pub(crate) fn write_metadata(metadata: Option<&Fields<'_>>, raw: &RawValue, writer: &mut Writer) {
    let Some(metadata) = metadata else {
        // It is `null`, since reading refused everything else that is no object.
        return writer.key("metadata").extend_from_slice(b"null");
    };
    let ours = metadata.list.iter().filter(|(key, _)| key.starts_with(METADATA_PREFIX)).count();
    if ours == 0 {
        return writer.raw("metadata", raw);
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

/// Says whether the value is an array with nothing in it.
pub(crate) fn is_empty(array: &RawValue) -> bool {
    array.get().starts_with('[') && json::items(array.get()).next().is_none()
}

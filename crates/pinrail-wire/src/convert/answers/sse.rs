//! Writes server-sent events.

use serde_json::Value;

/// An event without a name.
pub(super) fn data(out: &mut Vec<u8>, data: &Value) {
    out.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut *out, data).expect("a value is written to memory");
    out.extend_from_slice(b"\n\n");
}

/// An event that is named by its data's `type`.
pub(super) fn typed(out: &mut Vec<u8>, data: &Value) {
    let name = data["type"].as_str().expect("events of ours have a type");
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    self::data(out, data);
}

/// A block that says nothing but that the stream is alive.
pub(super) fn comment(out: &mut Vec<u8>) {
    out.extend_from_slice(b": keep-alive\n\n");
}

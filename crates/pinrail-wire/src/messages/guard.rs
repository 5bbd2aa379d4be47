//! Holds tool calls of an answer back until it is known whether the client may act on them.
//!
//! The caller says of each tool, by its name, whether calls of it pass, are dropped, or are to be asked about one by one
//! ([`crate::Rule`]). Whole answers: [`Calls`]. Streams: [`StreamGuard`]. Conditions:
//! - Only blocks of type `tool_use` are the client's calls; a provider's own tools have had their effect already.
//! - All else passes as it comes, byte for byte. Only where blocks before it were left out is a block counted anew, and
//!   only where no call is left does the answer end with `end_turn` in place of `tool_use`.
//! - A call's name stands at its beginning, so one that passes or is dropped is decided about at once. One that is asked
//!   about is held until the answer ends, and so is everything behind it, since blocks keep their order: a signature of
//!   thinking counts only in its place. Keep-alives never wait.
//! - What is left out is told in a text block of its own, the answer's last.

use crate::edit::Writer;
use crate::json::Fields;

mod event;
mod stream;
mod whole;

pub use stream::StreamGuard;
pub use whole::Calls;

/// The kind of block that calls a client's tool, and the reason to stop for it.
const CALL: &str = "tool_use";

/// The reason to stop of an answer that has no calls.
const END: &str = "end_turn";

/// Puts together what is told of calls that don't pass; none where nothing is said.
fn told_of(told: &[String]) -> Option<String> {
    let said: Vec<&str> = told.iter().map(String::as_str).filter(|told| !told.is_empty()).collect();
    (!said.is_empty()).then(|| said.join("\n\n"))
}

/// Writes an object with another value of one of its fields, and everything else as it was; none where the text is no
/// object with that field.
fn with_field(object: &str, name: &str, value: &str) -> Option<String> {
    let fields = Fields::read(object).ok()?;
    fields.get(name)?;
    let mut writer = Writer { out: Vec::with_capacity(object.len() + value.len()) };
    for (key, raw) in &fields.list {
        if key == name {
            writer.key(key).extend_from_slice(value.as_bytes());
        } else {
            writer.raw(key, raw);
        }
    }
    writer.out.push(b'}');
    Some(String::from_utf8(writer.out).expect("text with a text in it is text"))
}

/// Whether a piece of JSON may speak of calls by this word, also where a letter of it is written as an escape.
fn mentions(data: &[u8], word: &[u8]) -> bool {
    let find = |needle: &[u8]| memchr::memmem::find(data, needle).is_some();
    find(word) || find(b"\\u00")
}

#[cfg(test)]
mod tests;

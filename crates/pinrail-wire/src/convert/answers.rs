//! Carries answers, streams and errors from the provider's dialect to the client's.
//!
//! Conditions: each dialect is read into the same [pieces](parts) and written from them, whole answers and streams alike, so that an answer
//! and its stream can't disagree. What the client's dialect has no place for ends the conversion with its path and feature, unless the
//! release's `lossy` names the feature. The served model is always the provider's. Left out without a word is what tells nothing of the
//! answer itself: fingerprints, breakdowns of usage that the other vendor doesn't count, progress of searches, unknown fields.
//!
//! | pieces | chat | messages | responses |
//! |---|---|---|---|
//! | end | `stop` | `end_turn` | `completed` |
//! | stop sequence | `stop` | `stop_sequence` | `completed` |
//! | calls | `tool_calls` | `tool_use` | `completed` |
//! | length | `length` | `max_tokens` | `incomplete`, `max_output_tokens` |
//! | context full | `length` | `model_context_window_exceeded` | `incomplete`, `max_output_tokens` |
//! | filter | `content_filter` | `refusal` | `incomplete`, `content_filter` |
//! | end, with a refusal | `stop` | `refusal` | `completed` |
//!
//! `pause_turn` asks the client to send the turn back, which no other dialect has: it goes over where `lossy` names `server_tools`.

mod balance;
mod error;
mod from_chat;
mod from_messages;
mod from_responses;
mod ids;
mod in_turn;
mod parts;
mod sse;
mod stream;
mod to_chat;
mod to_messages;
mod to_responses;

use serde_json::Value;

use self::from_chat::FromChat;
use self::from_messages::FromMessages;
use self::from_responses::FromResponses;
use self::parts::Answer;
use super::losses::{Lossy, MALFORMED};
use crate::dialect::Dialect;

pub use error::error;
pub use stream::{StreamConverter, StreamError};

/// What an answer's conversion needs to know of the call.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Names the answer where its provider gave it no id; letters, digits, `_` and `-`.
    pub id: &'a str,
    /// Unix seconds, where the provider doesn't say when it answered.
    pub created: u64,
    /// Where the provider doesn't say which model it served.
    pub model: &'a str,
    /// The client of a chat stream asked for the usage at its end.
    pub include_usage: bool,
    /// The body that the client sent, of which a response repeats parts.
    pub request: &'a [u8],
}

/// Says what of an answer can't be carried to the client's dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer can't be carried to the client's format: {}", self.told())]
pub struct Unconvertible {
    /// Where it stands in the provider's answer, such as `choices[0].message.audio`; empty when it is the whole.
    pub path: String,
    /// One of [`FEATURES`](super::FEATURES), or `malformed`, or `too_long`.
    pub feature: &'static str,
    pub why: String,
}

/// Bytes of text that are gathered of a stream, where its last event repeats all of it or blocks must wait for each other.
///
/// The longest answers that models give are about a megabyte.
pub const GATHERED_BYTES_MAX: usize = 16 << 20;

/// The feature of what is larger than we carry. Nothing makes up for that.
const TOO_LONG: &str = "too_long";

/// Converts a whole answer with a status of success.
///
/// # Errors
/// [`Unconvertible`] names what the client's dialect has no place for.
pub fn answer(
    from: Dialect,
    body: &[u8],
    to: Dialect,
    about: &About<'_>,
    lossy: &Lossy,
) -> Result<Vec<u8>, Unconvertible> {
    if from == to {
        return Ok(body.to_vec());
    }
    let read: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
    let value = read.ok_or_else(|| unconvertible("", MALFORMED, "is no JSON object"))?;
    let mut pieces = Vec::new();
    match from {
        Dialect::Chat => FromChat::new(about.id).whole(&value, lossy, &mut pieces)?,
        Dialect::Responses => FromResponses::new(about.id).whole(&value, lossy, &mut pieces)?,
        Dialect::Messages => FromMessages::new(about.id).whole(&value, body, lossy, &mut pieces)?,
    }
    let mut in_turn = in_turn::InTurn::default();
    let mut ordered = Vec::with_capacity(pieces.len());
    for piece in pieces {
        in_turn.take(piece, &mut ordered)?;
    }
    let answer = Answer::of(ordered)?;
    match to {
        Dialect::Chat => Ok(to_chat::whole(&answer, about)),
        Dialect::Responses => Ok(to_responses::whole(&answer, about)),
        Dialect::Messages => to_messages::whole(&answer, about, lossy),
    }
}

/// The id under which a client of the dialect `to` knows a converted answer whose provider named it `given`; `ours` is what
/// [`About::id`] was.
#[must_use]
pub fn answer_id(given: Option<&str>, to: Dialect, ours: &str) -> String {
    ids::answer(&ids::stem(given, ours), to)
}

impl Unconvertible {
    fn told(&self) -> String {
        let Unconvertible { path, feature, why } = self;
        let what = if path.is_empty() { format!("it {why}") } else { format!("`{path}` {why}") };
        if [MALFORMED, TOO_LONG].contains(feature) {
            return what;
        }
        format!("{what}. The release can let it be left out: lossy = [\"{feature}\"]")
    }
}

fn unconvertible(path: &str, feature: &'static str, why: &str) -> Unconvertible {
    Unconvertible { path: path.to_owned(), feature, why: why.to_owned() }
}

fn too_long(bytes_max: usize) -> Unconvertible {
    unconvertible("", TOO_LONG, &format!("is longer than the {bytes_max} bytes that are gathered of it"))
}

/// Leaves something out where the release allows it.
fn leave_out(lossy: &Lossy, path: &str, feature: &'static str, why: &str) -> Result<(), Unconvertible> {
    debug_assert!(super::FEATURES.iter().any(|known| known.name == feature), "{feature}");
    if lossy.allows(feature) { Ok(()) } else { Err(unconvertible(path, feature, why)) }
}

#[cfg(test)]
mod tests;

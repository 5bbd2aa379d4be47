//! Converts a stream as it comes.
//!
//! Conditions: each of the provider's events gives the client's events at once; what the client gets are whole events, the same ones wherever
//! the provider's bytes are split. What tells only that the stream is alive stays that, in the client's form. An error event of the
//! provider becomes the client's. Nothing is closed that the provider didn't close: when a stream is cut, the client has seen no end, and
//! stands between two events, where an error event of our own can follow. Behind the end nothing is passed on.

use bytes::Bytes;
use serde_json::Value;

use super::super::losses::{Lossy, MALFORMED};
use super::from_chat::FromChat;
use super::from_messages::FromMessages;
use super::from_responses::FromResponses;
use super::parts::Piece;
use super::to_chat::ToChat;
use super::to_messages::ToMessages;
use super::to_responses::ToResponses;
use super::{About, Unconvertible, unconvertible};
use crate::dialect::Dialect;
use crate::sse::{Event, EventTooLong, Splitter};

/// Says why a stream can't be carried on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    #[error(transparent)]
    Unconvertible(#[from] Unconvertible),
    #[error(transparent)]
    TooLong(#[from] EventTooLong),
}

/// Takes the provider's chunks and gives what the client is to get.
#[derive(Debug)]
pub struct StreamConverter {
    splitter: Splitter,
    state: State,
    failed: Option<StreamError>,
    /// Events that are written and not given yet.
    out: Vec<u8>,
}

#[derive(Debug)]
struct State {
    from: From,
    to: To,
    lossy: Lossy,
    ended: bool,
}

#[derive(Debug)]
enum From {
    Chat(FromChat),
    Responses(FromResponses),
    Messages(FromMessages),
}

#[derive(Debug)]
enum To {
    Chat(Box<ToChat>),
    Responses(Box<ToResponses>),
    Messages(Box<ToMessages>),
}

impl StreamConverter {
    /// Makes a converter that refuses events of more than `event_bytes_max` bytes.
    #[must_use]
    pub fn new(
        from: Dialect,
        to: Dialect,
        about: &About<'_>,
        lossy: &Lossy,
        event_bytes_max: usize,
    ) -> StreamConverter {
        let from = match from {
            Dialect::Chat => From::Chat(FromChat::new(about.id)),
            Dialect::Responses => From::Responses(FromResponses::new(about.id)),
            Dialect::Messages => From::Messages(FromMessages::new(about.id)),
        };
        let to = match to {
            Dialect::Chat => To::Chat(Box::new(ToChat::new(about))),
            Dialect::Responses => To::Responses(Box::new(ToResponses::new(about))),
            Dialect::Messages => To::Messages(Box::new(ToMessages::new(about, lossy))),
        };
        StreamConverter {
            splitter: Splitter::new(event_bytes_max),
            state: State { from, to, lossy: lossy.clone(), ended: false },
            failed: None,
            out: Vec::new(),
        }
    }

    /// Takes the provider's next bytes and gives the client's; whole events alone.
    ///
    /// # Errors
    /// [`StreamError`], now and at every later call: the stream is to be ended with an error event behind what
    /// [`StreamConverter::finish`] still gives, which is what came before the event at fault.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Bytes, StreamError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let (state, out) = (&mut self.state, &mut self.out);
        let mut failed = None;
        let split = self.splitter.feed(chunk, |event| {
            if failed.is_none() {
                failed = state.take(&event, out).err();
            }
        });
        self.failed = failed.map(StreamError::from).or_else(|| split.err().map(StreamError::from));
        match &self.failed {
            Some(failed) => Err(failed.clone()),
            None => Ok(std::mem::take(&mut self.out).into()),
        }
    }

    /// Gives what is left when the provider's stream is over, usually nothing.
    ///
    /// A last event without its blank line counts when it can be read, and so does a chat stream that stops behind its finish reason.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        if self.failed.is_none() {
            let before = self.out.len();
            if let Some(event) = self.splitter.rest()
                && self.state.take(&event, &mut self.out).is_err()
            {
                self.out.truncate(before);
            }
            self.state.finish(&mut self.out);
        }
        std::mem::take(&mut self.out).into()
    }

    /// Whether the client has seen the answer's end, or the provider's error.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.ended
    }
}

impl State {
    fn take(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        let mut pieces = Vec::new();
        let data = event.data.as_deref().unwrap_or_default().trim_ascii();
        let read = if data.is_empty() {
            pieces.push(Piece::Pulse);
            Ok(())
        } else if data == b"[DONE]" {
            if let From::Chat(from) = &mut self.from {
                from.done(&mut pieces);
            }
            Ok(())
        } else {
            self.read(data, &mut pieces)
        };
        // What came before the fault goes out too.
        let written = self.write(pieces, out);
        read.and(written)
    }

    fn read(&mut self, data: &[u8], pieces: &mut Vec<Piece>) -> Result<(), Unconvertible> {
        let data: Value = serde_json::from_slice(data)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| unconvertible("", MALFORMED, "has an event that is no JSON object"))?;
        match &mut self.from {
            From::Chat(from) => from.event(&data, &self.lossy, pieces),
            From::Responses(from) => from.event(&data, &self.lossy, pieces),
            From::Messages(from) => from.event(&data, &self.lossy, pieces),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let mut pieces = Vec::new();
        if let From::Chat(from) = &mut self.from {
            from.finish(&mut pieces);
        }
        // An end alone can't be unconvertible.
        let _ = self.write(pieces, out);
    }

    fn write(&mut self, pieces: Vec<Piece>, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        for piece in pieces {
            if self.ended {
                return Ok(());
            }
            self.ended = matches!(piece, Piece::End(_) | Piece::Failed(_));
            match &mut self.to {
                To::Chat(to) => to.write(piece, out),
                To::Responses(to) => to.write(piece, out)?,
                To::Messages(to) => to.write(piece, out)?,
            }
        }
        Ok(())
    }
}

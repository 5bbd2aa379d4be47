//! Watches a stream on its way from the provider to the client.
//!
//! Conditions: every chunk is passed on as it is, at once, and observed on the side. An event is what its `type` says,
//! or its name where it has none. A stream ended properly when `message_stop` came or the message had its stop reason;
//! an error event outweighs both; anything else is cut. Events that we don't know say nothing. A last event without its
//! blank line counts when its data can be read.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::observe::{Answer, Block, Fold, read_object, text_of};
use crate::answer::{Ending, Finished, Gathered, Limits};
use crate::error::parse_error;
use crate::json::Str;
use crate::sse::{Event, EventTooLong, Splitter};

/// Takes the provider's chunks, passes them on, and notes what the answer was.
#[derive(Debug)]
pub struct StreamObserver {
    splitter: Splitter,
    notes: Notes,
}

#[derive(Debug)]
struct Notes {
    fold: Fold,
    text: Gathered,
    text_bytes_max: usize,
    done: bool,
    error: Option<String>,
    unreadable_events: u64,
}

/// The data of an event, of whatever kind; what few events have is read for itself.
#[derive(Debug, Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// What a block or the message grows by.
#[derive(Debug, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    partial_json: Option<Str<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Str<'a>>,
}

impl StreamObserver {
    #[must_use]
    pub fn new(limits: Limits) -> StreamObserver {
        let notes = Notes {
            fold: Fold::default(),
            text: Gathered::default(),
            text_bytes_max: limits.text_bytes_max,
            done: false,
            error: None,
            unreadable_events: 0,
        };
        StreamObserver { splitter: Splitter::new(limits.event_bytes_max), notes }
    }

    /// Takes the next chunk and gives it back, to be passed on now.
    ///
    /// # Errors
    /// [`EventTooLong`]: the stream is no longer observed and should be ended with an error.
    pub fn feed(&mut self, chunk: Bytes) -> Result<Bytes, EventTooLong> {
        let notes = &mut self.notes;
        self.splitter.feed(&chunk, |event| notes.take(&event))?;
        Ok(chunk)
    }

    /// Says whether the provider's own end of the stream has come, so that nothing more is to be waited for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.notes.done
    }

    /// Ends the observation, whether the provider, the client or a timeout ended the stream.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let mid_event = self.splitter.mid_event();
        let unreadable_events = self.notes.unreadable_events;
        if let Some(event) = self.splitter.rest() {
            self.notes.take(&event);
        }
        let notes = self.notes;
        let ending = match notes.error {
            Some(text) => Ending::ErrorEvent(text),
            None if notes.done || notes.fold.observed.finish_reason.is_some() => Ending::Done,
            None => Ending::Cut,
        };
        let observed = notes.fold.observed;
        Finished { forward: Bytes::new(), observed, ending, text: notes.text, mid_event, unreadable_events }
    }
}

impl Notes {
    fn take(&mut self, event: &Event<'_>) {
        let Some(data) = &event.data else { return };
        // Some that speak this format close it as OpenAI does.
        if data.trim_ascii() == b"[DONE]" {
            return;
        }
        let read = read_object::<Data<'_>>(data);
        let name = event.name.and_then(|name| std::str::from_utf8(name).ok());
        let kind = read.as_ref().ok().and_then(|data| text_of(&data.kind)).or(name);
        if kind == Some("error") || name == Some("error") {
            let told = || parse_error(data).map(|error| error.message);
            let text = || String::from_utf8_lossy(data).into_owned();
            self.error.get_or_insert_with(|| told().unwrap_or_else(text));
            return;
        }
        let known = match &read {
            Ok(data) => self.absorb(kind, data),
            Err(_) => None,
        };
        self.unreadable_events += u64::from(known.is_none());
    }

    /// Takes an event in; none when a part of it can't be read.
    fn absorb(&mut self, kind: Option<&str>, data: &Data<'_>) -> Option<()> {
        let (gathered, bytes_max) = (&mut self.text, self.text_bytes_max);
        let text = |text: &str| gathered.add(text, bytes_max);
        let index = data.index.unwrap_or(0);
        match kind {
            Some("content_block_delta") => {
                let delta = data.delta.as_ref()?;
                match (text_of(&delta.kind), &delta.text, &delta.partial_json) {
                    (Some("text_delta"), Some(Str(said)), _) => self.fold.say(said, text),
                    (Some("input_json_delta"), _, Some(Str(piece))) => self.fold.grow_input(index, piece),
                    (Some(_) | None, _, _) => {}
                }
            }
            Some("content_block_start") => {
                let block: Block<'_> = serde_json::from_str(data.content_block?.get()).ok()?;
                self.fold.begin(index, &block, text);
            }
            Some("content_block_stop") => self.fold.end(index),
            Some("message_start") => {
                let answer: Answer<'_> = read_object(data.message?.get().as_bytes()).ok()?;
                self.fold.absorb(&answer, text);
            }
            Some("message_delta") => {
                if let Some(usage) = data.usage {
                    self.fold.count(usage);
                }
                if let Some(Str(reason)) = data.delta.as_ref().and_then(|delta| delta.stop_reason.as_ref()) {
                    self.fold.stop(reason);
                }
            }
            Some("message_stop") => self.done = true,
            Some(_) | None => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;

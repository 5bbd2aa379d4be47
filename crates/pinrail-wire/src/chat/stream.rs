//! Watches a stream on its way from the provider to the client.
//!
//! Conditions: without `strip_usage` every chunk is passed on as it is, at once, and observed on the side.
//! With it, chunks are passed on event by event, and the chunk that carries only the usage is left out. A stream
//! ended properly when `[DONE]` came or every choice seen had its finish reason; an error event outweighs both;
//! anything else is cut. A last event without its blank line counts when its data can be read.

use std::ops::Range;

use bytes::Bytes;

use super::observe::{Chunk, Fold, read_chunk};
use crate::answer::{Ending, Finished, Gathered, Limits, Observed};
use crate::error::parse_error;
use crate::sse::{Event, EventTooLong, Splitter};

/// Takes the provider's chunks, gives what to pass on, and notes what the answer was.
#[derive(Debug)]
pub struct StreamObserver {
    splitter: Splitter,
    strip_usage: bool,
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

/// What to pass on of one chunk: a range of it, or a copy where that isn't possible.
#[derive(Default)]
struct Kept {
    copied: Vec<u8>,
    run: Range<usize>,
}

/// Says what an event was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    UsageOnly,
    Unreadable,
    Other,
}

impl StreamObserver {
    /// Makes an observer; `strip_usage` when the usage was asked for by us and not by the client.
    #[must_use]
    pub fn new(strip_usage: bool, limits: Limits) -> StreamObserver {
        let notes = Notes {
            fold: Fold::default(),
            text: Gathered::default(),
            text_bytes_max: limits.text_bytes_max,
            done: false,
            error: None,
            unreadable_events: 0,
        };
        StreamObserver { splitter: Splitter::new(limits.event_bytes_max), strip_usage, notes }
    }

    /// Takes the next chunk and gives the bytes to pass on now, perhaps none.
    ///
    /// They are the chunk itself, not a copy, unless something in it is left out or held back.
    ///
    /// # Errors
    /// [`EventTooLong`]: the stream is no longer observed and should be ended with an error.
    pub fn feed(&mut self, chunk: Bytes) -> Result<Bytes, EventTooLong> {
        let notes = &mut self.notes;
        if !self.strip_usage {
            self.splitter.feed(&chunk, |event| {
                notes.take(&event);
            })?;
            return Ok(chunk);
        }
        let base = self.splitter.position();
        let mut kept = Kept::default();
        self.splitter.feed(&chunk, |event| {
            if notes.take(&event) != Kind::UsageOnly {
                kept.keep(&event, base, &chunk);
            }
        })?;
        Ok(kept.forward(&chunk))
    }

    /// Says whether the provider's own end of the stream has come, so that nothing more is to be waited for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.notes.done
    }

    /// Gives what is known so far.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.notes.fold.observed
    }

    /// Ends the observation, whether the provider, the client or a timeout ended the stream.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let mut forward = Bytes::new();
        let mut mid_event = self.splitter.mid_event() && !self.strip_usage;
        let unreadable_events = self.notes.unreadable_events;
        if let Some(event) = self.splitter.rest() {
            let kind = self.notes.take(&event);
            // Half an event is worth nothing to the client, and would swallow the error event behind it.
            if self.strip_usage && kind == Kind::Other {
                forward = Bytes::copy_from_slice(event.raw);
                mid_event = self.splitter.mid_event();
            }
        }
        let notes = self.notes;
        let ending = match notes.error {
            Some(text) => Ending::ErrorEvent(text),
            None if notes.done || notes.fold.all_finished() => Ending::Done,
            None => Ending::Cut,
        };
        let observed = notes.fold.observed;
        Finished { forward, observed, ending, text: notes.text, mid_event, unreadable_events }
    }
}

impl Notes {
    fn take(&mut self, event: &Event<'_>) -> Kind {
        let Some(data) = &event.data else { return Kind::Other };
        if data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return Kind::Other;
        }
        let chunk = read_chunk(data);
        let error = match &chunk {
            Ok(chunk) => chunk.error(data),
            Err(_) => parse_error(data),
        };
        if error.is_some() || event.name == Some(b"error") {
            let text = || String::from_utf8_lossy(data).into_owned();
            self.error.get_or_insert_with(|| error.map_or_else(text, |error| error.message));
            return Kind::Other;
        }
        let Ok(chunk) = chunk else {
            self.unreadable_events += 1;
            return Kind::Unreadable;
        };
        self.absorb(&chunk);
        if chunk.is_usage_only() { Kind::UsageOnly } else { Kind::Other }
    }

    fn absorb(&mut self, chunk: &Chunk<'_>) {
        let (gathered, bytes_max) = (&mut self.text, self.text_bytes_max);
        self.fold.absorb(chunk, |text| gathered.add(text, bytes_max));
    }
}

impl Kept {
    /// Keeps an event of `chunk`, which begins at `base` in the stream.
    fn keep(&mut self, event: &Event<'_>, base: u64, chunk: &Bytes) {
        let in_chunk = |at: u64| usize::try_from(at - base).expect("an event ends inside its chunk");
        if event.range.start < base {
            self.copied.extend_from_slice(event.raw);
            return;
        }
        let (start, end) = (in_chunk(event.range.start), in_chunk(event.range.end));
        if self.run.end != start || self.run.is_empty() {
            self.flush(chunk);
            self.run.start = start;
        }
        self.run.end = end;
    }

    fn flush(&mut self, chunk: &Bytes) {
        self.copied.extend_from_slice(&chunk[self.run.clone()]);
        self.run = 0..0;
    }

    fn forward(mut self, chunk: &Bytes) -> Bytes {
        if self.copied.is_empty() {
            return chunk.slice(self.run);
        }
        self.flush(chunk);
        Bytes::from(self.copied)
    }
}

#[cfg(test)]
mod tests;

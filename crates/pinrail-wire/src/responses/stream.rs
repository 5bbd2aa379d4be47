//! Watches a stream on its way from the provider to the client.
//!
//! Conditions: every chunk is passed on as it is, at once, and observed on the side. A stream ended properly when
//! `response.completed` or `response.incomplete` came; an `error` event and `response.failed` outweigh both; anything
//! else is cut, `response.cancelled` too. What an event is, its data's `type` says, or the event's name where the data
//! has none. Events of other types say nothing here. A last event without its blank line counts when its data can be read.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::item::{Item, text};
use super::observe::{Answer, Fold, read};
use crate::answer::{Ending, Finished, Gathered, Limits, Observed};
use crate::error::parse_error;
use crate::json::Str;
use crate::sse::{Event, EventTooLong, Splitter};

/// Takes the provider's chunks, gives what to pass on, and notes what the answer was.
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

/// The data of an event, as far as it is looked at.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    output_index: Option<u64>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<Item<'a>>,
    #[serde(borrow)]
    response: Option<Answer<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl StreamObserver {
    /// Makes an observer.
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

    /// Takes the next chunk and gives the bytes to pass on now: the chunk itself, not a copy.
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

    /// Gives what is known so far.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.notes.fold.observed
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
            None if notes.done => Ending::Done,
            None => Ending::Cut,
        };
        let observed = notes.fold.observed;
        Finished { forward: Bytes::new(), observed, ending, text: notes.text, mid_event, unreadable_events }
    }
}

impl Notes {
    fn take(&mut self, event: &Event<'_>) {
        let Some(data) = &event.data else { return };
        if data.trim_ascii() == b"[DONE]" {
            return;
        }
        let read: Result<Data<'_>, _> = read(data);
        let name = event.name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        let kind = match &read {
            Ok(Data { kind: Some(Str(kind)), .. }) => kind,
            Ok(Data { kind: None, .. }) | Err(_) => name,
        };
        let faulty = !kind.starts_with("response.") && read.as_ref().is_ok_and(|data| data.error.is_some());
        if faulty || kind == "error" || name == "error" {
            return self.fail(data, None);
        }
        match &read {
            Ok(read) => self.note(kind, read, data),
            Err(_) => match parse_error(data) {
                Some(error) => self.fail(data, Some(error.message)),
                None => self.unreadable_events += 1,
            },
        }
    }

    fn note(&mut self, kind: &str, read: &Data<'_>, data: &[u8]) {
        let (fold, gathered, bytes_max) = (&mut self.fold, &mut self.text, self.text_bytes_max);
        let mut say = |text: &str| gathered.add(text, bytes_max);
        let at = read.output_index.unwrap_or(0);
        let delta = || read.delta.map(text).unwrap_or_default();
        match (kind, &read.item, &read.response) {
            ("response.output_text.delta", _, _) => fold.say(at, &delta(), say),
            ("response.refusal.delta", _, _) => fold.observed.refusal |= !delta().is_empty(),
            ("response.refusal.done", _, _) => {
                fold.observed.refusal |= read.refusal.is_some_and(|refusal| !text(refusal).is_empty());
            }
            ("response.function_call_arguments.delta" | "response.custom_tool_call_input.delta", _, _) => {
                fold.grow(at, &delta());
            }
            ("response.audio.delta", _, _) => fold.observed.beyond_text = true,
            ("response.output_item.added", Some(item), _) => fold.begin(at, item),
            ("response.output_item.done", Some(item), _) => fold.done(at, item, say),
            ("response.failed", _, Some(answer)) => {
                fold.end(answer, "failed", &mut say);
                let error = answer.error.map(|error| format!("{{\"error\":{}}}", error.get()));
                let message =
                    error.and_then(|error| parse_error(error.as_bytes())).map(|error| error.message);
                self.fail(data, Some(message.unwrap_or_else(|| "the answer failed".to_owned())));
            }
            ("response.completed", _, Some(answer)) => {
                fold.end(answer, "completed", say);
                self.done = true;
            }
            ("response.incomplete", _, Some(answer)) => {
                fold.end(answer, "incomplete", say);
                self.done = true;
            }
            ("response.cancelled", _, Some(answer)) => fold.end(answer, "cancelled", say),
            (_, _, Some(answer)) => fold.head(answer),
            _ => {}
        }
    }

    /// Notes an error, whose event has this data.
    fn fail(&mut self, data: &[u8], message: Option<String>) {
        let text = || String::from_utf8_lossy(data).into_owned();
        let told = || message.or_else(|| parse_error(data).map(|error| error.message)).unwrap_or_else(text);
        self.error.get_or_insert_with(told);
    }
}

#[cfg(test)]
mod tests;

//! Notes what a provider did: from a whole answer, or piece by piece from a stream.
//!
//! Conditions: one fold serves both, so they can't disagree. Id and served model are the first non-empty ones; usage is
//! the last one given. Text is that of the messages' `output_text` parts, and calls are what the client is to do (see
//! `Item::call`). In a stream, text and arguments are those of the deltas; an item that had none counts
//! when it is done, and a stream without any item when its last event has the output.
//!
//! The finish reason is told in the words of chat completions, so that answers in different dialects can be compared:
//! | status | finish reason |
//! |---|---|
//! | `completed` | `tool_calls` where the client is to do something, else `stop` |
//! | `incomplete` for `max_output_tokens` | `length` |
//! | `incomplete` for `content_filter` | `content_filter`, which is a refusal too |
//! | `incomplete` otherwise | its reason, or `incomplete` where it gives none |
//! | `queued`, `in_progress`, `cancelled` and others | the status |
//!
//! A status `failed` is an error and no answer. An answer that is still made in the background has no text and
//! isn't empty for it: `Observed::beyond_text` says so.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::item::{Item, Part};
use crate::answer::{AnswerError, Gathered, Observed, Usage};
use crate::error::{ProviderError, parse_error};
use crate::json::Str;

/// An answer, whole or as an event of a stream carries it.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    model: Option<Str<'a>>,
    #[serde(borrow)]
    status: Option<Str<'a>>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow)]
    incomplete_details: Option<Incomplete<'a>>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    usage: Option<UsageWire>,
}

#[derive(Debug, Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow)]
    reason: Option<Str<'a>>,
}

/// Numbers as floats, since some providers write `12.0`; exact up to 2^53.
#[derive(Debug, Deserialize)]
struct UsageWire {
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
    total_tokens: Option<f64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Deserialize)]
struct InputDetails {
    cached_tokens: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<f64>,
}

/// Adds up one answer.
#[derive(Debug, Default)]
pub(super) struct Fold {
    pub observed: Observed,
    /// One bit for each output item whose text came in deltas; items from 127 on are counted as the last.
    said: u128,
    /// An output item came.
    begun: bool,
    calls: Vec<Growing>,
    tool_call_bytes: usize,
}

/// Where a call of the stream stands.
#[derive(Debug)]
struct Growing {
    output_index: u64,
    /// Its place among the observed calls.
    at: usize,
    /// Its arguments came in deltas.
    grown: bool,
}

/// Observes a whole answer, and gathers up to `text_bytes_max` bytes of its text.
///
/// # Errors
/// [`AnswerError`] when the body can't be read, or is an error in spite of its status.
pub fn observe_answer_text(body: &[u8], text_bytes_max: usize) -> Result<(Observed, Gathered), AnswerError> {
    let answer: Answer<'_> = match read(body) {
        Ok(answer) => answer,
        Err(source) => {
            let unreadable = AnswerError::Unreadable { source };
            return Err(parse_error(body).map_or(unreadable, AnswerError::Provider));
        }
    };
    if let Some(error) = answer.fault(body) {
        return Err(AnswerError::Provider(error));
    }
    let mut fold = Fold::default();
    let mut gathered = Gathered::default();
    fold.end(&answer, "", |text| gathered.add(text, text_bytes_max));
    Ok((fold.observed, gathered))
}

/// Reads an object (a struct would also read from an array).
pub(super) fn read<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, serde_json::Error> {
    if !data.trim_ascii_start().starts_with(b"{") {
        return Err(serde::de::Error::custom("it is no JSON object"));
    }
    serde_json::from_slice(data)
}

impl Answer<'_> {
    /// Gives the error that the answer, whose JSON text is `data`, is.
    pub fn fault(&self, data: &[u8]) -> Option<ProviderError> {
        let failed = text_of(&self.status) == Some("failed");
        let possible = self.error.is_some() || self.output.is_none() || failed;
        let found = possible.then(|| parse_error(data)).flatten();
        let unnamed = || ProviderError {
            message: "the answer failed, and no reason is given".to_owned(),
            kind: None,
            code: None,
        };
        found.or_else(|| failed.then(unnamed))
    }
}

impl Fold {
    /// Notes what an answer is, whatever its output.
    pub fn head(&mut self, answer: &Answer<'_>) {
        Observed::note(&mut self.observed.id, text_of(&answer.id));
        Observed::note(&mut self.observed.served_model, text_of(&answer.model));
        self.observed.choices = 1;
        if let Some(usage) = &answer.usage {
            self.observed.usage = Some(usage.read());
        }
    }

    /// Notes how the answer ended; `implied` is its status where it doesn't say one. Its output counts where no item came
    /// before; `text` gets the text.
    pub fn end(&mut self, answer: &Answer<'_>, implied: &str, mut text: impl FnMut(&str)) {
        self.head(answer);
        if let Some(output) = answer.output.filter(|_| !self.begun)
            && let Ok(items) = serde_json::from_str::<Vec<Item<'_>>>(output.get())
        {
            for (at, item) in (0..).zip(&items) {
                self.done(at, item, &mut text);
            }
        }
        let status = text_of(&answer.status).unwrap_or(implied);
        let reason = answer.incomplete_details.as_ref().and_then(|details| text_of(&details.reason));
        let reason = match (status, reason) {
            ("completed", _) if self.observed.tool_calls.is_empty() => "stop",
            ("completed", _) => "tool_calls",
            ("incomplete", Some("max_output_tokens")) => "length",
            ("incomplete", Some(reason)) => reason,
            (status, _) => status,
        };
        self.observed.refusal |= reason == "content_filter";
        self.observed.beyond_text |= matches!(status, "queued" | "in_progress");
        self.observed.finish_reason = (!reason.is_empty()).then(|| reason.to_owned());
    }

    /// Adds a piece of the text of an item; `text` gets it.
    pub fn say(&mut self, output_index: u64, piece: &str, mut text: impl FnMut(&str)) {
        self.begun = true;
        self.said |= bit(output_index);
        self.observed.text_chars += piece.chars().count() as u64;
        text(piece);
    }

    /// Begins an item.
    pub fn begin(&mut self, output_index: u64, item: &Item<'_>) {
        self.begun = true;
        if let Some(call) = item.call()
            && let Some(place) = self.call(output_index)
        {
            let at = self.calls[place].at;
            self.observed.grow_call(at, &mut self.tool_call_bytes, &call.id, &call.name, "");
        }
    }

    /// Adds a piece of a call's arguments.
    pub fn grow(&mut self, output_index: u64, piece: &str) {
        self.begun = true;
        if let Some(place) = self.call(output_index) {
            let growing = &mut self.calls[place];
            growing.grown = true;
            self.observed.grow_call(growing.at, &mut self.tool_call_bytes, "", "", piece);
        }
    }

    /// Notes an item that is done: what of it came in deltas isn't counted twice.
    pub fn done(&mut self, output_index: u64, item: &Item<'_>, mut text: impl FnMut(&str)) {
        self.begun = true;
        self.observed.beyond_text |= item.is_picture();
        if let Some(call) = item.call() {
            if let Some(place) = self.call(output_index) {
                let Growing { at, grown, .. } = self.calls[place];
                let arguments = if grown { "" } else { &*call.arguments };
                self.observed.grow_call(at, &mut self.tool_call_bytes, &call.id, &call.name, arguments);
                self.calls[place].grown = true;
            }
            return;
        }
        let said = self.said & bit(output_index) != 0;
        item.parts(|part| match part {
            Part::Refusal => self.observed.refusal = true,
            Part::Text(_) if said => {}
            Part::Text(piece) => {
                self.observed.text_chars += piece.chars().count() as u64;
                text(&piece);
            }
        });
    }

    /// Finds a call or begins it; none when there is no room for one more.
    fn call(&mut self, output_index: u64) -> Option<usize> {
        let known = self.calls.iter().position(|growing| growing.output_index == output_index);
        known.or_else(|| {
            let at = self.observed.begin_call(None)?;
            self.calls.push(Growing { output_index, at, grown: false });
            Some(self.calls.len() - 1)
        })
    }
}

impl UsageWire {
    fn read(&self) -> Usage {
        // The cast saturates; tokens are neither negative nor fractions.
        let tokens = |number: Option<f64>| number.unwrap_or(0.0) as u64;
        let prompt_tokens = tokens(self.input_tokens);
        let completion_tokens = tokens(self.output_tokens);
        let sum = prompt_tokens.saturating_add(completion_tokens);
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: self.total_tokens.map_or(sum, |total| tokens(Some(total))),
            cached_prompt_tokens: tokens(self.input_tokens_details.as_ref().and_then(|d| d.cached_tokens)),
            reasoning_tokens: tokens(self.output_tokens_details.as_ref().and_then(|d| d.reasoning_tokens)),
        }
    }
}

fn bit(output_index: u64) -> u128 {
    1 << output_index.min(127)
}

fn text_of<'t>(value: &'t Option<Str<'_>>) -> Option<&'t str> {
    value.as_ref().map(|Str(text)| &**text)
}

#[cfg(test)]
mod tests;

//! Notes what a provider did: from a whole answer, or piece by piece from a stream.
//!
//! Conditions: one fold serves both, so they can't disagree. The served model, the fingerprint and the id are
//! the first non-empty ones; usage is the last one given, since some providers count up in every chunk. Text,
//! tool calls and finish reason are those of choice 0; a refusal counts in any choice. Fields that we don't know
//! and contents of other shapes are passed over, so that a provider's novelty doesn't blind us.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::{AnswerError, Gathered, Observed, Usage};
use crate::error::{ProviderError, parse_error};
use crate::json::Str;
use crate::text::Text;

/// A whole answer or one chunk of it; they differ only in `message` and `delta`.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    model: Option<Str<'a>>,
    #[serde(borrow)]
    system_fingerprint: Option<Str<'a>>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<UsageWire>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Choice<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    delta: Option<Piece<'a>>,
    #[serde(borrow)]
    message: Option<Piece<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
struct Piece<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<CallPiece<'a>>>,
}

#[derive(Debug, Deserialize)]
struct CallPiece<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    function: Option<FunctionPiece<'a>>,
}

#[derive(Debug, Deserialize)]
struct FunctionPiece<'a> {
    #[serde(borrow)]
    name: Option<Str<'a>>,
    /// A string; some providers send the object itself.
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// Numbers as floats, since some providers write `12.0`; exact up to 2^53.
#[derive(Debug, Deserialize)]
struct UsageWire {
    prompt_tokens: Option<f64>,
    completion_tokens: Option<f64>,
    total_tokens: Option<f64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<f64>,
}

/// Adds up the chunks of one answer.
#[derive(Debug, Default)]
pub(super) struct Fold {
    pub observed: Observed,
    /// One bit for each choice seen and finished; choices from 128 on are counted as the last.
    seen: u128,
    finished: u128,
    tool_call_bytes: usize,
}

/// Observes a whole answer.
///
/// # Errors
/// [`AnswerError`] when the body can't be read, or is an error in spite of its status.
pub fn observe_answer(body: &[u8]) -> Result<Observed, AnswerError> {
    observe_answer_text(body, 0).map(|(observed, _)| observed)
}

/// Does as [`observe_answer`], and gathers up to `text_bytes_max` bytes of choice 0's text.
///
/// # Errors
/// As [`observe_answer`].
pub fn observe_answer_text(body: &[u8], text_bytes_max: usize) -> Result<(Observed, Gathered), AnswerError> {
    let chunk = match read_chunk(body) {
        Ok(chunk) => chunk,
        Err(source) => {
            let unreadable = AnswerError::Unreadable { source };
            return Err(parse_error(body).map_or(unreadable, AnswerError::Provider));
        }
    };
    if let Some(error) = chunk.error(body) {
        return Err(AnswerError::Provider(error));
    }
    let mut fold = Fold::default();
    let mut gathered = Gathered::default();
    fold.absorb(&chunk, |text| gathered.add(text, text_bytes_max));
    Ok((fold.observed, gathered))
}

/// Reads one chunk, which must be an object (a struct would also read from an array).
pub(super) fn read_chunk(data: &[u8]) -> Result<Chunk<'_>, serde_json::Error> {
    if !data.trim_ascii_start().starts_with(b"{") {
        return Err(serde::de::Error::custom("it is no JSON object"));
    }
    serde_json::from_slice(data)
}

impl Chunk<'_> {
    /// Says whether this is the chunk that carries the usage and nothing else.
    pub fn is_usage_only(&self) -> bool {
        self.usage.is_some() && self.choices.as_ref().is_none_or(Vec::is_empty) && self.error.is_none()
    }

    /// Gives the error that the chunk, whose JSON text is `data`, carries.
    pub fn error(&self, data: &[u8]) -> Option<ProviderError> {
        let possible = self.error.is_some() || self.choices.is_none();
        possible.then(|| parse_error(data)).flatten()
    }
}

impl Fold {
    /// Adds one chunk; `text` gets the text of choice 0.
    pub fn absorb(&mut self, chunk: &Chunk<'_>, mut text: impl FnMut(&str)) {
        Observed::note(&mut self.observed.id, text_of(&chunk.id));
        Observed::note(&mut self.observed.served_model, text_of(&chunk.model));
        Observed::note(&mut self.observed.fingerprint, text_of(&chunk.system_fingerprint));
        if let Some(usage) = &chunk.usage {
            self.observed.usage = Some(usage.read());
        }
        for choice in chunk.choices.iter().flatten() {
            let index = choice.index.unwrap_or(0);
            let bit = 1_u128 << index.min(127);
            self.seen |= bit;
            if let Some(Str(reason)) = &choice.finish_reason {
                self.finished |= bit;
                self.observed.refusal |= reason == "content_filter";
                if index == 0 {
                    self.observed.finish_reason = Some(reason.clone().into_owned());
                }
            }
            for (piece, whole) in [(&choice.delta, false), (&choice.message, true)] {
                let Some(piece) = piece else { continue };
                self.observed.refusal |= piece.refusal.as_ref().is_some_and(|r| !r.text.is_empty());
                if index != 0 {
                    continue;
                }
                if let Some(content) = &piece.content {
                    self.observed.text_chars += content.text.chars().count() as u64;
                    text(&content.text);
                }
                for call in piece.tool_calls.iter().flatten() {
                    self.absorb_call(call, whole);
                }
            }
        }
        self.observed.choices = self.seen.count_ones();
    }

    /// Says whether every choice that was seen has given its finish reason.
    pub fn all_finished(&self) -> bool {
        self.seen != 0 && self.seen == self.finished
    }

    fn absorb_call(&mut self, piece: &CallPiece<'_>, whole: bool) {
        let Some(at) = self.call_for(piece, whole) else { return };
        let function = piece.function.as_ref();
        let arguments = function.and_then(|function| function.arguments).map(arguments).unwrap_or_default();
        let id = piece.id.as_ref().map_or("", |Str(id)| id);
        let name = function.and_then(|function| function.name.as_ref()).map_or("", |Str(name)| name);
        self.observed.grow_call(at, &mut self.tool_call_bytes, id, name, &arguments);
    }

    /// Finds the call that a piece belongs to, or begins it; `None` when there is no room for one more.
    ///
    /// Some providers give no index: then a piece with a new id begins a call and one without continues the last.
    fn call_for(&mut self, piece: &CallPiece<'_>, whole: bool) -> Option<usize> {
        let calls = &self.observed.tool_calls;
        let last = calls.len().checked_sub(1);
        let found = match (piece.index, &piece.id) {
            _ if whole => None,
            (Some(index), _) => calls.iter().position(|call| call.index == index),
            (None, Some(Str(id))) if !id.is_empty() => calls.iter().position(|call| call.id == *id),
            (None, _) => last,
        };
        found.or_else(|| self.observed.begin_call(piece.index))
    }
}

impl UsageWire {
    fn read(&self) -> Usage {
        // The cast saturates; tokens are neither negative nor fractions.
        let tokens = |number: Option<f64>| number.unwrap_or(0.0) as u64;
        let prompt_tokens = tokens(self.prompt_tokens);
        let completion_tokens = tokens(self.completion_tokens);
        let sum = prompt_tokens.saturating_add(completion_tokens);
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: self.total_tokens.map_or(sum, |total| tokens(Some(total))),
            cached_prompt_tokens: tokens(self.prompt_tokens_details.as_ref().and_then(|d| d.cached_tokens)),
            reasoning_tokens: tokens(
                self.completion_tokens_details.as_ref().and_then(|d| d.reasoning_tokens),
            ),
        }
    }
}

fn text_of<'t>(value: &'t Option<Str<'_>>) -> Option<&'t str> {
    value.as_ref().map(|Str(text)| &**text)
}

fn arguments(raw: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str::<Str<'_>>(raw.get()) {
        Ok(Str(text)) => text,
        Err(_) if raw.get() == "null" => Cow::Borrowed(""),
        Err(_) => Cow::Borrowed(raw.get()),
    }
}

#[cfg(test)]
mod tests;

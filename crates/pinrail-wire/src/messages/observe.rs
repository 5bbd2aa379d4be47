//! Notes what a provider did: from a whole answer, or piece by piece from a stream.
//!
//! Conditions: one fold serves both, so they can't disagree. The served model and the id are the first non-empty ones.
//! Of the usage each number is the last one given, since a stream begins with the input's, counts the output up, and
//! may repeat the input's. Text is that of text blocks, put together with nothing between, as citations cut a text into
//! blocks; thinking is no text. Calls are the blocks of type `tool_use`; what the provider's own tools do is not the
//! client's to answer. Fields and blocks that we don't know are passed over, so that a provider's novelty doesn't blind us.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::{AnswerError, Gathered, Observed, Usage};
use crate::error::parse_error;
use crate::guard::Called;
use crate::json::Str;

/// A whole answer, or the message that a stream begins with.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    model: Option<Str<'a>>,
    /// Each block is read for itself, so that a strange one hides only itself.
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    stop_reason: Option<Str<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// One block of an answer, or the beginning of one in a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// Numbers as floats, since some providers write `12.0`; exact up to 2^53.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct UsageWire {
    input_tokens: Option<f64>,
    cache_creation_input_tokens: Option<f64>,
    cache_read_input_tokens: Option<f64>,
    output_tokens: Option<f64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<f64>,
}

/// Adds up the pieces of one answer.
#[derive(Debug, Default)]
pub(super) struct Fold {
    pub observed: Observed,
    usage: UsageWire,
    /// The calls whose arguments are coming in, by the index of their block.
    open: Vec<Open>,
    tool_call_bytes: usize,
}

#[derive(Debug)]
struct Open {
    block: u64,
    /// Its place in `Observed::tool_calls`.
    call: usize,
    /// Bytes of arguments that came with the block's beginning; pieces that follow take their place.
    begun_with: usize,
}

/// Observes a whole answer.
///
/// # Errors
/// [`AnswerError`] when the body can't be read, or is an error in spite of its status.
pub fn observe_answer(body: &[u8]) -> Result<Observed, AnswerError> {
    observe_answer_text(body, 0).map(|(observed, _)| observed)
}

/// Does as [`observe_answer`], and gathers up to `text_bytes_max` bytes of the text.
///
/// # Errors
/// As [`observe_answer`].
pub fn observe_answer_text(body: &[u8], text_bytes_max: usize) -> Result<(Observed, Gathered), AnswerError> {
    let answer = match read_object::<Answer<'_>>(body) {
        Ok(answer) => answer,
        Err(source) => {
            let unreadable = AnswerError::Unreadable { source };
            return Err(parse_error(body).map_or(unreadable, AnswerError::Provider));
        }
    };
    if answer.content.is_none()
        && let Some(error) = parse_error(body)
    {
        return Err(AnswerError::Provider(error));
    }
    let mut fold = Fold::default();
    let mut gathered = Gathered::default();
    fold.absorb(&answer, |text| gathered.add(text, text_bytes_max));
    Ok((fold.observed, gathered))
}

/// Reads an object (a struct would also read from an array).
pub(super) fn read_object<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, serde_json::Error> {
    if !data.trim_ascii_start().starts_with(b"{") {
        return Err(serde::de::Error::custom("it is no JSON object"));
    }
    serde_json::from_slice(data)
}

impl Fold {
    /// Adds an answer, or the message that a stream begins with; `text` gets its text.
    pub fn absorb(&mut self, answer: &Answer<'_>, mut text: impl FnMut(&str)) {
        Observed::note(&mut self.observed.id, text_of(&answer.id));
        Observed::note(&mut self.observed.served_model, text_of(&answer.model));
        self.observed.choices |= u32::from(answer.content.is_some());
        for (at, raw) in answer.content.iter().flatten().enumerate() {
            if let Ok(block) = serde_json::from_str(raw.get()) {
                self.begin(at as u64, &block, &mut text);
                self.end(at as u64);
            }
        }
        if let Some(usage) = answer.usage {
            self.count(usage);
        }
        if let Some(Str(reason)) = &answer.stop_reason {
            self.stop(reason);
        }
    }

    /// Begins the block of this index, with what of it has come.
    pub fn begin(&mut self, index: u64, block: &Block<'_>, mut text: impl FnMut(&str)) {
        match block.kind() {
            Some("text") => {
                if let Some(Str(said)) = &block.text {
                    self.say(said, &mut text);
                }
            }
            Some("tool_use") => {
                let Some(call) = self.observed.begin_call(None) else { return };
                let input = block.input().filter(|input| !is_empty_object(input));
                let (id, name) = (text_of(&block.id).unwrap_or(""), text_of(&block.name).unwrap_or(""));
                self.observed.grow_call(call, &mut self.tool_call_bytes, id, name, "");
                self.grow(call, input.unwrap_or(""));
                let begun_with = self.observed.tool_calls[call].arguments.len();
                self.open.push(Open { block: index, call, begun_with });
            }
            Some(_) | None => {}
        }
    }

    /// Adds a text, of a block or of a piece of one.
    pub fn say(&mut self, said: &str, mut text: impl FnMut(&str)) {
        self.observed.text_chars += said.chars().count() as u64;
        text(said);
    }

    /// Adds a piece of a call's arguments; one of a block that is no call of the client's says nothing here.
    pub fn grow_input(&mut self, index: u64, piece: &str) {
        let Some(open) = self.open.iter_mut().rev().find(|open| open.block == index) else { return };
        if piece.is_empty() {
            return;
        }
        let (call, begun_with) = (open.call, std::mem::take(&mut open.begun_with));
        if begun_with > 0 {
            self.observed.tool_calls[call].arguments.clear();
            self.tool_call_bytes -= begun_with;
        }
        self.grow(call, piece);
    }

    /// Ends a block: a call that had no arguments has an empty object of them.
    pub fn end(&mut self, index: u64) {
        let Some(at) = self.open.iter().rposition(|open| open.block == index) else { return };
        let Open { call, .. } = self.open.remove(at);
        if self.observed.tool_calls[call].arguments.is_empty() {
            self.grow(call, "{}");
        }
    }

    /// Notes why the answer ended, in the provider's word.
    pub fn stop(&mut self, reason: &str) {
        self.observed.refusal |= reason == "refusal";
        self.observed.finish_reason = Some(reason.to_owned());
    }

    /// Takes in numbers of the usage, each in place of what was known of it; one that can't be read says nothing.
    pub fn count(&mut self, usage: &RawValue) {
        let Ok(usage) = serde_json::from_str::<UsageWire>(usage.get()) else { return };
        self.usage = UsageWire {
            input_tokens: usage.input_tokens.or(self.usage.input_tokens),
            cache_creation_input_tokens: usage
                .cache_creation_input_tokens
                .or(self.usage.cache_creation_input_tokens),
            cache_read_input_tokens: usage.cache_read_input_tokens.or(self.usage.cache_read_input_tokens),
            output_tokens: usage.output_tokens.or(self.usage.output_tokens),
            output_tokens_details: usage.output_tokens_details.or(self.usage.output_tokens_details),
        };
        self.observed.usage = Some(self.usage.read());
    }

    fn grow(&mut self, call: usize, arguments: &str) {
        self.observed.grow_call(call, &mut self.tool_call_bytes, "", "", arguments);
    }
}

impl UsageWire {
    fn read(&self) -> Usage {
        // The cast saturates; tokens are neither negative nor fractions.
        let tokens = |number: Option<f64>| number.unwrap_or(0.0) as u64;
        let cached_prompt_tokens = tokens(self.cache_read_input_tokens);
        let prompt_tokens = tokens(self.input_tokens)
            .saturating_add(tokens(self.cache_creation_input_tokens))
            .saturating_add(cached_prompt_tokens);
        let completion_tokens = tokens(self.output_tokens);
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            cached_prompt_tokens,
            reasoning_tokens: tokens(self.output_tokens_details.and_then(|details| details.thinking_tokens)),
        }
    }
}

impl Block<'_> {
    pub fn kind(&self) -> Option<&str> {
        text_of(&self.kind)
    }

    /// The arguments that stand in the block itself.
    pub fn input(&self) -> Option<&str> {
        self.input.map(RawValue::get)
    }

    /// The call that the block is, without its arguments.
    pub fn called(&self) -> Called {
        let text = |value: &Option<Str<'_>>| text_of(value).unwrap_or_default().to_owned();
        Called { id: text(&self.id), name: text(&self.name), arguments: String::new() }
    }
}

pub(super) fn text_of<'t>(value: &'t Option<Str<'_>>) -> Option<&'t str> {
    value.as_ref().map(|Str(text)| &**text)
}

/// Says whether the text is an object with nothing in it, as the blocks of calls begin in streams.
pub(super) fn is_empty_object(json: &str) -> bool {
    json.bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"{}")
}

#[cfg(test)]
mod tests;

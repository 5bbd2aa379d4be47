//! What a checkpoint says: a pure function of the request, the checkpoint, its rates and the draw.
//!
//! Tried in this order: refusal, empty answer, tool calls ([`tools`] says when), the text after a tool's result, the
//! script's rules, the policy. Then the text takes the wanted form (`response_format`), ends at the first stop
//! sequence, may meet the content filter, and is cut at `max_tokens`.

mod arguments;
mod prose;
mod rules;
pub mod task;
#[cfg(test)]
mod tests;
mod tools;

use crate::border::Next;
use crate::draw::Draw;
use crate::request::{ChatRequest, Format};
use crate::script::{Checkpoint, Rates};
use crate::tokens;

/// A finished answer, before it is put on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub said: Said,
    pub finish: Finish,
}

/// What the assistant message holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Text(String),
    Refusal(String),
    Calls(Vec<Call>),
}

/// One tool call of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub id: String,
    pub name: String,
    /// JSON text, or nearly so when the checkpoint malforms arguments.
    pub arguments: String,
}

/// Why the answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

impl Finish {
    /// Gives the word of OpenAI's format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

impl Answer {
    /// Counts the answer's tokens.
    pub fn tokens(&self) -> usize {
        match &self.said {
            Said::Text(text) | Said::Refusal(text) => tokens::count(text),
            Said::Calls(calls) => calls.iter().map(|call| 1 + tokens::count(&call.arguments)).sum(),
        }
    }
}

/// Decides the whole answer; `next` is what is said to a question of one word.
pub fn answer(
    request: &ChatRequest,
    checkpoint: &Checkpoint,
    rates: &Rates,
    draw: &Draw,
    next: Option<&Next>,
) -> Answer {
    if draw.happens("refusal", rates.refusal_rate) {
        let refusal = "I'm sorry, but I can't help with that.".to_owned();
        return limited(Said::Refusal(refusal), request.tokens_max);
    }
    if draw.happens("empty", rates.empty_rate) {
        return Answer { said: Said::Text(String::new()), finish: Finish::Stop };
    }
    let calls = tools::calls(request, checkpoint, draw);
    if !calls.is_empty() {
        return limited(Said::Calls(calls), request.tokens_max);
    }
    let text = formatted(request, prose::text(request, checkpoint, rates, draw, next));
    let text = stopped(text, &request.stop);
    if draw.happens("content_filter", rates.content_filter_rate) {
        let (kept, _) = tokens::cut(&text, (tokens::count(&text) / 2).min(request.tokens_max));
        return Answer { said: Said::Text(kept.to_owned()), finish: Finish::ContentFilter };
    }
    limited(Said::Text(text), request.tokens_max)
}

fn formatted(request: &ChatRequest, text: String) -> String {
    match &request.format {
        Format::Text => text,
        Format::JsonObject => serde_json::json!({ "answer": text }).to_string(),
        Format::JsonSchema(schema) => arguments::Words::of(request.user_text()).value(schema).to_string(),
    }
}

fn stopped(mut text: String, stops: &[String]) -> String {
    let first =
        stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min();
    if let Some(at) = first {
        text.truncate(at);
    }
    text
}

fn limited(said: Said, tokens_max: usize) -> Answer {
    let (said, was_cut) = match said {
        Said::Text(text) => {
            let (kept, was_cut) = tokens::cut(&text, tokens_max);
            (Said::Text(kept.to_owned()), was_cut)
        }
        Said::Refusal(text) => {
            let (kept, was_cut) = tokens::cut(&text, tokens_max);
            (Said::Refusal(kept.to_owned()), was_cut)
        }
        Said::Calls(calls) => return limited_calls(calls, tokens_max),
    };
    Answer { said, finish: if was_cut { Finish::Length } else { Finish::Stop } }
}

/// Cuts calls where the tokens end: the name costs one, and cut arguments are no longer JSON, as in life.
fn limited_calls(calls: Vec<Call>, tokens_max: usize) -> Answer {
    let mut left = tokens_max;
    let mut kept = Vec::new();
    for mut call in calls {
        if left == 0 {
            return Answer { said: Said::Calls(kept), finish: Finish::Length };
        }
        left -= 1;
        let (arguments, was_cut) = tokens::cut(&call.arguments, left);
        left -= tokens::count(arguments);
        call.arguments = arguments.to_owned();
        kept.push(call);
        if was_cut {
            return Answer { said: Said::Calls(kept), finish: Finish::Length };
        }
    }
    Answer { said: Said::Calls(kept), finish: Finish::ToolCalls }
}

//! What a checkpoint says: a pure function of the request, the checkpoint, its rates and the draw.
//!
//! Tried in this order: refusal, empty answer, tool calls ([`tools`] says when), the text after a tool's result, the
//! script's rules, the policy. Then the text takes the wanted form, ends at the first stop sequence, may meet the content
//! filter, and is cut at the most tokens asked for. What is thought before counts among those, and changes nothing else.

mod arguments;
mod prose;
mod rules;
pub mod task;
#[cfg(test)]
mod tests;
mod tools;

use crate::border::Next;
use crate::draw::Draw;
use crate::request::{Format, Request};
use crate::script::{Checkpoint, Rates};
use crate::{thought, tokens};

/// A finished answer, before it is put on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was thought before, where the request wants the model to think.
    pub thought: Option<String>,
    pub said: Said,
    pub finish: Finish,
    /// The stop sequence that ended the text.
    pub stopped_by: Option<String>,
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

impl Answer {
    /// Counts the answer's tokens, its thought's included.
    pub fn tokens(&self) -> usize {
        let said = match &self.said {
            Said::Text(text) | Said::Refusal(text) => tokens::count(text),
            Said::Calls(calls) => calls.iter().map(|call| 1 + tokens::count(&call.arguments)).sum(),
        };
        said + self.thought_tokens()
    }

    /// Counts the tokens of the thought.
    pub fn thought_tokens(&self) -> usize {
        self.thought.as_deref().map_or(0, tokens::count)
    }

    fn ending(said: Said, finish: Finish) -> Self {
        Self { thought: None, said, finish, stopped_by: None }
    }
}

/// Decides the whole answer; `next` is what is said to a question of one word.
pub fn answer(
    request: &Request,
    checkpoint: &Checkpoint,
    rates: &Rates,
    draw: &Draw,
    next: Option<&Next>,
) -> Answer {
    if !request.thinking {
        return say(request, checkpoint, rates, draw, next, request.tokens_max);
    }
    let whole = thought::think(request);
    let (kept, was_cut) = tokens::cut(&whole, request.tokens_max);
    let thought = Some(kept.to_owned());
    if was_cut {
        return Answer { thought, ..Answer::ending(Said::Text(String::new()), Finish::Length) };
    }
    let room = request.tokens_max - tokens::count(kept);
    Answer { thought, ..say(request, checkpoint, rates, draw, next, room) }
}

fn say(
    request: &Request,
    checkpoint: &Checkpoint,
    rates: &Rates,
    draw: &Draw,
    next: Option<&Next>,
    tokens_max: usize,
) -> Answer {
    if draw.happens("refusal", rates.refusal_rate) {
        let refusal = "I'm sorry, but I can't help with that.".to_owned();
        return limited(Said::Refusal(refusal), tokens_max);
    }
    if draw.happens("empty", rates.empty_rate) {
        return Answer::ending(Said::Text(String::new()), Finish::Stop);
    }
    let calls = tools::calls(request, checkpoint, draw);
    if !calls.is_empty() {
        return limited(Said::Calls(calls), tokens_max);
    }
    let text = formatted(request, prose::text(request, checkpoint, rates, draw, next));
    let (text, stopped_by) = stopped(text, &request.stop);
    if draw.happens("content_filter", rates.content_filter_rate) {
        let (kept, _) = tokens::cut(&text, (tokens::count(&text) / 2).min(tokens_max));
        return Answer::ending(Said::Text(kept.to_owned()), Finish::ContentFilter);
    }
    let answer = limited(Said::Text(text), tokens_max);
    let stopped_by = stopped_by.filter(|_| answer.finish == Finish::Stop);
    Answer { stopped_by, ..answer }
}

fn formatted(request: &Request, text: String) -> String {
    match &request.format {
        Format::Text => text,
        Format::JsonObject => serde_json::json!({ "answer": text }).to_string(),
        Format::JsonSchema(schema) => arguments::Words::of(request.user_text()).value(schema).to_string(),
    }
}

/// Ends a text before the stop sequence that comes first.
fn stopped(mut text: String, stops: &[String]) -> (String, Option<String>) {
    let found = |stop: &String| text.find(stop.as_str()).map(|at| (at, stop.clone()));
    let first = stops.iter().filter(|stop| !stop.is_empty()).filter_map(found).min_by_key(|(at, _)| *at);
    match first {
        Some((at, stop)) => {
            text.truncate(at);
            (text, Some(stop))
        }
        None => (text, None),
    }
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
    Answer::ending(said, if was_cut { Finish::Length } else { Finish::Stop })
}

/// Cuts calls where the tokens end: the name costs one, and cut arguments are no longer JSON, as in life.
fn limited_calls(calls: Vec<Call>, tokens_max: usize) -> Answer {
    let mut left = tokens_max;
    let mut kept = Vec::new();
    for mut call in calls {
        if left == 0 {
            return Answer::ending(Said::Calls(kept), Finish::Length);
        }
        left -= 1;
        let (arguments, was_cut) = tokens::cut(&call.arguments, left);
        left -= tokens::count(arguments);
        call.arguments = arguments.to_owned();
        kept.push(call);
        if was_cut {
            return Answer::ending(Said::Calls(kept), Finish::Length);
        }
    }
    Answer::ending(Said::Calls(kept), Finish::ToolCalls)
}

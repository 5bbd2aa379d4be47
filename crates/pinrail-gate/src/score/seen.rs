//! What an assertion looks at: the answers in its reach, and the text that is judged.
//!
//! The output is the answer's text. Where the model only calls tools, it is the list of the calls, and where it does both
//! at once, it is the whole message: the same things that suites written for promptfoo and a chat model expect.

use serde_json::{Map, Value, json};

use super::CannotScore;
use super::javascript::{self, Ran, Script};
use crate::answer::{Answer, ToolCall};
use crate::suite::{Assertion, Case, Turn};

/// What one assertion sees.
#[derive(Clone)]
pub(super) struct Seen<'a> {
    pub case: &'a Case,
    /// The turn whose answer is judged.
    turn: &'a Turn,
    /// One turn's, or all the conversation's. At least one.
    pub answers: &'a [Answer],
    pub tools: &'a [Value],
    pub output: Output,
}

/// What is judged.
#[derive(Clone)]
pub(super) struct Output {
    /// Err: what a transform made of the answer is nothing that can be judged, and why.
    value: Result<Value, String>,
    text: String,
    /// A transform made it.
    pub transformed: bool,
}

impl<'a> Seen<'a> {
    /// Sees the answers to the turns `from..=to`, of which the last is the output.
    pub async fn of(
        case: &'a Case,
        answers: &'a [Answer],
        (from, to): (usize, usize),
        tools: &'a [Value],
    ) -> Result<Seen<'a>, CannotScore> {
        let (Some(turn), Some(answers)) = (case.turns.get(to), answers.get(from..=to)) else {
            return Err(CannotScore::Script(format!("there is no answer to turn {}", to + 1)));
        };
        let output = Output::of(answers.last().expect("the range holds at least one"));
        let mut seen = Seen { case, turn, answers, tools, output };
        if let Some(code) = &case.transform {
            seen.transform(code).await?;
        }
        Ok(seen)
    }

    /// The same, with the output as an assertion's own transform makes it.
    pub async fn through(&self, assertion: &Assertion) -> Result<Seen<'a>, CannotScore> {
        let mut seen = self.clone();
        if let Some(code) = &assertion.transform {
            seen.transform(code).await?;
        }
        Ok(seen)
    }

    /// The answer whose output is judged.
    pub fn last(&self) -> &Answer {
        self.answers.last().expect("there is at least one answer in reach")
    }

    /// The calls of tools, in order.
    pub fn calls(&self) -> Vec<&ToolCall> {
        self.answers.iter().flat_map(|answer| &answer.tool_calls).collect()
    }

    /// The milliseconds that all the answers took.
    pub fn latency_ms(&self) -> f64 {
        self.answers.iter().map(|answer| answer.latency_ms).sum()
    }

    /// What all the answers cost; none where a price isn't known.
    pub fn cost_nano_usd(&self) -> Option<u64> {
        self.answers.iter().map(|answer| answer.cost_nano_usd).sum()
    }

    /// What was asked: a lone message's text, else the messages' JSON.
    pub fn prompt(&self) -> String {
        match self.turn.messages.as_slice() {
            [one] if one["content"].is_string() => one["content"].as_str().unwrap_or_default().to_owned(),
            all => Value::from(all).to_string(),
        }
    }

    /// What scripts see as `context`.
    pub fn context(&self, assertion: &Assertion) -> Value {
        let last = self.last();
        let mut context = json!({
            "vars": self.case.vars,
            "prompt": self.prompt(),
            "test": {
                "vars": self.case.vars,
                "description": self.case.description,
                "metadata": self.case.metadata,
                "threshold": self.case.threshold,
            },
            "providerResponse": {
                "output": raw(last),
                "cached": false,
                "cost": self.cost_nano_usd().map(usd),
                "latencyMs": self.latency_ms(),
                "finishReason": last.finish_reason,
                "isRefusal": last.refusal,
                "tokenUsage": {
                    "prompt": last.input_tokens,
                    "completion": last.output_tokens,
                    "total": last.input_tokens.saturating_add(last.output_tokens),
                },
            },
            "answers": self.answers,
        });
        if !assertion.config.is_null() {
            context["config"] = assertion.config.clone();
        }
        context
    }

    async fn transform(&mut self, code: &str) -> Result<(), CannotScore> {
        let Ok(value) = &self.output.value else { return Ok(()) };
        let prompt = self.prompt();
        let context = json!({ "vars": self.case.vars, "prompt": { "raw": prompt, "label": prompt } });
        let value = match javascript::run(Script::transform(code, value, &context)).await? {
            Ran::Returned(Some(value)) if !value.is_null() => Ok(value),
            Ran::Returned(_) => Err("the transform made nothing of the answer".to_owned()),
            Ran::Threw(why) => Err(format!("the transform failed on the answer: {why}")),
        };
        self.output = Output::new(value, true);
        Ok(())
    }
}

impl Output {
    fn of(answer: &Answer) -> Output {
        Output::new(Ok(raw(answer)), false)
    }

    fn new(value: Result<Value, String>, transformed: bool) -> Output {
        let text = match &value {
            Ok(Value::String(text)) => text.clone(),
            Ok(value) => value.to_string(),
            Err(_) => String::new(),
        };
        Output { value, text, transformed }
    }

    /// What is judged, as text and as scripts see it; what isn't a text is its JSON. Err: why it can't be.
    pub fn judged(&self) -> Result<(&str, &Value), &str> {
        self.value.as_ref().map(|value| (self.text.as_str(), value)).map_err(String::as_str)
    }
}

/// Dollars of billionths of them.
#[allow(clippy::cast_precision_loss, reason = "a cost of 9 million dollars is exact to the billionth")]
pub(super) fn usd(nano: u64) -> f64 {
    nano as f64 / 1e9
}

fn raw(answer: &Answer) -> Value {
    let asks = answer.finish_reason.as_deref() == Some("tool_calls");
    if answer.tool_calls.is_empty() || (!answer.text.is_empty() && !asks) {
        return Value::from(answer.text.as_str());
    }
    let calls: Vec<Value> = answer.tool_calls.iter().map(called).collect();
    if answer.text.is_empty() {
        return Value::from(calls);
    }
    json!({ "role": "assistant", "content": answer.text, "tool_calls": calls })
}

fn called(call: &ToolCall) -> Value {
    let mut value = Map::new();
    if let Some(id) = &call.id {
        value.insert("id".to_owned(), id.as_str().into());
    }
    value.insert("type".to_owned(), "function".into());
    value.insert("function".to_owned(), json!({ "name": call.name, "arguments": call.arguments }));
    Value::Object(value)
}

//! Inspect AI's logs in JSON: what `inspect eval --log-format json` writes, or `inspect log dump` makes of an archive.
//!
//! The content of an answer is its sample's input and target. `C` and `true` are 1, `I`, `N` and `false` 0, `P` ½; numbers
//! must be in [0, 1], and where they are neither 0 nor 1 somebody must say from where on they pass: else both arms would
//! fail alike, and nothing be worse. `inspect eval` ends well with a log that says it failed, so `status` is read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ANSWERS_MAX, ArmFrom, Found, ImportFailed, Imported, Wish, check_served, check_time, put_together,
};
use crate::answer::{Answer, ToolCall};
use crate::row::{Outcome, Part, Score};
use crate::verdict::{Arm, bounded};

#[derive(Deserialize)]
struct Log {
    #[serde(default)]
    status: String,
    #[serde(default)]
    eval: Eval,
    #[serde(default)]
    samples: Option<Vec<Sample>>,
}

#[derive(Default, Deserialize)]
struct Eval {
    #[serde(default)]
    created: Option<String>,
}

#[derive(Deserialize)]
struct Sample {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    target: Value,
    #[serde(default)]
    choices: Value,
    #[serde(default)]
    output: Value,
    #[serde(default)]
    scores: Option<BTreeMap<String, Given>>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    limit: Option<Value>,
    #[serde(default)]
    events: Vec<Value>,
    #[serde(default)]
    metadata: Option<Value>,
    #[serde(default)]
    total_time: Option<f64>,
}

#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    value: Value,
    #[serde(default)]
    explanation: Option<String>,
}

/// How an archive begins.
const ZIP: &[u8] = b"PK\x03\x04";
const WHY_CHARS_MAX: usize = 2_000;

/// Imports logs.
pub fn import(wish: &Wish<'_>) -> Result<Imported, ImportFailed> {
    let candidate = arm(Arm::Candidate, &wish.candidate, wish)?;
    let incumbent = match &wish.incumbent {
        Some(from) => (from.release, arm(Arm::Incumbent, from, wish)?),
        None => (wish.candidate.release, Vec::new()),
    };
    put_together(
        wish,
        [(Arm::Candidate, wish.candidate.release, candidate), (Arm::Incumbent, incumbent.0, incumbent.1)],
    )
}

fn arm(arm: Arm, from: &ArmFrom<'_>, wish: &Wish<'_>) -> Result<Vec<Found>, ImportFailed> {
    if from.document.starts_with(ZIP) {
        return Err(ImportFailed::Archive(arm));
    }
    let Log { status, eval, samples } =
        serde_json::from_slice(from.document).map_err(|error| ImportFailed::Unreadable(arm, error))?;
    check_time(arm, eval.created.as_deref(), wish)?;
    let samples = samples.filter(|samples| !samples.is_empty());
    let samples = samples.ok_or(ImportFailed::Empty { arm, label: None })?;
    if samples.len() > ANSWERS_MAX {
        return Err(ImportFailed::TooMany(arm));
    }
    Ok(samples.into_iter().map(|sample| sample.found(&status, from, wish)).collect())
}

impl Sample {
    fn found(self, status: &str, from: &ArmFrom<'_>, wish: &Wish<'_>) -> Found {
        let served = self.output.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
        let served = served.map(str::to_owned);
        let outcome = self.outcome(status, served.as_deref(), from, wish).unwrap_or_else(|outcome| outcome);
        let answer = self.answer();
        let must_pass = self.metadata.as_ref().and_then(|metadata| metadata.get("must_pass"));
        let vars = [("input".to_owned(), self.input.clone()), ("target".to_owned(), self.target.clone())];
        let mut content = json!({ "input": self.asked(), "target": self.target });
        if !self.choices.is_null() {
            content["choices"] = self.choices.clone();
        }
        Found {
            description: text_of(&self.id),
            must_pass: must_pass == Some(&Value::Bool(true)),
            vars: vars.into(),
            content,
            outcome,
            answer,
            served,
        }
    }

    /// The input without the ids that Inspect gives to messages anew each time.
    fn asked(&self) -> Value {
        let mut input = self.input.clone();
        for message in input.as_array_mut().into_iter().flatten() {
            if let Some(message) = message.as_object_mut() {
                message.remove("id");
            }
        }
        input
    }

    fn outcome(
        &self,
        status: &str,
        served: Option<&str>,
        from: &ArmFrom<'_>,
        wish: &Wish<'_>,
    ) -> Result<Outcome, Outcome> {
        let refused = |why: String| Outcome::Refused { why };
        if let Some(error) = self.error.as_ref().filter(|error| !error.is_null()) {
            let why = error.get("message").map_or_else(|| text_of(error), text_of);
            return Err(Outcome::Error { why: bounded(&why, WHY_CHARS_MAX) });
        }
        if status != "success" {
            return Err(refused(format!("the log's status is `{}`, not `success`", bounded(status, 40))));
        }
        let cached = |event: &Value| {
            event.get("event").and_then(Value::as_str) == Some("model")
                && event.get("cache").and_then(Value::as_str) == Some("read")
        };
        if self.events.iter().any(cached) {
            return Err(refused("a cached answer: it says nothing of the model as it is".to_owned()));
        }
        if self.limit.as_ref().and_then(|limit| limit.get("type")?.as_str()) == Some("operator") {
            return Err(refused("somebody stopped it".to_owned()));
        }
        check_served(served, from).map_err(refused)?;
        let (name, given) = self.scorer(wish.scorer).map_err(refused)?;
        let score = number(&given.value).map_err(refused)?;
        let pass = passes(&given.value, score, wish.pass_at).map_err(refused)?;
        Ok(Outcome::Scored(scored(name, given, score, pass)))
    }

    /// The scorer that counts.
    fn scorer(&self, wanted: Option<&str>) -> Result<(&String, &Given), String> {
        let scores = self.scores.as_ref().filter(|scores| !scores.is_empty());
        let scores = scores.ok_or_else(|| "nothing judged it: the sample has no score".to_owned())?;
        match wanted {
            Some(wanted) => scores
                .get_key_value(wanted)
                .ok_or_else(|| format!("it has no score of `{}`", bounded(wanted, 60))),
            None if scores.len() == 1 => Ok(scores.iter().next().expect("it has one")),
            None => {
                let names: Vec<&str> = scores.keys().map(String::as_str).take(10).collect();
                Err(format!(
                    "it has several scores ({}): name the one that counts (--scorer)",
                    names.join(", ")
                ))
            }
        }
    }

    fn answer(&self) -> Answer {
        let message = self.output.pointer("/choices/0/message");
        let completion =
            self.output.get("completion").and_then(Value::as_str).filter(|text| !text.is_empty());
        let content = message.and_then(|message| message.get("content")).map(spoken).unwrap_or_default();
        let calls = message.and_then(|message| message.get("tool_calls")?.as_array());
        let calls = calls.into_iter().flatten().map(|call| ToolCall {
            name: call.get("function").and_then(Value::as_str).unwrap_or_default().to_owned(),
            arguments: call.get("arguments").map(text_of).unwrap_or_default(),
            id: call.get("id").and_then(Value::as_str).map(str::to_owned),
        });
        let usage =
            |name: &str| self.output.get("usage").and_then(|usage| usage.get(name)?.as_u64()).unwrap_or(0);
        let seconds = self.output.get("time").and_then(Value::as_f64).or(self.total_time).unwrap_or(0.0);
        Answer {
            text: completion.map_or(content, str::to_owned),
            tool_calls: calls.collect(),
            finish_reason: self
                .output
                .pointer("/choices/0/stop_reason")
                .and_then(Value::as_str)
                .map(str::to_owned),
            latency_ms: (seconds * 1_000.0).max(0.0),
            input_tokens: usage("input_tokens"),
            output_tokens: usage("output_tokens"),
            ..Answer::default()
        }
    }
}

/// A score's number, by what Inspect's `value_to_float` makes of letters.
fn number(value: &Value) -> Result<f64, String> {
    let score = match value {
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::String(text) => match text.as_str() {
            "C" => 1.0,
            "P" => 0.5,
            "I" | "N" => 0.0,
            other => return Err(format!("its score `{}` is none of C, I, P and N", bounded(other, 40))),
        },
        Value::Null => return Err("it has no score".to_owned()),
        Value::Array(_) | Value::Object(_) => return Err("its score is several numbers".to_owned()),
    };
    if (0.0..=1.0).contains(&score) { Ok(score) } else { Err("its score isn't between 0 and 1".to_owned()) }
}

fn passes(value: &Value, score: f64, pass_at: Option<f64>) -> Result<bool, String> {
    match pass_at {
        Some(pass_at) => Ok(score >= pass_at),
        None if value.is_number() && score > 0.0 && score < 1.0 => {
            Err("its score is neither 0 nor 1: say from where on it passes (--pass-at)".to_owned())
        }
        None => Ok(score >= 1.0),
    }
}

fn scored(name: &str, given: &Given, score: f64, pass: bool) -> Score {
    let why = if pass {
        String::new()
    } else {
        bounded(given.explanation.as_deref().unwrap_or_default(), WHY_CHARS_MAX)
    };
    let part = Part { kind: name.to_owned(), pass, score, why: why.clone(), turn: None };
    Score { pass, score, why, parts: vec![part], ..Score::default() }
}

/// A message's text: as it is, or of its parts.
fn spoken(content: &Value) -> String {
    match content.as_array() {
        Some(parts) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect::<Vec<_>>().join("\n")
        }
        None => text_of(content),
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

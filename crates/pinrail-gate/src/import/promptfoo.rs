//! promptfoo's results, version 3: what `promptfoo eval --output results.json` writes.
//!
//! The content of an answer is its test's variables and assertions (type, value, threshold). `failureReason` 2 is an error;
//! `error` alone isn't, as promptfoo writes a failed assertion's reason there, too. promptfoo doesn't record which model
//! answered; where a provider left it in the raw answer or its metadata it is compared with the pin.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    ANSWERS_MAX, ArmFrom, Found, ImportFailed, Imported, Wish, check_served, check_time, put_together,
};
use crate::answer::Answer;
use crate::row::{Outcome, Part, Score};
use crate::suite::{Assertion, Case};
use crate::verdict::{Arm, bounded};

#[derive(Deserialize)]
struct File {
    results: Results,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    version: Value,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    results: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    test_case: TestCase,
    #[serde(default)]
    vars: BTreeMap<String, Value>,
    #[serde(default)]
    provider: Value,
    #[serde(default)]
    prompt: Value,
    #[serde(default)]
    prompt_idx: Option<u64>,
    #[serde(default)]
    response: Option<Map<String, Value>>,
    #[serde(default)]
    success: bool,
    #[serde(default)]
    score: Option<f64>,
    #[serde(default)]
    named_scores: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    grading_result: Option<Grading>,
    #[serde(default)]
    failure_reason: Option<u64>,
    #[serde(default)]
    latency_ms: Option<f64>,
    #[serde(default)]
    cost: Option<f64>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestCase {
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    vars: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    assert: Option<Vec<Value>>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grading {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    component_results: Option<Vec<Component>>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(default)]
    pass: bool,
    #[serde(default)]
    score: f64,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    assertion: Option<Value>,
}

/// The version of results that is read.
const VERSION: u64 = 3;
/// `failureReason` of an answer that there isn't.
const FAILURE_ERROR: u64 = 2;
const WHY_CHARS_MAX: usize = 2_000;

/// Imports results files.
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

/// The content that answers to a suite's case have.
pub(super) fn content_of(case: &Case) -> Value {
    let asserts = case.turns.iter().flat_map(|turn| &turn.asserts).chain(&case.asserts);
    content(&case.vars, asserts.map(bare).collect())
}

fn content(vars: &BTreeMap<String, Value>, assert: Vec<Value>) -> Value {
    json!({ "vars": vars, "assert": assert })
}

/// An assertion of a suite as promptfoo writes it, without what doesn't change what is asked for.
fn bare(assertion: &Assertion) -> Value {
    let kind = serde_json::to_value(assertion.kind).unwrap_or_default();
    let kind = kind.as_str().unwrap_or_default();
    let not = if assertion.not { "not-" } else { "" };
    let nested: Vec<Value> = assertion.asserts.iter().map(bare).collect();
    let mut out = json!({ "type": format!("{not}{kind}") });
    if !assertion.value.is_null() {
        out["value"] = assertion.value.clone();
    }
    if let Some(threshold) = assertion.threshold {
        out["threshold"] = json!(threshold);
    }
    if !nested.is_empty() {
        out["assert"] = json!(nested);
    }
    out
}

/// The same of promptfoo's own.
fn bare_of(assertion: &Value) -> Value {
    let mut out = Map::new();
    for key in ["type", "value", "threshold"] {
        if let Some(value) = assertion.get(key).filter(|value| !value.is_null()) {
            // A threshold of 1 and one of 1.0 are the same number.
            let value = if key == "threshold" {
                value.as_f64().map_or_else(|| value.clone(), |n| json!(n))
            } else {
                value.clone()
            };
            out.insert(key.to_owned(), value);
        }
    }
    if let Some(nested) = assertion.get("assert").and_then(Value::as_array) {
        out.insert("assert".to_owned(), nested.iter().map(bare_of).collect());
    }
    Value::Object(out)
}

fn arm(arm: Arm, from: &ArmFrom<'_>, wish: &Wish<'_>) -> Result<Vec<Found>, ImportFailed> {
    let file: File =
        serde_json::from_slice(from.document).map_err(|error| ImportFailed::Unreadable(arm, error))?;
    let Results { version, timestamp, results } = file.results;
    if version.as_u64() != Some(VERSION) {
        return Err(ImportFailed::Version { arm, found: bounded(&version.to_string(), 20) });
    }
    check_time(arm, timestamp.as_deref(), wish)?;
    if results.len() > ANSWERS_MAX {
        return Err(ImportFailed::TooMany(arm));
    }
    let meant: Vec<Entry> = results.into_iter().filter(|entry| entry.is_of(from.label)).collect();
    if meant.is_empty() {
        return Err(ImportFailed::Empty { arm, label: from.label.map(str::to_owned) });
    }
    let labels: BTreeSet<String> = meant.iter().map(Entry::label).collect();
    if labels.len() > 1 {
        return Err(ImportFailed::Several { arm, labels: labels.into_iter().take(10).collect() });
    }
    Ok(meant.into_iter().map(|entry| entry.found(from)).collect())
}

impl Entry {
    /// Whose answer it is: the provider and, where it has one, the prompt's label.
    fn label(&self) -> String {
        let provider = self.names().into_iter().next().unwrap_or_default();
        let prompt = self.prompt.get("label").and_then(Value::as_str).unwrap_or_default();
        format!("{} (prompt {} {})", provider, self.prompt_idx.unwrap_or(0), bounded(prompt, 60))
            .trim()
            .to_owned()
    }

    /// The provider's label and id.
    fn names(&self) -> Vec<&str> {
        let parts = [self.provider.get("label"), self.provider.get("id"), Some(&self.provider)];
        parts.into_iter().flatten().filter_map(Value::as_str).filter(|name| !name.is_empty()).collect()
    }

    fn is_of(&self, label: Option<&str>) -> bool {
        let Some(label) = label else { return true };
        let prompt = self.prompt.get("label").and_then(Value::as_str);
        self.names().contains(&label) || prompt == Some(label)
    }

    fn found(self, from: &ArmFrom<'_>) -> Found {
        let served = self.response.as_ref().and_then(served);
        let outcome = self.outcome(served.as_deref(), from);
        let answer = self.answer();
        let vars = self.test_case.vars.unwrap_or(self.vars);
        let asserts = self.test_case.assert.unwrap_or_default();
        let metadata = self.test_case.metadata.unwrap_or_default();
        Found {
            description: self.test_case.description.unwrap_or_default(),
            content: content(&vars, asserts.iter().map(bare_of).collect()),
            vars,
            must_pass: metadata.get("must_pass") == Some(&Value::Bool(true)),
            outcome,
            answer,
            served,
        }
    }

    fn outcome(&self, served: Option<&str>, from: &ArmFrom<'_>) -> Outcome {
        let refused = |why: &str| Outcome::Refused { why: why.to_owned() };
        let error = self.error.as_ref().filter(|error| !error.is_null() && error.as_str() != Some(""));
        let is_error = match self.failure_reason {
            Some(reason) => reason == FAILURE_ERROR,
            None => error.is_some() && self.grading_result.is_none(),
        };
        if is_error {
            let why = error.map(text_of).unwrap_or_else(|| "an error that says nothing".to_owned());
            return Outcome::Error { why: bounded(&why, WHY_CHARS_MAX) };
        }
        let Some(response) = &self.response else { return refused("there is no answer") };
        if is_cached(response) {
            return refused(
                "a cached answer: it says nothing of the model as it is (run promptfoo with --no-cache)",
            );
        }
        if let Err(why) = check_served(served, from) {
            return Outcome::Refused { why };
        }
        let judged = self.test_case.assert.as_ref().is_some_and(|asserts| !asserts.is_empty());
        let Some(grading) = self.grading_result.as_ref().filter(|_| judged) else {
            return refused("nothing judged it: the test has no assertions");
        };
        match self.score {
            Some(score) if (0.0..=1.0).contains(&score) => Outcome::Scored(self.scored(score, grading)),
            Some(_) => refused("its score isn't between 0 and 1"),
            None => refused("it has no score"),
        }
    }

    fn scored(&self, score: f64, grading: &Grading) -> Score {
        let named = self.named_scores.iter().flatten();
        let named = named.filter_map(|(name, value)| {
            Some((name.clone(), value.as_f64().filter(|score| (0.0..=1.0).contains(score))?))
        });
        let parts = grading.component_results.iter().flatten().map(|part| Part {
            kind: part
                .assertion
                .as_ref()
                .and_then(|a| a.get("type")?.as_str())
                .unwrap_or("assertion")
                .to_owned(),
            pass: part.pass,
            score: if part.score.is_finite() { part.score.clamp(0.0, 1.0) } else { 0.0 },
            why: if part.pass { String::new() } else { said(part.reason.as_deref()) },
            turn: None,
        });
        Score {
            pass: self.success,
            score,
            why: if self.success { String::new() } else { said(grading.reason.as_deref()) },
            named: named.collect(),
            parts: parts.collect(),
            judge_cost_nano_usd: 0,
        }
    }

    fn answer(&self) -> Answer {
        let response = self.response.as_ref();
        let field = |name: &str| response.and_then(|response| response.get(name));
        let usage = |name: &str| field("tokenUsage").and_then(|usage| usage.get(name)?.as_u64()).unwrap_or(0);
        let cost = self.cost.or_else(|| field("cost").and_then(Value::as_f64));
        Answer {
            text: field("output").map(text_of).unwrap_or_default(),
            finish_reason: field("finishReason").and_then(Value::as_str).map(str::to_owned),
            refusal: field("isRefusal") == Some(&Value::Bool(true)),
            latency_ms: self.latency_ms.filter(|ms| ms.is_finite() && *ms >= 0.0).unwrap_or(0.0),
            cost_nano_usd: cost.and_then(nano_usd),
            input_tokens: usage("prompt"),
            output_tokens: usage("completion"),
            ..Answer::default()
        }
    }
}

/// What says which model answered: the provider's raw answer, or what the provider noted beside it.
fn served(response: &Map<String, Value>) -> Option<String> {
    let model = |of: &Value| {
        let named = ["model", "modelVersion"].into_iter().find_map(|key| of.get(key)?.as_str());
        named.filter(|model| !model.is_empty()).map(str::to_owned)
    };
    let raw = response.get("raw").and_then(|raw| match raw.as_str() {
        Some(text) => serde_json::from_str::<Value>(text).ok().as_ref().and_then(model),
        None => model(raw),
    });
    raw.or_else(|| response.get("metadata").and_then(model))
}

fn is_cached(response: &Map<String, Value>) -> bool {
    let usage =
        |name: &str| response.get("tokenUsage").and_then(|usage| usage.get(name)?.as_u64()).unwrap_or(0);
    let all_cached = usage("cached") > 0 && usage("prompt") + usage("completion") == 0;
    response.get("cached") == Some(&Value::Bool(true)) || all_cached
}

fn nano_usd(dollars: f64) -> Option<u64> {
    let nano = (dollars * 1e9).round();
    (0.0..=9e15).contains(&nano).then_some(nano as u64)
}

fn said(reason: Option<&str>) -> String {
    bounded(reason.unwrap_or_default(), WHY_CHARS_MAX)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

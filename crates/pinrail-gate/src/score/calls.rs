//! Assertions on the calls of tools.

use std::collections::BTreeSet;

use serde_json::Value;

use super::CannotScore;
use super::json;
use super::judged::{Claim, Judged};
use super::seen::Seen;
use super::text::{quoted, wants};
use crate::answer::ToolCall;
use crate::suite::Assertion;

pub(super) mod expected;

/// `is-valid-openai-tools-call`: there are calls, and each is of a tool that exists, with arguments of its schema.
pub(super) fn are_valid(assertion: &Assertion, seen: &Seen<'_>) -> Result<Judged, CannotScore> {
    let of_case = seen.case.request.get("tools").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let tools: Vec<Tool<'_>> = of_case.iter().chain(seen.tools).filter_map(Tool::read).collect();
    if tools.is_empty() {
        let why = "is-valid-openai-tools-call: neither the release nor the case's request has tools";
        return Err(CannotScore::Script(why.to_owned()));
    }
    let calls = seen.calls();
    if calls.is_empty() {
        return Ok(Claim::new(false, "call tools as their schemas say")
            .but("it calls none")
            .judge(assertion));
    }
    for call in calls {
        if let Some(fault) = fault_in(call, &tools)? {
            return Ok(Claim::new(false, "call tools as their schemas say").but(fault).judge(assertion));
        }
    }
    Ok(Claim::new(true, "call tools as their schemas say").judge(assertion))
}

/// `tool-call-f1`: the harmonic mean of how many of the tools called were to be called and how many of those to be called
/// were. Each name counts once; the score is the mean, and it passes from `threshold` (1) on.
pub(super) fn f1(assertion: &Assertion, seen: &Seen<'_>) -> Result<Judged, CannotScore> {
    let names: Vec<String> = match &assertion.value {
        Value::Array(list) => list.iter().map(json::text_of).collect(),
        Value::String(text) => text.split(',').map(str::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    let expected: BTreeSet<&str> =
        names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
    if expected.is_empty() {
        return Err(wants("tool-call-f1", "the names of tools: a list, or a text with commas between"));
    }
    let calls = seen.calls();
    let called: BTreeSet<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    let score = harmonic(expected.intersection(&called).count(), expected.len(), called.len());
    let threshold = assertion.threshold.unwrap_or(1.0);
    let pass = (score >= threshold) != assertion.not;
    let side = if assertion.not { "above" } else { "below" };
    let why = format!(
        "tool calls score {score:.3}, {side} {threshold}: to be called {}, called {}",
        listed(&expected),
        listed(&called)
    );
    Ok(Judged::graded(pass, score, if pass { String::new() } else { why }))
}

/// 2·hits / (expected + actual): the harmonic mean of precision and recall.
#[allow(clippy::cast_precision_loss, reason = "counts of calls are small")]
fn harmonic(hits: usize, expected: usize, actual: usize) -> f64 {
    if expected + actual == 0 { 1.0 } else { 2.0 * hits as f64 / (expected + actual) as f64 }
}

/// A tool that may be called.
struct Tool<'a> {
    name: &'a str,
    parameters: Option<&'a Value>,
}

impl<'a> Tool<'a> {
    /// Reads a tool in OpenAI's form or in MCP's.
    fn read(value: &'a Value) -> Option<Tool<'a>> {
        let of = value.get("function").unwrap_or(value);
        let parameters = ["parameters", "inputSchema", "input_schema"].iter().find_map(|key| of.get(key));
        Some(Tool { name: of.get("name")?.as_str()?, parameters })
    }
}

fn fault_in(call: &ToolCall, tools: &[Tool<'_>]) -> Result<Option<String>, CannotScore> {
    let Some(tool) = tools.iter().find(|tool| tool.name == call.name) else {
        return Ok(Some(format!("it calls {}, and there is no such tool", quoted(&call.name))));
    };
    let Some(arguments) = call.parsed() else {
        return Ok(Some(format!("the arguments of {} aren't JSON", quoted(&call.name))));
    };
    let Some(parameters) = tool.parameters else { return Ok(None) };
    let fault = json::fault_in(&json::schema(parameters)?, &arguments);
    Ok(fault.map(|fault| format!("{}: {fault}", call.name)))
}

fn listed(names: &BTreeSet<&str>) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.iter().copied().collect::<Vec<_>>().join(", ") }
}

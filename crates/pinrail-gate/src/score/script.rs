//! What scripts return, and what that makes of their assertion: the same for JavaScript and Python, but for what the two
//! languages' own ways of saying it are.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::CannotScore;
use super::javascript::{self, Ran, Script};
use super::judged::{Claim, Judged, clip, share};
use super::seen::Seen;
use super::text::{quoted, wants};
use crate::suite::Assertion;

/// `javascript`: the value is the script.
pub(super) async fn javascript(
    assertion: &Assertion,
    seen: &Seen<'_>,
    output: &Value,
) -> Result<Judged, CannotScore> {
    let code = code(assertion, "javascript")?;
    let ran = javascript::run(Script::assertion(code, output, &seen.context(assertion))).await?;
    Ok(match ran {
        Ran::Returned(value) => judge(assertion, value.as_ref().map_or(Returned::Other, javascripts)),
        Ran::Threw(why) => Judged::failed(format!("the script failed on the answer: {why}")),
    })
}

/// `regex`: the pattern is found in the text, as JavaScript has patterns.
pub(super) async fn regex(assertion: &Assertion, text: &str) -> Result<Judged, CannotScore> {
    let pattern = assertion.value.as_str().filter(|pattern| !pattern.is_empty());
    let pattern = pattern.ok_or_else(|| wants("regex", "a pattern as its value"))?;
    let found = javascript::patterns(vec![pattern.to_owned()], vec![text.to_owned()]).await?;
    let says = format!("match {}", quoted(pattern));
    Ok(Claim::new(found.matches(pattern, text), says).judge(assertion))
}

/// The script that an assertion holds.
pub(super) fn code<'a>(assertion: &'a Assertion, kind: &str) -> Result<&'a str, CannotScore> {
    assertion
        .value
        .as_str()
        .filter(|code| !code.trim().is_empty())
        .ok_or_else(|| wants(kind, "a script as its value"))
}

/// What a script says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Returned {
    Passes(bool),
    Scores(f64),
    Graded {
        pass: bool,
        score: f64,
        why: String,
        named: BTreeMap<String, f64>,
    },
    /// What says nothing.
    Other,
}

/// Judges by what the script says. A number passes from `threshold` on, or if there is none, above 0; negated, its score
/// stays what it is. What says nothing fails, negated or not.
pub(super) fn judge(assertion: &Assertion, returned: Returned) -> Judged {
    let said = |pass: bool| if pass { String::new() } else { "the script says no".to_owned() };
    match returned {
        Returned::Passes(yes) => {
            let pass = yes != assertion.not;
            Judged::graded(pass, if pass { 1.0 } else { 0.0 }, said(pass))
        }
        Returned::Scores(score) => {
            let enough = assertion.threshold.map_or(score > 0.0, |threshold| score >= threshold);
            let pass = enough != assertion.not;
            let why = if pass { String::new() } else { format!("the script scores it {score}") };
            Judged::graded(pass, score, why)
        }
        Returned::Graded { pass, score, why, named } => {
            let pass = pass != assertion.not;
            let why = if why.is_empty() { said(pass) } else { why };
            let named = named.into_iter().map(|(name, score)| (name, (share(score), 1.0))).collect();
            Judged { named, ..Judged::graded(pass, score, why) }
        }
        Returned::Other => {
            let what = "true or false, a number, or an object with pass, score and reason";
            Judged::failed(format!("the script returned something else than {what}"))
        }
    }
}

/// What a JavaScript value says.
fn javascripts(value: &Value) -> Returned {
    match value {
        Value::Bool(yes) => Returned::Passes(*yes),
        Value::Number(number) => number.as_f64().map_or(Returned::Other, Returned::Scores),
        Value::Object(object) => graded(object),
        Value::Null | Value::String(_) | Value::Array(_) => Returned::Other,
    }
}

/// What a Python value says: also words for true and false, a number as text, JSON as text, `pass_` for the keyword
/// `pass`; and a grade whose score is below the assertion's threshold doesn't pass.
pub(super) fn pythons(assertion: &Assertion, value: &Value) -> Returned {
    match value {
        Value::Bool(yes) => Returned::Passes(*yes),
        Value::Number(number) => number.as_f64().map_or(Returned::Other, Returned::Scores),
        Value::Object(object) => {
            let mut object = object.clone();
            for (theirs, ours) in [
                ("pass_", "pass"),
                ("named_scores", "namedScores"),
                ("component_results", "componentResults"),
            ] {
                if let Some(value) = object.remove(theirs) {
                    object.entry(ours).or_insert(value);
                }
            }
            below(assertion, graded(&object))
        }
        Value::String(text) => match text.to_lowercase().as_str() {
            "true" => Returned::Passes(true),
            "false" => Returned::Passes(false),
            _ => match serde_json::from_str(text) {
                Ok(value @ (Value::Object(_) | Value::Number(_))) => pythons(assertion, &value),
                Ok(_) | Err(_) => Returned::Other,
            },
        },
        Value::Null | Value::Array(_) => Returned::Other,
    }
}

fn below(assertion: &Assertion, returned: Returned) -> Returned {
    match (returned, assertion.threshold) {
        (Returned::Graded { score, why, named, .. }, Some(threshold)) if score < threshold => {
            let says = format!("the score {score} is below {threshold}");
            let why = if why.is_empty() { says } else { format!("{says}: {why}") };
            Returned::Graded { pass: false, score, why, named }
        }
        (returned, _) => returned,
    }
}

/// `pass`, `score` and `reason` are needed, each of its type; components give the reason where it is empty.
fn graded(object: &Map<String, Value>) -> Returned {
    let (Some(pass), Some(score), Some(reason)) = (
        object.get("pass").and_then(Value::as_bool),
        object.get("score").and_then(Value::as_f64),
        object.get("reason").and_then(Value::as_str),
    ) else {
        return Returned::Other;
    };
    let named = object.get("namedScores").and_then(Value::as_object).into_iter().flatten();
    let named =
        named.filter_map(|(name, score)| Some((name.clone(), score.as_f64()?))).take(NAMED_MAX).collect();
    let why = if reason.is_empty() && !pass { components(object) } else { clip(reason, REASON_MAX) };
    Returned::Graded { pass, score, why, named }
}

/// Scores that a script may name: more than any report shows.
const NAMED_MAX: usize = 100;

/// How much of a reason is kept.
const REASON_MAX: usize = 500;

fn components(object: &Map<String, Value>) -> String {
    let all = object.get("componentResults").and_then(Value::as_array).into_iter().flatten();
    let failed = all.filter(|one| one["pass"] == Value::Bool(false)).filter_map(|one| one["reason"].as_str());
    clip(&failed.take(3).collect::<Vec<_>>().join("; "), REASON_MAX)
}

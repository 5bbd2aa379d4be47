//! `tool-calls`: the calls that the agent is to make, by name and arguments.
//!
//! `value` lists them: `{name, arguments}`, or a name alone where the arguments don't matter. Arguments are the same as
//! JSON, with three exceptions at any depth: `{"$any": […]}` is one of these, `{"$optional": …}` may be left out, and
//! `{"$regex": "…"}` is a text that the JavaScript pattern is found in. `config` says in which `order` they come (`any`,
//! or `same` as listed) and whether `extra` calls are fine (they aren't). What pairs calls with expectations is the
//! pairing with the most pairs; ties don't matter, since only the count is scored: 2·pairs / (expected + made), or with
//! `extra` pairs / expected. It passes when every expectation is paired and no call is left, or from `threshold` on.

use serde_json::Value;

use super::super::CannotScore;
use super::super::javascript::{self, Matches};
use super::super::json;
use super::super::judged::{Claim, Judged, clip};
use super::super::seen::Seen;
use super::super::text::{quoted, wants};
use super::harmonic;
use crate::answer::ToolCall;
use crate::suite::Assertion;

/// Judges the calls that were made.
pub(in crate::score) async fn judge(assertion: &Assertion, seen: &Seen<'_>) -> Result<Judged, CannotScore> {
    let expected = Expected::read(&assertion.value)?;
    let config = Config::read(&assertion.config)?;
    let calls: Vec<Made<'_>> = seen.calls().into_iter().map(Made::of).collect();
    if expected.len().max(calls.len()) > CALLS_MAX {
        return Err(CannotScore::Script(format!("tool-calls compares at most {CALLS_MAX} calls")));
    }
    let patterns = matches(&expected, &calls).await?;
    let fits: Vec<Vec<bool>> = expected
        .iter()
        .map(|one| calls.iter().map(|call| one.difference(call, &patterns).is_none()).collect())
        .collect();
    let pairs =
        if config.same_order { in_order(&fits, calls.len()) } else { in_any_order(&fits, calls.len()) };
    let hits = pairs.iter().flatten().count();
    let whole = hits == expected.len() && (config.extra || hits == calls.len());
    let made = if config.extra { expected.len() } else { calls.len() };
    let score = harmonic(hits, expected.len(), made);
    let holds = assertion.threshold.map_or(whole, |threshold| score >= threshold);
    let claim = Claim::new(holds, "make the calls that are expected")
        .but(differences(&expected, &calls, &pairs, &patterns, &config));
    let score = if assertion.not { 1.0 - score } else { score };
    Ok(Judged { score, ..claim.judge(assertion) })
}

/// Calls that are compared with each other. A turn with more calls than this is out of hand in any case.
const CALLS_MAX: usize = 128;

struct Expected<'a> {
    name: &'a str,
    arguments: Option<&'a Value>,
}

struct Made<'a> {
    name: &'a str,
    /// None: what the model wrote isn't JSON.
    arguments: Option<Value>,
}

struct Config {
    same_order: bool,
    extra: bool,
}

impl<'a> Expected<'a> {
    fn read(value: &'a Value) -> Result<Vec<Expected<'a>>, CannotScore> {
        let bad = || wants("tool-calls", "a list of calls, each with a name and maybe arguments");
        value.as_array().ok_or_else(bad)?.iter().map(|one| Expected::one(one).ok_or_else(bad)).collect()
    }

    fn one(value: &'a Value) -> Option<Expected<'a>> {
        if let Some(name) = value.as_str() {
            return Some(Expected { name, arguments: None });
        }
        let call = value.as_object()?;
        let known = call.keys().all(|key| key == "name" || key == "arguments");
        let name = call.get("name")?.as_str()?;
        known.then_some(Expected { name, arguments: call.get("arguments").filter(|value| !value.is_null()) })
    }

    /// In what a call isn't the one expected; none: it is.
    fn difference(&self, call: &Made<'_>, patterns: &Matches) -> Option<String> {
        if self.name != call.name {
            return Some(format!("it calls {} instead of {}", quoted(call.name), quoted(self.name)));
        }
        let expected = self.arguments?;
        match &call.arguments {
            None => Some(format!("the arguments of {} aren't JSON", quoted(self.name))),
            Some(actual) => difference(expected, Some(actual), self.name, patterns),
        }
    }
}

impl<'a> Made<'a> {
    fn of(call: &'a ToolCall) -> Made<'a> {
        Made { name: &call.name, arguments: call.parsed() }
    }
}

impl Config {
    fn read(value: &Value) -> Result<Config, CannotScore> {
        let mut config = Config { same_order: false, extra: false };
        for (key, value) in value.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("order", Value::String(order)) if order == "any" => config.same_order = false,
                ("order", Value::String(order)) if order == "same" => config.same_order = true,
                ("extra", Value::Bool(extra)) => config.extra = *extra,
                (key, value) => {
                    let why =
                        format!("tool-calls knows config order (any, same) and extra, not {key}: {value}");
                    return Err(CannotScore::Script(why));
                }
            }
        }
        Ok(config)
    }
}

/// In what `actual` isn't as expected, and where.
fn difference(expected: &Value, actual: Option<&Value>, at: &str, patterns: &Matches) -> Option<String> {
    match (matcher(expected), actual) {
        (Some(("$optional", _)), None) => None,
        (Some(("$optional", inner)), actual) => difference(inner, actual, at, patterns),
        (Some(("$any", Value::Array(choices))), actual) => {
            let fits = choices.iter().any(|choice| difference(choice, actual, at, patterns).is_none());
            (!fits).then(|| {
                format!(
                    "{at} is {}, not one of {}",
                    shown(actual),
                    shown(Some(&Value::from(choices.clone())))
                )
            })
        }
        (Some(("$regex", Value::String(pattern))), actual) => {
            let fits = actual.and_then(Value::as_str).is_some_and(|text| patterns.matches(pattern, text));
            (!fits).then(|| format!("{at} is {}, which {} isn't found in", shown(actual), quoted(pattern)))
        }
        (_, None) => Some(format!("{at} is missing")),
        (_, Some(actual)) => plain_difference(expected, actual, at, patterns),
    }
}

fn plain_difference(expected: &Value, actual: &Value, at: &str, patterns: &Matches) -> Option<String> {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            let inner = |key: &str| format!("{at}.{key}");
            let wrong = expected
                .iter()
                .find_map(|(key, value)| difference(value, actual.get(key), &inner(key), patterns));
            wrong.or_else(|| {
                let extra = actual.keys().find(|key| !expected.contains_key(*key))?;
                Some(format!("{} isn't expected", inner(extra)))
            })
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            let pairs = expected.iter().zip(actual).enumerate();
            pairs
                .into_iter()
                .find_map(|(nth, (a, b))| difference(a, Some(b), &format!("{at}[{nth}]"), patterns))
        }
        (expected, actual) => (!json::same(expected, actual))
            .then(|| format!("{at} is {}, not {}", shown(Some(actual)), shown(Some(expected)))),
    }
}

/// The matcher that a value is, and what it holds.
fn matcher(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (key, inner) = object.iter().next()?;
    Some((key.as_str(), inner))
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "missing".to_owned(), |value| clip(&value.to_string(), 60))
}

/// Tries all patterns on all texts in one go.
async fn matches(expected: &[Expected<'_>], calls: &[Made<'_>]) -> Result<Matches, CannotScore> {
    let mut patterns = Vec::new();
    for one in expected {
        collect(one.arguments, &mut |value| {
            if let Some(("$regex", Value::String(pattern))) = matcher(value) {
                patterns.push(pattern.clone());
            }
        });
    }
    if patterns.is_empty() {
        return Ok(Matches::default());
    }
    let mut texts = Vec::new();
    for call in calls {
        collect(call.arguments.as_ref(), &mut |value| {
            if let Value::String(text) = value {
                texts.push(text.clone());
            }
        });
    }
    javascript::patterns(patterns, texts).await
}

fn collect(value: Option<&Value>, each: &mut dyn FnMut(&Value)) {
    let Some(value) = value else { return };
    each(value);
    match value {
        Value::Array(list) => list.iter().for_each(|inner| collect(Some(inner), each)),
        Value::Object(map) => map.values().for_each(|inner| collect(Some(inner), each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The largest pairing of expectations with calls: for each expectation, its call (Kuhn's augmenting paths).
fn in_any_order(fits: &[Vec<bool>], calls: usize) -> Vec<Option<usize>> {
    let mut owner: Vec<Option<usize>> = vec![None; calls];
    for one in 0..fits.len() {
        claim(one, fits, &mut vec![false; calls], &mut owner);
    }
    let mut pairs = vec![None; fits.len()];
    for (call, one) in owner.into_iter().enumerate() {
        if let Some(one) = one {
            pairs[one] = Some(call);
        }
    }
    pairs
}

fn claim(one: usize, fits: &[Vec<bool>], tried: &mut [bool], owner: &mut [Option<usize>]) -> bool {
    for call in 0..owner.len() {
        if fits[one][call] && !tried[call] {
            tried[call] = true;
            if owner[call].is_none_or(|other| claim(other, fits, tried, owner)) {
                owner[call] = Some(one);
                return true;
            }
        }
    }
    false
}

/// The longest pairing that keeps the order on both sides.
fn in_order(fits: &[Vec<bool>], calls: usize) -> Vec<Option<usize>> {
    let mut best = vec![vec![0_usize; calls + 1]; fits.len() + 1];
    for one in (0..fits.len()).rev() {
        for call in (0..calls).rev() {
            let paired = if fits[one][call] { 1 + best[one + 1][call + 1] } else { 0 };
            best[one][call] = paired.max(best[one + 1][call]).max(best[one][call + 1]);
        }
    }
    let mut pairs = vec![None; fits.len()];
    let (mut one, mut call) = (0, 0);
    while one < fits.len() && call < calls {
        if fits[one][call] && best[one][call] == 1 + best[one + 1][call + 1] {
            pairs[one] = Some(call);
            (one, call) = (one + 1, call + 1);
        } else if best[one][call] == best[one + 1][call] {
            one += 1;
        } else {
            call += 1;
        }
    }
    pairs
}

/// What is missing, nearest miss first, and what is too much.
fn differences(
    expected: &[Expected<'_>],
    calls: &[Made<'_>],
    pairs: &[Option<usize>],
    patterns: &Matches,
    config: &Config,
) -> String {
    let mut left: Vec<usize> = (0..calls.len()).filter(|call| !pairs.contains(&Some(*call))).collect();
    let mut says = Vec::new();
    for (one, _) in expected.iter().zip(pairs).filter(|(_, pair)| pair.is_none()) {
        let near = left.iter().position(|call| calls[*call].name == one.name).map(|nth| left.remove(nth));
        says.push(match near.map(|call| one.difference(&calls[call], patterns)) {
            Some(Some(difference)) => difference,
            Some(None) => format!("{} is called out of order", quoted(one.name)),
            None => format!("{} isn't called", quoted(one.name)),
        });
    }
    if !config.extra {
        says.extend(
            left.iter().map(|call| format!("{} is called and not expected", quoted(calls[*call].name))),
        );
    }
    let more = says.len().saturating_sub(DIFFERENCES_SHOWN);
    says.truncate(DIFFERENCES_SHOWN);
    if more > 0 {
        says.push(format!("and {more} more"));
    }
    says.join("; ")
}

/// Differences that a report names one by one.
const DIFFERENCES_SHOWN: usize = 4;

//! Assertions on the text: equal, contained, begun with, as long as, at most so far from.

use serde_json::Value;

use super::CannotScore;
use super::json;
use super::judged::{Claim, Judged, clip};
use crate::suite::Assertion;

/// `equals`: the same text, or the same JSON where the value is an object or a list.
pub(super) fn equals(assertion: &Assertion, text: &str) -> Result<Judged, CannotScore> {
    let value = &assertion.value;
    let holds = match value {
        Value::Null => return Err(wants("equals", "a value")),
        Value::Object(_) | Value::Array(_) => {
            serde_json::from_str(text).is_ok_and(|actual: Value| json::same(value, &actual))
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => json::text_of(value) == text,
    };
    let says = format!("equal {}", quoted(&json::text_of(value)));
    Ok(Claim::new(holds, says).but(format!("it is {}", quoted(text))).judge(assertion))
}

/// `contains`, and `icontains` where case doesn't matter.
pub(super) fn contains(assertion: &Assertion, text: &str, any_case: bool) -> Result<Judged, CannotScore> {
    let value = match &assertion.value {
        Value::String(value) if !value.is_empty() => value.clone(),
        number @ Value::Number(_) => json::text_of(number),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            return Err(wants("contains", "a text or a number as its value"));
        }
    };
    let holds = folded(text, any_case).contains(&folded(&value, any_case));
    Ok(Claim::new(holds, format!("contain {}", quoted(&value))).judge(assertion))
}

/// `contains-any`, `contains-all` and their forms in which case doesn't matter.
pub(super) fn contains_list(
    assertion: &Assertion,
    text: &str,
    all: bool,
    any_case: bool,
) -> Result<Judged, CannotScore> {
    let wanted = listed(&assertion.value)?;
    let text = folded(text, any_case);
    let missing: Vec<&str> =
        wanted.iter().filter(|one| !text.contains(&folded(one, any_case))).map(String::as_str).collect();
    let holds = if all { missing.is_empty() } else { missing.len() < wanted.len() };
    let says = format!("contain {} of {}", if all { "all" } else { "one" }, quoted(&wanted.join(", ")));
    let but = if all { format!("it has no {}", quoted(&missing.join(", "))) } else { String::new() };
    Ok(Claim::new(holds, says).but(but).judge(assertion))
}

/// `starts-with`.
pub(super) fn starts_with(assertion: &Assertion, text: &str) -> Result<Judged, CannotScore> {
    let Some(value) = assertion.value.as_str().filter(|value| !value.is_empty()) else {
        return Err(wants("starts-with", "a text as its value"));
    };
    let but = format!("it starts {}", quoted(&clip(text, 40)));
    Ok(Claim::new(text.starts_with(value), format!("start with {}", quoted(value))).but(but).judge(assertion))
}

/// `levenshtein`: at most `threshold` (5) insertions, deletions and replacements of UTF-16 units away.
pub(super) fn levenshtein(assertion: &Assertion, text: &str) -> Result<Judged, CannotScore> {
    let Some(value) = assertion.value.as_str() else {
        return Err(wants("levenshtein", "a text as its value"));
    };
    let allowed = assertion.threshold.unwrap_or(5.0);
    let (a, b): (Vec<u16>, Vec<u16>) = (text.encode_utf16().collect(), value.encode_utf16().collect());
    let (a, b) = without_common_ends(&a, &b);
    let at_least = a.len().abs_diff(b.len());
    let (distance, more) = if beyond(at_least, allowed) {
        (at_least, "at least ")
    } else if a.len().saturating_mul(b.len()) > DISTANCE_STEPS_MAX {
        return Err(CannotScore::Script("levenshtein: the texts are too long to compare".to_owned()));
    } else {
        (strsim::generic_levenshtein(&Units(a), &Units(b)), "")
    };
    let says = format!("be at most {allowed} edits from {}", quoted(value));
    Ok(Claim::new(!beyond(distance, allowed), says)
        .but(format!("it is {more}{distance} away"))
        .judge(assertion))
}

/// `word-count`: so many words, or between `min` and `max`.
pub(super) fn word_count(assertion: &Assertion, text: &str) -> Result<Judged, CannotScore> {
    let bad = || wants("word-count", "a number, or an object with min, max or both");
    let (min, max) = match &assertion.value {
        Value::Object(bounds) => {
            if bounds.keys().any(|key| key != "min" && key != "max") || bounds.is_empty() {
                return Err(bad());
            }
            let bound = |key: &str| bounds.get(key).map(|value| value.as_f64().ok_or_else(bad)).transpose();
            (bound("min")?, bound("max")?)
        }
        Value::String(exact) => {
            let exact = exact.trim().parse().map_err(|_| bad())?;
            (Some(exact), Some(exact))
        }
        exact @ Value::Number(_) => (exact.as_f64(), exact.as_f64()),
        Value::Null | Value::Bool(_) | Value::Array(_) => return Err(bad()),
    };
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(wants("word-count", "a min that isn't above its max"));
    }
    let words = text.split(is_space).filter(|word| !word.is_empty()).count();
    let holds = min.is_none_or(|min| count(words) >= min) && max.is_none_or(|max| count(words) <= max);
    let says = match (min, max) {
        (Some(min), Some(max)) if min < max => format!("have {min} to {max} words"),
        (Some(exact), Some(_)) => format!("have {exact} words"),
        (Some(min), None) => format!("have at least {min} words"),
        (None, Some(max)) => format!("have at most {max} words"),
        (None, None) => return Err(bad()),
    };
    Ok(Claim::new(holds, says).but(format!("it has {words}")).judge(assertion))
}

/// A list of texts: a list as it is; a text split at commas, where double quotes keep a part whole.
pub(super) fn listed(value: &Value) -> Result<Vec<String>, CannotScore> {
    let list = match value {
        Value::Array(list) => list.iter().map(json::text_of).collect(),
        Value::String(text) => split_at_commas(text)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    if list.is_empty() {
        return Err(CannotScore::Script(
            "the assertion wants a list, or texts with commas between".to_owned(),
        ));
    }
    Ok(list)
}

/// The reason for which an assertion can't be judged as it is written.
pub(super) fn wants(kind: &str, what: &str) -> CannotScore {
    CannotScore::Script(format!("{kind} wants {what}"))
}

/// In quotes, not too long.
pub(super) fn quoted(text: &str) -> String {
    format!("“{}”", clip(text, 80))
}

/// Steps that two texts may take to compare: 5 000 characters each, some 50 ms.
const DISTANCE_STEPS_MAX: usize = 25_000_000;

/// UTF-16 units, as JavaScript counts a text.
struct Units<'a>(&'a [u16]);

impl<'a> IntoIterator for &Units<'a> {
    type Item = &'a u16;
    type IntoIter = std::slice::Iter<'a, u16>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

fn without_common_ends<'a>(a: &'a [u16], b: &'a [u16]) -> (&'a [u16], &'a [u16]) {
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[head..], &b[head..]);
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    (&a[..a.len() - tail], &b[..b.len() - tail])
}

fn beyond(distance: usize, allowed: f64) -> bool {
    count(distance) > allowed
}

#[allow(clippy::cast_precision_loss, reason = "no text has 2^53 characters")]
fn count(number: usize) -> f64 {
    number as f64
}

fn folded(text: &str, any_case: bool) -> String {
    if any_case { text.to_lowercase() } else { text.to_owned() }
}

/// White space as JavaScript has it.
fn is_space(char: char) -> bool {
    char == '\u{feff}' || (char.is_whitespace() && char != '\u{85}')
}

/// Repeated commas count once. In quotes, `\"`, `\\` and `""` stand for themselves without the first character.
fn split_at_commas(text: &str) -> Result<Vec<String>, CannotScore> {
    let bad = |what: &str| CannotScore::Script(format!("the list {} {what}", quoted(text)));
    let mut list = Vec::new();
    let mut rest = text.trim_start_matches(|char| is_space(char) || char == ',');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('"') {
            let (field, after) = unquoted(inner).ok_or_else(|| bad("has a quote that doesn't end"))?;
            list.push(field);
            rest = after.trim_start_matches(is_space);
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(bad("has something between a quote and the next comma"));
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            list.push(rest[..end].trim_matches(is_space).to_owned());
            rest = &rest[end..];
        }
        rest = rest.trim_start_matches(|char| is_space(char) || char == ',');
    }
    Ok(list)
}

fn unquoted(inner: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match (char, next) {
            ('\\', Some(escaped @ ('"' | '\\'))) | ('"', Some(escaped @ '"')) => {
                field.push(escaped);
                chars.next();
            }
            ('"', _) => return Some((field, &inner[at + 1..])),
            (char, _) => field.push(char),
        }
    }
    None
}

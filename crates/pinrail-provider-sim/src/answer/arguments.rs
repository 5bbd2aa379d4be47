//! Values that satisfy a JSON schema, filled with what the user's message holds.
//!
//! Required properties only, in the schema's `required` order. Strings come from the quoted parts of the message in
//! order, numbers from the numbers outside the quotes; enums, constants, defaults and examples give their first value.
//! Followed: `$ref` into the same schema, `anyOf`, `oneOf`, `allOf`, `minItems`, `minimum`, `maximum`, `minLength`,
//! `maxLength` and the common formats. Not followed: `pattern`, `multipleOf`, `dependentRequired` and the like.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::limits::{ARGUMENT_TEXT_BYTES_MAX, ARGUMENT_VALUES_MAX, ARRAY_ITEMS_MAX, SCHEMA_DEPTH_MAX};

/// Longest string that is padded to satisfy `minLength`; a schema that asks for more gets less.
const PADDED_CHARS_MAX: u64 = 1024;

/// What the message offers, taken from the front by one property after the other.
#[derive(Clone, Debug)]
pub struct Words {
    quoted: Vec<String>,
    numbers: Vec<f64>,
    quoted_used: usize,
    numbers_used: usize,
    /// Values made for the present call.
    made: usize,
}

impl Words {
    /// Collects the quoted texts and the numbers of a message.
    pub fn of(message: &str) -> Self {
        let mut quoted = Vec::new();
        let mut outside = String::new();
        let mut rest = &message[..message.floor_char_boundary(ARGUMENT_TEXT_BYTES_MAX)];
        while let Some((open, close)) = next_quote(rest) {
            outside.push_str(&rest[..open.0]);
            outside.push(' ');
            quoted.push(rest[open.1..close.0].to_owned());
            rest = &rest[close.1..];
        }
        outside.push_str(rest);
        let numbers = outside
            .split_whitespace()
            .filter_map(|word| {
                word.trim_matches(|char: char| !char.is_ascii_digit() && char != '-').parse().ok()
            })
            .filter(|number: &f64| number.is_finite())
            .collect();
        Self { quoted, numbers, quoted_used: 0, numbers_used: 0, made: 0 }
    }

    /// Starts another call: words that are used up are offered anew, so that two tools can share one argument.
    pub fn begin_call(&mut self) {
        if self.quoted_used >= self.quoted.len() {
            self.quoted_used = 0;
        }
        if self.numbers_used >= self.numbers.len() {
            self.numbers_used = 0;
        }
    }

    /// Makes a tool's arguments: always an object.
    pub fn arguments(&mut self, schema: &Value) -> Value {
        match self.value(schema) {
            Value::Object(map) => Value::Object(map),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => json!({}),
        }
    }

    /// Makes a value for any schema.
    pub fn value(&mut self, schema: &Value) -> Value {
        self.made = 0;
        self.make(schema, schema, "value", 0)
    }

    fn make(&mut self, root: &Value, schema: &Value, name: &str, depth: usize) -> Value {
        self.made += 1;
        if depth > SCHEMA_DEPTH_MAX || self.made > ARGUMENT_VALUES_MAX {
            return Value::Null;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.make(root, target, name, depth + 1));
        }
        if let Some(merged) = merge_all_of(schema) {
            return self.make(root, &merged, name, depth + 1);
        }
        if let Some(given) = given(schema) {
            return given;
        }
        let branches = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key).and_then(Value::as_array));
        if let Some(branches) = branches {
            let null = json!("null");
            let branch =
                branches.iter().find(|branch| branch.get("type") != Some(&null)).or(branches.first());
            return branch.map_or(Value::Null, |branch| self.make(root, branch, name, depth + 1));
        }
        match type_of(schema) {
            "object" => self.object(root, schema, depth),
            "array" => self.array(root, schema, name, depth),
            "integer" => self.integer(schema),
            "number" => self.number(schema),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => Value::String(self.string(schema, name)),
        }
    }

    fn object(&mut self, root: &Value, schema: &Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array);
        let names = required.into_iter().flatten().filter_map(Value::as_str);
        let mut object = Map::new();
        for name in names {
            let property = schema.get("properties").and_then(|all| all.get(name)).unwrap_or(&Value::Null);
            object.insert(name.to_owned(), self.make(root, property, name, depth + 1));
        }
        Value::Object(object)
    }

    fn array(&mut self, root: &Value, schema: &Value, name: &str, depth: usize) -> Value {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).max(1);
        let none_allowed = schema.get("maxItems").and_then(Value::as_u64) == Some(0);
        let count = if none_allowed {
            0
        } else {
            usize::try_from(least).map_or(ARRAY_ITEMS_MAX, |n| n.min(ARRAY_ITEMS_MAX))
        };
        let items = schema.get("items").unwrap_or(&Value::Null);
        (0..count).map(|_| self.make(root, items, name, depth + 1)).collect()
    }

    fn integer(&mut self, schema: &Value) -> Value {
        let wanted = self.next_number().unwrap_or(1.0).round();
        let (low, high) = bounds(schema);
        json!(wanted.max(low.ceil()).min(high.floor()) as i64)
    }

    fn number(&mut self, schema: &Value) -> Value {
        let wanted = self.next_number().unwrap_or(1.0);
        let (low, high) = bounds(schema);
        let number = wanted.max(low).min(high);
        if number.fract() == 0.0 && number.abs() < 1e15 { json!(number as i64) } else { json!(number) }
    }

    fn string(&mut self, schema: &Value, name: &str) -> String {
        let quoted = self.quoted.get(self.quoted_used).cloned();
        self.quoted_used += usize::from(quoted.is_some());
        let format = schema.get("format").and_then(Value::as_str);
        let text = quoted
            .or_else(|| format.and_then(of_format).map(str::to_owned))
            .or_else(|| self.next_number().map(|number| number.to_string()))
            .unwrap_or_else(|| format!("example {name}"));
        fit_length(text, schema)
    }

    fn next_number(&mut self) -> Option<f64> {
        let number = self.numbers.get(self.numbers_used).copied();
        self.numbers_used += usize::from(number.is_some());
        number
    }
}

/// Finds the next quoted part: byte ranges of the opening and of the closing mark. An apostrophe opens only at a
/// word's start and closes only at a word's end, so that "don't" is no quote.
fn next_quote(text: &str) -> Option<((usize, usize), (usize, usize))> {
    let mut before: Option<char> = None;
    for (at, open) in text.char_indices() {
        let close = match open {
            '"' | '`' => Some(open),
            '\'' if !before.is_some_and(char::is_alphanumeric) => Some('\''),
            '“' => Some('”'),
            '«' => Some('»'),
            _ => None,
        };
        before = Some(open);
        let Some(close) = close else { continue };
        let start = at + open.len_utf8();
        let ends = |end: usize| {
            let next = text[end + close.len_utf8()..].chars().next();
            close != '\'' || !next.is_some_and(char::is_alphanumeric)
        };
        let end = text[start..].match_indices(close).map(|(end, _)| start + end).find(|end| ends(*end));
        if let Some(end) = end {
            return Some(((at, start), (end, end + close.len_utf8())));
        }
    }
    None
}

/// Gives the value that the schema itself names.
fn given(schema: &Value) -> Option<Value> {
    let first = |key: &str| schema.get(key).and_then(Value::as_array).and_then(|list| list.first());
    let value = schema.get("const").or_else(|| first("enum"));
    value
        .or_else(|| schema.get("default").filter(|value| !value.is_null()))
        .or_else(|| first("examples"))
        .cloned()
}

/// Joins the parts of `allOf` with the schema around them.
fn merge_all_of(schema: &Value) -> Option<Value> {
    let parts = schema.get("allOf")?.as_array()?;
    if let [only] = parts.as_slice()
        && only.get("$ref").is_some()
    {
        return Some(only.clone());
    }
    let mut merged = schema.as_object()?.clone();
    merged.remove("allOf");
    for (key, value) in parts.iter().filter_map(Value::as_object).flatten() {
        match (merged.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more.iter().cloned()),
            (Some(_), _) => {}
            (None, value) => drop(merged.insert(key.clone(), value.clone())),
        }
    }
    Some(Value::Object(merged))
}

fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("null")
        }
        Some(_) | None if schema.get("properties").is_some() => "object",
        Some(_) | None if schema.get("items").is_some() => "array",
        Some(_) | None => "string",
    }
}

fn bounds(schema: &Value) -> (f64, f64) {
    let of = |key: &str| schema.get(key).and_then(Value::as_f64);
    let low = of("minimum").or_else(|| of("exclusiveMinimum").map(|low| low + 1.0)).unwrap_or(f64::MIN);
    let high = of("maximum").or_else(|| of("exclusiveMaximum").map(|high| high - 1.0)).unwrap_or(f64::MAX);
    (low, high)
}

fn of_format(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "2026-01-15",
        "date-time" => "2026-01-15T12:00:00Z",
        "time" => "12:00:00Z",
        "email" => "someone@example.com",
        "uri" | "url" => "https://example.com/",
        "uuid" => "00000000-0000-4000-8000-000000000001",
        _ => return None,
    })
}

fn fit_length(mut text: String, schema: &Value) -> String {
    let length = |key: &str| schema.get(key).and_then(Value::as_u64);
    let least = length("minLength").unwrap_or(0).min(PADDED_CHARS_MAX) as usize;
    let missing = least.saturating_sub(text.chars().count());
    text.extend(std::iter::repeat_n('x', missing));
    if let Some((end, _)) =
        length("maxLength").and_then(|most| text.char_indices().nth(usize::try_from(most).ok()?))
    {
        text.truncate(end);
    }
    text
}

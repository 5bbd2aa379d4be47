//! How two tool schema sets differ: tools by name, then paths within a tool's definition.
//!
//! Objects are compared key by key and arrays of one length item by item. Arrays of two lengths are one
//! change as a whole, as item numbers that all moved up would tell nobody anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ToolsDiff, present};

/// A place in a tool's definition that differs; a side that doesn't have it is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathChange {
    /// A JSON pointer (RFC 6901).
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<Value>,
}

/// Compares two tool schema sets.
pub fn tools(a: Option<&str>, b: Option<&str>) -> ToolsDiff {
    let (a, b) = (by_name(a), by_name(b));
    let mut diff = ToolsDiff::default();
    for (name, before) in &a {
        match b.get(name) {
            None => {
                diff.removed.insert(name.clone());
            }
            Some(after) => {
                let mut changes = Vec::new();
                compare(before, after, &mut String::new(), &mut changes);
                if !changes.is_empty() {
                    diff.changed.insert(name.clone(), changes);
                }
            }
        }
    }
    diff.added = b.into_keys().filter(|name| !a.contains_key(name)).collect();
    diff
}

/// Whether two values have one canonical form. Integers that doubles can't tell apart are still told apart.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            x == y || ((x.is_f64() || y.is_f64()) && x.as_f64() == y.as_f64())
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => same_json(x, y),
        (a, b) => a == b,
    }
}

/// Whether two objects have one canonical form.
pub fn same_json(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
}

/// The tools of a schema set. What can't be named gets its place as a name, and a name that comes twice
/// its count, so that nothing is lost. A text that is no array counts as one tool.
fn by_name(schema: Option<&str>) -> BTreeMap<String, Value> {
    let Some(schema) = schema else { return BTreeMap::new() };
    let tools =
        serde_json::from_str::<Vec<Value>>(schema).unwrap_or_else(|_| vec![Value::String(schema.to_owned())]);
    let mut named = BTreeMap::new();
    let mut seen = BTreeMap::<String, usize>::new();
    for (index, tool) in tools.into_iter().enumerate() {
        let name = name(&tool).map_or_else(|| format!("#{index}"), str::to_owned);
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        named.insert(if *count == 1 { name } else { format!("{name}#{count}") }, tool);
    }
    named
}

/// OpenAI's shape names the function, MCP's the tool itself, and a provider's built-in tool only its type.
fn name(tool: &Value) -> Option<&str> {
    let function = tool.pointer("/function/name");
    function.or_else(|| tool.get("name")).or_else(|| tool.get("type")).and_then(Value::as_str)
}

fn compare(a: &Value, b: &Value, path: &mut String, changes: &mut Vec<PathChange>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            for (key, before) in x {
                at(path, key, |path| match y.get(key) {
                    Some(after) => compare(before, after, path, changes),
                    None => changes.push(change(path, Some(before), None)),
                });
            }
            for (key, after) in y.iter().filter(|(key, _)| !x.contains_key(*key)) {
                at(path, key, |path| changes.push(change(path, None, Some(after))));
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (index, (before, after)) in x.iter().zip(y).enumerate() {
                at(path, &index.to_string(), |path| compare(before, after, path, changes));
            }
        }
        (a, b) if same(a, b) => {}
        (a, b) => changes.push(change(path, Some(a), Some(b))),
    }
}

fn change(path: &str, before: Option<&Value>, after: Option<&Value>) -> PathChange {
    PathChange { path: path.to_owned(), before: before.cloned(), after: after.cloned() }
}

fn at(path: &mut String, key: &str, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    path.push_str(&key.replace('~', "~0").replace('/', "~1"));
    visit(path);
    path.truncate(length);
}

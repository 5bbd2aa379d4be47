//! A test's variables: read, multiplied out, and filled.
//!
//! A list whose first item is a text stands for as many cases as it has items, times those of every other such list, the
//! last name in the alphabet turning fastest; other lists are values. A variable may use others, in any order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::context::{Reading, extension};
use super::node::Node;
use super::table::{Table, below};
use super::template::{Variables, is_template};
use super::{CASES_MAX, Place, sources};

/// A variable as it is written.
#[derive(Clone, Debug)]
pub struct Var {
    value: Value,
    /// It names several files, each of which is a case.
    is_files: bool,
    /// It came from a file: its text is no template.
    is_data: bool,
    place: Place,
}

/// One choice of all variables, filled.
pub struct Vars {
    pub values: BTreeMap<String, Value>,
    pub variables: Variables,
}

/// Variables before they are filled.
type Choice<'v> = BTreeMap<&'v str, (Value, &'v Var)>;

/// Reads `vars`: a map, or files that hold one.
pub fn read(table: &Table<'_, '_>) -> BTreeMap<String, Var> {
    let mut vars = BTreeMap::new();
    let Some(node) = table.get("vars") else { return vars };
    let key = table.key_of("vars");
    if let Some(named) = node.text() {
        from_files(table.reading, named, &Place { at: node.at.clone(), key }, &mut vars);
    } else if let Some(items) = node.list() {
        for item in items {
            let place = Place { at: item.at.clone(), key: key.clone() };
            match item.text() {
                Some(named) => from_files(table.reading, named, &place, &mut vars),
                None => table.reading.fault(&item.at, &key, "must be a map, or name files that hold one"),
            }
        }
    } else {
        take(table.reading, node, &key, &mut vars);
    }
    vars
}

fn from_files(reading: &Reading<'_>, named: &str, place: &Place, vars: &mut BTreeMap<String, Var>) {
    let Some(paths) = sources::paths(reading, named, place) else { return };
    for path in paths {
        if !["yaml", "yml", "json"].contains(&extension(&path).as_str()) {
            let what = format!("names {path}; variables are read from .yaml, .yml and .json");
            reading.fault(&place.at, &place.key, &what);
        } else if let Some(node) = reading.document(&path, Some((&place.at, &place.key))) {
            take(reading, &node, "", vars);
        }
    }
}

fn take(reading: &Reading<'_>, node: &Node, key: &str, vars: &mut BTreeMap<String, Var>) {
    let Some(entries) = node.map() else {
        reading.fault(&node.at, key, &format!("must be a map of variables, not {}", node.is_a()));
        return;
    };
    for entry in entries {
        let place = Place { at: entry.value.at.clone(), key: below(key, &entry.key) };
        let file = entry.value.text().and_then(|text| text.strip_prefix("file://"));
        let var = match file {
            Some(named) => file_var(reading, named, place),
            None => Some(Var { value: entry.value.json(), is_files: false, is_data: false, place }),
        };
        vars.extend(var.map(|var| (entry.key.clone(), var)));
    }
}

fn file_var(reading: &Reading<'_>, named: &str, place: Place) -> Option<Var> {
    let mut values = Vec::new();
    for path in sources::paths(reading, named, &place)? {
        values.push(content(reading, &path, &place)?);
    }
    let is_files = values.len() > 1;
    let value = if is_files { Value::Array(values) } else { values.pop()? };
    Some(Var { value, is_files, is_data: true, place })
}

/// What a file holds: the values of YAML and JSON, else its text without the space around it.
pub fn content(reading: &Reading<'_>, path: &str, place: &Place) -> Option<Value> {
    match extension(path).as_str() {
        "yaml" | "yml" | "json" => Some(reading.document(path, Some((&place.at, &place.key)))?.json()),
        "js" | "mjs" | "cjs" | "ts" | "mts" | "cts" | "py" | "rb" => {
            let what =
                format!("names {path}; a suite runs no code while it is read: write down what it gives");
            reading.fault(&place.at, &place.key, &what);
            None
        }
        _ => match reading.text(path) {
            Ok(text) => Some(Value::String(text.trim().to_owned())),
            Err(what) => {
                reading.fault(&place.at, &place.key, &format!("names {path}, which {what}"));
                None
            }
        },
    }
}

/// Every choice of the variables, filled; `expand`: lists of texts are multiplied out.
pub fn choices(
    reading: &Reading<'_>,
    vars: &BTreeMap<String, Var>,
    expand: bool,
    place: &Place,
) -> Vec<Vars> {
    let is_list = |var: &Var| match &var.value {
        Value::Array(items) => var.is_files || (expand && items.first().is_some_and(Value::is_string)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    };
    let sizes = vars.values().filter(|var| is_list(var)).filter_map(|var| var.value.as_array().map(Vec::len));
    let count = sizes.fold(1_usize, usize::saturating_mul);
    if count > CASES_MAX {
        let what = format!(
            "multiplies its lists of variables out to {count} cases; a suite has at most {CASES_MAX}; \
             `options.disableVarExpansion: true` keeps lists as values"
        );
        reading.fault(&place.at, &place.key, &what);
        return Vec::new();
    }
    let mut all: Vec<Choice<'_>> = vec![Choice::new()];
    for (name, var) in vars {
        let listed = var.value.as_array().filter(|_| is_list(var));
        let values = listed.cloned().unwrap_or_else(|| vec![var.value.clone()]);
        let grown = all.into_iter().flat_map(|choice| {
            values.iter().map(move |value| {
                let mut choice = choice.clone();
                choice.insert(name, (value.clone(), var));
                choice
            })
        });
        all = grown.collect();
    }
    all.into_iter().filter_map(|choice| filled(reading, choice)).collect()
}

/// Fills the variables that use others, those first that they use.
fn filled(reading: &Reading<'_>, choice: Choice<'_>) -> Option<Vars> {
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    let mut waiting: BTreeMap<&str, (String, &Var, BTreeSet<String>)> = BTreeMap::new();
    let mut is_whole = true;
    for (name, (value, var)) in choice {
        match value {
            Value::String(text) if !var.is_data && is_template(&text) => {
                match reading.templates.asks_for(&text) {
                    Ok(names) => {
                        waiting.insert(name, (text, var, names.into_iter().collect()));
                    }
                    Err(what) => {
                        reading.fault(&var.place.at, &var.place.key, &what);
                        is_whole = false;
                    }
                }
            }
            value @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => {
                values.insert(name.to_owned(), value);
            }
        }
    }
    while !waiting.is_empty() {
        let ready = |names: &BTreeSet<String>| !names.iter().any(|name| waiting.contains_key(name.as_str()));
        let next = waiting.iter().find(|(_, (_, _, names))| ready(names)).map(|(name, _)| *name);
        let Some((name, (text, var, _))) = next.and_then(|name| waiting.remove_entry(name)) else {
            let names: Vec<&str> = waiting.keys().copied().collect();
            let place = waiting.values().next().map(|(_, var, _)| &var.place)?;
            let what = format!("uses itself, by way of {}", names.join(", "));
            reading.fault(&place.at, &place.key, &what);
            return None;
        };
        match reading.templates.fill(&text, &Variables::new(&values)) {
            Ok(text) => {
                values.insert(name.to_owned(), Value::String(text));
            }
            Err(what) => {
                reading.fault(&var.place.at, &var.place.key, &what);
                is_whole = false;
            }
        }
    }
    let variables = Variables::new(&values);
    is_whole.then_some(Vars { values, variables })
}

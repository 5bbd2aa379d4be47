//! Values in which templates are filled.

use serde_json::Value;

use super::Place;
use super::context::Reading;
use super::template::{Variables, is_template, only_variable};

/// How far down a value's texts are templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Nowhere: it came from a file, or is data.
    None,
    /// A text, or the texts of a list: what promptfoo fills.
    Items,
    /// Every text in it; one that is nothing but `{{ x }}` becomes x itself, whatever it is.
    All,
}

/// Fills a value's templates. A fault is noted at `place`, and gives nothing.
pub fn fill(
    reading: &Reading<'_>,
    value: &Value,
    depth: Depth,
    (vars, place): (&super::vars::Vars, &Place),
) -> Option<Value> {
    let filler = Filler { reading, variables: &vars.variables, vars, place };
    match depth {
        Depth::None => Some(value.clone()),
        Depth::All => filler.all(value),
        Depth::Items => match value {
            Value::String(text) => filler.text(text).map(Value::String),
            Value::Array(items) => {
                let filled = items.iter().map(|item| match item {
                    Value::String(text) => filler.text(text).map(Value::String),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                        Some(item.clone())
                    }
                });
                filled.collect::<Option<Vec<_>>>().map(Value::Array)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(value.clone()),
        },
    }
}

/// Fills one text.
pub fn fill_text(
    reading: &Reading<'_>,
    text: &str,
    (vars, place): (&super::vars::Vars, &Place),
) -> Option<String> {
    Filler { reading, variables: &vars.variables, vars, place }.text(text)
}

struct Filler<'a, 'f> {
    reading: &'a Reading<'f>,
    variables: &'a Variables,
    vars: &'a super::vars::Vars,
    place: &'a Place,
}

impl Filler<'_, '_> {
    fn text(&self, text: &str) -> Option<String> {
        match self.reading.templates.fill(text, self.variables) {
            Ok(text) => Some(text),
            Err(what) => {
                self.reading.fault(&self.place.at, &self.place.key, &what);
                None
            }
        }
    }

    fn all(&self, value: &Value) -> Option<Value> {
        match value {
            Value::String(text) if is_template(text) => {
                if let Some(whole) = only_variable(text).and_then(|name| self.vars.values.get(name)) {
                    return Some(whole.clone());
                }
                self.text(text).map(Value::String)
            }
            Value::Array(items) => {
                items.iter().map(|item| self.all(item)).collect::<Option<Vec<_>>>().map(Value::Array)
            }
            Value::Object(fields) => {
                let filled = fields.iter().map(|(key, field)| Some((key.clone(), self.all(field)?)));
                filled.collect::<Option<serde_json::Map<_, _>>>().map(Value::Object)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value.clone()),
        }
    }
}

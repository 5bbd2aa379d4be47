//! Assertions: as they are written, and filled for a case.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::context::{Reading, extension, nearest};
use super::node::{Content, Node};
use super::script::{self, Language};
use super::table::Table;
use super::template::is_template;
use super::value::{self, Depth};
use super::vars::{self, Vars};
use super::{Place, foreign, shape};
use crate::suite::{AssertKind, Assertion};

/// An assertion whose templates aren't filled.
#[derive(Clone, Debug)]
pub struct Written {
    kind: AssertKind,
    not: bool,
    value: Value,
    depth: Depth,
    threshold: Option<f64>,
    weight: Option<f64>,
    metric: Option<String>,
    transform: Option<String>,
    config: Value,
    asserts: Vec<Rc<Written>>,
    /// Of the value.
    place: Place,
}

/// `assertionTemplates`, by name.
pub type Templates<'n> = BTreeMap<&'n str, &'n Node>;

/// Every kind by its name.
pub const KINDS: [(&str, AssertKind); 26] = [
    ("equals", AssertKind::Equals),
    ("contains", AssertKind::Contains),
    ("icontains", AssertKind::Icontains),
    ("contains-any", AssertKind::ContainsAny),
    ("contains-all", AssertKind::ContainsAll),
    ("icontains-any", AssertKind::IcontainsAny),
    ("icontains-all", AssertKind::IcontainsAll),
    ("starts-with", AssertKind::StartsWith),
    ("regex", AssertKind::Regex),
    ("is-json", AssertKind::IsJson),
    ("contains-json", AssertKind::ContainsJson),
    ("levenshtein", AssertKind::Levenshtein),
    ("latency", AssertKind::Latency),
    ("cost", AssertKind::Cost),
    ("finish-reason", AssertKind::FinishReason),
    ("is-refusal", AssertKind::IsRefusal),
    ("is-valid-openai-tools-call", AssertKind::IsValidOpenaiToolsCall),
    ("tool-call-f1", AssertKind::ToolCallF1),
    ("tool-calls", AssertKind::ToolCalls),
    ("word-count", AssertKind::WordCount),
    ("javascript", AssertKind::Javascript),
    ("python", AssertKind::Python),
    ("llm-rubric", AssertKind::LlmRubric),
    ("factuality", AssertKind::Factuality),
    ("similar", AssertKind::Similar),
    ("assert-set", AssertKind::AssertSet),
];

/// Reads a list of assertions.
pub fn read_list(table: &Table<'_, '_>, key: &'static str, templates: &Templates<'_>) -> Vec<Rc<Written>> {
    let items = table.list(key).unwrap_or_default();
    items.iter().filter_map(|(node, key)| read(table.reading, node, key, templates, 0)).map(Rc::new).collect()
}

/// `expected_calls`, which is an assertion written short.
pub fn expected_calls(table: &Table<'_, '_>) -> Option<Rc<Written>> {
    let node = table.get("expected_calls")?;
    let place = table.place("expected_calls");
    let written =
        Written { value: node.json(), depth: Depth::All, ..Written::bare(AssertKind::ToolCalls, place) };
    Some(Rc::new(written.checked(table.reading)?))
}

/// An assertion in one text, `type:value` or `type(threshold):value`, as keys and values; else what the answer must
/// equal.
pub fn from_text(text: &str) -> Vec<(&'static str, Value)> {
    let written = |kind: &str, value: &str| vec![("type", json!(kind)), ("value", json!(value.trim()))];
    for (prefix, kind) in
        [("javascript:", "javascript"), ("fn:", "javascript"), ("eval:", "javascript"), ("python:", "python")]
    {
        if let Some(code) = text.strip_prefix(prefix) {
            return written(kind, code);
        }
    }
    for prefix in ["grade:", "llm-rubric:"] {
        if let Some(rubric) = text.strip_prefix(prefix) {
            return written("llm-rubric", rubric);
        }
    }
    if let Some(path) = text.strip_prefix("file://") {
        let path = path.rsplit_once(':').map_or(path, |(path, _)| path);
        match extension(path).as_str() {
            "py" => return written("python", text),
            "js" | "cjs" | "mjs" | "ts" => return written("javascript", text),
            _ => {}
        }
    }
    typed(text).unwrap_or_else(|| vec![("type", json!("equals")), ("value", json!(text))])
}

fn typed(text: &str) -> Option<Vec<(&'static str, Value)>> {
    let (head, value) = match text.split_once(':') {
        Some((head, value)) => (head, Some(value.trim())),
        None => (text, None),
    };
    let (kind, threshold) = match head.split_once('(') {
        Some((kind, rest)) => (kind, Some(rest.strip_suffix(')')?.parse::<f64>().ok()?)),
        None => (head, None),
    };
    let base = kind.strip_prefix("not-").unwrap_or(kind);
    let names =
        || KINDS.iter().map(|(name, _)| *name).chain(foreign::ASSERT_TYPES.iter().map(|(name, _)| *name));
    // A slip of one letter is a misspelt type, which reading it as one tells; anything else is an answer.
    let is_type = names().any(|name| name == base)
        || (value.is_some() && names().any(|name| strsim::damerau_levenshtein(name, base) == 1));
    if !is_type {
        return None;
    }
    let mut keys = vec![("type", json!(kind))];
    keys.extend(value.filter(|value| !value.is_empty()).map(|value| ("value", json!(value))));
    keys.extend(threshold.map(|threshold| ("threshold", json!(threshold))));
    Some(keys)
}

/// How deep sets of assertions may be nested; promptfoo has one level.
const SETS_MAX: usize = 4;

fn read(
    reading: &Reading<'_>,
    node: &Node,
    key: &str,
    templates: &Templates<'_>,
    depth: usize,
) -> Option<Written> {
    let table = Table::open(reading, node, key)?;
    if let Some(named) = table.text("$ref") {
        table.close(&[]);
        let name = named.strip_prefix("#/assertionTemplates/");
        let Some(template) = name.and_then(|name| templates.get(name)).filter(|_| depth < SETS_MAX) else {
            let like = name.and_then(|name| nearest(name, templates.keys().copied()));
            let hint =
                like.map(|like| format!("; did you mean `#/assertionTemplates/{like}`?")).unwrap_or_default();
            table.fault(
                "$ref",
                &format!("is `{named}`, which is no `#/assertionTemplates/NAME` of this file{hint}"),
            );
            return None;
        };
        let key = format!("assertionTemplates.{}", name.unwrap_or_default());
        return read(reading, template, &key, templates, depth + 1);
    }
    let kind = kind(&table);
    let transform = script::transform(&table);
    let (threshold, weight, metric) =
        (table.number("threshold"), table.number("weight"), table.text("metric"));
    let config = table.get("config").map(Node::json).unwrap_or_default();
    let set = table.list("assert");
    let given = table.get("value");
    let place = if given.is_some() { table.place("value") } else { table.here() };
    table.close(foreign::ASSERT_KEYS);
    let (kind, not) = kind?;
    let (value, depth_of) = match given {
        Some(node) => value(reading, kind, node, &place)?,
        None => (Value::Null, Depth::None),
    };
    let asserts = if kind == AssertKind::AssertSet && depth < SETS_MAX {
        let items = set.unwrap_or_default();
        items
            .iter()
            .filter_map(|(node, key)| read(reading, node, key, templates, depth + 1))
            .map(Rc::new)
            .collect()
    } else {
        if set.is_some() {
            table.fault("assert", "goes with type `assert-set`, which may be nested four times");
        }
        Vec::new()
    };
    let written = Written {
        not,
        value,
        depth: depth_of,
        threshold,
        weight,
        metric,
        transform,
        config,
        asserts,
        ..Written::bare(kind, place)
    };
    written.checked(reading)
}

fn kind(table: &Table<'_, '_>) -> Option<(AssertKind, bool)> {
    let Some(named) = table.text("type") else {
        if !table.has("type") {
            table.fault_here("has no `type`: it says what the answer must be, such as `contains`");
        }
        return None;
    };
    let (base, not) = named.strip_prefix("not-").map_or((named.as_str(), false), |base| (base, true));
    if let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == base) {
        if not && *kind == AssertKind::AssertSet {
            table.fault("type", "is `not-assert-set`: negate the assertions in it");
        }
        return Some((*kind, not));
    }
    let redteam = base
        .strip_prefix("promptfoo:redteam:")
        .map(|_| "`llm-rubric` can ask whether the attack had its way");
    let instead =
        foreign::ASSERT_TYPES.iter().find(|(name, _)| *name == base).map(|(_, instead)| *instead).or(redteam);
    let what = match (instead, nearest(base, KINDS.iter().map(|(name, _)| *name))) {
        (Some(instead), _) => format!("is `{named}`, which Pinrail doesn't have: {instead}"),
        (None, Some(like)) => {
            let not = if not { "not-" } else { "" };
            format!("is `{named}`, which is no assertion; did you mean `{not}{like}`?")
        }
        (None, None) => {
            let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            format!("is `{named}`, which is no assertion; there are {}", names.join(", "))
        }
    };
    table.fault("type", &what);
    None
}

/// An assertion's value with its files taken in.
fn value(reading: &Reading<'_>, kind: AssertKind, node: &Node, place: &Place) -> Option<(Value, Depth)> {
    let languages = [(AssertKind::Javascript, Language::JavaScript), (AssertKind::Python, Language::Python)];
    let script = languages.into_iter().find(|(scripted, _)| *scripted == kind).map(|(_, language)| language);
    let deep = if kind == AssertKind::ToolCalls { Depth::All } else { Depth::Items };
    match &node.content {
        Content::Text(text) => match (text.strip_prefix("file://"), script) {
            (Some(named), Some(language)) => {
                Some((Value::String(script::in_file(reading, named, language, place)?), Depth::None))
            }
            (Some(path), None) => Some((vars::content(reading, path, place)?, Depth::None)),
            (None, _) if text.starts_with("package:") => {
                reading.fault(
                    &place.at,
                    &place.key,
                    "names a package: a suite takes in files (`file://…`) alone",
                );
                None
            }
            (None, _) => Some((Value::String(text.clone()), deep)),
        },
        Content::List(items) => {
            let values =
                items.iter().map(|item| match item.text().and_then(|text| text.strip_prefix("file://")) {
                    Some(path) => Some(match vars::content(reading, path, place)? {
                        // What is in a file is no template.
                        Value::String(text) if is_template(&text) => {
                            Value::String(format!("{{% raw %}}{text}{{% endraw %}}"))
                        }
                        content @ (Value::Null
                        | Value::Bool(_)
                        | Value::Number(_)
                        | Value::String(_)
                        | Value::Array(_)
                        | Value::Object(_)) => content,
                    }),
                    None => Some(item.json()),
                });
            Some((Value::Array(values.collect::<Option<Vec<_>>>()?), deep))
        }
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Map(_) => Some((node.json(), deep)),
    }
}

impl Written {
    fn bare(kind: AssertKind, place: Place) -> Written {
        Written {
            kind,
            not: false,
            value: Value::Null,
            depth: Depth::None,
            threshold: None,
            weight: None,
            metric: None,
            transform: None,
            config: Value::Null,
            asserts: Vec::new(),
            place,
        }
    }

    /// The assertion, unless something can be seen to be wrong before its templates are filled.
    fn checked(self, reading: &Reading<'_>) -> Option<Written> {
        let Written { kind, threshold, place, .. } = &self;
        if let Some(what) = shape::missing(*kind, &self.value, *threshold, self.asserts.is_empty()) {
            reading.fault(&place.at, &place.key, &what);
            return None;
        }
        if let Some(what) = shape::bad_config(*kind, &self.config) {
            reading.fault(&place.at, &place.key, &what);
        }
        Some(self)
    }

    /// The assertion of one case.
    pub fn fill(&self, reading: &Reading<'_>, vars: &Vars) -> Option<Assertion> {
        let place = &self.place;
        let value = value::fill(reading, &self.value, self.depth, (vars, place))?;
        let value = match shape::shaped(self.kind, value) {
            Ok(value) => value,
            Err(what) => {
                reading.fault(&place.at, &place.key, &what);
                return None;
            }
        };
        let metric = match &self.metric {
            Some(metric) => Some(value::fill_text(reading, metric, (vars, place))?),
            None => None,
        };
        let asserts = self.asserts.iter().map(|inner| inner.fill(reading, vars));
        Some(Assertion {
            kind: self.kind,
            not: self.not,
            value,
            threshold: self.threshold,
            weight: self.weight.filter(|weight| (weight - 1.0).abs() > f64::EPSILON),
            metric,
            transform: self.transform.clone(),
            config: self.config.clone(),
            asserts: asserts.collect::<Option<Vec<_>>>()?,
        })
    }
}

//! One test as it is written, and how it is laid over others.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::assertion::{self, Templates, Written};
use super::context::Reading;
use super::node::Node;
use super::options::Options;
use super::prompt::{self, WrittenTurn};
use super::table::Table;
use super::vars::{self, Var};
use super::{Place, foreign};

/// A test, a row of a scenario's `config`, or `defaultTest`.
#[derive(Clone, Debug)]
pub struct Test {
    pub place: Place,
    pub description: Option<String>,
    pub vars: BTreeMap<String, Var>,
    pub asserts: Vec<Rc<Written>>,
    pub threshold: Option<f64>,
    pub metadata: BTreeMap<String, Value>,
    pub options: Options,
    pub turns: Option<Rc<Vec<WrittenTurn>>>,
    pub expected_calls: Option<Rc<Written>>,
    pub request: BTreeMap<String, (Value, Place)>,
    pub tool_results: Vec<(Value, Place)>,
    pub must_pass: Option<bool>,
}

impl Test {
    /// A test that says nothing.
    pub fn empty(place: Place) -> Test {
        Test {
            place,
            description: None,
            vars: BTreeMap::new(),
            asserts: Vec::new(),
            threshold: None,
            metadata: BTreeMap::new(),
            options: Options::default(),
            turns: None,
            expected_calls: None,
            request: BTreeMap::new(),
            tool_results: Vec::new(),
            must_pass: None,
        }
    }

    pub fn read(reading: &Reading<'_>, node: &Node, key: &str, templates: &Templates<'_>) -> Option<Test> {
        let table = Table::open(reading, node, key)?;
        let test = Test {
            place: table.here(),
            description: table.text("description"),
            vars: vars::read(&table),
            asserts: assertion::read_list(&table, "assert", templates),
            threshold: table.number("threshold"),
            metadata: metadata(&table),
            options: Options::read(&table),
            turns: prompt::turns(&table, templates).map(Rc::new),
            expected_calls: assertion::expected_calls(&table),
            request: request(&table),
            tool_results: tool_results(&table),
            must_pass: table.flag("must_pass"),
        };
        table.close(foreign::TEST_KEYS);
        Some(test)
    }

    /// This test, and where it says nothing the one below. Assertions of the one below come first; what its tools say
    /// comes last.
    pub fn over(mut self, under: &Test) -> Test {
        let below = |own: &mut BTreeMap<String, Var>| {
            for (name, var) in &under.vars {
                own.entry(name.clone()).or_insert_with(|| var.clone());
            }
        };
        below(&mut self.vars);
        for (key, value) in &under.metadata {
            self.metadata.entry(key.clone()).or_insert_with(|| value.clone());
        }
        for (key, value) in &under.request {
            self.request.entry(key.clone()).or_insert_with(|| value.clone());
        }
        self.tool_results.extend(under.tool_results.iter().cloned());
        let options = self.options.over(&under.options);
        let above = std::mem::take(&mut self.asserts);
        Test {
            asserts: under.asserts.iter().cloned().chain(above).collect(),
            description: self.description.or_else(|| under.description.clone()),
            threshold: self.threshold.or(under.threshold),
            options,
            turns: self.turns.or_else(|| under.turns.clone()),
            expected_calls: self.expected_calls.or_else(|| under.expected_calls.clone()),
            must_pass: self.must_pass.or(under.must_pass),
            ..self
        }
    }

    /// This test over `defaultTest`, whose assertions it may do without.
    pub fn over_default(self, default: &Test) -> Test {
        let is_alone = self.options.is_alone.or(default.options.is_alone).unwrap_or(false);
        if is_alone {
            let bare = Test { asserts: Vec::new(), expected_calls: None, ..default.clone() };
            return self.over(&bare);
        }
        self.over(default)
    }
}

fn metadata(table: &Table<'_, '_>) -> BTreeMap<String, Value> {
    let entries = table.map("metadata").unwrap_or_default();
    entries.iter().map(|entry| (entry.key.clone(), entry.value.json())).collect()
}

/// Fields of the request that the release or the runner sets.
const SET: [(&str, &str); 5] = [
    ("model", "the release says which model answers"),
    ("messages", "`prompts` or `turns` say what is asked"),
    ("stream", "answers are read whole"),
    ("n", "`repeats` in [gate] of agent.toml says how often is asked"),
    ("stream_options", "answers are read whole"),
];

fn request(table: &Table<'_, '_>) -> BTreeMap<String, (Value, Place)> {
    let mut fields = BTreeMap::new();
    for entry in table.map("request").unwrap_or_default() {
        let place = Place { at: entry.at.clone(), key: table.key_of(&format!("request.{}", entry.key)) };
        if let Some((_, why)) = SET.iter().find(|(key, _)| *key == entry.key) {
            table.reading.fault(&place.at, &place.key, &format!("cannot be set here: {why}"));
            continue;
        }
        let file = entry.value.text().and_then(|text| text.strip_prefix("file://"));
        let value = match file {
            Some(path) => vars::content(table.reading, path, &place),
            None => Some(entry.value.json()),
        };
        fields.extend(value.map(|value| (entry.key.clone(), (value, place))));
    }
    fields
}

fn tool_results(table: &Table<'_, '_>) -> Vec<(Value, Place)> {
    let items = table.list("tool_results").unwrap_or_default();
    let read = items.iter().filter_map(|(node, key)| {
        let tool = Table::open(table.reading, node, key)?;
        let (name, result) = (tool.text("name"), tool.get("result").map(Node::json));
        if let Some(arguments) = tool.get("arguments")
            && arguments.map().is_none()
        {
            tool.fault("arguments", "must be a map: the arguments that the call must have");
        }
        let place = tool.here();
        if name.is_none() && !tool.has("name") {
            tool.fault_here("has no `name`: it says whose call it answers");
        }
        let result = match result {
            Some(Value::String(text)) => match text.strip_prefix("file://") {
                Some(path) => vars::content(table.reading, path, &tool.place("result")),
                None => Some(Value::String(text)),
            },
            Some(value) => Some(value),
            None => {
                tool.fault_here("has no `result`: it says what the tool answers");
                None
            }
        };
        let arguments = tool.get("arguments").map(Node::json).unwrap_or_default();
        tool.close(&[("output", "it is called `result`"), ("content", "it is called `result`")]);
        Some((serde_json::json!({ "name": name?, "arguments": arguments, "result": result? }), place))
    });
    read.collect()
}

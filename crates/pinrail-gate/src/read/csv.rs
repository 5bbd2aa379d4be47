//! CSV → tests: a row is a test, a column a variable, and promptfoo's columns with two underscores are settings.
//!
//! `__expected` and `__expected1`, `__expected2`, … are assertions, written `type:value`, `type(threshold):value`, or as
//! the text that the answer must equal.

use std::rc::Rc;

use serde_json::{Number, Value};

use super::assertion;
use super::node::{At, Content, Entry, Node};
use super::yaml::Bad;

/// The tests of a CSV file.
pub fn read(text: &str, file: &Rc<str>) -> Result<Node, Bad> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text.as_bytes());
    let place = |error: &csv::Error| {
        let line = error.position().map_or(0, |position| usize::try_from(position.line()).unwrap_or(0));
        At { line, ..At::file(file) }
    };
    let bad = |error: csv::Error| Bad { at: place(&error), what: format!("is not CSV: {error}") };
    let columns: Vec<String> =
        reader.headers().map_err(bad)?.iter().map(|name| name.trim().to_owned()).collect();
    check(&columns, file)?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(bad)?;
        let line = record.position().map_or(0, |position| usize::try_from(position.line()).unwrap_or(0));
        let at = At { line, ..At::file(file) };
        rows.push(Row::new(&at).read(columns.iter().zip(record.iter()))?);
    }
    Ok(Node::new(Content::List(rows), At::file(file)))
}

/// Refuses columns that would be something else than they look like.
fn check(columns: &[String], file: &Rc<str>) -> Result<(), Bad> {
    for (index, name) in columns.iter().enumerate() {
        let what = if columns[..index].contains(name) {
            format!("has the column `{name}` twice")
        } else if name == "__metadata" {
            "has a column `__metadata` that names no key: write `__metadata:category`".to_owned()
        } else if name == "__providerOutput" {
            "has a column `__providerOutput`: a gate judges what the release answers".to_owned()
        } else if name.starts_with("__") && !is_setting(name) {
            let known = ["__expected", "__prefix", "__suffix", "__description", "__metric", "__threshold"];
            let like = super::context::nearest(name, known);
            let hint = like.map(|like| format!("; did you mean `{like}`?")).unwrap_or_default();
            format!("has a column `{name}`, which Pinrail doesn't know{hint}")
        } else if name.starts_with('_') && is_setting(&format!("_{name}")) {
            format!("has a column `{name}`: did you mean `_{name}`, with two underscores?")
        } else {
            continue;
        };
        return Err(Bad { at: At { line: 1, ..At::file(file) }, what });
    }
    Ok(())
}

fn is_setting(name: &str) -> bool {
    ["__prefix", "__suffix", "__description", "__metric", "__threshold"].contains(&name)
        || expected_index(name).is_some()
        || name.strip_prefix("__metadata:").is_some_and(|key| !key.is_empty())
        || name.strip_prefix("__config:").is_some()
}

/// Which assertion a column holds, from 0.
fn expected_index(name: &str) -> Option<usize> {
    match name.strip_prefix("__expected")? {
        "" => Some(0),
        digits => digits.parse::<usize>().ok()?.checked_sub(1),
    }
}

/// A row that is being read.
struct Row<'a> {
    at: &'a At,
    vars: Vec<Entry>,
    asserts: Vec<(usize, Vec<Entry>)>,
    options: Vec<Entry>,
    metadata: Vec<Entry>,
    test: Vec<Entry>,
    metric: Option<String>,
    thresholds: Vec<(usize, Node)>,
}

impl<'a> Row<'a> {
    fn new(at: &'a At) -> Row<'a> {
        Row {
            at,
            vars: Vec::new(),
            asserts: Vec::new(),
            options: Vec::new(),
            metadata: Vec::new(),
            test: Vec::new(),
            metric: None,
            thresholds: Vec::new(),
        }
    }

    fn read<'c>(mut self, cells: impl Iterator<Item = (&'c String, &'c str)>) -> Result<Node, Bad> {
        for (name, cell) in cells {
            self.cell(name, cell)?;
        }
        for (index, threshold) in std::mem::take(&mut self.thresholds) {
            let Some((_, assert)) = self.asserts.iter_mut().find(|(at, _)| *at == index) else { continue };
            assert.retain(|entry| entry.key != "threshold");
            assert.push(Entry { key: "threshold".to_owned(), at: self.at.clone(), value: threshold });
        }
        let metric = self.metric.take();
        let asserts = std::mem::take(&mut self.asserts).into_iter().map(|(_, mut entries)| {
            entries.extend(metric.iter().map(|metric| self.entry("metric", Content::Text(metric.clone()))));
            Node::new(Content::Map(entries), self.at.clone())
        });
        let asserts: Vec<Node> = asserts.collect();
        let mut test = std::mem::take(&mut self.test);
        test.push(self.entry("vars", Content::Map(self.vars.clone())));
        test.push(self.entry("assert", Content::List(asserts)));
        test.push(self.entry("options", Content::Map(self.options.clone())));
        test.push(self.entry("metadata", Content::Map(self.metadata.clone())));
        Ok(Node::new(Content::Map(test), self.at.clone()))
    }

    fn cell(&mut self, name: &str, cell: &str) -> Result<(), Bad> {
        let text = || Content::Text(cell.to_owned());
        if !name.starts_with("__") {
            self.vars.push(self.entry(name, text()));
        } else if cell.trim().is_empty() {
            // An empty setting is none.
        } else if let Some(index) = expected_index(name) {
            let assert = assertion::from_text(cell.trim());
            let entries = assert.into_iter().map(|(key, value)| self.entry(key, content(value)));
            let entries = entries.collect();
            self.asserts.push((index, entries));
        } else if let Some(key) = name.strip_prefix("__metadata:") {
            let entry = match key.strip_suffix("[]") {
                Some(key) => self.entry(key, Content::List(self.items(cell))),
                None => self.entry(key, text()),
            };
            self.metadata.push(entry);
        } else if let Some(target) = name.strip_prefix("__config:") {
            let index = target.strip_suffix(":threshold").and_then(expected_index);
            let index = index.ok_or_else(|| {
                self.bad(format!("has a column `{name}`: it must be `__config:__expectedN:threshold`"))
            })?;
            let threshold = self.number(name, cell)?;
            self.thresholds.push((index, threshold));
        } else {
            match name {
                "__description" => self.test.push(self.entry("description", text())),
                "__metric" => self.metric = Some(cell.trim().to_owned()),
                "__prefix" => self.options.push(self.entry("prefix", text())),
                "__suffix" => self.options.push(self.entry("suffix", text())),
                // The header holds nothing else.
                _ => {
                    let threshold = self.number(name, cell)?;
                    self.test.push(Entry {
                        key: "threshold".to_owned(),
                        at: self.at.clone(),
                        value: threshold,
                    });
                }
            }
        }
        Ok(())
    }

    /// The parts between commas; `\,` is a comma.
    fn items(&self, cell: &str) -> Vec<Node> {
        let kept = cell.replace("\\,", "\u{0}");
        let items = kept.split(',').map(|item| item.trim().replace('\u{0}', ","));
        items.map(|item| Node::new(Content::Text(item), self.at.clone())).collect()
    }

    fn number(&self, name: &str, cell: &str) -> Result<Node, Bad> {
        let number = cell.trim().parse::<f64>().ok().and_then(Number::from_f64);
        let number =
            number.ok_or_else(|| self.bad(format!("has `{cell}` in `{name}`, which is no number")))?;
        Ok(Node::new(Content::Number(number), self.at.clone()))
    }

    fn entry(&self, key: &str, content: Content) -> Entry {
        Entry { key: key.to_owned(), at: self.at.clone(), value: Node::new(content, self.at.clone()) }
    }

    fn bad(&self, what: String) -> Bad {
        Bad { at: self.at.clone(), what }
    }
}

/// What [`assertion::from_text`] gives is texts and numbers.
fn content(value: Value) -> Content {
    match value {
        Value::String(text) => Content::Text(text),
        Value::Number(number) => Content::Number(number),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Content::Null,
    }
}

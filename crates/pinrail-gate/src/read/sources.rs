//! Where a suite's tests stand: in it, in files that it names, in scenarios.

use std::rc::Rc;

use super::assertion::Templates;
use super::context::{Reading, extension};
use super::node::{Content, Node};
use super::prompt::{self, Prompt};
use super::table::{Table, below};
use super::test::Test;
use super::{Place, Placed, case, csv, json};

/// How deep files of tests may name other files of tests.
const FILES_DEPTH_MAX: usize = 8;

/// What is common to the tests of a suite.
struct Ground<'g> {
    templates: Templates<'g>,
    prompt: Prompt,
    default: Test,
}

/// The cases of a suite.
pub fn cases(table: &Table<'_, '_>) -> Vec<Placed> {
    let reading = table.reading;
    let entries = table.map("assertionTemplates").unwrap_or_default();
    let templates: Templates<'_> = entries.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect();
    let prompt = prompt::read(table);
    let default = default_test(table, &templates);
    let ground = Ground { templates, prompt, default };
    let mut cases = Vec::new();
    if let Some(node) = table.get("tests") {
        for test in tests(reading, node, "tests", &ground.templates, 0) {
            case::add(reading, &ground.prompt, &test.over_default(&ground.default), &mut cases);
        }
    } else if !table.has("scenarios") {
        table.fault("tests", "is missing: a list of tests, or the files that hold them");
    }
    if let Some(node) = table.get("scenarios") {
        scenarios(reading, node, "scenarios", &ground, &mut cases, 0);
    }
    cases
}

/// The files that a text names: `file://…` or a path, with wildcards. A fault is noted at `place`.
pub fn paths(reading: &Reading<'_>, named: &str, place: &Place) -> Option<Vec<String>> {
    let path = named.strip_prefix("file://").unwrap_or(named);
    if path.contains("://") {
        let what = format!("names {named}; a suite is made of files: fetch it and name the file");
        reading.fault(&place.at, &place.key, &what);
        return None;
    }
    match reading.glob(path) {
        Ok(paths) => Some(paths),
        Err(what) => {
            reading.fault(&place.at, &place.key, &format!("names {named}, which {what}"));
            None
        }
    }
}

fn default_test(table: &Table<'_, '_>, templates: &Templates<'_>) -> Test {
    let place = table.place("defaultTest");
    let empty = Test::empty(place.clone());
    let Some(node) = table.get("defaultTest") else { return empty };
    let read = match node.text() {
        Some(named) => {
            let path = named.strip_prefix("file://").unwrap_or(named);
            let document = table.reading.document(path, Some((&place.at, &place.key)));
            document.and_then(|node| Test::read(table.reading, &node, "", templates))
        }
        None => Test::read(table.reading, node, &place.key, templates),
    };
    // What it describes is each test, so its words are none of a test's.
    Test { description: None, ..read.unwrap_or(empty) }
}

/// The tests of a value: one, a list of them, or files that hold them.
fn tests(
    reading: &Reading<'_>,
    node: &Node,
    key: &str,
    templates: &Templates<'_>,
    depth: usize,
) -> Vec<Test> {
    match &node.content {
        Content::List(items) => {
            let mut all = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                if reading.is_hopeless() {
                    break;
                }
                let key = below(key, &format!("[{index}]"));
                match item.content {
                    Content::List(_) => {
                        reading.fault(
                            &item.at,
                            &key,
                            "is a list in a list: a test is a map, or names a file",
                        );
                    }
                    Content::Text(_) => all.extend(tests(reading, item, &key, templates, depth)),
                    Content::Null | Content::Bool(_) | Content::Number(_) | Content::Map(_) => {
                        all.extend(Test::read(reading, item, &key, templates));
                    }
                }
            }
            all
        }
        Content::Text(named) => {
            let place = Place { at: node.at.clone(), key: key.to_owned() };
            let mut all = Vec::new();
            for path in paths(reading, named, &place).unwrap_or_default() {
                if depth >= FILES_DEPTH_MAX {
                    let what = format!(
                        "names {path}; files of tests name each other {FILES_DEPTH_MAX} deep at most"
                    );
                    reading.fault(&place.at, key, &what);
                } else if let Some(node) = in_file(reading, &path, &place) {
                    all.extend(tests(reading, &node, "", templates, depth + 1));
                }
            }
            all
        }
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Map(_) => {
            Test::read(reading, node, key, templates).into_iter().collect()
        }
    }
}

/// The values of a file of tests.
fn in_file(reading: &Reading<'_>, path: &str, place: &Place) -> Option<Node> {
    let refuse = |what: &str| {
        reading.fault(&place.at, &place.key, &format!("names {path}, which {what}"));
        None
    };
    let ending = extension(path);
    match ending.as_str() {
        "yaml" | "yml" | "json" => return reading.document(path, Some((&place.at, &place.key))),
        "csv" | "jsonl" => {}
        "xlsx" | "xls" => return refuse("is a spreadsheet: save it as CSV"),
        "js" | "cjs" | "mjs" | "ts" | "mts" | "cts" | "py" => {
            return refuse(
                "is a program; a suite runs no code while it is read: write the cases to a .jsonl file",
            );
        }
        _ => return refuse("holds no tests: .yaml, .json, .jsonl and .csv do"),
    }
    let text = match reading.text(path) {
        Ok(text) => text,
        Err(what) => return refuse(&what),
    };
    let file: Rc<str> = path.into();
    if ending == "csv" {
        return reading.parsed(csv::read(&text, &file));
    }
    let mut items = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if !line.trim().is_empty() {
            items.extend(reading.parsed(json::read(line, &file, index + 1)));
        }
    }
    Some(Node::new(Content::List(items), super::node::At::file(&file)))
}

/// Scenarios: each row of `config` with each of `tests`.
fn scenarios(
    reading: &Reading<'_>,
    node: &Node,
    key: &str,
    ground: &Ground<'_>,
    cases: &mut Vec<Placed>,
    depth: usize,
) {
    match &node.content {
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                scenarios(reading, item, &below(key, &format!("[{index}]")), ground, cases, depth);
            }
        }
        Content::Text(named) => {
            let place = Place { at: node.at.clone(), key: key.to_owned() };
            for path in paths(reading, named, &place).unwrap_or_default() {
                if depth >= FILES_DEPTH_MAX {
                    reading.fault(&node.at, key, "names files that name files, too deep");
                } else if let Some(node) = reading.document(&path, Some((&place.at, key))) {
                    scenarios(reading, &node, "", ground, cases, depth + 1);
                }
            }
        }
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Map(_) => {
            scenario(reading, node, key, ground, cases);
        }
    }
}

fn scenario(reading: &Reading<'_>, node: &Node, key: &str, ground: &Ground<'_>, cases: &mut Vec<Placed>) {
    let Some(table) = Table::open(reading, node, key) else { return };
    let description = table.text("description");
    let of = |name: &'static str| {
        let node = table.get(name)?;
        Some(tests(reading, node, &table.key_of(name), &ground.templates, 0))
    };
    let rows = of("config");
    let tests = of("tests").unwrap_or_else(|| vec![Test::empty(table.here())]);
    table.close(&[]);
    let Some(rows) = rows else {
        table.fault("config", "is missing: the sets of variables that the scenario's tests are asked with");
        return;
    };
    for row in &rows {
        for test in &tests {
            let merged = test.clone().over(row);
            let description = merged.description.clone().or_else(|| description.clone());
            let merged = Test { description, ..merged };
            case::add(reading, &ground.prompt, &merged.over_default(&ground.default), cases);
        }
    }
}

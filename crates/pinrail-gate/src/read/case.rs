//! A test becomes cases: one for each choice of its variables.

use std::collections::BTreeMap;

use serde_json::Value;

use super::context::Reading;
use super::prompt::Prompt;
use super::test::Test;
use super::value::{self, Depth};
use super::vars::{self, Vars};
use super::{CASES_MAX, Placed};
use crate::suite::{Case, ToolResult, Turn};

/// Adds the cases of a test.
pub fn add(reading: &Reading<'_>, prompt: &Prompt, test: &Test, cases: &mut Vec<Placed>) {
    if reading.is_hopeless() {
        return;
    }
    let expand = !test.options.is_unexpanded.unwrap_or(false);
    for vars in vars::choices(reading, &test.vars, expand, &test.place) {
        if cases.len() >= CASES_MAX {
            let what = format!("goes beyond {CASES_MAX} cases, the most that a suite has: split it");
            reading.fault(&test.place.at, &test.place.key, &what);
            return;
        }
        if let Some(case) = fill(reading, prompt, test, vars) {
            cases.push(Placed { case, place: test.place.clone() });
        }
    }
}

fn fill(reading: &Reading<'_>, prompt: &Prompt, test: &Test, vars: Vars) -> Option<Case> {
    let turns = turns(reading, prompt, test, &vars);
    let asserts = test.asserts.iter().chain(&test.expected_calls);
    let asserts: Vec<_> = asserts.map(|written| written.fill(reading, &vars)).collect();
    let asserts = asserts.into_iter().collect::<Option<Vec<_>>>();
    let description = match &test.description {
        Some(text) => value::fill_text(reading, text, (&vars, &test.place)),
        None => Some(String::new()),
    };
    let request = request(reading, test, &vars);
    let tool_results = tool_results(reading, test, &vars);
    let (turns, asserts) = (turns?, asserts?);
    if asserts.is_empty() && turns.iter().all(|turn| turn.asserts.is_empty()) {
        reading.warn(format!("{} asserts nothing: any answer passes", test.place));
    }
    Some(Case {
        description: description?,
        vars: vars.values,
        turns,
        request: request?,
        tool_results: tool_results?,
        asserts,
        threshold: test.threshold,
        transform: test.options.transform.clone(),
        must_pass: test.must_pass.unwrap_or(false),
        metadata: test.metadata.clone(),
    })
}

fn turns(reading: &Reading<'_>, prompt: &Prompt, test: &Test, vars: &Vars) -> Option<Vec<Turn>> {
    let Some(turns) = &test.turns else {
        let messages = prompt.messages(reading, vars, &test.options, &test.place)?;
        return Some(vec![Turn { messages, asserts: Vec::new() }]);
    };
    if test.options.prefix.is_some() || test.options.suffix.is_some() {
        reading.fault(
            &test.place.at,
            &test.place.key,
            "has `turns` and a prefix or suffix: write it into the turns",
        );
    }
    turns.iter().map(|turn| turn.fill(reading, vars)).collect()
}

fn request(reading: &Reading<'_>, test: &Test, vars: &Vars) -> Option<BTreeMap<String, Value>> {
    let fields = test.request.iter();
    let filled = fields.map(|(key, (value, place))| {
        Some((key.clone(), value::fill(reading, value, Depth::All, (vars, place))?))
    });
    filled.collect()
}

fn tool_results(reading: &Reading<'_>, test: &Test, vars: &Vars) -> Option<Vec<ToolResult>> {
    let written = test.tool_results.iter();
    let filled = written.map(|(value, place)| {
        let filled = value::fill(reading, value, Depth::All, (vars, place))?;
        serde_json::from_value(filled)
            .map_err(|error| reading.fault(&place.at, &place.key, &format!("cannot be used: {error}")))
            .ok()
    });
    filled.collect()
}

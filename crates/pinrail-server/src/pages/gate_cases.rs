//! The cases of a gate that its page shows, with what both arms answered.
//!
//! Where the gate has a report, it says which cases are meant; while it runs, the answers themselves do, and no more than
//! [`LOOKED_MAX`] cases are looked at for one page.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_api::problem::Problem;
use pinrail_dashboard::gates::case::{AnswerView, ArmView, CaseView, PartView, Said};
use pinrail_dashboard::gates::gate::{Cases, Show};
use pinrail_domain::id::ReleaseId;
use pinrail_gate::answer::Answer;
use pinrail_gate::row::{Outcome, Row};
use pinrail_gate::suite::{Assertion, Case};
use pinrail_gate::verdict::{CaseResult, Report};
use serde_json::Value;

use super::gate::Query;
use crate::api::gates::rows::{cursor, is_flipped, of_case, places, unreadable};
use crate::call::Call;
use crate::gates::Looked;
use crate::problem;

/// Cases on one page: each has a screen of its own.
const PAGE: usize = 10;
/// Cases whose answers are read for one page, while there is no report.
const LOOKED_MAX: usize = 400;
/// Answers of an arm to a case that a page holds.
const ANSWERS_MAX: usize = 10;
/// What a page holds of one text.
const TEXT_CHARS_MAX: usize = 20_000;
/// What a page holds of one assertion.
const EXPECTED_CHARS_MAX: usize = 1_000;
/// Assertions that a page holds of one case.
const EXPECTED_MAX: usize = 30;

pub async fn gather(
    call: &Call,
    looked: &Looked,
    report: Option<&Report>,
    query: Query,
) -> Result<Cases, Problem> {
    let first = if looked.record.incumbent.is_some() { Show::Flipped } else { Show::Failed };
    let show = query.show.unwrap_or(first);
    let after = query.after.as_deref().map(cursor).transpose()?;
    let mut cases = Cases { show, suite: query.suite, ..Cases::default() };
    let held = match call.state.gates.suites(looked).await {
        Ok(held) => held,
        Err(refused) => {
            cases.unreadable = Some(problem::chain(&refused));
            return Ok(cases);
        }
    };
    let known = report.map(results);
    let (mut last, mut read) = (None, 0);
    for (at, suite, case) in places(&held) {
        let is_named = cases.suite.as_ref().is_none_or(|named| named == suite);
        if !is_named || after.is_some_and(|after| at <= after) {
            continue;
        }
        if let Some(known) = &known {
            // The same content again isn't asked again.
            let result = known.get(&(suite, at.1 as u64));
            if !result.is_some_and(|result| is_meant(show, result)) {
                continue;
            }
        }
        if cases.items.len() >= PAGE || read >= LOOKED_MAX {
            cases.next = last.map(|(suite, case)| format!("{suite}.{case}"));
            break;
        }
        (last, read) = (Some(at), read + 1);
        let digest = case.digest().map_err(|error| unreadable(&error))?;
        let rows = of_case(call, looked.record.id, digest).await?;
        if known.is_some() || is_found(show, looked, &rows) {
            cases.items.push(shown(looked, suite, at.1, case, &rows));
        }
    }
    Ok(cases)
}

fn results(report: &Report) -> BTreeMap<(&str, u64), &CaseResult> {
    let suites = report.suites.iter();
    let of = |suite: &'_ pinrail_gate::verdict::SuiteReport| suite.cases.len();
    let mut all = BTreeMap::new();
    for suite in suites.filter(|suite| of(suite) > 0) {
        all.extend(suite.cases.iter().map(|case| ((suite.name.as_str(), case.number), case)));
    }
    all
}

/// Whether a case is meant, by how it went.
fn is_meant(show: Show, result: &CaseResult) -> bool {
    let CaseResult { candidate, incumbent, .. } = result;
    match show {
        Show::All => true,
        Show::Failed => candidate.passed < candidate.counted,
        Show::Errors => candidate.lost > 0 || incumbent.is_some_and(|incumbent| incumbent.lost > 0),
        Show::Flipped => incumbent.is_some_and(|incumbent| {
            candidate.counted > 0
                && incumbent.counted > 0
                && candidate.passed * incumbent.counted != incumbent.passed * candidate.counted
        }),
    }
}

/// The same, by its answers.
fn is_found(show: Show, looked: &Looked, rows: &[Row]) -> bool {
    let mut of_candidate = rows.iter().filter(|row| row.release == looked.record.candidate);
    match show {
        Show::All => !rows.is_empty(),
        Show::Failed => of_candidate.any(|row| matches!(&row.outcome, Outcome::Scored(score) if !score.pass)),
        Show::Errors => rows.iter().any(|row| !matches!(row.outcome, Outcome::Scored(_))),
        Show::Flipped => is_flipped(&looked.record, rows),
    }
}

fn shown(looked: &Looked, suite: &str, number: usize, case: &Case, rows: &[Row]) -> CaseView {
    let picked = picked(looked, rows);
    let mut expected = Vec::new();
    for (place, turn) in case.turns.iter().enumerate() {
        let mark = if case.turns.len() > 1 { format!("turn {}: ", place + 1) } else { String::new() };
        wanted(&turn.asserts, &mark, &mut expected);
    }
    wanted(&case.asserts, "", &mut expected);
    if let Some(threshold) = case.threshold {
        expected.push(format!("a score of {threshold} or more"));
    }
    CaseView {
        suite: suite.to_owned(),
        number: number as u64,
        description: case.description.clone(),
        must_pass: case.must_pass,
        flipped: is_flipped(&looked.record, rows),
        asked: asked(case),
        expected,
        candidate: arm(looked.record.candidate, rows, &picked),
        incumbent: looked.record.incumbent.map(|incumbent| arm(incumbent, rows, &picked)),
    }
}

/// The repeats that a page holds: one that tells the arms apart, then the first ones.
fn picked(looked: &Looked, rows: &[Row]) -> BTreeSet<u32> {
    let passed = |release: ReleaseId, repeat: u32| {
        let row = rows.iter().find(|row| row.release == release && row.repeat == repeat)?;
        match &row.outcome {
            Outcome::Scored(score) => Some(score.pass),
            Outcome::Error { .. } | Outcome::Refused { .. } => None,
        }
    };
    let repeats: BTreeSet<u32> = rows.iter().map(|row| row.repeat).collect();
    let apart = repeats.iter().copied().find(|repeat| {
        let candidate = passed(looked.record.candidate, *repeat);
        let incumbent = looked.record.incumbent.and_then(|incumbent| passed(incumbent, *repeat));
        candidate.is_some() && incumbent.is_some() && candidate != incumbent
    });
    let mut picked: BTreeSet<u32> = apart.into_iter().collect();
    for repeat in repeats {
        if picked.len() >= ANSWERS_MAX {
            break;
        }
        picked.insert(repeat);
    }
    picked
}

fn asked(case: &Case) -> Vec<Said> {
    let messages = case.turns.iter().flat_map(|turn| &turn.messages);
    let said: Vec<Said> = messages
        .map(|message| Said {
            role: message["role"].as_str().unwrap_or("message").to_owned(),
            text: cut(&content(message)).0,
        })
        .collect();
    if !said.is_empty() {
        return said;
    }
    // A suite that was imported names what was asked by its variables.
    case.vars.iter().map(|(name, value)| Said { role: name.clone(), text: cut(&text_of(value)).0 }).collect()
}

/// A message's words; of other content than text its JSON.
fn content(message: &Value) -> String {
    let part = |part: &Value| part["text"].as_str().map_or_else(|| part.to_string(), str::to_owned);
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(part).collect::<Vec<_>>().join("\n"),
        Value::Null => message.to_string(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_)) => other.to_string(),
    }
}

fn wanted(asserts: &[Assertion], mark: &str, into: &mut Vec<String>) {
    for assertion in asserts {
        if into.len() >= EXPECTED_MAX {
            return;
        }
        let kind = serde_json::to_value(assertion.kind).ok();
        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
        let not = if assertion.not { "not-" } else { "" };
        let mut words = format!("{mark}{not}{kind}");
        if !assertion.value.is_null() {
            words.push_str(": ");
            words.push_str(&text_of(&assertion.value));
        }
        if let Some(threshold) = assertion.threshold {
            words.push_str(&format!(" (threshold {threshold})"));
        }
        if assertion.weight == Some(0.0) {
            words.push_str(" (counts for nothing)");
        }
        into.push(match words.char_indices().nth(EXPECTED_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &words[..end]),
            None => words,
        });
        wanted(&assertion.asserts, &format!("{mark}in the set: "), into);
    }
}

fn arm(release: ReleaseId, rows: &[Row], picked: &BTreeSet<u32>) -> ArmView {
    let mut view = ArmView::default();
    for row in rows.iter().filter(|row| row.release == release) {
        if let Outcome::Scored(score) = &row.outcome {
            view.counted += 1;
            view.passed += u64::from(score.pass);
        }
        if picked.contains(&row.repeat) {
            view.answers.push(answer(row));
        } else {
            view.more += 1;
        }
    }
    view
}

fn answer(row: &Row) -> AnswerView {
    let mut was_cut = false;
    let mut kept = |text: &str| {
        let (text, is_cut) = cut(text);
        was_cut |= is_cut;
        text
    };
    let call = |call: &pinrail_gate::answer::ToolCall| kept(&format!("{}({})", call.name, call.arguments));
    let calls: Vec<String> = row.answers.iter().flat_map(|answer| &answer.tool_calls).map(call).collect();
    let texts = row.answers.iter().map(|answer| kept(&answer.text)).collect();
    let (pass, score, why, parts) = match &row.outcome {
        Outcome::Scored(score) => {
            let parts = score.parts.iter().map(|part| PartView {
                kind: part.kind.clone(),
                pass: part.pass,
                score: part.score,
                why: part.why.clone(),
            });
            (Some(score.pass), Some(score.score), score.why.clone(), parts.collect())
        }
        Outcome::Error { why } | Outcome::Refused { why } => (None, None, why.clone(), Vec::new()),
    };
    let costs: Vec<u64> = row.answers.iter().filter_map(|answer| answer.cost_nano_usd).collect();
    AnswerView {
        repeat: row.repeat,
        pass,
        score,
        why,
        parts,
        texts,
        calls,
        finish_reason: row.answers.last().and_then(|answer: &Answer| answer.finish_reason.clone()),
        latency_ms: row.answers.iter().map(|answer| answer.latency_ms).sum(),
        cost_nano_usd: (!costs.is_empty()).then(|| costs.iter().sum()),
        run: row.run,
        served: row.served.clone(),
        reused: row.reused,
        cut: was_cut,
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A text's beginning, and whether anything is missing.
fn cut(text: &str) -> (String, bool) {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => (format!("{}…", &text[..end]), true),
        None => (text.to_owned(), false),
    }
}

//! `GET /api/v1/gates/{gate}/rows?suite=&case=&outcome=&flipped=&after=&limit=`: what was answered, case by case.
//!
//! Cases come in the order of their suites, whole: a page ends with the first case that fills it. `outcome` is `pass`,
//! `fail`, `error` or `refused`; `flipped` leaves the cases in which the arms passed unequally often.

use pinrail_api::Page;
use pinrail_api::gates::GateRow;
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{GateId, ReleaseId};
use pinrail_gate::row::{Outcome, Row};
use pinrail_gate::suite::Case;
use pinrail_gate::verdict::Held;
use pinrail_store::StoreError;
use pinrail_store::gates::{GateRecord, RowKey};
use serde::Deserialize;

use super::{id, look, start_refused};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    suite: Option<String>,
    /// A digest, or a case's place in its suite, from 1.
    case: Option<String>,
    outcome: Option<String>,
    #[serde(default)]
    flipped: bool,
    /// `SUITE.CASE`, both from 1: the last case of the page before.
    after: Option<String>,
    limit: Option<usize>,
}

/// Rows of one case, whatever its repeats.
const ROWS_OF_CASE_MAX: usize = 2 * pinrail_domain::gate::REPEATS_MAX as usize;
const OUTCOMES: [&str; 4] = ["pass", "fail", "error", "refused"];

pub async fn list(call: Call) -> Answer {
    let id = id(&call)?;
    let query: Query = call.query()?;
    let limit = call.page(query.limit)?;
    if let Some(outcome) = &query.outcome
        && !OUTCOMES.contains(&outcome.as_str())
    {
        let detail = format!("`{outcome:.32}` is no outcome");
        return Err(Problem::new(Code::BadRequest, detail).next_step("name pass, fail, error or refused"));
    }
    let after = query.after.as_deref().map(cursor).transpose()?;
    let looked = look(&call, id).await?;
    let held = call.state.gates.suites(&looked).await.map_err(start_refused)?;
    let mut page = Page { items: Vec::new(), next: None };
    let mut last = None;
    for (at, name, case) in places(&held) {
        let is_named = query.suite.as_ref().is_none_or(|suite| suite == name);
        if !is_named || after.is_some_and(|after| at <= after) {
            continue;
        }
        let digest = case.digest().map_err(|error| unreadable(&error))?;
        if query.case.as_ref().is_some_and(|case| *case != at.1.to_string() && *case != digest.to_string()) {
            continue;
        }
        if page.items.len() >= limit {
            page.next = last.map(|(suite, case)| format!("{suite}.{case}"));
            break;
        }
        last = Some(at);
        let rows = of_case(&call, id, digest).await?;
        if query.flipped && !is_flipped(&looked.record, &rows) {
            continue;
        }
        let is_wanted = |row: &&Row| query.outcome.as_ref().is_none_or(|outcome| outcome == word(row));
        let about = About { record: &looked.record, suite: name, number: at.1, case };
        page.items.extend(rows.iter().filter(is_wanted).map(|row| about.shown(row)));
    }
    reply::json(&page)
}

/// What the answers to a case have in common.
struct About<'a> {
    record: &'a GateRecord,
    suite: &'a str,
    number: usize,
    case: &'a Case,
}

impl About<'_> {
    fn shown(&self, row: &Row) -> GateRow {
        let arm = if row.release == self.record.candidate { "candidate" } else { "incumbent" };
        let Ok(serde_json::Value::Object(row)) = serde_json::to_value(row) else {
            unreachable!("a row is an object of plain data")
        };
        GateRow {
            suite: self.suite.to_owned(),
            number: self.number as u64,
            description: self.case.description.clone(),
            arm: arm.to_owned(),
            row,
        }
    }
}

/// All cases with their places, both from 1, in the order of the suites.
pub fn places(held: &[Held]) -> impl Iterator<Item = ((usize, usize), &str, &Case)> {
    held.iter().enumerate().flat_map(|(suite, held)| {
        let cases = held.suite.cases.iter().enumerate();
        cases.map(move |(case, of)| ((suite + 1, case + 1), held.pin.name.as_str(), of))
    })
}

/// The answers to one case.
pub async fn of_case(call: &Call, gate: GateId, case: Digest) -> Result<Vec<Row>, Problem> {
    // No release has the id of all zeros, so this stands before the case's first row.
    let before = RowKey { case, repeat: 0, release: ReleaseId(Digest::ZERO) };
    let store = call.control().gate_store();
    let rows = store.gate_rows_read(gate, Some(before), ROWS_OF_CASE_MAX).await;
    let rows = rows.map_err(|error| problem::store(&error))?;
    let own = rows.iter().take_while(|row| row.key.case == case);
    own.map(|row| serde_json::from_slice(&row.body).map_err(|error| unreadable(&error))).collect()
}

/// Whether the arms passed unequally often.
pub fn is_flipped(record: &GateRecord, rows: &[Row]) -> bool {
    let passed = |release: ReleaseId| {
        let counted = rows.iter().filter(|row| row.release == release).filter_map(|row| match &row.outcome {
            Outcome::Scored(score) => Some(u64::from(score.pass)),
            Outcome::Error { .. } | Outcome::Refused { .. } => None,
        });
        counted.fold((0, 0), |(passed, all), pass| (passed + pass, all + 1))
    };
    let Some(incumbent) = record.incumbent else { return false };
    let ((new, new_all), (old, old_all)) = (passed(record.candidate), passed(incumbent));
    new_all > 0 && old_all > 0 && new * old_all != old * new_all
}

fn word(row: &Row) -> &'static str {
    match &row.outcome {
        Outcome::Scored(score) if score.pass => "pass",
        Outcome::Scored(_) => "fail",
        Outcome::Error { .. } => "error",
        Outcome::Refused { .. } => "refused",
    }
}

/// A place as a page's `next` names it.
pub fn cursor(text: &str) -> Result<(usize, usize), Problem> {
    let parsed =
        text.split_once('.').and_then(|(suite, case)| Some((suite.parse().ok()?, case.parse().ok()?)));
    parsed.ok_or_else(|| {
        Problem::new(Code::BadRequest, format!("after is `{text:.32}`, which no page gave"))
            .next_step("pass the `next` of the page before")
    })
}

pub fn unreadable(error: &dyn std::error::Error) -> Problem {
    problem::store(&StoreError::Damaged(format!("a gate's row or suite: {error}")))
}

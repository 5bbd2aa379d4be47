//! One arm's answers to one suite, by case, and what is counted of them.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::digest::Digest;
use pinrail_domain::id::ReleaseId;
use serde::{Deserialize, Serialize};

use crate::row::{Outcome, Row, Score};

/// How many answers an arm gave to a suite, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmCounts {
    /// All that there are.
    pub answers: u64,
    /// Judged, and counted.
    pub counted: u64,
    pub errors: u64,
    pub refused: u64,
    /// Taken over from earlier gates.
    pub reused: u64,
    /// Counted, but nothing says which model gave them.
    pub unsaid: u64,
    /// How often the provider had to be asked again.
    pub retries: u64,
    /// Why there are errors and refusals, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// Why answers don't count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    pub why: String,
    pub answers: u64,
}

/// An arm's answers to the cases of one suite.
pub(super) struct ArmRows<'a> {
    /// By case and repeat, in that order.
    rows: BTreeMap<Digest, BTreeMap<u32, &'a Row>>,
}

/// A counted answer.
#[derive(Clone, Copy)]
pub(super) struct Counted<'a> {
    pub row: &'a Row,
    pub score: &'a Score,
}

/// Reasons that are told apart; texts with an id in them would fill a report.
const REASONS_MAX: usize = 12;
const REASON_CHARS_MAX: usize = 300;

impl<'a> ArmRows<'a> {
    pub(super) fn new(rows: &'a [Row], release: ReleaseId, cases: &BTreeSet<Digest>) -> ArmRows<'a> {
        let mut found: BTreeMap<Digest, BTreeMap<u32, &'a Row>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.release == release && cases.contains(&row.case)) {
            let of_case = found.entry(row.case).or_default();
            match of_case.get_mut(&row.repeat) {
                Some(other) if !is_newer(row, other) => {}
                Some(other) => *other = row,
                None => {
                    of_case.insert(row.repeat, row);
                }
            }
        }
        ArmRows { rows: found }
    }

    pub(super) fn counted(&self, case: &Digest) -> impl Iterator<Item = Counted<'a>> + use<'a, '_> {
        let rows = self.rows.get(case).into_iter().flat_map(BTreeMap::values);
        rows.filter_map(|row| match &row.outcome {
            Outcome::Scored(score) => Some(Counted { row, score }),
            Outcome::Error { .. } | Outcome::Refused { .. } => None,
        })
    }

    /// How many answers there are to a case.
    pub(super) fn all_of(&self, case: &Digest) -> usize {
        self.rows.get(case).map_or(0, BTreeMap::len)
    }

    fn all(&self) -> impl Iterator<Item = &'a Row> + use<'a, '_> {
        self.rows.values().flat_map(BTreeMap::values).copied()
    }

    pub(super) fn counts(&self) -> ArmCounts {
        let mut counts = ArmCounts::default();
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for row in self.all() {
            counts.answers += 1;
            counts.reused += u64::from(row.reused.is_some());
            counts.retries += u64::from(row.retries);
            match &row.outcome {
                Outcome::Scored(_) => {
                    counts.counted += 1;
                    counts.unsaid += u64::from(row.served.is_empty());
                }
                Outcome::Error { why } => {
                    counts.errors += 1;
                    *reasons.entry(bounded(why, REASON_CHARS_MAX)).or_default() += 1;
                }
                Outcome::Refused { why } => {
                    counts.refused += 1;
                    *reasons.entry(bounded(why, REASON_CHARS_MAX)).or_default() += 1;
                }
            }
        }
        counts.reasons = most_frequent(reasons);
        counts
    }
}

impl ArmCounts {
    /// The part of the answers that doesn't count.
    pub(super) fn lost(&self) -> f64 {
        if self.answers == 0 { 0.0 } else { (self.errors + self.refused) as f64 / self.answers as f64 }
    }
}

/// A text's beginning, with a mark where something is missing.
pub(crate) fn bounded(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The most frequent reasons first, the rest as one.
fn most_frequent(reasons: BTreeMap<String, u64>) -> Vec<Reason> {
    let mut reasons: Vec<Reason> =
        reasons.into_iter().map(|(why, answers)| Reason { why, answers }).collect();
    // Stable: those that are as frequent stay in the order of their texts.
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.answers));
    let rest: u64 = reasons.iter().skip(REASONS_MAX).map(|reason| reason.answers).sum();
    reasons.truncate(REASONS_MAX);
    if rest > 0 {
        reasons.push(Reason { why: "other reasons".to_owned(), answers: rest });
    }
    reasons
}

/// Which of two rows for the same answer counts, whatever order they come in.
fn is_newer(row: &Row, other: &Row) -> bool {
    let key = |row: &Row| (row.at, row.run);
    let text = |row: &Row| serde_json::to_string(row).unwrap_or_default();
    key(row) > key(other) || (key(row) == key(other) && text(row) > text(other))
}

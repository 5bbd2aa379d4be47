//! The rows of a gate: what is there when it begins or goes on, and what comes.

use std::collections::BTreeMap;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::ReleaseId;
use pinrail_store::StoreError;
use pinrail_store::gates::{GateRow, RowKey};

use super::plan::{Cases, arms};
use super::{Job, Means, RunFailed};
use crate::row::{Outcome, Row};

/// All that was answered, and what that cost.
pub(super) struct Rows {
    rows: Vec<Row>,
    places: BTreeMap<RowKey, usize>,
    /// Answers lost, by release and case.
    lost: BTreeMap<(ReleaseId, Digest), u64>,
    pub spent_nano_usd: u64,
    pub errors: u64,
    pub refused: u64,
    pub reused: u64,
    pub retries: u64,
}

/// Rows read at once.
const PAGE: usize = 1_000;

impl Rows {
    /// What an earlier start of this gate left.
    pub async fn load(job: &Job, means: &Means) -> Result<Rows, RunFailed> {
        let mut rows = Rows {
            rows: Vec::new(),
            places: BTreeMap::new(),
            lost: BTreeMap::new(),
            spent_nano_usd: 0,
            errors: 0,
            refused: 0,
            reused: 0,
            retries: 0,
        };
        let mut after = None;
        loop {
            let page = means.store.gate_rows_read(job.gate, after, PAGE).await?;
            for row in &page {
                let row = row_of(row)?;
                // What an error cost is spent, also where it is asked again.
                rows.spent_nano_usd = rows.spent_nano_usd.saturating_add(cost_of(&row));
                if is_settled(&row) || !job.retry_errors {
                    rows.take(row);
                }
            }
            after = page.last().map(|row| row.key);
            if page.len() < PAGE {
                break;
            }
        }
        rows.spent_nano_usd = rows.spent_nano_usd.max(job.spent_nano_usd);
        Ok(rows)
    }

    /// Takes over what other gates have of the planned answers that are missing, marked as theirs.
    pub async fn reuse(
        &mut self,
        job: &Job,
        means: &Means,
        cases: &Cases,
        repeats: u32,
    ) -> Result<(), RunFailed> {
        for planned in &cases.list {
            let mut found = Vec::new();
            for release in arms(job) {
                for (gate, row) in means.store.gate_rows_reusable(release, planned.digest, repeats).await? {
                    if gate != job.gate && !self.has(&row.key) {
                        let mut row = row_of(&row)?;
                        row.reused.get_or_insert(gate);
                        found.push(row);
                    }
                }
            }
            self.keep(job, means, found).await?;
        }
        Ok(())
    }

    /// Keeps rows, durably before they count (I9).
    pub async fn keep(&mut self, job: &Job, means: &Means, rows: Vec<Row>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        means.store.gate_rows_append(job.gate, rows.iter().map(stored).collect()).await?;
        rows.into_iter().for_each(|row| self.take(row));
        Ok(())
    }

    pub fn has(&self, key: &RowKey) -> bool {
        self.places.contains_key(key)
    }

    pub fn all(&self) -> &[Row] {
        &self.rows
    }

    /// How many answers of an arm to a case are lost.
    pub fn lost(&self, release: ReleaseId, case: Digest) -> u64 {
        self.lost.get(&(release, case)).copied().unwrap_or(0)
    }

    fn take(&mut self, row: Row) {
        let is_lost = match &row.outcome {
            Outcome::Scored(_) => false,
            Outcome::Error { .. } => {
                self.errors += 1;
                true
            }
            Outcome::Refused { .. } => {
                self.refused += 1;
                true
            }
        };
        if is_lost {
            *self.lost.entry((row.release, row.case)).or_default() += 1;
        }
        self.reused += u64::from(row.reused.is_some());
        self.retries += u64::from(row.retries);
        self.places.insert(key_of(&row), self.rows.len());
        self.rows.push(row);
    }
}

/// Whether the row is the last word on its answer.
pub(super) fn is_settled(row: &Row) -> bool {
    match &row.outcome {
        Outcome::Scored(_) => true,
        Outcome::Error { .. } | Outcome::Refused { .. } => false,
    }
}

fn stored(row: &Row) -> GateRow {
    let body = serde_json::to_vec(row).expect("a row is plain data");
    GateRow { key: key_of(row), settled: is_settled(row), body }
}

fn row_of(row: &GateRow) -> Result<Row, RunFailed> {
    let name = || format!("{}/{}/{}", row.key.case.short(), row.key.repeat, row.key.release.short());
    serde_json::from_slice(&row.body).map_err(|error| RunFailed::Row(name(), error))
}

fn key_of(row: &Row) -> RowKey {
    RowKey { case: row.case, repeat: row.repeat, release: row.release }
}

/// What a row cost this gate.
fn cost_of(row: &Row) -> u64 {
    if row.reused.is_some() {
        return 0;
    }
    let answers = row.answers.iter().filter_map(|answer| answer.cost_nano_usd).sum::<u64>();
    match &row.outcome {
        Outcome::Scored(score) => answers.saturating_add(score.judge_cost_nano_usd),
        Outcome::Error { .. } | Outcome::Refused { .. } => answers,
    }
}

//! What was acknowledged, as its clients remember it: the truth that replicas are held against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::ask::Said;

/// What clients know.
#[derive(Default)]
pub struct Record {
    inner: Mutex<Inner>,
}

/// See [`Record`].
#[derive(Default)]
pub struct Inner {
    pub runs: BTreeMap<String, Run>,
    /// By session.
    pub turns: BTreeMap<String, Vec<Turn>>,
    pub deployments: BTreeMap<u64, Fate>,
    pub answers: Answers,
    pub violations: BTreeSet<String>,
    /// Who led in which term, as replicas said.
    pub leaders: BTreeMap<u64, BTreeSet<u64>>,
    /// The last epoch that each replica showed.
    pub epochs: BTreeMap<String, u64>,
    /// What happened since the last fault.
    pub rollbacks: Vec<Rollback>,
}

/// A run that was acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub release: String,
    pub deployment: u64,
    pub notes: Vec<String>,
    /// Notes of which nobody knows whether they are there.
    pub perhaps: Vec<String>,
    /// Looked at since it changed last.
    pub verified: bool,
}

/// Something that a run remembered.
#[derive(Clone, Debug)]
pub struct Turn {
    pub text: String,
    pub deployment: u64,
    pub acknowledged: bool,
}

/// What became of a deployment, by what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Candidate,
    Promoted,
    RolledBack,
    /// A change was sent and never answered: the server knows.
    Unknown,
}

/// How a rollback went that an operator asked for.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// Until it was done, refusals and pauses included, but not what was waited at a stopped replica.
    pub took_ms: u64,
    /// What the operator waited at a replica while that was stopped, and so couldn't know of it.
    pub stopped_ms: u64,
    /// Whom the operator asked, one after the other, as long as it was another one.
    pub asked: Vec<String>,
    /// How often it was refused, with a reason, or its connection was lost, before it was done.
    pub tries: u32,
    pub done: bool,
}

/// How requests were answered.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Answers {
    pub done: u64,
    pub refused: u64,
    pub lost: u64,
}

impl Answers {
    /// Those that came since.
    pub fn since(self, before: Answers) -> Answers {
        Answers {
            done: self.done - before.done,
            refused: self.refused - before.refused,
            lost: self.lost - before.lost,
        }
    }
}

impl Record {
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer, and keeps one that can't be true.
    pub fn count(&self, said: &Said) {
        let mut inner = self.lock();
        match said {
            Said::Done(_) => inner.answers.done += 1,
            Said::Refused { .. } => inner.answers.refused += 1,
            Said::Lost => inner.answers.lost += 1,
            Said::Untrue(what) => {
                inner.violations.insert(what.clone());
            }
        }
    }

    pub fn violated(&self, what: impl Into<String>) {
        self.lock().violations.insert(what.into());
    }

    /// Notes who leads in a term.
    pub fn leads(&self, term: u64, replica: u64) {
        let mut inner = self.lock();
        let leaders = inner.leaders.entry(term).or_default();
        leaders.insert(replica);
        if leaders.len() > 1 {
            let told = format!("term {term} has several leaders: {leaders:?}");
            inner.violations.insert(told);
        }
    }

    /// Notes the epoch that a replica shows.
    pub fn shows(&self, replica: &str, epoch: u64) {
        let mut inner = self.lock();
        let before = inner.epochs.insert(replica.to_owned(), epoch).unwrap_or_default();
        if epoch < before {
            inner.violations.insert(format!("{replica} showed epoch {epoch} after {before}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_leaders_of_a_term_and_an_epoch_that_falls_are_violations() {
        let record = Record::default();
        record.leads(1, 1);
        record.leads(1, 1);
        record.leads(2, 3);
        record.shows("a", 4);
        record.shows("a", 4);
        assert!(record.lock().violations.is_empty());
        record.leads(2, 1);
        record.shows("a", 3);
        assert_eq!(record.lock().violations.len(), 2);
    }
}

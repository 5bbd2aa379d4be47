//! Breaking the world's rules on purpose, to prove that the checks bite: a store that lies.
//!
//! Each of these is a bug that Pinrail must never have. A world that is tampered with must be found out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::journal::Stamp;
use pinrail_domain::ledger::{Body, Entry};
use pinrail_domain::state::{Op, Operation};
use pinrail_store::journal::{Write, WriteError, Written};
use pinrail_store::state::{Appended, Batch};

use crate::store::{Breaking, now};
use crate::truth::Truth;

/// A lie that the store tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// A record is acknowledged and not kept (I9).
    LoseRecord,
    /// A record is written twice (I8).
    RepeatRecord,
    /// An entry reads otherwise than it was written (I8).
    ChangeEntry,
    /// A rollback is acknowledged and not kept (I9).
    LoseRollback,
    /// A rollback is refused (I7).
    RefuseRollback,
    /// A rollback touches a record (I6).
    RollBackByWriting,
    /// What a canary wrote looks as if it were everybody's (I4).
    ShowUncommitted,
    /// What was deleted comes back when it is read again (I4).
    ForgetDeletes,
    /// One layer doesn't follow a rollback (I5).
    LeaveContextBehind,
    /// A run's start is acknowledged and not kept (I3, I9).
    ForgetRun,
    /// A run reads as if another deployment had stamped it (I2).
    Restamp,
    /// Turns of the dial that were in force without the ledger are gone with the process (I9).
    ForgetTurns,
    /// An approved call may be made as often as somebody likes.
    UseAgain,
}

/// What is done to one world.
pub(crate) struct Tampering {
    what: Option<Tamper>,
    done: AtomicBool,
}

impl Tamper {
    pub const ALL: [Tamper; 13] = [
        Tamper::LoseRecord,
        Tamper::RepeatRecord,
        Tamper::ChangeEntry,
        Tamper::LoseRollback,
        Tamper::RefuseRollback,
        Tamper::RollBackByWriting,
        Tamper::ShowUncommitted,
        Tamper::ForgetDeletes,
        Tamper::LeaveContextBehind,
        Tamper::ForgetRun,
        Tamper::Restamp,
        Tamper::ForgetTurns,
        Tamper::UseAgain,
    ];
}

impl Tampering {
    pub(crate) fn new(what: Option<Tamper>) -> Tampering {
        Tampering { what, done: AtomicBool::new(false) }
    }

    pub(crate) fn refuses(&self, entries: &[Entry]) -> bool {
        self.what == Some(Tamper::RefuseRollback) && rolls_back(entries)
    }

    pub(crate) fn swallows(&self, entries: &[Entry]) -> bool {
        self.what == Some(Tamper::LoseRollback) && rolls_back(entries) && self.once()
    }

    pub(crate) fn touch(&self, store: &Breaking, entries: &[Entry]) {
        if self.what == Some(Tamper::RollBackByWriting) && rolls_back(entries) {
            store.schedule.count("state_append");
        }
    }

    pub(crate) fn entries(&self, entries: &mut [Entry]) {
        if self.what == Some(Tamper::ChangeEntry)
            && let Some(entry) = entries.iter_mut().find(|entry| rolls_back(std::slice::from_ref(entry)))
        {
            entry.reason.push('!');
        }
    }

    pub(crate) fn loses(&self, batch: &Batch, truth: &Truth) -> Option<Appended> {
        let first = StateSeq(truth.records.len() as u64 + 1);
        let last = StateSeq(first.0 + batch.puts.len() as u64 - 1);
        let loses = self.what == Some(Tamper::LoseRecord) && first.0 > 3 && self.once();
        loses.then(|| Appended { first, last, ledger: truth.head() })
    }

    pub(crate) fn repeat(&self, store: &Breaking, batch: &Batch) {
        if self.what == Some(Tamper::RepeatRecord) && self.once() {
            let again = Batch { answer: None, expect: None, ..batch.clone() };
            now(pinrail_store::State::state_append(&store.memory, again)).expect("no failure was planned");
        }
    }

    pub(crate) fn operations(&self, in_context: bool, operations: &mut Vec<Operation>) {
        match self.what {
            Some(Tamper::ShowUncommitted) => {
                operations.iter_mut().for_each(|operation| operation.deployment = DeploymentId(0));
            }
            Some(Tamper::LeaveContextBehind) if in_context => {
                operations.iter_mut().for_each(|operation| operation.deployment = DeploymentId(0));
            }
            Some(Tamper::ForgetDeletes) => operations.retain(|operation| operation.op == Op::Put),
            Some(_) | None => {}
        }
    }

    pub(crate) fn stamp(&self, stamp: &mut Stamp) {
        if self.what == Some(Tamper::Restamp) {
            stamp.deployment = stamp.deployment.next();
        }
    }

    pub(crate) fn forgets(&self, writes: &Arc<Vec<Write>>) -> Option<Vec<Result<Written, WriteError>>> {
        let written = |write: &Write| match write {
            Write::Start(start) => Some(Ok(Written { summary: start.summary().ok()? })),
            Write::Append(_) => None,
        };
        let forgotten: Option<Vec<_>> = writes.iter().map(written).collect();
        forgotten.filter(|_| self.what == Some(Tamper::ForgetRun) && self.once())
    }

    pub(crate) fn uses_again(&self) -> bool {
        self.what == Some(Tamper::UseAgain)
    }

    fn once(&self) -> bool {
        !self.done.swap(true, Ordering::Relaxed)
    }
}

fn rolls_back(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| matches!(entry.body, Body::DeploymentRolledBack { .. }))
}

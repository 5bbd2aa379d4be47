//! The store of a world that breaks: the in-memory reference, with a wait and a fate before every call.
//!
//! What has an effect is told to the [`Truth`] in the same breath, so that nobody can come between.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::{Entry, Head};
use pinrail_domain::time::Timestamp;
use pinrail_store::ledger::{Append, AppendError};
use pinrail_store::{Answer, AnswerKey, Answers, Artifacts, Ledger, Memory, StoreError};

use crate::schedule::{Call, Fate, Kind, Schedule};
use crate::tamper::Tampering;
use crate::truth::Truth;

mod approvals;
mod deliveries;
mod gates;
mod journal;
mod sightings;
mod state;
mod watches;

/// The store that breaks.
pub(crate) struct Breaking {
    pub memory: Memory,
    pub schedule: Arc<Schedule>,
    pub tampering: Tampering,
    truth: Mutex<Truth>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(&'static str);

impl Breaking {
    pub(crate) fn new(schedule: Arc<Schedule>, tampering: Tampering) -> Breaking {
        Breaking { memory: Memory::new(), schedule, tampering, truth: Mutex::new(Truth::new()) }
    }

    pub(crate) fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out one call as its fate will have it.
    async fn through<T, E: From<StoreError>>(
        &self,
        call: Call,
        effect: impl FnOnce() -> Result<T, E> + Send,
    ) -> Result<T, E> {
        let fate = self.schedule.before(call).await;
        match fate {
            Fate::Full => return Err(full().into()),
            Fate::Away => return Err(away().into()),
            Fate::Go | Fate::Lost => {}
        }
        let done = effect();
        self.schedule.after(call).await;
        if fate == Fate::Lost { Err(away().into()) } else { done }
    }
}

/// The outcome of a future that waits for nothing.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    poll_once(future).expect("the in-memory store waits for nothing")
}

/// The outcome of a future if it has one at once; else it is dropped, as when a caller goes away.
pub(crate) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

pub(crate) fn away() -> StoreError {
    StoreError::Unavailable(Arc::new(Broken("unplugged")))
}

fn full() -> StoreError {
    StoreError::Full(Arc::new(Broken("no room")))
}

#[async_trait]
impl Artifacts for Breaking {
    async fn artifact_put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        self.through(Call::write("artifact_put"), || now(self.memory.artifact_put(bytes))).await
    }

    async fn artifact_get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.through(Call::read("artifact_get"), || now(self.memory.artifact_get(digest))).await
    }
}

/// One process has it.
impl pinrail_store::Replicas for Breaking {}

impl pinrail_store::Members for Breaking {}

#[async_trait]
impl Ledger for Breaking {
    async fn ledger_head(&self) -> Result<Head, StoreError> {
        self.through(LEDGER_HEAD, || now(self.memory.ledger_head())).await
    }

    async fn ledger_append(&self, append: Append) -> Result<(), AppendError> {
        let effect = || {
            if self.tampering.refuses(&append.entries) {
                return Err(away().into());
            }
            let entries = append.entries.clone();
            if !self.tampering.swallows(&entries) {
                now(self.memory.ledger_append(append))?;
            }
            self.truth().appended(&entries);
            self.tampering.touch(self, &entries);
            Ok(())
        };
        self.through(LEDGER_APPEND, effect).await
    }

    async fn ledger_read(&self, after: LedgerSeq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.through(LEDGER_READ, || Ok(self.entries(after, limit))).await
    }
}

impl Breaking {
    /// Entries as the store hands them out.
    pub(crate) fn entries(&self, after: LedgerSeq, limit: usize) -> Vec<Entry> {
        let mut entries = now(self.memory.ledger_read(after, limit)).expect("no failure was planned");
        self.tampering.entries(&mut entries);
        entries
    }
}

#[async_trait]
impl Answers for Breaking {
    async fn answer_get(&self, key: &AnswerKey) -> Result<Option<Answer>, StoreError> {
        self.through(Call::read("answer_get"), || now(self.memory.answer_get(key))).await
    }

    async fn answers_expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.through(Call::write("answers_expire"), || now(self.memory.answers_expire(before))).await
    }
}

const LEDGER_HEAD: Call = Call { name: "ledger_head", kind: Kind::LedgerRead };
const LEDGER_READ: Call = Call { name: "ledger_read", kind: Kind::LedgerRead };
const LEDGER_APPEND: Call = Call { name: "ledger_append", kind: Kind::LedgerWrite };

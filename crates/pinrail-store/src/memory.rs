//! The store in memory: the reference that says what every backend must do, and a store for tests.
//!
//! It is meant to be obviously right, not fast: one lock over plain maps. Tests can make its next writes
//! fail, before they had an effect or after it (the acknowledgement is lost), and can damage what it holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use pinrail_domain::approval::Approval;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{ApprovalId, Epoch, GateId, LedgerSeq, RunId, StateSeq};
use pinrail_domain::ledger::{Entry, Head};
use pinrail_domain::time::Timestamp;
use tokio::sync::watch;

use crate::deliveries::Outlet;
use crate::journal::{SessionKey, Write};
use crate::ledger::AppendError;
use crate::replicas::{News, ReplicaId};
use crate::sightings::{Sighting, SightingKind};
use crate::watches::WatchKey;
use crate::{Answer, AnswerKey, Answers, Artifacts, Ledger, StoreError, ledger};

mod approvals;
mod deliveries;
mod gates;
mod journal;
mod members;
mod replicas;
mod sightings;
mod state;
mod watches;

/// A store that forgets everything when it is dropped.
pub struct Memory {
    kept: Arc<Mutex<Kept>>,
    news: Arc<watch::Sender<News>>,
    /// Whoever asks for the replicas waits for the answer.
    held: Arc<watch::Sender<bool>>,
    /// Which of several replicas over it this is.
    me: ReplicaId,
}

/// When a planned failure strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Nothing happens, as with a full disk.
    BeforeEffect,
    /// It happens and nobody hears of it, as with a connection that breaks.
    AfterEffect,
    /// A batch of journal writes happens only when the next batch comes, as with a commit whose disk or standby is slow: until then
    /// nobody sees it. Every other write is struck as by [`Strike::BeforeEffect`].
    Later,
}

#[derive(Default)]
struct Kept {
    artifacts: BTreeMap<Digest, Vec<u8>>,
    ledger: Vec<Entry>,
    damaged_entries: BTreeSet<LedgerSeq>,
    /// The ledger can't be reached to read.
    unreadable: bool,
    runs: BTreeMap<RunId, journal::StoredRun>,
    bindings: BTreeMap<SessionKey, journal::Binding>,
    bindings_written: u64,
    answers: BTreeMap<AnswerKey, Answer>,
    state: state::Records,
    deliveries: BTreeMap<Outlet, deliveries::Delivered>,
    gates: BTreeMap<GateId, gates::Kept>,
    approvals: BTreeMap<ApprovalId, Approval>,
    sightings: BTreeMap<(SightingKind, String), Sighting>,
    watches: BTreeMap<WatchKey, watches::Watched>,
    failures: VecDeque<(Strike, StoreError)>,
    /// Journal writes that happen before the next ones.
    later: Vec<Arc<Vec<Write>>>,
    together: replicas::Together,
    members: members::Shared,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            kept: Arc::default(),
            news: Arc::new(watch::Sender::default()),
            held: Arc::new(watch::Sender::default()),
            me: ReplicaId::default(),
        }
    }
}

impl Memory {
    #[must_use]
    pub fn new() -> Memory {
        Memory::default()
    }

    /// Makes the next `writes` calls that write fail; a whole batch of journal writes is one call.
    ///
    /// Failures planned earlier come first.
    pub fn fail_next(&self, writes: usize, strike: Strike, error: &StoreError) {
        let planned = std::iter::repeat_n((strike, error.clone()), writes);
        self.lock().failures.extend(planned);
    }

    /// Takes back the failures that are planned and didn't strike yet.
    pub fn forget_failures(&self) {
        self.lock().failures.clear();
    }

    /// Changes the bytes of an artifact behind the store's back.
    pub fn damage_artifact(&self, digest: Digest) {
        let mut kept = self.lock();
        let bytes = kept.artifacts.get_mut(&digest).expect("the artifact is there");
        bytes.push(b'!');
    }

    /// Changes the content of a record, or gives it some, behind the store's back.
    pub fn damage_record(&self, seq: StateSeq) {
        self.lock().state.damage(seq);
    }

    /// Makes reading the ledger fail for every replica, or ends that.
    pub fn fail_reads(&self, fail: bool) {
        self.lock().unreadable = fail;
    }

    /// Makes a ledger entry unreadable.
    pub fn damage_entry(&self, seq: LedgerSeq) {
        self.lock().damaged_entries.insert(seq);
    }

    /// Runs one writing call, with the next planned failure if there is one.
    fn write<T>(&self, effect: impl FnOnce(&mut Kept) -> T) -> Result<T, StoreError> {
        self.write_to(&mut self.lock(), effect)
    }

    fn write_to<T>(&self, kept: &mut Kept, effect: impl FnOnce(&mut Kept) -> T) -> Result<T, StoreError> {
        let (strike, effect) = match kept.failures.pop_front() {
            None => (None, Some(effect(kept))),
            Some((Strike::BeforeEffect | Strike::Later, error)) => (Some(error), None),
            Some((Strike::AfterEffect, error)) => (Some(error), Some(effect(kept))),
        };
        if effect.is_some() {
            self.tell(kept);
        }
        match (strike, effect) {
            (None, Some(done)) => Ok(done),
            (Some(error), _) => Err(error),
            (None, None) => unreachable!("only a failure keeps an effect from happening"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // No effect stops half-way, so what is kept is whole even after another test thread's panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn head(&self) -> Head {
        self.ledger.last().map_or(Head::START, |entry| Head { seq: entry.seq, hash: entry.hash })
    }

    fn epoch(&self) -> Epoch {
        Epoch(self.ledger.iter().filter(|entry| entry.body.raises_epoch()).count() as u64)
    }

    fn given(&self, answer: Option<&Answer>) -> Option<Box<Answer>> {
        self.answers.get(&answer?.key).cloned().map(Box::new)
    }

    fn keep(&mut self, answer: Option<Answer>) {
        if let Some(answer) = answer {
            self.answers.insert(answer.key.clone(), answer);
        }
    }

    fn append(&mut self, append: ledger::Append) -> Result<(), AppendError> {
        if let Some(answer) = self.given(append.answer.as_ref()) {
            return Err(AppendError::Answered(answer));
        }
        self.together.check(append.fence)?;
        let head = self.head();
        if append.base() != head {
            return Err(AppendError::Moved { head });
        }
        let before = self.epoch();
        self.ledger.extend(append.entries);
        self.members.flipped(before, self.epoch());
        self.keep(append.answer);
        Ok(())
    }
}

#[async_trait]
impl Artifacts for Memory {
    async fn artifact_put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        self.write(|kept| {
            kept.artifacts.entry(digest).or_insert_with(|| bytes.to_vec());
            digest
        })
    }

    async fn artifact_get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(bytes) = self.lock().artifacts.get(&digest).cloned() else { return Ok(None) };
        if Digest::of(&bytes) != digest {
            return Err(StoreError::Damaged(format!("artifact {digest}")));
        }
        Ok(Some(bytes))
    }
}

#[async_trait]
impl Ledger for Memory {
    async fn ledger_head(&self) -> Result<Head, StoreError> {
        Ok(self.lock().head())
    }

    async fn ledger_append(&self, append: ledger::Append) -> Result<(), AppendError> {
        self.write(|kept| kept.append(append))?
    }

    async fn ledger_read(&self, after: LedgerSeq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let kept = self.lock();
        if kept.unreadable {
            let why = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            return Err(StoreError::Unavailable(Arc::new(why)));
        }
        let entries = kept.ledger.iter().filter(|entry| entry.seq > after).take(limit);
        let readable = entries.map(|entry| match kept.damaged_entries.contains(&entry.seq) {
            true => Err(StoreError::Damaged(format!("ledger entry {}", entry.seq))),
            false => Ok(entry.clone()),
        });
        readable.collect()
    }
}

#[async_trait]
impl Answers for Memory {
    async fn answer_get(&self, key: &AnswerKey) -> Result<Option<Answer>, StoreError> {
        Ok(self.lock().answers.get(key).cloned())
    }

    async fn answers_expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(|kept| {
            let there = kept.answers.len();
            kept.answers.retain(|_, answer| answer.at >= before);
            (there - kept.answers.len()) as u64
        })
    }
}

#[cfg(test)]
mod tests;

//! The store in memory: the reference that says what every backend must do, and a store for tests.
//!
//! It is meant to be obviously right, not fast: one lock over plain maps. Tests can make its next writes
//! fail, before they had an effect or after it (the acknowledgement is lost), and can damage what it holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, EventSeq, LedgerSeq, RunId, StateSeq};
use pinrail_domain::journal::{Event, Recorded, Stamp, Summary};
use pinrail_domain::ledger::{Entry, Head};
use pinrail_domain::time::Timestamp;

use crate::journal::{OpenRuns, Run, RunFilter, SessionKey, Start, Write, WriteError, Written};
use crate::ledger::AppendError;
use crate::{Answer, AnswerKey, Answers, Artifacts, Journal, Ledger, StoreError, journal, ledger};

mod state;

/// A store that forgets everything when it is dropped.
#[derive(Default)]
pub struct Memory {
    kept: Mutex<Kept>,
}

/// When a planned failure strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Nothing happens, as with a full disk.
    BeforeEffect,
    /// It happens and nobody hears of it, as with a connection that breaks.
    AfterEffect,
}

#[derive(Default)]
struct Kept {
    artifacts: BTreeMap<Digest, Vec<u8>>,
    ledger: Vec<Entry>,
    damaged_entries: BTreeSet<LedgerSeq>,
    runs: BTreeMap<RunId, StoredRun>,
    bindings: BTreeMap<SessionKey, Binding>,
    bindings_written: u64,
    answers: BTreeMap<AnswerKey, Answer>,
    state: state::Records,
    failures: VecDeque<(Strike, StoreError)>,
}

struct StoredRun {
    stamp: Stamp,
    summary: Summary,
    events: Vec<Recorded>,
}

struct Binding {
    deployment: DeploymentId,
    /// Rises with every binding written.
    written: u64,
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

    /// Makes a ledger entry unreadable.
    pub fn damage_entry(&self, seq: LedgerSeq) {
        self.lock().damaged_entries.insert(seq);
    }

    /// Runs one writing call, with the next planned failure if there is one.
    fn write<T>(&self, effect: impl FnOnce(&mut Kept) -> T) -> Result<T, StoreError> {
        let mut kept = self.lock();
        match kept.failures.pop_front() {
            None => Ok(effect(&mut kept)),
            Some((Strike::BeforeEffect, error)) => Err(error),
            Some((Strike::AfterEffect, error)) => {
                effect(&mut kept);
                Err(error)
            }
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
        let head = self.head();
        if append.base() != head {
            return Err(AppendError::Moved { head });
        }
        self.ledger.extend(append.entries);
        self.keep(append.answer);
        Ok(())
    }

    fn journal(&mut self, write: Write) -> Result<Written, WriteError> {
        if let Some(answer) = self.given(write.answer()) {
            return Err(WriteError::Answered(answer));
        }
        match write {
            Write::Start(start) => self.start(*start),
            Write::Append(append) => self.extend(append),
        }
    }

    fn start(&mut self, start: Start) -> Result<Written, WriteError> {
        if self.runs.contains_key(&start.stamp.run) {
            return Err(WriteError::Exists(start.stamp.run));
        }
        let session = SessionKey::of(&start.stamp);
        let bound = session.as_ref().and_then(|key| self.bindings.get(key));
        start.check_binding(bound.map(|binding| binding.deployment))?;
        let summary = start.summary()?;

        if let (Some(session), Some(_)) = (session, start.bind) {
            self.bindings_written += 1;
            let binding = Binding { deployment: start.stamp.deployment, written: self.bindings_written };
            self.bindings.insert(session, binding);
        }
        let mut events = vec![start.plan()];
        record(&mut events, start.events);
        let run = StoredRun { stamp: start.stamp, summary: summary.clone(), events };
        self.runs.insert(run.stamp.run, run);
        self.keep(start.answer);
        Ok(Written { summary })
    }

    fn extend(&mut self, append: journal::Append) -> Result<Written, WriteError> {
        let run = self.runs.get_mut(&append.run).ok_or(WriteError::NoRun(append.run))?;
        let (_, summary) = append.follow(&run.summary)?;
        run.summary = summary.clone();
        record(&mut run.events, append.events);
        self.keep(append.answer);
        Ok(Written { summary })
    }
}

impl StoredRun {
    fn matches(&self, filter: &RunFilter) -> bool {
        let RunFilter { agent, release, deployment, status, session, tenants, single, since, until } = filter;
        let StoredRun { stamp, summary, .. } = self;
        agent.as_ref().is_none_or(|agent| stamp.agent == *agent)
            && release.is_none_or(|release| stamp.release == release)
            && deployment.is_none_or(|deployment| stamp.deployment == deployment)
            && status.is_none_or(|status| summary.status == status)
            && session.as_ref().is_none_or(|session| stamp.session.as_ref() == Some(session))
            && tenants.as_ref().is_none_or(|tenants| tenants.contains(&stamp.tenant))
            && single.is_none_or(|single| stamp.single == single)
            && since.is_none_or(|since| summary.started_at >= since)
            && until.is_none_or(|until| summary.started_at < until)
    }

    fn run(&self) -> Run {
        Run { stamp: self.stamp.clone(), summary: self.summary.clone() }
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
        let entries = kept.ledger.iter().filter(|entry| entry.seq > after).take(limit);
        let readable = entries.map(|entry| match kept.damaged_entries.contains(&entry.seq) {
            true => Err(StoreError::Damaged(format!("ledger entry {}", entry.seq))),
            false => Ok(entry.clone()),
        });
        readable.collect()
    }
}

#[async_trait]
impl Journal for Memory {
    async fn journal_write(&self, writes: Arc<Vec<Write>>) -> Vec<Result<Written, WriteError>> {
        writes.iter().for_each(Write::assert_whole);
        let count = writes.len();
        let all = self.write(|kept| writes.iter().cloned().map(|write| kept.journal(write)).collect());
        all.unwrap_or_else(|error| vec![Err(WriteError::Store(error)); count])
    }

    async fn run_erase(&self, runs: &[RunId]) -> Result<u64, StoreError> {
        self.write(|kept| {
            let mut erased = 0;
            for id in runs {
                let events = kept.runs.get_mut(id).map_or(&mut [][..], |run| &mut run.events);
                let before = events.to_vec();
                for recorded in &mut *events {
                    recorded.event = recorded.event.clone().without_content();
                }
                erased += u64::from(before != events);
            }
            erased
        })
    }

    async fn run_get(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        Ok(self.lock().runs.get(&run).map(StoredRun::run))
    }

    async fn run_events(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        let kept = self.lock();
        let events = kept.runs.get(&run).map_or(&[][..], |run| &run.events);
        Ok(events.iter().filter(|event| event.seq >= from).take(limit).cloned().collect())
    }

    async fn run_list(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let kept = self.lock();
        let newest_first = kept.runs.iter().rev();
        let older = newest_first.filter(|(id, _)| before.is_none_or(|before| **id < before));
        let matching = older.filter(|(_, run)| run.matches(filter));
        Ok(matching.take(limit).map(|(_, run)| run.run()).collect())
    }

    async fn run_open(&self, deployment: DeploymentId) -> Result<OpenRuns, StoreError> {
        let kept = self.lock();
        let mut open = OpenRuns::default();
        for run in kept.runs.values().filter(|run| run.stamp.deployment == deployment) {
            open.add(run.summary.status, 1);
        }
        Ok(open)
    }

    async fn run_open_total(&self) -> Result<u64, StoreError> {
        Ok(self.lock().runs.values().filter(|run| run.summary.status.is_open()).count() as u64)
    }

    async fn session_get(&self, key: &SessionKey) -> Result<Option<DeploymentId>, StoreError> {
        Ok(self.lock().bindings.get(key).map(|binding| binding.deployment))
    }

    async fn sessions_recent(&self, limit: usize) -> Result<Vec<(SessionKey, DeploymentId)>, StoreError> {
        let kept = self.lock();
        let mut bindings: Vec<_> = kept.bindings.iter().collect();
        bindings.sort_by_key(|(_, binding)| std::cmp::Reverse(binding.written));
        let recent = bindings.into_iter().take(limit);
        Ok(recent.map(|(key, binding)| (key.clone(), binding.deployment)).collect())
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

fn record(events: &mut Vec<Recorded>, more: Vec<(Timestamp, Event)>) {
    for (at, event) in more {
        let seq = EventSeq(events.len() as u64);
        events.push(Recorded { seq, at, event });
    }
}

#[cfg(test)]
mod tests;

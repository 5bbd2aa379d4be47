//! The one task that writes the journal.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::id::{EventSeq, RunId};
use pinrail_store::journal::{Append, Write, WriteError, Written};
use pinrail_store::{Store, StoreError};
use tokio::sync::watch;

use super::batch::Batch;
use super::{Job, Listeners, SOON_MS, Shared, Waiter, run_of};
use crate::observe::{self, Place};
use crate::runs::spool::Spooled;

/// Takes the queue's jobs to the store, batch by batch.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<dyn Store>,
    flushes: watch::Sender<u64>,
    listeners: Listeners,
    /// Failed before and nobody waits for it: goes first in the next batch, so that order is kept.
    pub(super) carried: Vec<Write>,
    /// Jobs taken from the queue so far.
    pub(super) done: u64,
    /// Batches that failed in a row.
    pub(super) failures: u32,
    /// What waits on this machine while the store is away.
    pub(super) spooled: Option<Spooled>,
    /// Jobs of runs whose earlier writes are in the spool, and which wait until those are written.
    pub(super) held: Vec<Job>,
    /// The spool took nothing, and that was said.
    pub(super) spool_full: bool,
}

/// What became of one batch.
#[derive(Default)]
struct Settled {
    trouble: Option<StoreError>,
    /// Runs with a write that is tried again: their later writes must not be given up before it.
    carried: HashSet<RunId>,
}

enum Next {
    Wait,
    Write,
    End,
    GiveUp,
}

/// Pause after the store failed, in milliseconds.
const RETRY_MS: u64 = 250;
/// Tries to write what is left while closing: ten seconds, in which a store that restarts is back.
const CLOSING_ATTEMPTS_MAX: u32 = 40;
/// Writes per store transaction: enough to make the sync's share small.
pub(super) const BATCH_MAX: usize = 2_000;
/// How far back an append whose acknowledgement was lost is looked for: other writes of its run may have come
/// after it, of which each is at most this long.
const LOOK_BACK_EVENTS: usize = 1_000;

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        flushes: watch::Sender<u64>,
        listeners: Listeners,
        spooled: Option<Spooled>,
    ) -> Writer {
        Writer {
            shared,
            store,
            flushes,
            listeners,
            carried: Vec::new(),
            done: 0,
            failures: 0,
            spooled,
            held: Vec::new(),
            spool_full: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.next() {
                Next::Wait => self.shared.work.notified().await,
                Next::Write => {
                    self.gather().await;
                    self.flush().await;
                }
                Next::End => return,
                Next::GiveUp => {
                    let lost = self.carried.len() + self.held.len() + self.shared.lock().jobs.len();
                    tracing::error!(lost, "the store stays broken; what was queued for the journal is lost");
                    return;
                }
            }
        }
    }

    fn next(&self) -> Next {
        let mut queue = self.shared.lock();
        let is_empty = queue.jobs.is_empty() && self.carried.is_empty() && self.held.is_empty();
        // While closing, what is spooled may as well wait for the next start.
        let is_empty = is_empty && (queue.closed || !self.has_spooled());
        match (is_empty, queue.closed) {
            (true, true) => {
                // Said under the lock: from here on nothing is taken that nobody would write.
                queue.ended = true;
                Next::End
            }
            (true, false) => Next::Wait,
            (false, true) if self.failures >= CLOSING_ATTEMPTS_MAX => Next::GiveUp,
            (false, _) => Next::Write,
        }
    }

    /// Waits a little for company, unless somebody waits for us; longer after the store failed.
    async fn gather(&self) {
        let failed = self.failures > 0;
        if !failed && (!self.carried.is_empty() || self.has_spooled()) {
            return;
        }
        let pause = tokio::time::sleep(Duration::from_millis(if failed { RETRY_MS } else { SOON_MS }));
        tokio::pin!(pause);
        loop {
            let (waited_for, closed) = {
                let queue = self.shared.lock();
                (queue.is_urgent(), queue.closed)
            };
            // While closing, only the pause keeps a broken store from being asked without end.
            if waited_for && !(failed && closed) {
                return;
            }
            tokio::select! {
                // Chance would make a simulated world unrepeatable.
                biased;
                () = &mut pause => return,
                () = self.shared.urgent.notified() => {}
            }
        }
    }

    async fn flush(&mut self) {
        match self.write_on().await {
            Ok(()) => self.went_well().await,
            Err(error) => {
                self.failed(&error);
                self.put_aside().await;
            }
        }
    }

    /// Writes what waited longest, and what is queued.
    async fn write_on(&mut self) -> Result<(), StoreError> {
        if self.failures > 0 {
            self.drop_what_was_written().await?;
        }
        self.replay().await?;
        let mut batch = Batch::default();
        self.carried.drain(..).for_each(|write| batch.push_again(write));
        for job in self.next_jobs(BATCH_MAX.saturating_sub(batch.writes.len())).await {
            batch.push(job);
        }
        if batch.writes.is_empty() {
            return Ok(());
        }
        let Batch { writes, waiters, .. } = batch;
        self.carry_out(writes, waiters).await
    }

    /// Hands one batch to the store, and tells everybody what became of it.
    pub(super) async fn carry_out(
        &mut self,
        writes: Vec<Write>,
        waiters: Vec<Option<Waiter>>,
    ) -> Result<(), StoreError> {
        let writes = Arc::new(writes);
        let began = self.listeners.clock.ticks();
        let results = self.store.journal_write(Arc::clone(&writes)).await;
        self.shared.counts.wrote(writes.len(), self.listeners.clock.ticks().us_since(began));
        let places = writes.iter().zip(&results).map(|(write, result)| Place::of(write, result)).collect();
        let told = Arc::new(observe::Batch { writes: Arc::clone(&writes), places });
        // Asked after the store took them: who begins to follow later reads them there.
        if self.listeners.observer.is_wanted() {
            self.listeners.observer.written(Arc::clone(&told));
        }
        self.listeners.traffic.written(told);
        let mut settled = Settled::default();
        for ((write, waiter), result) in writes.iter().zip(waiters).zip(results) {
            self.settle(write, waiter, result, &mut settled);
        }
        settled.trouble.map_or(Ok(()), Err)
    }

    pub(super) fn take(&mut self, jobs_max: usize) -> Vec<Job> {
        let mut queue = self.shared.lock();
        let taken = queue.jobs.len().min(jobs_max);
        queue.hurry &= taken < queue.jobs.len();
        self.done += taken as u64;
        let jobs = queue.jobs.drain(..taken).collect();
        drop(queue);
        self.shared.room.notify_waiters();
        jobs
    }

    fn settle(
        &mut self,
        write: &Write,
        waiter: Option<Waiter>,
        result: Result<Written, WriteError>,
        settled: &mut Settled,
    ) {
        let run = run_of(write);
        match &result {
            Ok(written) => {
                self.listeners.live.written(write, written);
                self.listeners.sessions.written(write);
            }
            Err(WriteError::Store(error)) => {
                settled.trouble.get_or_insert_with(|| error.clone());
                self.listeners.live.doubt(run);
            }
            // It is judged below.
            Err(_) => {}
        }
        match (waiter, result) {
            (Some(waiter), result) => {
                // The caller may have gone away; the write counts all the same.
                let _ = waiter.send(result);
            }
            (None, Ok(_)) => {}
            (None, Err(error)) => {
                if let Some(again) = self.again(write, error, settled) {
                    settled.carried.insert(run);
                    self.carried.push(again);
                }
            }
        }
    }

    /// What is to be tried again of a failed write that nobody waits for.
    fn again(&self, write: &Write, error: WriteError, settled: &Settled) -> Option<Write> {
        match (error, write) {
            (WriteError::Store(_), write) => return Some(write.clone()),
            (WriteError::Bound(bound), Write::Start(start)) => {
                let mut start = start.clone();
                start.bind = self.listeners.sessions.rebind(&start.stamp, bound);
                return Some(Write::Start(start));
            }
            // An earlier write of the run is tried again, and this one after it.
            (_, write) if settled.carried.contains(&run_of(write)) => return Some(write.clone()),
            // Written before, by a batch whose acknowledgement was lost.
            (WriteError::Exists(_), Write::Start(_)) if self.failures > 0 || self.has_spooled() => {}
            // The end of a run that never began.
            (WriteError::NoRun(_), Write::Append(Append { expected: Some(_), .. })) => {}
            (error, write) => tracing::error!(run = %run_of(write), %error, "a journal write was refused"),
        }
        None
    }

    /// Tells everyone who waits, and keeps what nobody waits for.
    fn failed(&mut self, error: &StoreError) {
        self.shared.counts.failed();
        if self.failures == 0 {
            let kept = self.carried.len();
            tracing::error!(%error, kept, "the journal cannot be written; trying again");
        }
        self.failures = self.failures.saturating_add(1);
        let waiting: Vec<Job> = {
            let mut queue = self.shared.lock();
            let waits = !self.carried.is_empty() || self.has_spooled();
            queue.trouble = waits.then(|| error.to_string());
            queue.jobs.extract_if(.., |job| job.waiter.is_some()).collect()
        };
        self.done += waiting.len() as u64;
        self.shared.room.notify_waiters();
        let held = self.held.extract_if(.., |job| job.waiter.is_some());
        for waiter in waiting.into_iter().chain(held).filter_map(|job| job.waiter) {
            let _ = waiter.send(Err(WriteError::Store(error.clone())));
        }
        self.flushes.send_replace(self.done);
        self.listeners.changed.send_modify(|changes| *changes += 1);
    }

    async fn went_well(&mut self) {
        if self.failures > 0 {
            tracing::info!("the journal can be written again");
        }
        self.failures = 0;
        self.shared.lock().trouble = None;
        if self.listeners.live.is_doubtful()
            && let Ok(open) = self.store.run_open_total().await
        {
            // Every write goes through here, so between two batches the store's count is the truth.
            self.listeners.live.recounted(open);
        }
        self.flushes.send_replace(self.done);
        self.listeners.changed.send_modify(|changes| *changes += 1);
    }

    /// Forgets carried appends that are in the store although it said otherwise: they must not happen twice.
    async fn drop_what_was_written(&mut self) -> Result<(), StoreError> {
        let mut index = 0;
        while let Some(write) = self.carried.get(index) {
            match write {
                Write::Append(append) if self.is_written(append).await? => {
                    self.carried.remove(index);
                }
                Write::Append(_) | Write::Start(_) => index += 1,
            }
        }
        Ok(())
    }

    pub(super) async fn is_written(&self, append: &Append) -> Result<bool, StoreError> {
        let Some(run) = self.store.run_get(append.run).await? else { return Ok(false) };
        let looked_at = append.events.len() + LOOK_BACK_EVENTS;
        let from = EventSeq(run.summary.next.0.saturating_sub(looked_at as u64));
        let stored = self.store.run_events(append.run, from, looked_at).await?;
        Ok(stored.windows(append.events.len()).any(|window| {
            window
                .iter()
                .zip(&append.events)
                .all(|(stored, (at, event))| stored.at == *at && stored.event == *event)
        }))
    }
}

impl Drop for Writer {
    /// Whoever still waits is told that nothing comes any more, also where the runtime or a panic ends us.
    fn drop(&mut self) {
        let left = {
            let mut queue = self.shared.lock();
            queue.ended = true;
            std::mem::take(&mut queue.jobs)
        };
        drop(left);
        self.shared.room.notify_waiters();
    }
}

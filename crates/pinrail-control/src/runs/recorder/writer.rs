//! The one task that writes the journal.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::id::RunId;
use pinrail_store::journal::{Append, Write, WriteError, Written};
use pinrail_store::{Store, StoreError};
use tokio::sync::watch;

use super::again::{Hears, Tried};
use super::aside::Earlier;
use super::batch::Batch;
use super::{Job, Listeners, SOON_MS, Shared, run_of};
use crate::observe::{self, Place};
use crate::runs::spool::{Spooled, Waiting};

/// Takes the queue's jobs to the store, batch by batch.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<dyn Store>,
    flushes: watch::Sender<u64>,
    pub(super) listeners: Listeners,
    /// Failed before and nobody waits for it: goes first in the next batch, so that order is kept.
    pub(super) carried: Vec<Waiting>,
    /// Jobs taken from the queue so far.
    pub(super) done: u64,
    /// Batches that failed in a row.
    pub(super) failures: u32,
    /// What waits on this machine while the store is away.
    pub(super) spooled: Option<Spooled>,
    /// What is in there of the process before this one.
    pub(super) earlier: Option<Earlier>,
    /// Jobs of runs whose earlier writes are in the spool, and which wait until those are written.
    pub(super) held: Vec<Job>,
    /// The spool took nothing, and that was said.
    pub(super) spool_full: bool,
}

/// What became of one batch.
#[derive(Default)]
pub(super) struct Settled {
    pub(super) trouble: Option<StoreError>,
    /// Runs with a write that is tried again: their later writes must not be given up before it.
    carried: HashSet<RunId>,
    /// Runs with a write that was in doubt and went through.
    pub(super) done: HashSet<RunId>,
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

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        flushes: watch::Sender<u64>,
        listeners: Listeners,
        spooled: Option<Spooled>,
    ) -> Writer {
        let earlier = spooled.as_ref().and_then(Earlier::in_spool);
        Writer {
            shared,
            store,
            flushes,
            listeners,
            carried: Vec::new(),
            done: 0,
            failures: 0,
            spooled,
            earlier,
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
        if self.is_in_doubt() {
            self.carry_on().await?;
        }
        self.replay().await?;
        let mut batch = Batch::default();
        self.carried.drain(..).for_each(|carried| batch.push_again(carried.write));
        for job in self.next_jobs(BATCH_MAX.saturating_sub(batch.writes.len())).await {
            batch.push(job);
        }
        if batch.writes.is_empty() {
            return Ok(());
        }
        let Batch { writes, waiters, .. } = batch;
        let hears = waiters.into_iter().map(|waiter| match waiter {
            Some(waiter) => Hears::Caller(waiter),
            None => Hears::Nobody(Tried::default()),
        });
        self.carry_out(writes, hears.collect()).await.trouble.map_or(Ok(()), Err)
    }

    /// Hands one batch to the store, and tells everybody what became of it.
    pub(super) async fn carry_out(&mut self, writes: Vec<Write>, hears: Vec<Hears>) -> Settled {
        let writes = Arc::new(writes);
        let began = self.listeners.clock.ticks();
        let results = self.store.journal_write(Arc::clone(&writes)).await;
        self.shared.counts.wrote(writes.len(), self.listeners.clock.ticks().us_since(began));
        let all = writes.iter().zip(&hears).zip(&results);
        let places = all.map(|((write, hears), result)| match result {
            // It is looked for again, and may be there.
            Err(WriteError::Moved { .. }) if hears.doubts() => Place::Doubtful,
            result => Place::of(write, result),
        });
        let places = places.collect();
        let told = Arc::new(observe::Batch { writes: Arc::clone(&writes), places });
        // Asked after the store took them: who begins to follow later reads them there.
        if self.listeners.observer.is_wanted() {
            self.listeners.observer.written(Arc::clone(&told));
        }
        self.listeners.traffic.written(told);
        let mut settled = Settled::default();
        for ((write, hears), result) in writes.iter().zip(hears).zip(results) {
            self.settle(write, hears, result, &mut settled);
        }
        settled
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
        hears: Hears,
        result: Result<Written, WriteError>,
        settled: &mut Settled,
    ) {
        let run = run_of(write);
        match &result {
            Ok(written) => {
                if hears.doubts() {
                    settled.done.insert(run);
                }
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
        match (hears, result) {
            (Hears::Caller(waiter), result) => {
                // The caller may have gone away; the write counts all the same.
                let _ = waiter.send(result);
            }
            (Hears::Nobody(_), Ok(_)) => {}
            (Hears::Nobody(tried), Err(error)) => {
                if let Some(again) = self.again(write, error, tried, settled) {
                    settled.carried.insert(run);
                    self.carried.push(again);
                }
            }
        }
    }

    /// What is to be tried again of a failed write that nobody waits for.
    fn again(&self, write: &Write, error: WriteError, tried: Tried, settled: &Settled) -> Option<Waiting> {
        let Tried { doubtful, .. } = tried;
        let as_asked = |doubtful: bool| Some(Waiting { write: tried.asked(write), doubtful });
        match (error, write) {
            (WriteError::Store(_), _) => return as_asked(true),
            // It may be this very write that came to its place: it is looked for again.
            (WriteError::Moved { .. }, _) if doubtful => return as_asked(true),
            (WriteError::Bound(bound), Write::Start(start)) => {
                let mut start = start.clone();
                start.bind = self.listeners.sessions.rebind(&start.stamp, bound);
                return Some(Waiting { write: Write::Start(start), doubtful });
            }
            // An earlier write of the run is tried again, and this one after it.
            (_, write) if settled.carried.contains(&run_of(write)) => return as_asked(doubtful),
            // Written before, by a batch whose acknowledgement was lost.
            (WriteError::Exists(_), Write::Start(_)) if doubtful => {}
            // The end of a run that never began.
            (WriteError::NoRun(_), Write::Append(Append { expected: Some(_), .. })) if !tried.placed => {}
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

//! Putting writes aside while the store is away, and taking them up again: the writer's side of the spool.
//!
//! While anything is in the spool it comes first, a chunk before each batch; what comes of the same runs meanwhile goes behind it,
//! or waits where somebody waits for it. Other runs don't wait for it.
//!
//! What an earlier process spooled may begin gateway calls whose end it didn't live to write. They are written now, as runs of this
//! process, which lives, so nobody else ends them: it does, as soon as all that was left is written.

use std::collections::HashSet;

use pinrail_domain::id::RunId;
use pinrail_domain::journal::Event;
use pinrail_store::StoreError;
use pinrail_store::journal::{Append, Write};

use super::writer::{BATCH_MAX, Writer};
use super::{Job, run_of};
use crate::errors;
use crate::runs::reaper::cut_off;
use crate::runs::spool::{Spooled, Waiting};

/// What an earlier process left in the spool.
pub(super) struct Earlier {
    /// Its writes that aren't carried out yet: the oldest.
    left: u64,
    runs: HashSet<RunId>,
    /// Calls that were begun and not ended, as far as its writes were read.
    open: HashSet<RunId>,
}

/// Writes that wait in memory before the spool is begun: a store that restarts needs none.
const SPOOL_FROM: usize = if cfg!(test) { 200 } else { 4_000 };
/// While closing, so many failures are a store that stays away: a second.
const CLOSING_FAILURES: u32 = 4;

impl Earlier {
    pub(super) fn in_spool(spooled: &Spooled) -> Option<Earlier> {
        let (runs, left) = spooled.waiting();
        (left > 0).then(|| Earlier { left, runs: runs.clone(), open: HashSet::new() })
    }

    /// A write that is carried out; twice is as good as once.
    fn note(&mut self, write: &Write) {
        let run = run_of(write);
        let (is_start, events) = match write {
            Write::Start(start) => (start.stamp.single && self.runs.contains(&run), &start.events),
            Write::Append(append) => (false, &append.events),
        };
        if is_start {
            self.open.insert(run);
        }
        if events.iter().any(|(_, event)| matches!(event, Event::Finished { .. })) {
            self.open.remove(&run);
        }
    }
}

impl Writer {
    pub(super) fn has_spooled(&self) -> bool {
        self.spooled.as_ref().is_some_and(|spooled| !spooled.is_empty())
    }

    /// Carries out the spool's oldest writes.
    pub(super) async fn replay(&mut self) -> Result<(), StoreError> {
        if !self.has_spooled() {
            return Ok(());
        }
        // They are older than what is spooled, or of other runs.
        self.carry_on().await?;
        let Some(spooled) = self.spooled.as_ref().filter(|_| self.carried.is_empty()) else { return Ok(()) };
        let (waiting, records) = match spooled.next().await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(error = %errors::chain(&error), "the spool of journal writes can't be read");
                return Err(StoreError::Unavailable(std::sync::Arc::new(error)));
            }
        };
        let done = self.replay_chunk(waiting).await;
        let Some(spooled) = &mut self.spooled else { return Ok(()) };
        if let Err(error) = done {
            // The whole chunk is looked at again.
            spooled.doubt();
            self.carried.clear();
            return Err(error);
        }
        if let Err(error) = spooled.done(records).await {
            tracing::error!(error = %errors::chain(&error), "the spool of journal writes can't be shortened");
            spooled.doubt();
            return Err(StoreError::Unavailable(std::sync::Arc::new(error)));
        }
        if spooled.is_empty() {
            tracing::info!("all spooled journal writes are written");
        }
        self.end_earlier_calls(records);
        Ok(())
    }

    /// So many records were carried out: if those were the last of an earlier process, its calls end.
    fn end_earlier_calls(&mut self, records: u64) {
        let Some(earlier) = &mut self.earlier else { return };
        earlier.left = earlier.left.saturating_sub(records);
        if earlier.left > 0 {
            return;
        }
        let open = std::mem::take(&mut earlier.open);
        self.earlier = None;
        if !open.is_empty() {
            tracing::warn!(
                calls = open.len(),
                "an earlier process spooled calls without an end; they end as cut off"
            );
        }
        let at = self.listeners.clock.now();
        for run in open {
            let events = vec![(at, cut_off())];
            let end = Append { run, expected: None, events, follows: None, answer: None };
            // Goes in even where the queue is full: it ends what took a place before.
            let _queued =
                self.shared.push(&mut Some(Job { write: Write::Append(end), waiter: None }), usize::MAX);
        }
    }

    async fn replay_chunk(&mut self, waiting: Vec<Waiting>) -> Result<(), StoreError> {
        if let Some(earlier) = &mut self.earlier {
            waiting.iter().for_each(|waiting| earlier.note(&waiting.write));
        }
        self.carry(waiting).await?;
        self.carry_on().await
    }

    /// The jobs that may be written now. What must come after something in the spool is put there, or held.
    pub(super) async fn next_jobs(&mut self, jobs_max: usize) -> Vec<Job> {
        if self.held.is_empty() && !self.has_spooled() {
            return self.take(jobs_max);
        }
        let mut jobs = std::mem::take(&mut self.held);
        jobs.extend(self.take(jobs_max.saturating_sub(jobs.len())));
        let Some(spooled) = &mut self.spooled else { return jobs };
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for job in jobs {
            // Once one of a run is held, so is what comes after it.
            let run = run_of(&job.write);
            let waits = |held: &Job| run_of(&held.write) == run;
            match spooled.holds(run) {
                false => now.push(job),
                true if job.waiter.is_some() || self.held.iter().any(waits) => self.held.push(job),
                true => later.push(job.write),
            }
        }
        if !later.is_empty()
            && let Err(error) = spooled.push(&later, false).await
        {
            // They wait in memory then, and the queue with them.
            tracing::error!(error = %errors::chain(&error), "journal writes can't be spooled");
            let held = std::mem::take(&mut self.held);
            let later = later.into_iter().map(|write| Job { write, waiter: None });
            self.held = later.chain(held).collect();
        }
        now
    }

    /// Spools what waits in memory, where that is too much, or where this process is about to end.
    pub(super) async fn put_aside(&mut self) {
        let (queued, closed) = {
            let queue = self.shared.lock();
            (queue.jobs.len(), queue.closed)
        };
        let waiting = self.carried.len() + self.held.len() + queued;
        let ends = closed && self.failures >= CLOSING_FAILURES;
        if self.spooled.is_none() || !(self.has_spooled() || ends || waiting >= SPOOL_FROM) {
            return;
        }
        let carried = std::mem::take(&mut self.carried).into_iter().map(|carried| carried.write).collect();
        if let Err(carried) = self.spool(carried, true).await {
            self.carried = carried.into_iter().map(|write| Waiting { write, doubtful: true }).collect();
            return;
        }
        let held: Vec<Write> = std::mem::take(&mut self.held).into_iter().map(|job| job.write).collect();
        if let Err(held) = self.spool(held, false).await {
            self.held = held.into_iter().map(|write| Job { write, waiter: None }).collect();
            return;
        }
        loop {
            // Whoever waits was told; those who came since are told with the next failure.
            let writes: Vec<Write> = {
                let mut queue = self.shared.lock();
                let soon = queue.jobs.extract_if(.., |job| job.waiter.is_none());
                soon.take(BATCH_MAX).map(|job| job.write).collect()
            };
            if writes.is_empty() {
                return;
            }
            let count = writes.len() as u64;
            match self.spool(writes, false).await {
                Ok(()) => {
                    self.done += count;
                    self.shared.room.notify_waiters();
                }
                Err(writes) => {
                    let back = writes.into_iter().map(|write| Job { write, waiter: None });
                    self.shared.lock().jobs.splice(0..0, back);
                    return;
                }
            }
        }
    }

    /// Spools writes; gives them back where that fails.
    async fn spool(&mut self, writes: Vec<Write>, tried: bool) -> Result<(), Vec<Write>> {
        let Some(spooled) = self.spooled.as_mut().filter(|_| !writes.is_empty()) else { return Ok(()) };
        if spooled.is_empty() {
            tracing::warn!(
                "the store stays away; journal writes are spooled on this machine until it is back"
            );
        }
        match spooled.push(&writes, tried).await {
            Ok(()) => {
                self.spool_full = false;
                Ok(())
            }
            Err(error) => {
                if !std::mem::replace(&mut self.spool_full, true) {
                    tracing::error!(error = %errors::chain(&error), "journal writes can't be spooled");
                }
                Err(writes)
            }
        }
    }
}

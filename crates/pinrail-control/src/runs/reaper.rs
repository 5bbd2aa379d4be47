//! Ending what dead replicas left open.
//!
//! A run of one call ends with its answer, and whoever was to give that is gone when its replica is. Where one process has the
//! store, the next start ends such runs. Where several share it, the leader does, for replicas that were silent for longer
//! than any pause they come back from. One that comes back all the same finds its calls ended: what it still writes of them is
//! refused, and it takes another id.
//!
//! How long a replica was silent also counts the time in which nobody could be heard, since the store was away or cut off. So
//! only a leader that has led, and reached the store, for as long as a replica must be silent gives it up: by then whoever lives
//! has had the same time to say so.
//!
//! Calls that a copy brought from a store of one process are nobody's; whoever was to end them wrote to that store. The leader ends
//! them once: no replica opens a database while somebody copies into it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pinrail_domain::journal::{Event, Outcome, RunStatus};
use pinrail_store::journal::{Append, Run, RunFilter, Write, WriteError};
use pinrail_store::{ReplicaId, StoreError};

use crate::{Control, Inner, errors, leader, tasks};

/// A replica that wasn't heard of for so long is given up. Replicas are heard of every few seconds, and whatever stops a process
/// for longer (a debugger, a machine that sleeps) has long made its clients give up.
pub(crate) const DEAD_MS: u64 = 30_000;
/// Whose runs are those that one process wrote that had its store for itself.
const NOBODY: ReplicaId = ReplicaId(0);
/// Runs ended at once.
const PAGE: usize = 500;
/// How often the leader looks.
const EVERY: Duration = Duration::from_secs(5);

impl Control {
    /// Ends the gateway calls that replicas which died left open, and gives those up; says how many it ended. Only whoever has
    /// led for long enough to know does this.
    pub async fn close_after_the_dead(&self) -> Result<u64, StoreError> {
        let store = &self.inner.store;
        if !store.is_shared() || self.inner.leader.led_ms(self.inner.clock.ticks()) < DEAD_MS {
            return Ok(0);
        }
        let me = store.replica();
        let mut closed = self.close_copied_calls().await?;
        for replica in store.replica_list().await? {
            if replica.id == me || replica.silent_ms <= DEAD_MS {
                continue;
            }
            let (ended, all) = self.close_calls_of(replica.id).await?;
            closed += ended;
            if all && store.replica_forget(replica.id, DEAD_MS).await? {
                let silent_s = replica.silent_ms / 1_000;
                tracing::warn!(replica = %replica.name, id = %replica.id, silent_s, ended, "a replica is gone");
            }
        }
        Ok(closed)
    }

    /// Ends the calls that no replica began, unless that was done before.
    async fn close_copied_calls(&self) -> Result<u64, StoreError> {
        if self.inner.leader.reaped_copies.load(Ordering::Acquire) {
            return Ok(0);
        }
        let (closed, all) = self.close_calls_of(NOBODY).await?;
        self.inner.leader.reaped_copies.store(all, Ordering::Release);
        if closed > 0 {
            tracing::warn!(closed, "calls that were open when the store was copied end as cut off");
        }
        Ok(closed)
    }

    /// Ends a replica's open calls; gives how many, and whether none is left.
    async fn close_calls_of(&self, replica: ReplicaId) -> Result<(u64, bool), StoreError> {
        let filter = RunFilter {
            replica: Some(replica),
            single: Some(true),
            status: Some(RunStatus::Running),
            ..RunFilter::default()
        };
        let (mut closed, mut before) = (0, None);
        let mut all = true;
        loop {
            let runs = self.inner.store.run_list(&filter, before, PAGE).await?;
            let Some(last) = runs.last() else { return Ok((closed, all)) };
            before = Some(last.stamp.run);
            // Together, so that they share a batch.
            let ends = runs.into_iter().map(|run| tasks::spawn(close(Arc::clone(&self.inner), run)));
            for end in ends.collect::<Vec<_>>() {
                match end.await {
                    Ok(Ok(())) => closed += 1,
                    // It moved meanwhile, so it isn't dead, or another did this: the next look sees.
                    Ok(Err(WriteError::Store(error))) => return Err(error),
                    Ok(Err(_)) | Err(_) => all = false,
                }
            }
        }
    }
}

async fn close(inner: Arc<Inner>, run: Run) -> Result<(), WriteError> {
    let append = Append {
        run: run.stamp.run,
        expected: Some(run.summary.next),
        events: vec![(inner.clock.now(), cut_off())],
        follows: None,
        answer: None,
    };
    inner.runs.recorder.durably(Write::Append(append)).await.map(drop)
}

/// How a call ends whose process is gone.
pub(crate) fn cut_off() -> Event {
    let why = Some("pinrail stopped before the answer ended".to_owned());
    Event::Finished { outcome: Outcome::Error, why }
}

/// Looks now and then while this replica leads, until the control plane is gone.
pub(crate) fn start(inner: &Arc<Inner>) {
    if inner.store.is_shared() {
        tasks::spawn(reap(Arc::downgrade(inner)));
    }
}

async fn reap(control: Weak<Inner>) {
    while leader::until_leading(&control).await
        && let Some(inner) = control.upgrade()
    {
        match (Control { inner }).close_after_the_dead().await {
            Ok(_) => {}
            Err(error) => {
                let error = errors::chain(&error);
                tracing::warn!(error, "what dead replicas left open can't be ended yet; trying again");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

//! Open runs that several calls share: their stamps, states and call counters, in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pinrail_domain::id::RunId;
use pinrail_domain::journal::{RunStatus, Stamp, Summary};
use pinrail_store::journal::Run;

/// An open run.
#[derive(Debug)]
pub(super) struct LiveRun {
    pub stamp: Arc<Stamp>,
    calls: AtomicU32,
    status: AtomicU8,
}

/// The open runs that were used lately, and how many there are in all.
pub(super) struct LiveRuns {
    kept: Mutex<HashMap<RunId, Arc<LiveRun>>>,
    open: AtomicU64,
}

/// Runs kept in memory; the rest is read from the store when it is used again.
const KEPT_MAX: usize = 50_000;
/// Runs that may be open at once. Each is a promise to keep its release loadable; more than this is a leak.
pub(super) const OPEN_MAX: u64 = 1_000_000;

impl LiveRun {
    pub(super) fn status(&self) -> RunStatus {
        let stored = self.status.load(Ordering::Acquire);
        RunStatus::ALL
            .into_iter()
            .find(|status| *status as u8 == stored)
            .expect("only statuses are stored here")
    }

    pub(super) fn is_running(&self) -> bool {
        self.status() == RunStatus::Running
    }

    /// The number of the call that begins now, from 1.
    pub(super) fn next_call(&self) -> u32 {
        self.calls.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

impl LiveRuns {
    pub(super) fn new(open: u64) -> LiveRuns {
        LiveRuns { kept: Mutex::default(), open: AtomicU64::new(open) }
    }

    pub(super) fn get(&self, run: RunId) -> Option<Arc<LiveRun>> {
        self.lock().get(&run).cloned()
    }

    /// How many runs are open.
    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts a run that was just created.
    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps a run that was read or made. Finished ones aren't kept.
    pub(super) fn keep(&self, run: Run) -> Arc<LiveRun> {
        let live = Arc::new(LiveRun {
            calls: AtomicU32::new(run.summary.calls),
            status: AtomicU8::new(run.summary.status as u8),
            stamp: Arc::new(run.stamp),
        });
        if !run.summary.status.is_open() {
            return live;
        }
        let mut kept = self.lock();
        if kept.len() >= KEPT_MAX {
            let mut n = 0_u32;
            kept.retain(|_, live| {
                n = n.wrapping_add(1);
                // A run that a call holds must keep its call counter.
                Arc::strong_count(live) > 1 || !n.is_multiple_of(8)
            });
        }
        // Whoever kept it first has the counter that calls already used.
        Arc::clone(kept.entry(live.stamp.run).or_insert(live))
    }

    /// Takes in what an append led to.
    pub(super) fn changed(&self, run: RunId, before: RunStatus, summary: &Summary) {
        if before.is_open() && !summary.status.is_open() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        let mut kept = self.lock();
        if summary.status.is_open() {
            if let Some(live) = kept.get(&run) {
                live.status.store(summary.status as u8, Ordering::Release);
            }
        } else if let Some(live) = kept.remove(&run) {
            live.status.store(summary.status as u8, Ordering::Release);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Arc<LiveRun>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Open runs that several calls share: their stamps, states and call counters, in memory.
//!
//! States change only in [`LiveRuns::written`], which the journal's writer calls in the order in which the
//! store took the writes. So memory never lags behind what somebody was told, whoever stopped waiting.
//! Runs of one call aren't kept: nobody joins them.
//!
//! Where other replicas write, memory lags behind what they were told. So there each use reads the run from the store
//! ([`Runs::live`](super::Runs)), and what is kept here are counters, and what to go on from while the store is away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pinrail_domain::id::RunId;
use pinrail_domain::journal::{Event, RunStatus, Stamp};
use pinrail_store::ReplicaId;
use pinrail_store::journal::{EVENTS_PER_RUN_MAX, Run, Write, Written};

/// An open run.
#[derive(Debug)]
pub(super) struct LiveRun {
    pub stamp: Arc<Stamp>,
    calls: AtomicU32,
    status: AtomicU8,
}

/// The open runs that were used lately, and how many there are in all.
pub(super) struct LiveRuns {
    kept: Mutex<Kept>,
    open: AtomicU64,
    /// A write's outcome is unknown, so the count may be off.
    doubtful: AtomicBool,
    /// The number after which calls of a run count that another process began.
    lane: u32,
}

struct Kept {
    runs: HashMap<RunId, Arc<LiveRun>>,
    /// Rise with every write to a run of their share, so that a state read before isn't kept after it.
    changes: [u64; SHARES],
}

/// What a run's state was when it was read from the store.
#[derive(Clone, Copy)]
pub(super) struct Seen(u64);

/// Runs kept in memory; the rest is read from the store when it is used again.
const KEPT_MAX: usize = 50_000;
/// Two runs rarely meet in one of 256; when they do, one is read again.
const SHARES: usize = 256;
/// Numbers that each replica has for the calls of a run that another one began. No run has more calls: each is an event or two.
const LANE: u64 = EVENTS_PER_RUN_MAX;

/// Runs that may be open at once. Each is a promise to keep its release loadable; more than this is a leak.
/// Tests fill it.
pub(crate) const OPEN_MAX: u64 = if cfg!(test) { 1_000 } else { 1_000_000 };

impl LiveRun {
    /// A run whose calls count on after `lane`.
    fn of(run: Run, lane: u32) -> LiveRun {
        LiveRun {
            calls: AtomicU32::new(lane.wrapping_add(run.summary.calls)),
            status: AtomicU8::new(run.summary.status as u8),
            stamp: Arc::new(run.stamp),
        }
    }

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

    /// The number of the call that begins now, from 1 in the process that began the run.
    pub(super) fn next_call(&self) -> u32 {
        self.calls.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

impl LiveRuns {
    /// `replica` is who this is among several; none is alone with the store.
    pub(super) fn new(open: u64, replica: Option<ReplicaId>) -> LiveRuns {
        let kept = Kept { runs: HashMap::new(), changes: [0; SHARES] };
        LiveRuns {
            kept: Mutex::new(kept),
            open: AtomicU64::new(open),
            doubtful: AtomicBool::new(false),
            lane: replica.map_or(0, lane),
        }
    }

    /// A run that isn't kept.
    pub(super) fn aside(&self, run: Run) -> Arc<LiveRun> {
        Arc::new(LiveRun::of(run, self.lane))
    }

    pub(super) fn get(&self, run: RunId) -> Option<Arc<LiveRun>> {
        self.lock().runs.get(&run).cloned()
    }

    /// How many runs are open.
    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// To be asked before a run is read from the store, for [`LiveRuns::keep`].
    pub(super) fn seen(&self, run: RunId) -> Seen {
        Seen(self.lock().changes[share(run)])
    }

    /// Keeps a run that was read; none when it changed meanwhile and must be read again.
    pub(super) fn keep(&self, run: Run, seen: Seen) -> Option<Arc<LiveRun>> {
        let mut kept = self.lock();
        (kept.changes[share(run.stamp.run)] == seen.0).then(|| kept.keep(run, self.lane))
    }

    /// Takes in runs that other replicas wrote, as they were read after `seen`.
    pub(super) fn touched(&self, runs: &[Run], seen: &HashMap<RunId, Seen>) {
        let mut kept = self.lock();
        for Run { stamp, summary } in runs {
            let (Some(live), Some(seen)) = (kept.runs.get(&stamp.run), seen.get(&stamp.run)) else {
                continue;
            };
            if kept.changes[share(stamp.run)] == seen.0 {
                live.status.store(summary.status as u8, Ordering::Release);
                if !summary.status.is_open() {
                    kept.runs.remove(&stamp.run);
                }
            }
        }
    }

    /// Takes in a write that the store took.
    pub(super) fn written(&self, write: &Write, written: &Written) {
        let is_open = written.summary.status.is_open();
        match write {
            Write::Start(start) if is_open => {
                self.open.fetch_add(1, Ordering::Relaxed);
                if !start.stamp.single {
                    let run = Run { stamp: start.stamp.clone(), summary: written.summary.clone() };
                    self.lock().keep(run, 0);
                }
            }
            Write::Start(_) => {}
            Write::Append(append) => {
                let mut kept = self.lock();
                kept.changes[share(append.run)] += 1;
                let live = match is_open {
                    true => kept.runs.get(&append.run).cloned(),
                    false => kept.runs.remove(&append.run),
                };
                if let Some(live) = live {
                    live.status.store(written.summary.status as u8, Ordering::Release);
                }
                // Scores may follow the end of a run, but no other end: each is counted out once.
                let ends = append.events.iter().any(|(_, event)| matches!(event, Event::Finished { .. }));
                if !is_open && ends {
                    // Another replica may have counted its beginning.
                    let less = |open: u64| Some(open.saturating_sub(1));
                    let _ = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
                }
            }
        }
    }

    /// Forgets a run that may have been written, or not.
    pub(super) fn doubt(&self, run: RunId) {
        let mut kept = self.lock();
        kept.changes[share(run)] += 1;
        kept.runs.remove(&run);
        self.doubtful.store(true, Ordering::Relaxed);
    }

    /// Whether the open runs should be counted anew.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Takes over the store's count. Only the journal's writer knows a moment when that is the truth.
    pub(super) fn recounted(&self, open: u64) {
        self.open.store(open, Ordering::Relaxed);
        self.doubtful.store(false, Ordering::Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, run: Run, lane: u32) -> Arc<LiveRun> {
        let live = Arc::new(LiveRun::of(run, lane));
        if live.stamp.single {
            return live;
        }
        if !live.status().is_open() {
            self.runs.remove(&live.stamp.run);
            return live;
        }
        if self.runs.len() >= KEPT_MAX {
            let mut n = 0_u32;
            self.runs.retain(|_, live| {
                n = n.wrapping_add(1);
                // A run that a call holds must keep its call counter.
                let held = Arc::strong_count(live) > 1 || Arc::strong_count(&live.stamp) > 1;
                held || !n.is_multiple_of(8)
            });
        }
        // Whoever kept it first has the counter that calls already used.
        let status = live.status();
        let kept = self.runs.entry(live.stamp.run).or_insert(live);
        kept.status.store(status as u8, Ordering::Release);
        Arc::clone(kept)
    }
}

fn share(run: RunId) -> usize {
    usize::try_from(run.0 % SHARES as u128).expect("a small remainder")
}

/// Where a replica's numbers for the calls of others' runs begin. After some forty thousand openings of the store they come again: a
/// run would have to be that old, and be called by both.
fn lane(replica: ReplicaId) -> u32 {
    let lanes = u64::from(u32::MAX) / LANE - 1;
    u32::try_from((1 + replica.0 % lanes) * LANE).expect("below the largest lane's end")
}

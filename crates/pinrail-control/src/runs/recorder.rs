//! The journal's queue: many writers, one batch at a time to the store.
//!
//! A write that somebody waits for starts a batch at once, and everything queued goes along with it; so
//! many waiting writers share one sync. Writes nobody waits for may lie here for [`SOON_MS`] at most, and a run's
//! events that arrive meanwhile are folded into its start, so that a short gateway call is one write.
//!
//! When the store fails, those who wait are told at once. What nobody waits for is kept and tried again,
//! and as the queue is bounded, new runs are refused before it can grow without end. Where there is a spool
//! ([`super::spool`]), what waits goes there before the queue is full, and as long as this process lives that is where its order is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use pinrail_domain::begin::BeginError;
use pinrail_domain::id::{EventSeq, RunId};
use pinrail_domain::journal::{Event, Outcome};
use pinrail_domain::time::{Clock, Timestamp};
use pinrail_store::journal::{Append, Write, WriteError, Written};
use pinrail_store::{Store, StoreError};
use tokio::sync::{Notify, oneshot, watch};

use super::live::LiveRuns;
use super::sessions::Sessions;
use super::spool::{ForeignSpool, Spool, Spooled};
use crate::observe::Observer;
use crate::traffic::Traffic;
use crate::{Snapshot, tasks};

mod again;
mod aside;
mod batch;
mod counts;
mod writer;

use counts::Counts;
pub use counts::JournalSeen;
use writer::Writer;

/// Hands writes to the store in batches.
pub(super) struct Recorder {
    shared: Arc<Shared>,
    /// How many of the queue's jobs were carried to the store.
    flushed: watch::Receiver<u64>,
    changed: Arc<watch::Sender<u64>>,
    spooled: Arc<AtomicU64>,
}

/// What the journal's writer reports to, in the store's order.
pub(super) struct Listeners {
    pub live: Arc<LiveRuns>,
    pub sessions: Arc<Sessions>,
    pub observer: Arc<Observer>,
    pub traffic: Arc<Traffic>,
    pub clock: Arc<dyn Clock>,
    /// Rises with every batch.
    pub changed: Arc<watch::Sender<u64>>,
}

/// Ends a run of one call when it is dropped before somebody took the run: the caller went away, or the call
/// can't begin. So no such run stays open.
pub(super) struct Unclaimed<'a> {
    recorder: &'a Recorder,
    run: Option<(RunId, Timestamp)>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write.
    work: Notify,
    /// Somebody waits for it.
    urgent: Notify,
    /// There is room again.
    room: Notify,
    counts: Counts,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    /// All jobs that ever were in the queue.
    pushed: u64,
    /// Somebody waits for what is queued.
    hurry: bool,
    /// The writer ends when the queue is empty.
    closed: bool,
    /// The writer ended: nothing is taken any more.
    ended: bool,
    trouble: Option<String>,
}

struct Job {
    write: Write,
    waiter: Option<Waiter>,
}

type Waiter = oneshot::Sender<Result<Written, WriteError>>;

/// Why a job isn't in the queue.
#[derive(Debug, PartialEq, Eq)]
enum NotQueued {
    Full,
    Ended,
}

#[derive(Debug, thiserror::Error)]
#[error("the journal is closed: pinrail is stopping")]
struct Closed;

/// Writes waiting for the store: some seconds of traffic at full speed. Tests fill it.
pub const QUEUE_MAX: usize = if cfg!(test) { 2_000 } else { 50_000 };
/// The longest a stamp that nobody waits for stays in memory only, in milliseconds, plus one store commit.
const SOON_MS: u64 = 20;
/// How long draining waits for a store that doesn't answer, in milliseconds: a little more than the writer
/// takes to give up on one that fails.
const DRAIN_MS_MAX: u64 = 15_000;
/// How long a reader waits for what is queued, in milliseconds; then it reads what there is.
const SETTLED_MS_MAX: u64 = 1_000;

impl Recorder {
    pub(super) async fn start(
        store: Arc<dyn Store>,
        listeners: Listeners,
        spool: Option<Arc<dyn Spool>>,
        snapshot: &Arc<ArcSwap<Snapshot>>,
    ) -> Result<Recorder, ForeignSpool> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work: Notify::new(),
            urgent: Notify::new(),
            room: Notify::new(),
            counts: Counts::default(),
        });
        let (flushes, flushed) = watch::channel(0);
        let changed = Arc::clone(&listeners.changed);
        let left = Arc::new(AtomicU64::new(0));
        let spooled = match spool {
            Some(spool) => Some(Spooled::open(spool, Arc::clone(snapshot), Arc::clone(&left)).await?),
            None => None,
        };
        tasks::spawn(Writer::new(Arc::clone(&shared), store, flushes, listeners, spooled).run());
        Ok(Recorder { shared, flushed, changed, spooled: left })
    }

    /// Writes durably. The write is carried out even if the caller stops waiting.
    pub(super) async fn durably(&self, write: Write) -> Result<Written, WriteError> {
        let (waiter, written) = oneshot::channel();
        let queued = self.shared.push_when_room(Job { write, waiter: Some(waiter) }).await;
        match queued {
            // The writer drops a waiter only where it ends.
            true => written.await.unwrap_or_else(|_| Err(WriteError::Store(closed()))),
            false => Err(WriteError::Store(closed())),
        }
    }

    /// Queues a write that nobody waits for, or says that the queue is full.
    pub(super) fn try_soon(&self, write: Write) -> Result<(), BeginError> {
        match self.shared.push(&mut Some(Job { write, waiter: None }), QUEUE_MAX) {
            Ok(()) => Ok(()),
            Err(NotQueued::Full) => {
                self.shared.counts.refused();
                Err(BeginError::Busy { what: "the journal's queue", limit: QUEUE_MAX as u64 })
            }
            Err(NotQueued::Ended) => Err(BeginError::Journal(Arc::new(closed()))),
        }
    }

    /// Queues a write that nobody waits for; waits while the queue is full.
    pub(super) async fn soon(&self, write: Write) {
        let run = run_of(&write);
        if !self.shared.push_when_room(Job { write, waiter: None }).await {
            tracing::error!(%run, "an event came after the journal was closed");
        }
    }

    /// Guards a run of one call whose start is about to be queued.
    pub(super) fn unclaimed(&self, run: RunId, at: Timestamp) -> Unclaimed<'_> {
        Unclaimed { recorder: self, run: Some((run, at)) }
    }

    /// Rises with every batch that was carried to the store, by whomever.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Another replica wrote something.
    pub(super) fn told(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// How many writes wait in the spool.
    pub(super) fn spooled(&self) -> u64 {
        self.spooled.load(Ordering::Relaxed)
    }

    /// Waits until what is queued now is in the store, so that reading it there gives the whole picture.
    pub(super) async fn settled(&self) {
        let target = {
            let mut queue = self.shared.lock();
            if queue.pushed == *self.flushed.borrow() || queue.ended {
                return;
            }
            queue.hurry = true;
            queue.pushed
        };
        self.shared.work.notify_one();
        self.shared.urgent.notify_one();
        let mut flushed = self.flushed.clone();
        let reached = flushed.wait_for(|done| *done >= target);
        // Late or never, reading goes on with what there is.
        let _ = tokio::time::timeout(Duration::from_millis(SETTLED_MS_MAX), reached).await;
    }

    /// Writes what is queued; what comes after that is refused. Gives up on a store that stays broken.
    pub(super) async fn drain(&self) {
        self.close();
        let mut flushed = self.flushed.clone();
        // The writer drops its end when it ends.
        let ended = async { while flushed.changed().await.is_ok() {} };
        if tokio::time::timeout(Duration::from_millis(DRAIN_MS_MAX), ended).await.is_err() {
            let left = self.shared.lock().jobs.len();
            tracing::error!(left, "the store doesn't answer; what is queued for the journal is lost");
        }
    }

    pub(super) fn seen(&self) -> JournalSeen {
        let (queued, trouble) = {
            let queue = self.shared.lock();
            (queue.jobs.len(), queue.trouble.is_some())
        };
        self.shared.counts.seen(queued, QUEUE_MAX, trouble)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }

    fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        self.shared.urgent.notify_one();
    }
}

impl Drop for Recorder {
    /// Lets the writer end, and the store with it.
    fn drop(&mut self) {
        self.close();
    }
}

impl Unclaimed<'_> {
    /// Somebody took the run, or it isn't in the journal.
    pub(super) fn claim(mut self) {
        self.run = None;
    }

    /// Guards nothing: the run stays open until its caller ends it.
    pub(super) fn claimed(mut self) -> Self {
        self.run = None;
        self
    }
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        let Some((run, at)) = self.run else { return };
        let why = Some("the call did not begin".to_owned());
        let events = vec![(at, Event::Finished { outcome: Outcome::Cancelled, why })];
        // Right after the plan or not at all: there may be no such run.
        let write =
            Write::Append(Append { run, expected: Some(EventSeq(1)), events, answer: None, follows: None });
        // Goes in even where the queue is full: each of these takes the place of a call that was refused.
        let _ended = self.recorder.shared.push(&mut Some(Job { write, waiter: None }), usize::MAX);
    }
}

impl Shared {
    /// Takes the job out of `job` if there is room for it.
    fn push(&self, job: &mut Option<Job>, jobs_max: usize) -> Result<(), NotQueued> {
        let (first, urgent) = {
            let mut queue = self.lock();
            if queue.ended {
                return Err(NotQueued::Ended);
            }
            if queue.jobs.len() >= jobs_max {
                return Err(NotQueued::Full);
            }
            let Some(job) = job.take() else { return Ok(()) };
            let urgent = job.waiter.is_some();
            queue.jobs.push(job);
            queue.pushed += 1;
            (queue.jobs.len() == 1, urgent)
        };
        if first {
            self.work.notify_one();
        }
        if urgent {
            self.urgent.notify_one();
        }
        Ok(())
    }

    /// Queues the job; false when the journal is closed.
    async fn push_when_room(&self, job: Job) -> bool {
        let mut job = Some(job);
        loop {
            // Listening begins before looking, so that room made in between is not missed.
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.push(&mut job, QUEUE_MAX) {
                Ok(()) => return true,
                Err(NotQueued::Ended) => return false,
                Err(NotQueued::Full) => room.await,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_urgent(&self) -> bool {
        self.hurry || self.closed || self.jobs.iter().any(|job| job.waiter.is_some())
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable(Arc::new(Closed))
}

fn run_of(write: &Write) -> RunId {
    match write {
        Write::Start(start) => start.stamp.run,
        Write::Append(append) => append.run,
    }
}

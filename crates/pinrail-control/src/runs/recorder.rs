//! The journal's queue: many writers, one batch at a time to the store.
//!
//! A write that somebody waits for starts a batch at once, and everything queued goes along with it; so
//! many waiting writers share one sync. Writes nobody waits for may lie here for [`SOON_MS`] at most, and a run's
//! events that arrive meanwhile are folded into its start, so that a short gateway call is one write.
//!
//! When the store fails, those who wait are told at once. What nobody waits for is kept and tried again,
//! and as the queue is bounded, new runs are refused before it can grow without end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pinrail_domain::begin::BeginError;
use pinrail_domain::id::RunId;
use pinrail_store::Store;
use pinrail_store::journal::{Write, WriteError, Written};
use tokio::sync::{Notify, oneshot, watch};

/// Hands writes to the store in batches.
pub(super) struct Recorder {
    shared: Arc<Shared>,
    flushed: watch::Receiver<u64>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write.
    work: Notify,
    /// Somebody waits for it.
    urgent: Notify,
    /// There is room again.
    room: Notify,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    closed: bool,
    trouble: Option<String>,
}

struct Job {
    write: Write,
    waiter: Option<Waiter>,
}

type Waiter = oneshot::Sender<Result<Written, WriteError>>;

/// Writes waiting for the store: some seconds of traffic at full speed, and about 100 MB at worst.
pub const QUEUE_MAX: usize = 50_000;
/// The longest a stamp that nobody waits for stays in memory only, in milliseconds, plus one store commit.
const SOON_MS: u64 = 20;
/// Pause after the store failed, in milliseconds.
const RETRY_MS: u64 = 250;
/// Writes per store transaction: enough to make the sync's share small.
const BATCH_MAX: usize = 2_000;

impl Recorder {
    pub(super) fn start(store: Arc<dyn Store>) -> Recorder {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work: Notify::new(),
            urgent: Notify::new(),
            room: Notify::new(),
        });
        let (flushes, flushed) = watch::channel(0);
        let writer = Writer { shared: Arc::clone(&shared), store, flushes, carried: Vec::new() };
        tokio::spawn(writer.run());
        Recorder { shared, flushed }
    }

    /// Writes durably.
    pub(super) async fn durably(&self, write: Write) -> Result<Written, WriteError> {
        let (waiter, written) = oneshot::channel();
        self.shared.push_when_room(Job { write, waiter: Some(waiter) }).await;
        written.await.expect("the writer answers everyone it took a job from")
    }

    /// Queues a write that nobody waits for, or says that the queue is full.
    pub(super) fn try_soon(&self, write: Write) -> Result<(), BeginError> {
        if self.shared.push(&mut Some(Job { write, waiter: None })) {
            return Ok(());
        }
        Err(BeginError::Busy { what: "the journal's queue", limit: QUEUE_MAX as u64 })
    }

    /// Queues a write that nobody waits for; waits while the queue is full.
    pub(super) async fn soon(&self, write: Write) {
        self.shared.push_when_room(Job { write, waiter: None }).await;
    }

    /// Rises with every batch that reached the store.
    pub(super) fn flushes(&self) -> watch::Receiver<u64> {
        self.flushed.clone()
    }

    /// Writes what is queued; what comes later is refused.
    pub(super) async fn drain(&self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        self.shared.urgent.notify_one();
        let mut flushed = self.flushed.clone();
        // The writer drops its end when the closed queue is empty.
        while flushed.changed().await.is_ok() {}
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }
}

impl Shared {
    /// Takes the job out of `job` if there is room for it.
    fn push(&self, job: &mut Option<Job>) -> bool {
        let (first, urgent) = {
            let mut queue = self.lock();
            if queue.jobs.len() >= QUEUE_MAX {
                return false;
            }
            let Some(job) = job.take() else { return true };
            let urgent = job.waiter.is_some();
            queue.jobs.push(job);
            (queue.jobs.len() == 1, urgent)
        };
        if first {
            self.work.notify_one();
        }
        if urgent {
            self.urgent.notify_one();
        }
        true
    }

    async fn push_when_room(&self, job: Job) {
        let mut job = Some(job);
        loop {
            // Listening begins before looking, so that room made in between is not missed.
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.push(&mut job) {
                return;
            }
            room.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one task that writes.
struct Writer {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    flushes: watch::Sender<u64>,
    /// Failed before and nobody waits for it: goes first in the next batch, so that order is kept.
    carried: Vec<Write>,
}

impl Writer {
    async fn run(mut self) {
        loop {
            let (is_empty, closed) = {
                let queue = self.shared.lock();
                (queue.jobs.is_empty() && self.carried.is_empty(), queue.closed)
            };
            match (is_empty, closed) {
                (true, true) => return,
                (true, false) => self.shared.work.notified().await,
                (false, _) => {
                    self.gather(closed).await;
                    self.flush().await;
                }
            }
        }
    }

    /// Waits a little for company, unless somebody waits for us.
    async fn gather(&self, closed: bool) {
        let urgent = self.shared.lock().jobs.iter().any(|job| job.waiter.is_some());
        let pause_ms = match (self.carried.is_empty(), urgent || closed) {
            (false, false) => RETRY_MS,
            (true, false) => SOON_MS,
            (_, true) => return,
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
            () = self.shared.urgent.notified() => {}
        }
    }

    async fn flush(&mut self) {
        let jobs = {
            let mut queue = self.shared.lock();
            let taken = queue.jobs.len().min(BATCH_MAX.saturating_sub(self.carried.len()));
            queue.jobs.drain(..taken).collect::<Vec<_>>()
        };
        self.shared.room.notify_waiters();
        let mut batch = Batch::default();
        for write in self.carried.drain(..) {
            batch.push(Job { write, waiter: None });
        }
        for job in jobs {
            batch.push(job);
        }
        let Batch { writes, waiters, starts: _ } = batch;
        // Kept for the case that the store fails; the store itself needs to own what it writes.
        let kept: Vec<Option<Write>> = writes
            .iter()
            .zip(&waiters)
            .map(|(write, waiter)| waiter.is_none().then(|| write.clone()))
            .collect();
        let results = self.store.journal_write(writes).await;
        let mut trouble = None;
        for ((result, waiter), kept) in results.into_iter().zip(waiters).zip(kept) {
            match (waiter, kept) {
                (Some(waiter), _) => {
                    // The caller may have gone away; the write counts all the same.
                    let _ = waiter.send(result);
                }
                (None, Some(write)) => self.settle(write, result, &mut trouble),
                (None, None) => unreachable!("every write has a waiter or is kept"),
            }
        }
        if let Some(what) = &trouble {
            tracing::error!(error = %what, kept = self.carried.len(), "the journal cannot be written; trying again");
        }
        self.shared.lock().trouble = trouble;
        self.flushes.send_modify(|flushes| *flushes += 1);
    }

    /// Deals with the outcome of a write that nobody waits for.
    fn settle(&mut self, write: Write, result: Result<Written, WriteError>, trouble: &mut Option<String>) {
        let error = match result {
            Ok(_) => return,
            Err(error) => error,
        };
        match (error, write) {
            (WriteError::Store(error), write) => {
                trouble.get_or_insert_with(|| error.to_string());
                self.carried.push(write);
            }
            // A later run of the session was written first and its binding is the newer one: the stamp stays.
            (WriteError::Bound(_), Write::Start(mut start)) => {
                start.bind = None;
                self.carried.push(Write::Start(start));
            }
            (error, write) => {
                tracing::error!(run = %run_of(&write), %error, "a journal write was refused");
            }
        }
    }
}

#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    waiters: Vec<Option<Waiter>>,
    starts: HashMap<RunId, usize>,
}

impl Batch {
    fn push(&mut self, mut job: Job) {
        if let (Write::Append(append), None) = (&mut job.write, &job.waiter)
            && append.expected.is_none()
            && let Some(&index) = self.starts.get(&append.run)
            && let Write::Start(start) = &mut self.writes[index]
        {
            start.events.append(&mut append.events);
            return;
        }
        if let (Write::Start(start), None) = (&job.write, &job.waiter) {
            self.starts.insert(start.stamp.run, self.writes.len());
        }
        self.writes.push(job.write);
        self.waiters.push(job.waiter);
    }
}

fn run_of(write: &Write) -> RunId {
    match write {
        Write::Start(start) => start.stamp.run,
        Write::Append(append) => append.run,
    }
}

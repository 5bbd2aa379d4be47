//! What runs read, noted for "who may have been misled": many readers, one batch at a time to the store.
//!
//! Readers don't wait for the store, only for room: a note that is dropped would make a blast radius lie. What the
//! store refuses is tried again; what is lost in a crash is at most what was queued, and reports say so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pinrail_domain::time::Clock;
use pinrail_store::Store;
use pinrail_store::state::Read;
use tokio::sync::{mpsc, oneshot};

use crate::tasks;

/// Hands notes to the store in batches.
pub(crate) struct Notes {
    queue: mpsc::Sender<Job>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    noted: AtomicU64,
    failed: AtomicU64,
}

/// How noting goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    pub noted: u64,
    /// Attempts that the store refused; the notes were kept and tried again.
    pub failed: u64,
}

enum Job {
    Note(Read),
    /// Answered when everything queued before it is in the store.
    Settle(oneshot::Sender<()>),
}

/// Notes that may wait; readers beyond it wait for room.
const QUEUE_MAX: usize = 20_000;
/// Notes in one transaction.
const BATCH_MAX: usize = 1_000;
/// Pause after the store refused, in milliseconds.
const RETRY_MS: u64 = 250;

impl Notes {
    pub(super) fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Notes {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::new(Counts::default());
        tasks::spawn(carry(store, clock, jobs, Arc::clone(&counts)));
        Notes { queue, counts }
    }

    /// Notes a read. Waits only while the queue is full.
    pub(super) async fn note(&self, read: Read) {
        // The carrier ends only with the process.
        let _ = self.queue.send(Job::Note(read)).await;
    }

    /// Waits until what was noted before is in the store.
    pub(crate) async fn settled(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Job::Settle(done)).await.is_ok() {
            let _ = wait.await;
        }
    }

    pub(super) fn counts(&self) -> Noted {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Noted { noted: read(&self.counts.noted), failed: read(&self.counts.failed) }
    }
}

async fn carry(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    mut jobs: mpsc::Receiver<Job>,
    counts: Arc<Counts>,
) {
    let mut waiting = Vec::with_capacity(BATCH_MAX);
    while jobs.recv_many(&mut waiting, BATCH_MAX).await > 0 {
        let mut reads = Vec::with_capacity(waiting.len());
        let mut settled = Vec::new();
        for job in waiting.drain(..) {
            match job {
                Job::Note(read) => reads.push(read),
                Job::Settle(done) => settled.push(done),
            }
        }
        while !reads.is_empty() {
            let Err(error) = store.reads_note(&reads, clock.now()).await else { break };
            counts.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, reads = reads.len(), "what runs read cannot be noted; trying again");
            tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
        }
        counts.noted.fetch_add(reads.len() as u64, Ordering::Relaxed);
        for done in settled {
            // Whoever asked may have gone away.
            let _ = done.send(());
        }
    }
}

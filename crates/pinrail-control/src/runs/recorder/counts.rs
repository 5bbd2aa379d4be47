//! What the journal's queue and its writer come to, for whoever watches them.

use std::sync::atomic::{AtomicU64, Ordering};

use pinrail_domain::meter::{BATCH, Meter, Reading, STORE_US};

/// Counts since the process began.
pub(super) struct Counts {
    refused: AtomicU64,
    failed: AtomicU64,
    took: Meter,
    writes: Meter,
}

/// The journal's queue now, and what its writer did since the process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSeen {
    /// Writes that wait for the store.
    pub queued: usize,
    /// How many may wait.
    pub limit: usize,
    /// Runs that were refused because the queue was full.
    pub refused: u64,
    /// Whether the store doesn't take the journal.
    pub trouble: bool,
    /// Batches that the store took or refused, by how long it took for them, in microseconds.
    pub took: Reading,
    /// The same batches by how many writes they were.
    pub writes: Reading,
    /// Those of them that the store couldn't take.
    pub failed: u64,
}

impl Default for Counts {
    fn default() -> Counts {
        let (refused, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        Counts { refused, failed, took: Meter::new(STORE_US), writes: Meter::new(BATCH) }
    }
}

impl Counts {
    /// A run was refused.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The store answered to a batch.
    pub fn wrote(&self, writes: usize, took_us: u64) {
        self.took.add(took_us);
        self.writes.add(writes as u64);
    }

    /// The store couldn't take the batch.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub fn seen(&self, queued: usize, limit: usize, trouble: bool) -> JournalSeen {
        JournalSeen {
            queued,
            limit,
            refused: self.refused.load(Ordering::Relaxed),
            trouble,
            took: self.took.read(),
            writes: self.writes.read(),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

//! Counts the calls under way against their limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The places that calls take.
#[derive(Clone)]
pub struct Places(Arc<Inner>);

struct Inner {
    taken: AtomicUsize,
    max: usize,
    /// Told when the last place is given back.
    emptied: Notify,
}

/// A taken place, given back when it is dropped.
pub struct Place(Arc<Inner>);

impl Places {
    pub fn new(max: usize) -> Places {
        Places(Arc::new(Inner { taken: AtomicUsize::new(0), max, emptied: Notify::new() }))
    }

    /// Takes a place, if there is one.
    pub fn take(&self) -> Option<Place> {
        let inner = &self.0;
        // Going over the limit for an instant is seen by nobody but others who are refused all the same.
        if inner.taken.fetch_add(1, Ordering::AcqRel) < inner.max {
            return Some(Place(Arc::clone(inner)));
        }
        drop(Place(Arc::clone(inner)));
        None
    }

    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Acquire)
    }

    /// Waits until no place is taken.
    pub async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            tokio::pin!(emptied);
            // From here on a notice is not missed, so the look at the count is safe.
            emptied.as_mut().enable();
            if self.taken() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

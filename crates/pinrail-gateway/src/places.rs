//! Counts the calls under way, and the bytes of their requests, against their limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The places that calls take.
#[derive(Clone)]
pub struct Places(Arc<Inner>);

struct Inner {
    taken: AtomicUsize,
    max: usize,
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Told when the last place is given back.
    emptied: Notify,
}

/// A taken place, given back when it is dropped, and with it the bytes that it holds.
pub struct Place {
    inner: Arc<Inner>,
    bytes: usize,
}

impl Places {
    pub fn new(max: usize, bytes_max: usize) -> Places {
        let (taken, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Places(Arc::new(Inner { taken, max, bytes, bytes_max, emptied: Notify::new() }))
    }

    /// Takes a place, if there is one.
    pub fn take(&self) -> Option<Place> {
        // Going over the limit for an instant is seen by nobody but others who are refused all the same.
        let before = self.0.taken.fetch_add(1, Ordering::AcqRel);
        let place = Place { inner: Arc::clone(&self.0), bytes: 0 };
        (before < self.0.max).then_some(place)
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

impl Place {
    /// Holds so many bytes more; false when all calls together would hold too many.
    #[must_use]
    pub fn hold(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.inner.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes <= self.inner.bytes_max
    }

    /// Holds no bytes any more, and keeps the place.
    pub fn let_go(&mut self) {
        self.inner.bytes.fetch_sub(std::mem::take(&mut self.bytes), Ordering::AcqRel);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inner.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        if self.inner.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.inner.emptied.notify_waiters();
        }
    }
}

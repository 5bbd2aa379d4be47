//! Counts the requests whose answers are not out yet, so that a shutdown can say what it cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The count.
#[derive(Clone, Default)]
pub struct InFlight(Arc<AtomicUsize>);

/// One request, counted until it is dropped.
pub struct Flight(InFlight);

impl InFlight {
    pub fn begin(&self) -> Flight {
        self.0.fetch_add(1, Ordering::Relaxed);
        Flight(self.clone())
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

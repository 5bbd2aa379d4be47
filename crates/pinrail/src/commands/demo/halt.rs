//! Being told to stop, and pauses that end when that happens.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A switch that is turned once. Cheap to clone; all clones are the same one.
#[derive(Clone, Default)]
pub struct Halt {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    told: Mutex<bool>,
    news: Condvar,
}

/// Somebody pressed ctrl-c.
#[derive(Debug, thiserror::Error)]
#[error("stopped before the story was over")]
pub struct Halted;

impl Halt {
    /// Turns the switch.
    pub fn halt(&self) {
        *self.inner.told.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.inner.news.notify_all();
    }

    pub fn is_told(&self) -> bool {
        *self.inner.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error once the switch is turned.
    pub fn check(&self) -> Result<(), Halted> {
        if self.is_told() { Err(Halted) } else { Ok(()) }
    }

    /// Waits so long, or less when the switch is turned meanwhile.
    pub fn pause(&self, ms: u64) -> Result<(), Halted> {
        let told = self.inner.told.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.inner.news.wait_timeout_while(told, Duration::from_millis(ms), |told| !*told);
        let (told, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *told { Err(Halted) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_with_the_halt() {
        let halt = Halt::default();
        let other = halt.clone();
        let waiting = std::thread::spawn(move || other.pause(3_600_000));
        halt.halt();
        assert!(waiting.join().unwrap().is_err() && halt.check().is_err());
    }
}

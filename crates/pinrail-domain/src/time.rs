//! Points in time and the clocks that tell them. Order is by sequence, never by time (design: clocks jump).

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC. Stored: never change the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The milliseconds from `earlier` to this; zero when the clock went backwards.
    #[must_use]
    pub fn ms_since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }
}

/// Nanoseconds on a clock that never goes back; only differences mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(pub u64);

impl Ticks {
    #[must_use]
    pub fn us_since(self, earlier: Ticks) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }
}

/// Tells the time. The real one lives in the binary; tests and the simulator bring their own.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
    fn ticks(&self) -> Ticks;
}

/// Draws unpredictable bytes. The real one lives in the binary; tests seed theirs.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

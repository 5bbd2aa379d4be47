//! A clock that jumps and randomness that is counted out: what the control plane is given instead of the real ones.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use pinrail_domain::time::{Clock, Entropy, Ticks, Timestamp};

use crate::dice::Dice;

/// Tells the time that the world says it is. It goes a millisecond with every look and jumps when told to.
pub(crate) struct JumpingClock {
    now_ms: AtomicU64,
    ticks: AtomicU64,
}

/// Bytes from the seed.
pub(crate) struct SeededEntropy(Mutex<Dice>);

/// 2026-11-20.
const START_MS: u64 = 1_795_132_800_000;
/// Three days: idempotency answers are forgotten after a week, and then a request that is sent again is a new one.
const JUMPS_MS_MAX: u64 = 3 * 86_400_000;

impl JumpingClock {
    pub(crate) fn new() -> JumpingClock {
        JumpingClock { now_ms: AtomicU64::new(START_MS), ticks: AtomicU64::new(0) }
    }

    pub(crate) fn jump(&self, ms: i64) {
        let now = self.now_ms.load(Ordering::Relaxed);
        let jumped = now.saturating_add_signed(ms).clamp(START_MS - JUMPS_MS_MAX, START_MS + JUMPS_MS_MAX);
        self.now_ms.store(jumped, Ordering::Relaxed);
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now_ms.fetch_add(1, Ordering::Relaxed))
    }

    fn ticks(&self) -> Ticks {
        Ticks(self.ticks.fetch_add(1_000, Ordering::Relaxed))
    }
}

impl SeededEntropy {
    pub(crate) fn new(dice: Dice) -> SeededEntropy {
        SeededEntropy(Mutex::new(dice))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&dice.draw().to_le_bytes()[..chunk.len()]);
        }
    }
}

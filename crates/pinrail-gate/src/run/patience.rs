//! How long a gate waits for a provider: the pace of its calls, and how often it asks again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use crate::ask::AskFailed;

/// Lets through no more calls per minute than it may.
pub(super) struct Pace(Option<Mutex<Interval>>);

/// Whose attempts are counted, and what makes their pauses differ from others'.
pub(super) struct Patience<'a> {
    pub pace: &'a Pace,
    pub retries: &'a AtomicU32,
    /// Spreads those that failed together.
    pub seed: u64,
}

/// Further attempts: with the pauses between them half a minute, which outlasts a provider's hiccup.
const RETRIES_MAX: u32 = 4;
/// The first pause; each is twice the one before.
const PAUSE_MS: u64 = 1_000;
/// A provider that asks for more than this is out of order, not busy.
const RETRY_AFTER_MS_MAX: u64 = 120_000;

impl Pace {
    pub fn new(calls_per_minute: Option<u32>) -> Pace {
        Pace(calls_per_minute.map(|calls| {
            let mut ticks = interval(Duration::from_secs(60) / calls.max(1));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Mutex::new(ticks)
        }))
    }

    /// Waits for its turn, in the order of asking.
    async fn turn(&self) {
        if let Some(ticks) = &self.0 {
            ticks.lock().await.tick().await;
        }
    }
}

impl Patience<'_> {
    /// Calls a model until there is an answer, a failure that lasts, or no patience left; each time at the gate's pace.
    pub async fn call<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, AskFailed>
    where
        F: Future<Output = Result<T, AskFailed>> + Send,
    {
        let paced = || {
            let attempted = attempt();
            async {
                self.pace.turn().await;
                attempted.await
            }
        };
        self.attempts(paced).await
    }

    /// As [`Patience::call`], for what calls no model and so has no pace.
    pub async fn begin<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, AskFailed>
    where
        F: Future<Output = Result<T, AskFailed>> + Send,
    {
        self.attempts(attempt).await
    }

    async fn attempts<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, AskFailed>
    where
        F: Future<Output = Result<T, AskFailed>> + Send,
    {
        let mut tried = 0;
        loop {
            let failed = match attempt().await {
                Err(failed) => failed,
                done => return done,
            };
            let pause = match &failed {
                AskFailed::Passing { retry_after_ms, .. } => self.pause(tried, *retry_after_ms),
                AskFailed::Lasting(_) => None,
            };
            let Some(pause) = pause else { return Err(failed) };
            tried += 1;
            self.retries.fetch_add(1, Ordering::Relaxed);
            sleep(pause).await;
        }
    }

    /// How long to wait after so many retries; none: not at all.
    fn pause(&self, tried: u32, retry_after_ms: Option<u64>) -> Option<Duration> {
        if tried >= RETRIES_MAX || retry_after_ms.is_some_and(|ms| ms > RETRY_AFTER_MS_MAX) {
            return None;
        }
        let own_ms = PAUSE_MS << tried;
        // Up to half as much again, differently for each.
        let spread = self.seed.rotate_left(tried * 8) % (own_ms / 2);
        Some(Duration::from_millis(retry_after_ms.unwrap_or(0).max(own_ms) + spread))
    }
}

//! The process's own clock, randomness, secrets and crash points: the only place that touches them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pinrail_domain::time::{Clock, Entropy, Ticks, Timestamp};
use pinrail_gateway::port::Secrets;
use pinrail_store::Probe;

pub mod process;

/// The machine's clocks.
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one home of the monotonic clock")]
    pub fn start() -> SystemClock {
        SystemClock { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one home of the wall clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn ticks(&self) -> Ticks {
        Ticks(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// The operating system's random numbers.
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has random numbers");
    }
}

/// Secrets from environment variables.
pub struct EnvSecrets;

impl Secrets for EnvSecrets {
    #[allow(clippy::disallowed_methods, reason = "the one home of secrets")]
    fn secret(&self, env_name: &str) -> Option<String> {
        std::env::var(env_name).ok().filter(|value| !value.is_empty())
    }
}

/// Kills the process, as a power cut would, when a named point is reached for the n-th time. For the crash
/// tests: set by `PINRAIL_CRASH_AT=point:n`, and nothing without it.
pub struct CrashPoint {
    point: String,
    countdown: AtomicU64,
}

/// The variable that names a crash point.
pub const CRASH_AT: &str = "PINRAIL_CRASH_AT";

impl CrashPoint {
    /// Reads `point` or `point:n`.
    pub fn parse(text: &str) -> Option<CrashPoint> {
        let (point, count) = text.split_once(':').unwrap_or((text, "1"));
        let count = count.parse().ok().filter(|count| *count > 0)?;
        Some(CrashPoint { point: point.to_owned(), countdown: AtomicU64::new(count) })
    }
}

impl Probe for CrashPoint {
    fn at(&self, point: &'static str) {
        if point == self.point && self.countdown.fetch_sub(1, Ordering::SeqCst) == 1 {
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
            // The signal is on its way; nothing may happen any more.
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_point_reads_its_name_and_count() {
        let check = |text: &str, expected: Option<(&str, u64)>| {
            let read = CrashPoint::parse(text);
            let read = read.as_ref().map(|read| (read.point.as_str(), read.countdown.load(Ordering::SeqCst)));
            assert_eq!(read, expected, "{text}");
        };
        check("ledger.before_commit", Some(("ledger.before_commit", 1)));
        check("journal.after_commit:7", Some(("journal.after_commit", 7)));
        check("x:0", None);
        check("x:y", None);
    }
}

//! What runs must know because other replicas write, too: whether what is shown here may be old.
//!
//! A run is stamped from the snapshot, whoever changed the world since. That is fine for a moment: a flip takes as long to get
//! around. A replica that hasn't heard of the others for longer, because its connection is gone or because it slept, first tries
//! to catch up. If it can't, an agent in tier `critical` gets no run from it, and may call no tool; for the others it goes on with
//! what it knows (design: failure model), and counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use pinrail_domain::begin::BeginError;
use pinrail_domain::tier::StampDurability;
use pinrail_domain::time::{Clock, Ticks};
use pinrail_store::StoreError;
use tokio::sync::Mutex;

use crate::append::Behind;
use crate::follow::{self, Freshness};
use crate::{Inner, errors};

/// What begins runs knows of the other replicas' changes.
pub(super) struct Others {
    freshness: Arc<Freshness>,
    clock: Arc<dyn Clock>,
    stale_ms_max: u64,
    inner: OnceLock<Weak<Inner>>,
    /// When catching up failed last. Held while somebody tries.
    failed: Mutex<Option<Ticks>>,
    on_old_news: AtomicU64,
}

/// How old what is shown may be before runs are begun from it no more, in milliseconds, where the settings say nothing: some ten
/// missed looks at the ledger.
pub const STALE_MS_MAX: u64 = 5_000;
/// How long a call waits for the ledger to be read: a store that can be reached takes some milliseconds.
const CATCH_UP: Duration = Duration::from_millis(500);
/// After a failure nobody tries again for so long, in microseconds, so that calls don't wait one after another.
const PAUSE_US: u64 = 1_000_000;

impl Others {
    pub(super) fn new(freshness: Arc<Freshness>, clock: Arc<dyn Clock>, stale_ms_max: u64) -> Others {
        Others {
            freshness,
            clock,
            stale_ms_max,
            inner: OnceLock::new(),
            failed: Mutex::const_new(None),
            on_old_news: AtomicU64::new(0),
        }
    }

    /// Learns whose runs these are.
    pub(super) fn belong_to(&self, inner: Weak<Inner>) {
        // Told once, where the control plane is made.
        let _ = self.inner.set(inner);
    }

    /// Makes sure that what is shown isn't too old for a stamp of this durability.
    pub(super) async fn fresh(&self, stamp: StampDurability) -> Result<(), BeginError> {
        let Some(ms) = self.stale(stamp).await else { return Ok(()) };
        match stamp {
            StampDurability::BeforeCall => Err(BeginError::Stale { ms }),
            StampDurability::Soon => {
                self.on_old_news.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// How old what is shown is, in milliseconds, where that is too old and can't be helped.
    pub(super) async fn stale(&self, stamp: StampDurability) -> Option<u64> {
        if self.freshness.stale_ms() <= self.stale_ms_max {
            return None;
        }
        self.catch_up(stamp).await;
        Some(self.freshness.stale_ms()).filter(|ms| *ms > self.stale_ms_max)
    }

    /// Reads what the ledger holds by now.
    pub(super) async fn renew(&self) -> Result<(), StoreError> {
        let Some(inner) = self.inner.get().and_then(Weak::upgrade) else { return Ok(()) };
        follow::refresh(&inner).await.map_err(|behind| match behind {
            Behind::Store(error) => error,
            Behind::Corrupt(corrupt) => StoreError::Damaged(errors::chain(&corrupt)),
        })
    }

    /// Runs that were stamped from a snapshot that may have been old.
    pub(super) fn on_old_news(&self) -> u64 {
        self.on_old_news.load(Ordering::Relaxed)
    }

    /// Whether what is shown is too old for agents for which nothing may be done on old news.
    pub(super) fn is_stale(&self) -> bool {
        self.freshness.stale_ms() > self.stale_ms_max
    }

    /// Tries to catch up, unless somebody does or did a moment ago in vain.
    async fn catch_up(&self, stamp: StampDurability) {
        let mut failed = match (self.failed.try_lock(), stamp) {
            (Ok(failed), _) => failed,
            (Err(_), StampDurability::Soon) => return,
            (Err(_), StampDurability::BeforeCall) => self.failed.lock().await,
        };
        let now = self.clock.ticks();
        if self.freshness.stale_ms() <= self.stale_ms_max
            || failed.is_some_and(|failed| now.us_since(failed) < PAUSE_US)
        {
            return;
        }
        *failed = match tokio::time::timeout(CATCH_UP, self.renew()).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) | Err(_) => Some(self.clock.ticks()),
        };
    }
}

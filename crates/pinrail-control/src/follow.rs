//! Following the ledger that other replicas append to.
//!
//! The store's news say when to look; where they are lost, the ledger is read every [`POLL`] all the same. Each time it was read
//! to its end is noted, on the clock that never goes back: so a replica that lost touch, or slept, knows how old what it shows may
//! be ([`Freshness`]). A store that one process has for itself is never behind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use pinrail_domain::time::{Clock, Ticks};

use crate::append::{self, Behind};
use crate::{Control, Inner, errors, tasks};

/// How old what is shown may be.
pub struct Freshness {
    is_shared: bool,
    clock: Arc<dyn Clock>,
    /// When the ledger was last known to hold no more than is shown: the beginning of the read that found so.
    confirmed: AtomicU64,
}

/// How often the ledger is read without news: what a lost notice costs at most, and what the store pays for each replica.
const POLL: Duration = Duration::from_millis(500);

impl Freshness {
    pub(crate) fn new(is_shared: bool, clock: Arc<dyn Clock>) -> Freshness {
        let confirmed = AtomicU64::new(clock.ticks().0);
        Freshness { is_shared, clock, confirmed }
    }

    /// For how many milliseconds others may have changed the world without this replica's knowledge.
    #[must_use]
    pub fn stale_ms(&self) -> u64 {
        if !self.is_shared {
            return 0;
        }
        self.clock.ticks().us_since(Ticks(self.confirmed.load(Ordering::Acquire))) / 1_000
    }

    fn confirm(&self, read_from: Ticks) {
        self.confirmed.fetch_max(read_from.0, Ordering::AcqRel);
    }
}

impl Control {
    /// How old what is shown may be.
    #[must_use]
    pub fn freshness(&self) -> &Freshness {
        &self.inner.freshness
    }
}

/// Reads the ledger to its end, and notes when that was.
pub(crate) async fn refresh(inner: &Arc<Inner>) -> Result<(), Behind> {
    let _turn = append::turn(inner).await;
    let start = inner.clock.ticks();
    append::catch_up(inner).await?;
    inner.freshness.confirm(start);
    Ok(())
}

/// Follows the ledger, where others append to it.
pub(crate) fn start(inner: &Arc<Inner>) {
    if inner.store.is_shared() {
        tasks::spawn(follow(Arc::downgrade(inner)));
    }
}

async fn follow(control: Weak<Inner>) {
    let Some(mut news) = control.upgrade().map(|inner| inner.store.news()) else { return };
    let mut seen = news.borrow_and_update().ledger;
    let mut failing = false;
    loop {
        let Some(inner) = control.upgrade() else { return };
        match refresh(&inner).await {
            Ok(()) if failing => {
                failing = false;
                tracing::info!("the ledger can be followed again");
            }
            Ok(()) => {}
            Err(error) if !failing => {
                failing = true;
                let error = errors::chain(&error);
                tracing::error!(
                    error,
                    "the ledger can't be followed; this replica serves what it knows, and tries again"
                );
            }
            Err(_) => {}
        }
        drop(inner);
        let poll = tokio::time::sleep(POLL);
        tokio::pin!(poll);
        loop {
            tokio::select! {
                biased;
                changed = news.changed() => {
                    if changed.is_err() {
                        // It doesn't tell: the clock does.
                        poll.await;
                        break;
                    }
                    let now = news.borrow_and_update().ledger;
                    if now != seen {
                        seen = now;
                        break;
                    }
                }
                () = &mut poll => break,
            }
        }
    }
}

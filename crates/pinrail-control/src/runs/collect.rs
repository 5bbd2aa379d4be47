//! Retention: journals that are older than they are kept are dropped for good (`pinrail gc journal`, `[journal] keep`).
//!
//! 1. `pinrail_domain::journal::collect` says which days go and why older ones stay, on the newest world.
//! 2. The ledger gets an entry that says before which day: from here on it has happened (I8), and who asks for a run that isn't there
//!    is told so.
//! 3. The store drops the days, one after the other. It asks the ledger first, and keeps a day on which a run is open.
//!
//! What a crash leaves of step 3 goes with the next collection, which has an entry of its own. Where `keep` is set, the leader
//! collects by itself.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use pinrail_domain::id::LedgerSeq;
use pinrail_domain::journal::collect::{self, Facts, Plan};
use pinrail_domain::ledger::Actor;
use pinrail_domain::time::Day;
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use pinrail_store::journal::CollectError;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{By, CommitError, Committed, Control, Inner, errors, leader, tasks};

/// Which days go, and which older ones stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalCollection {
    pub plan: Plan,
    /// How long journals were kept for it, in milliseconds.
    pub kept_ms: u64,
    /// The ledger entry; none where nothing was to go, or nothing was to be done yet.
    pub seq: Option<LedgerSeq>,
}

/// How far the dropping is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropping {
    pub running: bool,
    /// Since the process began: days to drop, those that are gone, and the runs that went with them.
    pub days: u64,
    pub done: u64,
    pub runs: u64,
    /// Why it stopped half-way. The next collection goes on.
    pub trouble: Option<String>,
}

/// Drops what the ledger says is dropped.
pub(crate) struct Retention {
    dropping: watch::Sender<Dropping>,
    /// How long journals are kept; [`FOREVER`] where nobody said.
    kept_ms: AtomicU64,
    /// Days that are to go.
    wanted: std::sync::Mutex<BTreeSet<Day>>,
}

/// Nothing is dropped unless somebody says so: what can't be brought back is nobody's default.
const FOREVER: u64 = u64::MAX;
/// How often the leader looks: a day becomes old enough once a day, and one with an open run at any time.
const EVERY: Duration = Duration::from_secs(3_600);

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            dropping: watch::Sender::new(Dropping::default()),
            kept_ms: AtomicU64::new(FOREVER),
            wanted: std::sync::Mutex::default(),
        }
    }
}

impl Control {
    /// Says how long journals are kept, in milliseconds: older ones go by themselves.
    pub fn keep_journals_for(&self, ms: u64) {
        self.inner.retention.kept_ms.store(ms, Ordering::Relaxed);
        // Again from the beginning: what goes on by itself may have been waiting for this.
        tasks::spawn(collect_by_itself(Arc::downgrade(&self.inner)));
    }

    /// How long journals are kept; none: forever.
    #[must_use]
    pub fn journals_kept_ms(&self) -> Option<u64> {
        let ms = self.inner.retention.kept_ms.load(Ordering::Relaxed);
        (ms != FOREVER).then_some(ms)
    }

    /// Which journals would go now.
    pub async fn journals_plan(&self, kept_ms: u64) -> Result<JournalCollection, StoreError> {
        let facts = self.journals_facts(kept_ms).await?;
        let plan = collect::plan(&self.snapshot().world, &facts);
        Ok(JournalCollection { plan, kept_ms, seq: None })
    }

    /// Enters into the ledger which journals go, and begins to drop them; [`Control::dropping`] says how far that is.
    pub async fn collect_journals(
        &self,
        by: By,
        kept_ms: u64,
    ) -> Result<Committed<JournalCollection>, CommitError<Infallible>> {
        let facts = self.journals_facts(kept_ms).await.map_err(CommitError::Store)?;
        let decide = |world: &World| {
            let plan = collect::plan(world, &facts);
            Ok((plan.entry().into_iter().collect(), JournalCollection { plan, kept_ms, seq: None }))
        };
        let report = |world: &World, collection: JournalCollection| {
            let seq = (!collection.plan.collect.is_empty()).then_some(world.head.seq);
            JournalCollection { seq, ..collection }
        };
        let committed = self.commit(by, decide, report).await?;
        drop_days(&self.inner, committed.value.plan.days());
        Ok(committed)
    }

    /// How far the dropping is; changes as it goes on.
    #[must_use]
    pub fn dropping(&self) -> watch::Receiver<Dropping> {
        self.inner.retention.dropping.subscribe()
    }

    async fn journals_facts(&self, kept_ms: u64) -> Result<Facts, StoreError> {
        let now = self.inner.clock.now();
        let days = self.inner.store.run_days(collect::kept_from(now, kept_ms)).await?;
        Ok(Facts { now, kept_ms, days })
    }
}

/// Drops days, in a task of its own; one at a time does so.
fn drop_days(inner: &Arc<Inner>, days: BTreeSet<Day>) {
    if days.is_empty() {
        return;
    }
    let more = {
        let mut wanted = inner.retention.wanted();
        let before = wanted.len();
        wanted.extend(days);
        (wanted.len() - before) as u64
    };
    let mut was_running = true;
    inner.retention.dropping.send_modify(|dropping| {
        was_running = dropping.running;
        dropping.running = true;
        dropping.days += more;
        dropping.trouble = None;
    });
    if !was_running {
        tasks::spawn(drop_all(Arc::clone(inner)));
    }
}

impl Retention {
    fn wanted(&self) -> std::sync::MutexGuard<'_, BTreeSet<Day>> {
        self.wanted.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn drop_all(inner: Arc<Inner>) {
    loop {
        let next = inner.retention.wanted().pop_first();
        let mut trouble = None;
        if let Some(day) = next {
            match inner.store.run_collect(day).await {
                Ok(runs) => inner.retention.dropping.send_modify(|dropping| {
                    dropping.done += 1;
                    dropping.runs += runs;
                }),
                // A run began on it after the plan was made: the day stays, and the next collection looks again.
                Err(CollectError::Open { day, open }) => {
                    tracing::info!(%day, open, "a day's journals stay: runs of it are open");
                    inner.retention.dropping.send_modify(|dropping| dropping.done += 1);
                }
                Err(error) => trouble = Some(errors::chain(&error)),
            }
        }
        if let Some(error) = &trouble {
            tracing::warn!(error, "old journals could not be dropped whole; the next collection goes on");
            inner.retention.wanted().clear();
        }
        let mut is_done = false;
        inner.retention.dropping.send_modify(|dropping| {
            // Somebody who wants more found this running and relies on it.
            is_done = inner.retention.wanted().is_empty();
            dropping.running = !is_done;
            dropping.trouble = trouble;
        });
        if is_done {
            return;
        }
    }
}

/// Looks now and then while this replica leads, until the control plane is gone or is told anew how long journals are kept.
async fn collect_by_itself(control: Weak<Inner>) {
    let Some(told) = kept_ms(&control) else { return };
    while leader::until_leading(&control).await
        && kept_ms(&control) == Some(told)
        && let Some(inner) = control.upgrade()
    {
        let by = By {
            actor: Actor::System,
            reason: format!("journals are kept for {}", span(told)),
            idempotency: None,
            term: inner.leader.term(),
        };
        match (Control { inner }).collect_journals(by, told).await {
            Ok(_) | Err(CommitError::Fenced(_)) => {}
            Err(error) => {
                let error = errors::chain(&error);
                tracing::warn!(error, "old journals can't be dropped now; trying again in an hour");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn kept_ms(control: &Weak<Inner>) -> Option<u64> {
    control.upgrade().map(|inner| inner.retention.kept_ms.load(Ordering::Relaxed))
}

/// Days, or hours where it isn't whole days.
fn span(ms: u64) -> String {
    const HOUR_MS: u64 = 3_600_000;
    if ms.is_multiple_of(24 * HOUR_MS) {
        format!("{} d", ms / HOUR_MS / 24)
    } else {
        format!("{} h", ms / HOUR_MS)
    }
}

//! Garbage collection: rolled-back data that nobody needs any more is removed for good (`pinrail gc`).
//!
//! 1. `pinrail_domain::state::collect` says what goes and why the rest stays, on the newest world.
//! 2. The ledger gets an entry that names the deployments: from here on it has happened (I8). Views that lost something
//!    are refused.
//! 3. Their records are removed in batches, so that writers, and a rollback above all (I7), wait some milliseconds at
//!    most; then the indexes of the spaces they were in are read anew.
//!
//! Step 3 is safe to do twice: after a crash the next start goes on with it, since the ledger says what is to be gone.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pinrail_domain::deployment::{Deployment, Status};
use pinrail_domain::id::{DeploymentId, LedgerSeq};
use pinrail_domain::state::collect::{self, Facts, Plan};
use pinrail_domain::state::{Layer, Space};
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{By, CommitError, Committed, Control, Inner, errors, tasks};

/// What is to be removed, and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    pub plan: Plan,
    /// The records to remove, by layer.
    pub layers: BTreeMap<Layer, u64>,
    /// How long rolled-back data was kept for it, in milliseconds.
    pub kept_ms: u64,
    /// The ledger entry; none where there was nothing to remove, or nothing was to be done yet.
    pub seq: Option<LedgerSeq>,
}

/// How far the removal is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub running: bool,
    /// Records to remove since the process began, as far as it is known, and those that are gone.
    pub records: u64,
    pub removed: u64,
    /// Why it stopped half-way. The next collection, or the next start, goes on.
    pub trouble: Option<String>,
}

/// Removes what the ledger says is collected.
pub(crate) struct Collector {
    progress: watch::Sender<Progress>,
    kept_ms: AtomicU64,
}

/// Rolled-back data is kept for 30 days unless told otherwise: a month's questions can be answered from it.
pub const KEPT_MS_DEFAULT: u64 = 30 * 24 * 3_600_000;
/// Records removed in one transaction: some milliseconds.
const BATCH: usize = 500;

impl Default for Collector {
    fn default() -> Collector {
        Collector {
            progress: watch::Sender::new(Progress::default()),
            kept_ms: AtomicU64::new(KEPT_MS_DEFAULT),
        }
    }
}

impl Control {
    /// Says how long rolled-back data is kept where a collection doesn't say so itself, in milliseconds.
    pub fn keep_aborted_for(&self, ms: u64) {
        self.inner.collector.kept_ms.store(ms, Ordering::Relaxed);
    }

    /// What a collection would do now.
    pub async fn collection_plan(&self, kept_ms: Option<u64>) -> Result<Collection, StoreError> {
        let (facts, written) = self.collection_facts(kept_ms).await?;
        Ok(Collection::of(&self.snapshot().world, &facts, &written))
    }

    /// Enters into the ledger what is removed, and begins to remove it; [`Control::collecting`] says how far that is.
    pub async fn collect(
        &self,
        by: By,
        kept_ms: Option<u64>,
    ) -> Result<Committed<Collection>, CommitError<Infallible>> {
        let (facts, written) = self.collection_facts(kept_ms).await.map_err(CommitError::Store)?;
        let decide = |world: &World| {
            let collection = Collection::of(world, &facts, &written);
            Ok((collection.plan.entry().into_iter().collect(), collection))
        };
        let report = |world: &World, collection: Collection| {
            let seq = (!collection.plan.collect.is_empty()).then_some(world.head.seq);
            Collection { seq, ..collection }
        };
        let committed = self.commit(by, decide, report).await?;
        go_on(&self.inner);
        Ok(committed)
    }

    /// How far the removal is; changes as it goes on.
    #[must_use]
    pub fn collecting(&self) -> watch::Receiver<Progress> {
        self.inner.collector.progress.subscribe()
    }

    async fn collection_facts(&self, kept_ms: Option<u64>) -> Result<(Facts, Written), StoreError> {
        // A stamp may be on its way to the store; it counts.
        self.inner.runs.settled().await;
        let snapshot = self.snapshot();
        let mut facts = Facts {
            now: self.inner.clock.now(),
            kept_ms: kept_ms.unwrap_or_else(|| self.inner.collector.kept_ms.load(Ordering::Relaxed)),
            newest: self.inner.store.state_head().await?.state,
            ..Facts::default()
        };
        let mut layers = Written::new();
        for (id, deployment) in snapshot.world.deployments.iter() {
            let open = self.inner.store.run_open(*id).await?.total();
            facts.open_runs.extend((open > 0).then_some((*id, open)));
            if was_taken_back(deployment) && !self.is_under_way(&snapshot.world, *id).await? {
                for written in self.inner.store.state_written(*id).await? {
                    let records = written.puts + written.deletes;
                    *layers.entry(*id).or_default().entry(written.space.layer).or_default() += records;
                    *facts.written.entry(*id).or_default() += records;
                }
            }
        }
        Ok((facts, layers))
    }

    /// Whether an earlier collection took the deployment, and it has written nothing since: then what is left of it is
    /// being removed, and needs no second entry.
    async fn is_under_way(&self, world: &World, id: DeploymentId) -> Result<bool, StoreError> {
        let Some(until) = world.collected.get(&id) else { return Ok(false) };
        Ok(self.inner.store.state_of_deployment(id, *until, 1).await?.is_empty())
    }
}

/// Records by deployment and layer.
type Written = BTreeMap<DeploymentId, BTreeMap<Layer, u64>>;

impl Collection {
    fn of(world: &World, facts: &Facts, written: &Written) -> Collection {
        let plan = collect::plan(world, facts);
        let mut layers = BTreeMap::new();
        for collected in &plan.collect {
            for (layer, records) in written.get(&collected.deployment).into_iter().flatten() {
                *layers.entry(*layer).or_default() += *records;
            }
        }
        Collection { plan, layers, kept_ms: facts.kept_ms, seq: None }
    }
}

fn was_taken_back(deployment: &Deployment) -> bool {
    match deployment.status {
        Status::RolledBack { .. } => true,
        Status::Candidate { .. } | Status::Promoted { .. } => false,
    }
}

/// Removes what is to be removed, in a task of its own; one at a time does so.
pub(crate) fn go_on(inner: &Arc<Inner>) {
    let mut was_running = true;
    inner.collector.progress.send_modify(|progress| {
        was_running = progress.running;
        if !was_running {
            progress.running = true;
            progress.trouble = None;
        }
    });
    if !was_running {
        tasks::spawn(remove_all(Arc::clone(inner)));
    }
}

async fn remove_all(inner: Arc<Inner>) {
    loop {
        let seen = Arc::clone(&inner.snapshot.load());
        let mut spaces = BTreeSet::new();
        let removed = remove(&inner, &seen.world, &mut spaces).await;
        for space in &spaces {
            inner.states.forget(space).await;
        }
        if let Err(error) = &removed {
            tracing::warn!(%error, "rolled-back data could not be removed whole; the next collection goes on");
        }
        let mut is_done = true;
        inner.collector.progress.send_modify(|progress| {
            progress.trouble = removed.err().map(|error| errors::chain(&error));
            // Somebody who committed a collection meanwhile found this running and relies on it.
            let more = *inner.snapshot.load().world.collected != *seen.world.collected;
            is_done = progress.trouble.is_some() || !more;
            progress.running = !is_done;
        });
        if is_done {
            return;
        }
    }
}

async fn remove(inner: &Inner, world: &World, spaces: &mut BTreeSet<Space>) -> Result<(), StoreError> {
    for (deployment, until) in world.collected.iter() {
        let written = inner.store.state_written(*deployment).await?;
        if written.is_empty() {
            continue;
        }
        let records: u64 = written.iter().map(|written| written.puts + written.deletes).sum();
        inner.collector.progress.send_modify(|progress| progress.records += records);
        spaces.extend(written.into_iter().map(|written| written.space));
        loop {
            let removed = inner.store.state_remove(*deployment, *until, BATCH).await?;
            inner.collector.progress.send_modify(|progress| progress.removed += removed);
            if removed < BATCH as u64 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

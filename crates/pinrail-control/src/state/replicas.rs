//! State in a store that other replicas write to as well.
//!
//! - **Before every look** the heads are asked for, one row, and what was appended since the space's last look is read, an indexed
//!   question that is mostly not even asked. So whoever reads here sees all that was acknowledged anywhere before: records, promotes
//!   and rollbacks (I4, I5). Looks that come while one reads share the next reading.
//! - **Writes** don't take their records in; the next look reads them, in the store's order, with those of others between.
//! - **Followers** of a space are woken by the store's news.
//! - **Removal and erasure** by whomever make this replica forget what it has in memory and in files: it follows the ledger for them.
//! - **A large space that isn't in memory** isn't read whole for one look at its end: the store works that out by the same rule. Nor is it
//!   for one key: what the store has on that key is index enough.

use std::fs;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use pinrail_domain::id::{LedgerSeq, StateSeq};
use pinrail_domain::ledger::Body;
use pinrail_domain::state::index::Index;
use pinrail_domain::state::view::View;
use pinrail_domain::state::{Space, StateKey};
use pinrail_store::StoreError;
use pinrail_store::replicas::News;
use pinrail_store::state::{KeyHistory, Look, Visible};
use tokio::sync::watch;

use super::{LOAD_OPERATIONS, Loaded, ReadError, Reader, Sight, States};
use crate::append::{self, READ_ENTRIES};
use crate::{errors, tasks};

/// Readings of a space from the store.
#[derive(Default)]
pub(super) struct Readings {
    /// Held by whoever reads.
    turn: tokio::sync::Mutex<()>,
    /// How many began, and the last of them that came to its end.
    began: AtomicU64,
    whole: AtomicU64,
    /// The last place of all state that was known when the space was read last.
    read_to: AtomicU64,
    /// Looks that the store answered, since the space isn't in memory.
    answered: AtomicU32,
}

/// From so many operations on a space is worth a question of its own while it isn't in memory.
pub(super) const LARGE_OPERATIONS: u64 = 50_000;
/// A space that is looked at more often than this is worth reading whole.
const ANSWERED_MAX: u32 = 3;
/// Pause before the ledger is followed again after it couldn't be.
const AGAIN: Duration = Duration::from_millis(250);

impl States {
    /// Reads what was appended since the space was read last, by whomever, and makes sure that the world shown is at least as new.
    pub(super) async fn refresh(&self, space: &Space, loaded: &Loaded) -> Result<(), StoreError> {
        let readings = &loaded.readings;
        let began = readings.began.load(Ordering::Acquire);
        let _reading = readings.turn.lock().await;
        if readings.whole.load(Ordering::Acquire) > began {
            // Somebody began to read after this look came.
            return Ok(());
        }
        let this = readings.began.fetch_add(1, Ordering::AcqRel) + 1;
        let head = self.parts.store.state_head().await?;
        append::reach(&self.parts.inner, head.ledger).await?;
        self.newest.fetch_max(head.state.0, Ordering::AcqRel);
        let is_new = loaded.behind.load(Ordering::Acquire);
        if is_new || readings.read_to.load(Ordering::Acquire) < head.state.0 {
            self.read_on(space, loaded).await?;
            readings.read_to.store(head.state.0, Ordering::Release);
            loaded.behind.store(false, Ordering::Release);
        }
        readings.whole.store(this, Ordering::Release);
        Ok(())
    }

    async fn read_on(&self, space: &Space, loaded: &Loaded) -> Result<(), StoreError> {
        loop {
            let after = loaded.read(Index::newest);
            let more = self.parts.store.state_operations(space, after, LOAD_OPERATIONS).await?;
            let whole = more.len() < LOAD_OPERATIONS;
            if let Some(ledger) = more.iter().map(|operation| operation.ledger).max() {
                append::reach(&self.parts.inner, ledger).await?;
                let mut index = loaded.index.write().unwrap_or_else(PoisonError::into_inner);
                for operation in more {
                    index.apply(operation);
                }
                loaded.newest.send_replace(index.newest());
            }
            if whole {
                return Ok(());
            }
        }
    }

    /// What the store itself says of a large space that isn't in memory; none where it is better read.
    pub(super) async fn look_in_store(
        &self,
        space: &Space,
        reader: &Reader,
        before: Option<StateSeq>,
        limit: usize,
    ) -> Result<Option<Visible>, ReadError> {
        if !self.is_shared {
            return Ok(None);
        }
        let loaded = self.loaded(space);
        let answered = &loaded.readings.answered;
        if !loaded.behind.load(Ordering::Acquire) || answered.load(Ordering::Relaxed) >= ANSWERED_MAX {
            return Ok(None);
        }
        let head = self.parts.store.state_head().await?;
        append::reach(&self.parts.inner, head.ledger).await?;
        let at = reader.moment(self).await?;
        let operations_min = self.large.load(Ordering::Relaxed);
        let look = Look { space, own: reader.own, at, before, limit, operations_min };
        let seen = self.parts.store.state_visible(&look).await?;
        if let Some(seen) = &seen {
            answered.fetch_add(1, Ordering::Relaxed);
            append::reach(&self.parts.inner, seen.at.ledger).await?;
        }
        Ok(seen)
    }

    /// Looks at one key of a large space that isn't in memory, by what the store has on it alone; none where the space is better read.
    ///
    /// That costs the store about what asking for the heads does, so it isn't read whole however often keys are asked for.
    pub(super) async fn look_at_key<T>(
        &self,
        space: &Space,
        reader: &Reader,
        key: &StateKey,
        look: impl FnOnce(&Sight<'_>) -> T,
    ) -> Result<Option<T>, ReadError> {
        if !self.is_shared || !self.loaded(space).behind.load(Ordering::Acquire) {
            return Ok(None);
        }
        let as_of = reader.moment(self).await?;
        let operations_min = self.large.load(Ordering::Relaxed);
        let history = self.parts.store.state_of_key(space, key, operations_min, LOAD_OPERATIONS).await?;
        let Some(KeyHistory { at: now, operations }) = history else { return Ok(None) };
        append::reach(&self.parts.inner, now.ledger).await?;
        let commits = Arc::clone(&self.parts.snapshot.load().world.commits);
        let index = Index::load(&commits, operations);
        let view = View { own: reader.own, at: as_of.unwrap_or(now), commits };
        Ok(Some(look(&Sight { index: &index, view, is_newest: false })))
    }

    /// From how many operations on a space that isn't in memory is looked at in the store.
    pub fn look_in_store_from(&self, operations: u64) {
        self.large.store(operations, Ordering::Relaxed);
    }

    /// Reads on where somebody follows.
    async fn wake(&self) -> Result<(), StoreError> {
        let followed: Vec<(Space, Arc<Loaded>)> = {
            let spaces = self.lock();
            let followed = spaces.iter().filter(|(_, loaded)| loaded.newest.receiver_count() > 0);
            followed.map(|(space, loaded)| (space.clone(), Arc::clone(loaded))).collect()
        };
        for (space, loaded) in followed {
            self.refresh(&space, &loaded).await?;
        }
        Ok(())
    }

    /// The entries after `after` that take records or their content away; with the last entry there is.
    async fn takings(&self, mut after: LedgerSeq) -> Result<(LedgerSeq, Vec<LedgerSeq>), StoreError> {
        let mut takings = Vec::new();
        loop {
            let entries = self.parts.store.ledger_read(after, READ_ENTRIES).await?;
            let Some(last) = entries.last() else { return Ok((after, takings)) };
            after = last.seq;
            let takes = |body: &Body| matches!(body, Body::StateCollected { .. } | Body::StateErased { .. });
            takings.extend(entries.iter().filter(|entry| takes(&entry.body)).map(|entry| entry.seq));
        }
    }

    /// Whether everything that these entries say is gone is gone, whoever carries it out.
    async fn is_gone(&self, takings: &[LedgerSeq]) -> Result<bool, StoreError> {
        let store = &*self.parts.store;
        if let Some(last) = takings.last() {
            append::reach(&self.parts.inner, *last).await?;
        }
        let world = self.parts.snapshot.load_full();
        for erasure in world.world.erasures.iter().filter(|erasure| takings.contains(&erasure.seq)) {
            if !super::erase::is_done(store, erasure).await? {
                return Ok(false);
            }
        }
        for deployment in world.world.collected.keys() {
            if !store.state_written(*deployment).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn forget_all(&self) {
        let spaces: Vec<Space> = self.lock().keys().cloned().collect();
        for space in spaces {
            self.forget(&space).await;
        }
        self.vectors.forget_all();
        if let Some(folder) = self.parts.vectors_folder.clone() {
            // Those of spaces that aren't in memory, too. One that stays is found to be stale when it is looked at.
            tasks::compute(move || {
                for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                    let _ = fs::remove_dir_all(entry.path());
                }
            })
            .await;
        }
    }
}

/// Follows what others write, for as long as there is a control plane.
///
/// What an entry takes away goes a while after the entry: what was made of it is forgotten once it is gone, and not before, since
/// it could be read again in between.
pub(super) async fn follow(states: Weak<States>, mut news: watch::Receiver<News>, mut ledger: LedgerSeq) {
    let mut seen = *news.borrow_and_update();
    let mut takings: Vec<LedgerSeq> = Vec::new();
    let mut failing = false;
    loop {
        let changed = match failing || !takings.is_empty() {
            true => tokio::time::timeout(AGAIN, news.changed()).await.unwrap_or(Ok(())),
            false => news.changed().await,
        };
        let Some(states) = states.upgrade() else { return };
        if changed.is_err() {
            return;
        }
        let now = *news.borrow_and_update();
        let followed = async {
            if failing || now.ledger != seen.ledger {
                let (last, more) = states.takings(ledger).await?;
                ledger = last;
                takings.extend(more);
            }
            if !takings.is_empty() && states.is_gone(&takings).await? {
                takings.clear();
                states.forget_all().await;
            }
            if failing || now.state != seen.state || now.ledger != seen.ledger {
                states.wake().await?;
            }
            Ok::<(), StoreError>(())
        };
        let result = followed.await;
        if let Err(error) = &result
            && !failing
        {
            let error = errors::chain(error);
            tracing::warn!(error, "what other replicas wrote can't be followed; trying again");
        }
        failing = result.is_err();
        seen = now;
    }
}

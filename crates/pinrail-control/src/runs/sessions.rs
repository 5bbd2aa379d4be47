//! Which deployment each session is bound to, in memory, with the store behind it.
//!
//! A binding counts only while its deployment is the active one or the candidate of the session's segment, so
//! where there is no candidate it can't change the answer and the store need not be asked. The most recent
//! bindings are read at the start; when they were not all, a session that isn't in memory is looked up in the
//! store once a candidate makes it matter.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pinrail_domain::id::DeploymentId;
use pinrail_domain::journal::Stamp;
use pinrail_store::journal::{Bind, SessionKey};
use pinrail_store::{Store, StoreError};

/// The bindings.
pub(super) struct Sessions {
    store: Arc<dyn Store>,
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<SessionKey, DeploymentId>>>,
    /// Whether a session that isn't in memory has no binding at all.
    complete: AtomicBool,
}

/// Somebody bound the session meanwhile: resolve again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost;

/// About 100 bytes each, so 20 MB when full.
const KEPT_MAX: usize = 200_000;
/// Two cores rarely meet in one of 16.
const SHARDS: usize = 16;

impl Sessions {
    pub(super) async fn load(store: Arc<dyn Store>) -> Result<Sessions, StoreError> {
        let recent = store.sessions_recent(KEPT_MAX).await?;
        let complete = AtomicBool::new(recent.len() < KEPT_MAX);
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let sessions = Sessions { store, hasher: RandomState::new(), shards, complete };
        for (key, deployment) in recent {
            sessions.with_shard(&key, |shard| shard.insert(key.clone(), deployment));
        }
        Ok(sessions)
    }

    /// What the session is bound to. `matters` says whether a binding could change the answer.
    pub(super) async fn bound(
        &self,
        key: &SessionKey,
        matters: bool,
    ) -> Result<Option<DeploymentId>, StoreError> {
        let known = self.with_shard(key, |shard| shard.get(key).copied());
        if known.is_some() || !matters || self.complete.load(Ordering::Relaxed) {
            return Ok(known);
        }
        let stored = self.store.session_get(key).await?;
        // Whoever bound it while we read knows better.
        Ok(stored.map(|stored| self.with_shard(key, |shard| *shard.entry(key.clone()).or_insert(stored))))
    }

    /// Binds a session that was seen bound to `seen`. Returns what the store must write, if anything.
    pub(super) fn bind(
        &self,
        key: &SessionKey,
        seen: Option<DeploymentId>,
        new: DeploymentId,
    ) -> Result<Option<Bind>, Lost> {
        self.with_shard(key, |shard| {
            if shard.len() >= KEPT_MAX / SHARDS && !shard.contains_key(key) {
                self.make_room(shard);
            }
            match shard.entry(key.clone()) {
                Entry::Occupied(bound) if *bound.get() == new => Ok(None),
                Entry::Occupied(bound) if Some(*bound.get()) != seen => Err(Lost),
                Entry::Occupied(mut bound) => {
                    bound.insert(new);
                    Ok(Some(Bind { replaces: seen }))
                }
                Entry::Vacant(free) => {
                    free.insert(new);
                    Ok(Some(Bind { replaces: seen }))
                }
            }
        })
    }

    /// Takes over a binding that another replica made.
    pub(super) fn learn(&self, stamp: &Stamp, bound: DeploymentId) {
        if let Some(session) = stamp.session.clone() {
            let key = SessionKey { agent: stamp.agent.clone(), tenant: stamp.tenant.clone(), session };
            self.with_shard(&key, |shard| shard.insert(key.clone(), bound));
        }
    }

    /// Forgets an eighth of a full shard. What is forgotten is in the store.
    fn make_room(&self, shard: &mut HashMap<SessionKey, DeploymentId>) {
        self.complete.store(false, Ordering::Relaxed);
        let mut n = 0_u32;
        shard.retain(|_, _| {
            n = n.wrapping_add(1);
            !n.is_multiple_of(8)
        });
    }

    fn with_shard<T>(
        &self,
        key: &SessionKey,
        work: impl FnOnce(&mut HashMap<SessionKey, DeploymentId>) -> T,
    ) -> T {
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[usize::try_from(hash % SHARDS as u64).expect("a small remainder")];
        work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

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
use pinrail_store::journal::{Bind, Follow, SessionKey, Write};
use pinrail_store::{Store, StoreError};

/// The bindings.
pub(super) struct Sessions {
    store: Arc<dyn Store>,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    /// Whether a session that isn't in memory has no binding at all.
    complete: AtomicBool,
}

type Shard = HashMap<SessionKey, Bound>;

/// A session's binding.
#[derive(Clone, Copy, Debug)]
struct Bound {
    deployment: DeploymentId,
    /// What the store may be bound to instead, until it took this binding.
    replaces: Option<DeploymentId>,
    /// Whether the store has it. Until then every run of the session carries it, as any of them may be lost.
    stored: bool,
}

/// Somebody bound the session meanwhile: resolve again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost;

/// About 400 bytes each (measured), so 20 MB when full: a server that is idle stays under 60 MB. Tests fill it.
const KEPT_MAX: usize = if cfg!(test) { 64 } else { 50_000 };
/// Two cores rarely meet in one of 16.
const SHARDS: usize = 16;

impl Sessions {
    pub(super) async fn load(store: Arc<dyn Store>) -> Result<Sessions, StoreError> {
        let recent = store.sessions_recent(KEPT_MAX).await?;
        let complete = AtomicBool::new(recent.len() < KEPT_MAX);
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let sessions = Sessions { store, hasher: RandomState::new(), shards, complete };
        for (key, deployment) in recent {
            sessions.with_shard(&key, |shard| shard.insert(key.clone(), Bound::stored(deployment)));
        }
        Ok(sessions)
    }

    /// What the session is bound to. `matters` says whether a binding could change the answer.
    pub(super) async fn bound(
        &self,
        key: &SessionKey,
        matters: bool,
    ) -> Result<Option<DeploymentId>, StoreError> {
        let known = self.with_shard(key, |shard| shard.get(key).map(|bound| bound.deployment));
        if known.is_some() || !matters || self.complete.load(Ordering::Relaxed) {
            return Ok(known);
        }
        let Some(stored) = self.store.session_get(key).await? else { return Ok(None) };
        // Whoever bound it while we read knows better.
        Ok(Some(self.with_shard(key, |shard| {
            self.make_room(shard, key);
            shard.entry(key.clone()).or_insert(Bound::stored(stored)).deployment
        })))
    }

    /// Binds a session that was seen bound to `seen`. Returns what the store must write, if anything.
    pub(super) fn bind(
        &self,
        key: &SessionKey,
        seen: Option<DeploymentId>,
        new: DeploymentId,
    ) -> Result<Option<Bind>, Lost> {
        let binding = Bound { deployment: new, replaces: seen, stored: false };
        let bind = self.with_shard(key, |shard| {
            self.make_room(shard, key);
            match shard.entry(key.clone()) {
                Entry::Occupied(bound) if bound.get().deployment == new => Ok(*bound.get()),
                Entry::Occupied(bound) if Some(bound.get().deployment) != seen => Err(Lost),
                Entry::Occupied(mut bound) => {
                    bound.insert(binding);
                    Ok(binding)
                }
                Entry::Vacant(free) => Ok(*free.insert(binding)),
            }
        })?;
        Ok((!bind.stored).then_some(Bind { replaces: bind.replaces }))
    }

    /// Binds a further session to a run's deployment, whatever it was bound to. The write that carries it is on its way.
    pub(super) fn follow(&self, Follow { session, deployment }: &Follow) {
        self.with_shard(session, |shard| {
            self.make_room(shard, session);
            // Whoever goes on before the write is done binds it once more: that is harmless.
            shard.insert(session.clone(), Bound { deployment: *deployment, replaces: None, stored: false });
        });
    }

    /// Takes over a binding that the store has.
    pub(super) fn learn(&self, stamp: &Stamp, bound: DeploymentId) {
        if let Some(key) = SessionKey::of(stamp) {
            self.with_shard(&key, |shard| {
                self.make_room(shard, &key);
                shard.insert(key.clone(), Bound::stored(bound));
            });
        }
    }

    /// Takes in a write that the store took.
    pub(super) fn written(&self, write: &Write) {
        let (key, deployment) = match write {
            Write::Start(start) => match (SessionKey::of(&start.stamp), start.bind) {
                (Some(key), Some(_)) => (key, start.stamp.deployment),
                (_, None) | (None, Some(_)) => return,
            },
            Write::Append(append) => match &append.follows {
                Some(follow) => (follow.session.clone(), follow.deployment),
                None => return,
            },
        };
        self.with_shard(&key, |shard| {
            if let Some(bound) = shard.get_mut(&key)
                && bound.deployment == deployment
            {
                *bound = Bound::stored(bound.deployment);
            }
        });
    }

    /// How a start that nobody waits for is written after the store refused its binding: the stamp stays, and
    /// binds if it is the session's newest.
    pub(super) fn rebind(&self, stamp: &Stamp, stored: DeploymentId) -> Option<Bind> {
        let key = SessionKey::of(stamp)?;
        self.with_shard(&key, |shard| {
            let bound = shard.get_mut(&key)?;
            bound.replaces = Some(stored);
            (bound.deployment == stamp.deployment).then_some(Bind { replaces: Some(stored) })
        })
    }

    /// Forgets an eighth of a full shard. What is forgotten is in the store, or on its way there unless the store
    /// fails for so long that twice as many are waiting.
    fn make_room(&self, shard: &mut Shard, key: &SessionKey) {
        const FULL: usize = KEPT_MAX / SHARDS;
        if shard.len() < FULL || shard.contains_key(key) {
            return;
        }
        self.complete.store(false, Ordering::Relaxed);
        let crowded = shard.len() >= 2 * FULL;
        let mut n = 0_u32;
        shard.retain(|_, bound| {
            n = n.wrapping_add(1);
            !n.is_multiple_of(8) || !(bound.stored || crowded)
        });
    }

    fn with_shard<T>(&self, key: &SessionKey, work: impl FnOnce(&mut Shard) -> T) -> T {
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[usize::try_from(hash % SHARDS as u64).expect("a small remainder")];
        work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Bound {
    fn stored(deployment: DeploymentId) -> Bound {
        Bound { deployment, replaces: Some(deployment), stored: true }
    }
}

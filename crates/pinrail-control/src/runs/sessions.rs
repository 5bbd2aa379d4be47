//! Which deployment each session is bound to, in memory, with the store behind it.
//!
//! A binding counts only while its deployment is the active one or the candidate of the session's segment, so
//! where there is no candidate it can't change the answer and the store need not be asked. The most recent
//! bindings are read at the start; when they were not all, a session that isn't in memory is looked up in the
//! store once a candidate makes it matter.
//!
//! Where other replicas write, memory is never all there is: what isn't in it, or doesn't count any more, is asked from the
//! store before a candidate's share decides. Of two replicas that bind a session at the same moment the one that the store
//! took first wins ([`Sessions::lost`]); the other's run keeps its stamp. What is in memory and others bound anew is
//! forgotten ([`Sessions::touched`]), now and once more when what was being read meanwhile has come in. So when things are quiet,
//! memory says what the store says, or nothing.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use std::time::Duration;

use arc_swap::ArcSwap;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::journal::Stamp;
use pinrail_domain::time::Timestamp;
use pinrail_store::journal::{Bind, Follow, Run, SessionKey, Write};
use pinrail_store::{Store, StoreError};

use crate::Snapshot;

/// The bindings.
pub(super) struct Sessions {
    store: Arc<dyn Store>,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    /// Whether a session that isn't in memory has no binding at all.
    complete: AtomicBool,
    /// Where other replicas write: what counts, and what they touched lately.
    others: Option<Others>,
}

struct Others {
    snapshot: Arc<ArcSwap<Snapshot>>,
    touched: Mutex<VecDeque<(Timestamp, SessionKey, DeploymentId)>>,
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

/// Why the store doesn't say what a session is bound to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store did not answer within {} ms", ASK.as_millis())]
    Late,
}

/// About 400 bytes each (measured), so 20 MB when full: a server that is idle stays under 60 MB. Tests fill it.
const KEPT_MAX: usize = if cfg!(test) { 64 } else { 50_000 };
/// Two cores rarely meet in one of 16.
const SHARDS: usize = 16;
/// How long a call waits to hear what its session is bound to: a healthy store takes some milliseconds.
const ASK: Duration = Duration::from_millis(500);
/// After this a session that another replica touched is forgotten once more: whatever was read or written meanwhile has come in.
const AGAIN_MS: u64 = 5_000;
/// Sessions that wait for that; with more, all of them are forgotten.
const TOUCHED_MAX: usize = if cfg!(test) { 64 } else { 50_000 };
/// Sessions that stand for an answer that somebody goes on from. Others bind them without a run of the session, so
/// nobody would hear of it: where there are others, they are always asked from the store.
const ANSWER: &str = "response:";

impl Sessions {
    /// Reads the most recent bindings. The snapshot is named where other replicas write.
    pub(super) async fn load(
        store: Arc<dyn Store>,
        others: Option<Arc<ArcSwap<Snapshot>>>,
    ) -> Result<Sessions, StoreError> {
        // What others may have bound anew meanwhile is read when it matters.
        let recent = if others.is_some() { Vec::new() } else { store.sessions_recent(KEPT_MAX).await? };
        let complete = AtomicBool::new(others.is_none() && recent.len() < KEPT_MAX);
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let others = others.map(|snapshot| Others { snapshot, touched: Mutex::default() });
        let sessions = Sessions { store, hasher: RandomState::new(), shards, complete, others };
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
    ) -> Result<Option<DeploymentId>, Unknown> {
        let known = self.with_shard(key, |shard| shard.get(key).map(|bound| bound.deployment));
        if known.is_some() || !matters || self.complete.load(Ordering::Relaxed) {
            return Ok(known);
        }
        let Some(stored) = self.ask(key).await? else { return Ok(None) };
        // Whoever bound it while we read knows better.
        Ok(Some(self.with_shard(key, |shard| {
            if self.others.is_some() && is_answer(key) {
                return shard.get(key).map_or(stored, |bound| bound.deployment);
            }
            self.make_room(shard, key);
            shard.entry(key.clone()).or_insert(Bound::stored(stored)).deployment
        })))
    }

    /// What a session is bound to whose binding in memory, `seen`, doesn't count any more: another replica may have bound it
    /// anew.
    pub(super) async fn renewed(
        &self,
        key: &SessionKey,
        seen: DeploymentId,
    ) -> Result<Option<DeploymentId>, Unknown> {
        let stored = self.ask(key).await?;
        Ok(self.with_shard(key, |shard| {
            let Entry::Occupied(mut bound) = shard.entry(key.clone()) else { return stored };
            if bound.get().deployment != seen || !bound.get().stored {
                return Some(bound.get().deployment);
            }
            match stored {
                Some(stored) => bound.insert(Bound::stored(stored)),
                None => bound.remove(),
            };
            stored
        }))
    }

    /// Reads a binding from the store. Where others write, calls wait for it one by one, so not for long.
    async fn ask(&self, key: &SessionKey) -> Result<Option<DeploymentId>, Unknown> {
        let asked = self.store.session_get(key);
        match self.others {
            Some(_) => Ok(tokio::time::timeout(ASK, asked).await.map_err(|_late| Unknown::Late)??),
            None => Ok(asked.await?),
        }
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
            let Entry::Occupied(mut bound) = shard.entry(key.clone()) else { return };
            if bound.get().deployment != deployment {
                return;
            }
            if self.others.is_some() && is_answer(&key) {
                bound.remove();
            } else {
                bound.insert(Bound::stored(deployment));
            }
        });
    }

    /// How a start that nobody waits for is written after the store refused its binding: the stamp stays, and
    /// binds if it is the session's newest. Where others write, what one of them bound first stays, as long as it counts.
    pub(super) fn rebind(&self, stamp: &Stamp, stored: DeploymentId) -> Option<Bind> {
        let key = SessionKey::of(stamp)?;
        if self.others.as_ref().is_some_and(|others| others.keeps(stamp, stored)) {
            self.lost(&key, stamp.deployment, stored);
            return None;
        }
        self.with_shard(&key, |shard| {
            let bound = shard.get_mut(&key)?;
            bound.replaces = Some(stored);
            (bound.deployment == stamp.deployment).then_some(Bind { replaces: Some(stored) })
        })
    }

    /// Another replica bound the session first.
    fn lost(&self, key: &SessionKey, ours: DeploymentId, stored: DeploymentId) {
        self.with_shard(key, |shard| {
            if let Some(bound) = shard.get_mut(key)
                && bound.deployment == ours
            {
                *bound = Bound::stored(stored);
            }
        });
    }

    /// Takes in runs that other replicas wrote: what they may have bound to something else is forgotten. With a `gap`, anything
    /// may have been.
    pub(super) fn touched(&self, runs: &[Run], gap: bool, now: Timestamp) {
        let Some(others) = &self.others else { return };
        let due = now.plus_ms(AGAIN_MS);
        let mut touched = others.lock();
        if gap || touched.len() + runs.len() > TOUCHED_MAX {
            touched.clear();
            self.forget_all();
        }
        for Run { stamp, .. } in runs {
            let Some(key) = SessionKey::of(stamp) else { continue };
            self.forget(&key, stamp.deployment);
            if touched.len() < TOUCHED_MAX {
                touched.push_back((due, key, stamp.deployment));
            }
        }
    }

    /// Forgets once more what was touched a while ago.
    pub(super) fn forget_again(&self, now: Timestamp) {
        let Some(others) = &self.others else { return };
        let mut touched = others.lock();
        // Where the clock was set back, it is done at once.
        let is_due =
            |(due, _, _): &(Timestamp, SessionKey, DeploymentId)| *due <= now || due.ms_since(now) > AGAIN_MS;
        for _ in 0..touched.len() {
            if !touched.front().is_some_and(is_due) {
                return;
            }
            let Some((_, key, deployment)) = touched.pop_front() else { return };
            if !self.forget(&key, deployment) {
                touched.push_back((now.plus_ms(AGAIN_MS), key, deployment));
            }
        }
    }

    /// Forgets a session that is bound to something else; false while our own binding is on its way to the store.
    fn forget(&self, key: &SessionKey, deployment: DeploymentId) -> bool {
        self.with_shard(key, |shard| {
            let Entry::Occupied(bound) = shard.entry(key.clone()) else { return true };
            if bound.get().stored && bound.get().deployment != deployment {
                bound.remove();
                return true;
            }
            bound.get().stored
        })
    }

    fn forget_all(&self) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, bound| !bound.stored);
        }
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

impl Others {
    /// Whether what another replica bound stays, although this run was stamped with something else: unless its deployment
    /// is known not to count any more, and the stamp's does.
    fn keeps(&self, stamp: &Stamp, stored: DeploymentId) -> bool {
        let snapshot = self.snapshot.load();
        let Some((_, route)) = snapshot.routes.agent(stamp.agent.as_str()) else { return true };
        let offers = |deployment| route.offers(&stamp.tenant, &stamp.attributes, deployment);
        let is_known = snapshot.routes.deployment(stored).is_some();
        !is_known || offers(stored) || !offers(stamp.deployment)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Timestamp, SessionKey, DeploymentId)>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_answer(key: &SessionKey) -> bool {
    key.session.as_str().starts_with(ANSWER)
}

impl Bound {
    fn stored(deployment: DeploymentId) -> Bound {
        Bound { deployment, replaces: Some(deployment), stored: true }
    }
}

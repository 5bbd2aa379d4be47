//! State: memory, shared context and vectors, as their writers and readers meet them.
//!
//! What is visible to whom is `pinrail-domain`'s rule; this module keeps one [`Index`] per space that was used
//! lately, carries writes to the store and into it in the store's order, and brings it to the newest commits before
//! anybody reads. So a rollback costs one ledger entry, and the first read after it sees it.
//!
//! A write's way: wait for the space's turn → decide on its index → append in one store transaction (the commit
//! point) → take the records into the index. The last two run to their end whether or not the caller waits.
//! When the store doesn't say what became of an append, the index reads on from where it was.
//!
//! Start reading at [`States::write`] and [`States::look`]; the faces are [`memory`], [`context`] and [`vectors`].

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

use arc_swap::ArcSwap;
use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::state::bits::Bits;
use pinrail_domain::state::index::Index;
use pinrail_domain::state::view::View;
use pinrail_domain::state::{Author, Content, Moment, Op, Operation, Record, Space, StateKey, Value, digest};
use pinrail_domain::time::{Clock, Entropy};
use pinrail_store::state::{AppendError, Appended, BATCH_MAX, Batch, Expect, Keep, Put, Read, Seen};
use pinrail_store::{Answer, Store, StoreError};
use tokio::sync::OwnedMutexGuard;
use tokio::sync::watch as notify;

use crate::commit::Idempotency;
use crate::{Inner, Snapshot, append, tasks};

pub mod collect;
pub mod compare;
pub mod context;
pub mod erase;
pub mod export;
pub mod inspect;
pub mod map;
pub mod memory;
mod notes;
mod reader;
mod replicas;
pub mod vectors;
pub mod verify;
pub mod watch;
mod writer;

pub use notes::Noted;
pub use reader::{AsOf, BadMoment, ReadError, Reader};
pub use writer::{Authorised, BadParents, NoWriter, WriteAs};

use notes::Notes;
use vectors::live::Embeds;

/// The state of all spaces. Lives as long as the control plane.
pub struct States {
    pub(crate) parts: Parts,
    spaces: Mutex<HashMap<Space, Arc<Loaded>>>,
    /// Rises with every use of a space: the one used longest ago goes first.
    uses: AtomicU64,
    /// The newest record of all that this process wrote.
    newest: AtomicU64,
    pub(crate) notes: Notes,
    vectors: vectors::Cache,
    embeds: OnceLock<Arc<dyn Embeds>>,
    /// For work in the background, which ends with the control plane.
    me: Weak<States>,
    /// The last verdict on each space.
    checks: Mutex<BTreeMap<Space, verify::Verdict>>,
    /// Others write to the store as well: [`replicas`].
    is_shared: bool,
    /// From how many operations on a space that isn't in memory is looked at in the store.
    large: AtomicU64,
}

/// What state is built from.
pub(crate) struct Parts {
    pub store: Arc<dyn Store>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Whose world the records are shown with.
    pub inner: Weak<Inner>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Shared by those who write in a data job's name; held alone while a data job commits.
    pub jobs: Arc<tokio::sync::RwLock<()>>,
    pub vectors_folder: Option<PathBuf>,
}

/// A space in memory.
pub(crate) struct Loaded {
    index: RwLock<Index>,
    /// Held while something is written to the space, or read from the store into its index.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The store may hold more than the index: it was never read, or an append's outcome is unknown.
    behind: AtomicBool,
    /// Another one took its place: nothing may be written through this one.
    is_retired: AtomicBool,
    used: AtomicU64,
    /// The newest record that the index took in.
    newest: notify::Sender<StateSeq>,
    readings: replicas::Readings,
}

/// One thing to write.
#[derive(Clone, Debug)]
pub struct Change {
    pub key: StateKey,
    /// None deletes the key.
    pub value: Option<NewValue>,
    pub parents: Vec<StateSeq>,
}

/// What a put says.
#[derive(Clone, Debug)]
pub struct NewValue {
    /// Compact JSON.
    pub json: String,
    pub vector: Option<Vec<f32>>,
}

/// Follows a space.
pub struct Following {
    /// Marked as changed also when the index was forgotten: then it is time to follow anew.
    pub newest: notify::Receiver<StateSeq>,
    held: Arc<Loaded>,
}

/// A space through somebody's eyes.
pub struct Sight<'a> {
    pub index: &'a Index,
    pub view: View,
    is_newest: bool,
}

/// What a decision on a space's index came to.
#[derive(Clone, Debug)]
pub struct Decided {
    /// At most [`BATCH_MAX`]; none writes nothing.
    pub changes: Vec<Change>,
    /// The decision holds only while this is the newest record on the key.
    pub expect: Option<(StateKey, Option<StateSeq>)>,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrote {
    /// None where there was nothing to write.
    pub appended: Option<Appended>,
    /// Whether an earlier request with this idempotency key did it.
    pub replayed: bool,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E: std::error::Error + 'static> {
    #[error(transparent)]
    Refused(E),
    /// The author's data job was ended while the write was under way.
    #[error(transparent)]
    Writer(NoWriter),
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    #[error("others kept writing the same key")]
    Contended,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Each attempt loses only to a write that somebody else completed.
const ATTEMPTS_MAX: usize = 16;
/// What the indexes of the spaces used lately may take in all: some million records.
const INDEXES_BYTES_MAX: usize = 256 << 20;
/// What the vectors of the spaces used lately may take: two million of 384 dimensions, without graphs.
const VECTORS_BYTES_MAX: usize = 1 << 30;
/// Operations read at once while an index is loaded.
const LOAD_OPERATIONS: usize = 20_000;

impl States {
    pub(crate) fn open(parts: Parts) -> Arc<States> {
        let notes = Notes::start(Arc::clone(&parts.store), Arc::clone(&parts.clock));
        let vectors = vectors::Cache::new(VECTORS_BYTES_MAX, parts.vectors_folder.clone());
        let is_shared = parts.store.is_shared();
        let news = is_shared.then(|| parts.store.news());
        let ledger = parts.snapshot.load().world.head.seq;
        let states = Arc::new_cyclic(|me| States {
            parts,
            spaces: Mutex::default(),
            uses: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            notes,
            vectors,
            embeds: OnceLock::new(),
            me: Weak::clone(me),
            checks: Mutex::default(),
            is_shared,
            large: AtomicU64::new(replicas::LARGE_OPERATIONS),
        });
        if let Some(news) = news {
            tasks::spawn(replicas::follow(Arc::downgrade(&states), news, ledger));
        }
        states
    }

    /// Writes what `decide` makes of the space's index, in its author's name. The index shows the newest commits.
    ///
    /// A data job doesn't commit while something is written in its name here; where another replica commits it or takes it back,
    /// the store refuses what comes after that.
    pub async fn write<E: std::error::Error + 'static>(
        &self,
        by: &Authorised,
        space: &Space,
        idempotency: Option<&Idempotency>,
        decide: impl Fn(&Index) -> Result<Decided, E>,
    ) -> Result<Wrote, WriteError<E>> {
        let keep = keep(idempotency);
        for _ in 0..ATTEMPTS_MAX {
            if let Some(answer) = self.earlier(keep.as_ref()).await? {
                return self.replayed(space, keep.as_ref(), &answer).await;
            }
            let loaded = self.loaded(space);
            let turn = self.current(space, &loaded).await?;
            if loaded.is_retired.load(Ordering::Acquire) {
                continue;
            }
            let decided = loaded.synced(&self.parts.snapshot, |index, _| decide(index));
            let Decided { changes, expect } = match decided {
                Ok(decided) => decided,
                // It may be this very request, sent twice, that was carried out while this one waited for the turn.
                Err(refused) => match self.earlier(keep.as_ref()).await? {
                    Some(answer) => {
                        drop(turn);
                        return self.replayed(space, keep.as_ref(), &answer).await;
                    }
                    None => return Err(WriteError::Refused(refused)),
                },
            };
            if changes.is_empty() {
                return Ok(Wrote { appended: None, replayed: false });
            }
            let expected = expect.as_ref().and_then(|(_, newest)| *newest);
            let expect = expect.map(|(key, newest)| Expect { space: space.clone(), key, newest });
            let puts = changes.into_iter().map(|change| self.put(&by.author, space, change)).collect();
            let at = self.parts.clock.now();
            let (author, open) = (by.author.clone(), by.open_as_of());
            let batch = Batch { author, at, puts, expect, open, answer: keep.clone() };
            match self.append((turn, by.clone()), loaded, batch).await {
                Ok(appended) => return Ok(Wrote { appended: Some(appended), replayed: false }),
                // What the index shows was removed: it is read anew.
                Err(AppendError::Moved { newest }) if newest < expected => self.forget(space).await,
                // Another replica wrote it: the index reads on, and the decision is made again.
                Err(AppendError::Moved { .. }) => {}
                Err(AppendError::Answered(answer)) => {
                    return self.replayed(space, keep.as_ref(), &answer).await;
                }
                // It committed or was taken back at this very moment, at another replica perhaps.
                Err(AppendError::Ended { by: entry }) => {
                    append::reach(&self.parts.inner, entry).await?;
                    return Err(WriteError::Writer(NoWriter::Closed(by.author.deployment)));
                }
                Err(AppendError::Store(error)) => return Err(WriteError::Store(error)),
            }
        }
        Err(WriteError::Contended)
    }

    /// Looks at a space's index, which shows the newest commits and all that was acknowledged before the call.
    pub async fn look<T>(&self, space: &Space, look: impl FnOnce(&Index) -> T) -> Result<T, StoreError> {
        self.look_at(space, |index, _| look(index)).await
    }

    /// Looks at a space's index, with the ledger entry that it shows the commits of.
    async fn look_at<T>(
        &self,
        space: &Space,
        look: impl FnOnce(&Index, LedgerSeq) -> T,
    ) -> Result<T, StoreError> {
        let loaded = self.loaded(space);
        self.fresh(space, &loaded).await?;
        Ok(loaded.synced(&self.parts.snapshot, look))
    }

    /// Waits until the index holds all that was acknowledged before the call.
    async fn fresh(&self, space: &Space, loaded: &Arc<Loaded>) -> Result<(), StoreError> {
        if self.is_shared {
            return self.refresh(space, loaded).await;
        }
        if loaded.behind.load(Ordering::Acquire) {
            drop(self.current(space, loaded).await?);
        }
        Ok(())
    }

    /// Looks at a space's index through a view; with the moment that the view shows, for whoever wants to read the
    /// same again.
    pub async fn view<T>(
        &self,
        space: &Space,
        reader: &Reader,
        look: impl FnOnce(&Sight<'_>) -> T,
    ) -> Result<T, ReadError> {
        let own = reader.own;
        let as_of = reader.moment(self).await?;
        if as_of.is_some() && !self.is_shared {
            // Everything up to then must be in the index: wait for writes that are on their way.
            let loaded = self.loaded(space);
            drop(self.current(space, &loaded).await?);
        }
        let looked = self.look_at(space, |index, ledger| {
            let commits = Arc::clone(index.commits());
            let at = as_of.unwrap_or(Moment { state: index.newest(), ledger });
            look(&Sight { index, view: View { own, at, commits }, is_newest: as_of.is_none() })
        });
        Ok(looked.await?)
    }

    /// Whole records, in the order asked for.
    pub async fn records(&self, seqs: &[StateSeq]) -> Result<Vec<Record>, StoreError> {
        self.parts.store.state_records(seqs).await
    }

    /// Notes what a run read: proof for "who may have been misled". Waits only while very many notes wait.
    pub async fn note(&self, reader: &Reader, space: &Space, mut at: Moment, what: Seen) {
        let Some((run, agent)) = &reader.run else { return };
        // A view of now ends with its space's newest record. What the run wrote elsewhere after that and before this
        // read doesn't rest on it.
        if reader.as_of == AsOf::Now {
            at.state = at.state.max(StateSeq(self.newest.load(Ordering::Acquire)));
        }
        self.notes.note(Read { run: *run, agent: agent.clone(), space: space.clone(), at, what }).await;
    }

    /// How noting goes.
    #[must_use]
    pub fn noted(&self) -> Noted {
        self.notes.counts()
    }

    /// Changes whenever a record of the space was taken in. Keeps the space's index in memory while it is held.
    #[must_use]
    pub fn follow(&self, space: &Space) -> Following {
        let loaded = self.loaded(space);
        Following { newest: loaded.newest.subscribe(), held: loaded }
    }

    /// Forgets a space's index and vectors, once no write is under way there: records were removed from it. Whoever
    /// comes next reads it anew; whoever looks meanwhile sees what was there, which shows the same to everybody whose
    /// view can still be had.
    pub(crate) async fn forget(&self, space: &Space) {
        let known = self.lock().get(space).cloned();
        if let Some(old) = known {
            let _turn = Arc::clone(&old.turn).lock_owned().await;
            old.is_retired.store(true, Ordering::Release);
            let mut spaces = self.lock();
            if spaces.get(space).is_some_and(|now| Arc::ptr_eq(now, &old)) {
                spaces.remove(space);
            }
            drop(spaces);
            // Those who follow it look for the new one.
            old.newest.send_modify(|_| {});
        }
        self.vectors.forget(space);
        self.remove_graphs(space);
    }

    /// Records of a space lost their content: nothing made from it may be kept in memory.
    pub(crate) fn erased(&self, space: &Space) {
        // The index holds keys and places alone; what reads show of content comes from the store each time.
        self.vectors.forget(space);
        self.remove_graphs(space);
    }

    /// What is kept in memory: spaces, and the bytes of their indexes.
    #[must_use]
    pub fn kept(&self) -> (usize, usize) {
        let spaces = self.lock();
        (spaces.len(), spaces.values().map(|loaded| loaded.bytes()).sum())
    }

    /// Whether a request with this idempotency key was carried out before.
    pub(crate) async fn answered<E: std::error::Error + 'static>(
        &self,
        space: &Space,
        idempotency: Option<&Idempotency>,
    ) -> Result<bool, WriteError<E>> {
        let keep = keep(idempotency);
        match self.earlier(keep.as_ref()).await? {
            Some(answer) => self.replayed::<E>(space, keep.as_ref(), &answer).await.map(|_| true),
            None => Ok(false),
        }
    }

    /// What an earlier request did. It is in the index before it is told again, whoever did it: an append whose caller
    /// went away may be under way still.
    async fn replayed<E: std::error::Error + 'static>(
        &self,
        space: &Space,
        keep: Option<&Keep>,
        answer: &Answer,
    ) -> Result<Wrote, WriteError<E>> {
        let appended: Appended = match serde_json::from_str(&answer.body) {
            Ok(appended) if keep.is_some_and(|keep| keep.request == answer.request) => appended,
            Ok(_) | Err(_) => return Err(WriteError::KeyReused),
        };
        let loaded = self.loaded(space);
        let is_there = || loaded.read(Index::newest) >= appended.last;
        if !is_there() {
            drop(self.current(space, &loaded).await?);
        }
        if !is_there() {
            // Another replica did it.
            loaded.behind.store(true, Ordering::Release);
            drop(self.current(space, &loaded).await?);
        }
        Ok(Wrote { appended: Some(appended), replayed: true })
    }

    async fn earlier(&self, keep: Option<&Keep>) -> Result<Option<Answer>, StoreError> {
        match keep {
            Some(keep) => self.parts.store.answer_get(&keep.key).await,
            None => Ok(None),
        }
    }

    fn put(&self, author: &Author, space: &Space, change: Change) -> Put {
        let Change { key, value, parents } = change;
        let (op, content) = match value {
            None => (Op::Delete, Content::Nothing),
            Some(NewValue { json, vector }) => {
                let mut salt = [0; 16];
                self.parts.entropy.fill(&mut salt);
                (Op::Put, Content::Value(Value { salt, json, vector }))
            }
        };
        let content_digest = content.digest().expect("new content is not erased");
        let digest = digest(space, &key, op, author, &parents, content_digest);
        Put { space: space.clone(), key, op, parents, content, content_digest, digest }
    }

    /// Appends, and takes the records into the index. Runs to its end even if nobody waits for it any more.
    ///
    /// A record is never shown before the ledger entry that was the newest when it was appended: an index would else
    /// mix what came after that entry with what counted before it (I5).
    async fn append(
        &self,
        held: (Turn, Authorised),
        loaded: Arc<Loaded>,
        batch: Batch,
    ) -> Result<Appended, AppendError> {
        assert!(batch.puts.len() <= BATCH_MAX, "a decision makes at most {BATCH_MAX} changes");
        let (store, inner) = (Arc::clone(&self.parts.store), Weak::clone(&self.parts.inner));
        let takes_in = !self.is_shared;
        let appended = tasks::to_the_end(async move {
            let deployment = batch.author.deployment;
            let keys: Vec<(StateKey, Op)> = batch.puts.iter().map(|put| (put.key.clone(), put.op)).collect();
            let appended = store.state_append(batch).await;
            match &appended {
                Ok(appended) => match append::reach(&inner, appended.ledger).await {
                    Ok(()) if !takes_in => {}
                    Ok(()) => loaded.take_in(deployment, keys, *appended),
                    Err(_) => loaded.behind.store(true, Ordering::Release),
                },
                Err(AppendError::Answered(_) | AppendError::Ended { .. }) => {}
                Err(AppendError::Moved { .. } | AppendError::Store(_)) => {
                    loaded.behind.store(true, Ordering::Release);
                }
            }
            drop(held);
            appended
        })
        .await?;
        self.newest.fetch_max(appended.last.0, Ordering::AcqRel);
        Ok(appended)
    }

    /// Waits for the space's turn, with an index that holds all that the store has.
    async fn current(&self, space: &Space, loaded: &Arc<Loaded>) -> Result<Turn, StoreError> {
        let turn = Arc::clone(&loaded.turn).lock_owned().await;
        if self.is_shared {
            self.refresh(space, loaded).await?;
            return Ok(turn);
        }
        while loaded.behind.load(Ordering::Acquire) {
            let after = loaded.read(Index::newest);
            let more = self.parts.store.state_operations(space, after, LOAD_OPERATIONS).await?;
            let whole = more.len() < LOAD_OPERATIONS;
            let newest = more.iter().map(|operation| operation.ledger).max().unwrap_or_default();
            append::reach(&self.parts.inner, newest).await?;
            let mut index = loaded.index.write().unwrap_or_else(PoisonError::into_inner);
            for operation in more {
                index.apply(operation);
            }
            loaded.newest.send_replace(index.newest());
            if whole {
                loaded.behind.store(false, Ordering::Release);
            }
        }
        Ok(turn)
    }

    fn loaded(&self, space: &Space) -> Arc<Loaded> {
        let mut spaces = self.lock();
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        if let Some(loaded) = spaces.get(space) {
            loaded.used.store(now, Ordering::Relaxed);
            return Arc::clone(loaded);
        }
        // Looking at all of them costs little beside the load from the store that follows.
        let mut bytes: usize = spaces.values().map(|loaded| loaded.bytes()).sum();
        while bytes > INDEXES_BYTES_MAX {
            // A space that somebody holds must stay: its next user would else load a second index beside it.
            let idle = spaces.iter().filter(|(_, loaded)| Arc::strong_count(loaded) == 1);
            let oldest = idle.min_by_key(|(_, loaded)| loaded.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(space, _)| space.clone()) else { break };
            bytes -= spaces.remove(&oldest).map_or(0, |loaded| loaded.bytes());
        }
        let loaded = Arc::new(Loaded {
            index: RwLock::new(Index::new()),
            turn: Arc::default(),
            behind: AtomicBool::new(true),
            is_retired: AtomicBool::new(false),
            used: AtomicU64::new(now),
            newest: notify::Sender::new(StateSeq(0)),
            readings: replicas::Readings::default(),
        });
        spaces.insert(space.clone(), Arc::clone(&loaded));
        loaded
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Space, Arc<Loaded>>> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sight<'_> {
    /// The places that the view shows. Lies ready for the newest view; one of the past is computed.
    #[must_use]
    pub fn shown(&self) -> Cow<'_, Bits> {
        if self.is_newest { self.index.visible(self.view.own) } else { Cow::Owned(self.index.at(&self.view)) }
    }
}

/// The right to write to a space.
type Turn = OwnedMutexGuard<()>;

impl Loaded {
    fn read<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the index once it shows the newest commits (I4, I5), and says as of which ledger entry that is: one
    /// that no record in the index is later than.
    ///
    /// The world is loaded under the index's lock, so that it is at least the one that the records were taken in under.
    fn synced<T>(&self, snapshot: &ArcSwap<Snapshot>, look: impl FnOnce(&Index, LedgerSeq) -> T) -> T {
        {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            let shown = snapshot.load_full();
            if index.commits().generation >= shown.world.commits.generation {
                return look(&index, shown.world.head.seq);
            }
        }
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let shown = snapshot.load_full();
        // Nobody goes back to older commits: worlds only follow one another.
        index.sync(&shown.world.commits);
        look(&index, shown.world.head.seq)
    }

    fn take_in(&self, deployment: DeploymentId, keys: Vec<(StateKey, Op)>, appended: Appended) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        for ((key, op), seq) in keys.into_iter().zip(appended.first.0..) {
            index.apply(Operation { seq: StateSeq(seq), ledger: appended.ledger, deployment, key, op });
        }
        self.newest.send_replace(index.newest());
    }

    fn bytes(&self) -> usize {
        self.read(Index::memory_bytes)
    }
}

fn keep(idempotency: Option<&Idempotency>) -> Option<Keep> {
    idempotency.map(|Idempotency { key, request }| Keep { key: key.clone(), request: *request })
}

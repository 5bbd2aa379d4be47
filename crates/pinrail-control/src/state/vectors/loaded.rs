//! The vectors of the spaces used lately, in memory as codes: read from the store, which is the truth.
//!
//! The places are the space's own ([`pinrail_domain::state::index::Index`]): a put has its codes at its place, a delete
//! nothing. What was appended since is read before the next search. Nobody who searches one space waits for the load
//! of another.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use pinrail_domain::id::{LedgerSeq, StateSeq};
use pinrail_domain::state::bits::Bits;
use pinrail_domain::state::{Content, Record, Space};
use pinrail_store::StoreError;
use pinrail_vectors::filter::Filter;
use pinrail_vectors::index::{Ask, Found, Index};
use pinrail_vectors::query::Query;
use serde::{Deserialize, Serialize};

use super::{States, VectorSpace};
use crate::{errors, tasks};

/// The spaces whose vectors are in memory.
pub(in crate::state) struct Cache {
    spaces: Mutex<HashMap<Space, Arc<Vectors>>>,
    uses: AtomicU64,
    bytes_max: usize,
    /// Where graphs are kept between starts; none keeps them in memory only.
    pub(super) folder: Option<PathBuf>,
    /// Whether graphs are built.
    pub(super) builds: AtomicBool,
}

/// A space's vectors.
pub(super) struct Vectors {
    held: RwLock<Held>,
    /// Held while records are read from the store and taken in, by whoever does that to its end.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Places known to be there, for whoever asks how far the load is.
    of: AtomicUsize,
    used: AtomicU64,
    /// A graph is being built, or looked for.
    pub(super) tended: AtomicBool,
    /// The places and commits at which a graph was last thought about.
    pub(super) considered: Mutex<(usize, LedgerSeq)>,
    /// Somebody looks for graphs of an earlier start, or has.
    pub(super) adopting: AtomicBool,
    /// What there was of them is in: only now it can be said whether another graph would pay.
    pub(super) adopted: AtomicBool,
}

/// The codes, and which record is at each place.
struct Held {
    index: Index,
    seqs: Vec<StateSeq>,
}

/// What of an index is in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Records read, of how many.
    pub loaded: usize,
    pub of: usize,
    pub bytes: usize,
    /// Graphs, and the vectors in them; the rest is scanned.
    pub graphs: usize,
    pub in_graphs: usize,
    /// A graph is being built.
    pub building: bool,
}

/// Records read at once: some megabytes of vectors.
const LOAD_RECORDS: usize = 2_000;
/// Records taken in at once: a search that comes in between waits for no more than these, a millisecond or two.
const TAKE_RECORDS: usize = 100;
/// Loads longer than this say how far they are.
const SAY_EVERY: usize = 50_000;
/// Below this many visible vectors a search is so short that it isn't worth another thread.
const HERE_MAX: usize = 2_000;

impl Cache {
    pub(in crate::state) fn new(bytes_max: usize, folder: Option<PathBuf>) -> Cache {
        Cache {
            spaces: Mutex::default(),
            uses: AtomicU64::new(0),
            bytes_max,
            folder,
            builds: AtomicBool::new(true),
        }
    }

    /// How far a space's index is; none while it isn't in memory.
    pub(super) fn progress(&self, space: &Space) -> Option<Progress> {
        let vectors = self.lock().get(space).cloned()?;
        Some(vectors.progress())
    }

    pub(super) fn get(&self, space: &Space) -> Option<Arc<Vectors>> {
        self.lock().get(space).cloned()
    }

    /// Forgets a space: records were removed from it, or their content was.
    pub(in crate::state) fn forget(&self, space: &Space) {
        self.lock().remove(space);
    }

    /// Forgets all spaces.
    pub(in crate::state) fn forget_all(&self) {
        self.lock().clear();
    }

    /// Whether these are the space's vectors still, and not ones that were forgotten since.
    pub(super) fn holds(&self, space: &Space, vectors: &Arc<Vectors>) -> bool {
        self.lock().get(space).is_some_and(|held| Arc::ptr_eq(held, vectors))
    }

    fn entry(&self, of: &VectorSpace) -> Arc<Vectors> {
        let mut spaces = self.lock();
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        if let Some(vectors) = spaces.get(&of.space) {
            vectors.used.store(now, Ordering::Relaxed);
            return Arc::clone(vectors);
        }
        let vectors = Arc::new(Vectors {
            held: RwLock::new(Held { index: Index::new(of.shape(), of.id), seqs: Vec::new() }),
            turn: Arc::default(),
            of: AtomicUsize::new(0),
            used: AtomicU64::new(now),
            tended: AtomicBool::new(false),
            considered: Mutex::default(),
            adopting: AtomicBool::new(false),
            adopted: AtomicBool::new(false),
        });
        spaces.insert(of.space.clone(), Arc::clone(&vectors));
        vectors
    }

    /// Forgets the spaces used longest ago while there is too much; one that somebody holds stays.
    fn trim(&self) {
        let mut spaces = self.lock();
        let mut bytes: usize = spaces.values().map(|vectors| vectors.bytes()).sum();
        while bytes > self.bytes_max {
            let idle = spaces.iter().filter(|(_, vectors)| Arc::strong_count(vectors) == 1);
            let oldest = idle.min_by_key(|(_, vectors)| vectors.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(space, _)| space.clone()) else { break };
            bytes -= spaces.remove(&oldest).map_or(0, |vectors| vectors.bytes());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Space, Arc<Vectors>>> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl States {
    /// The space's vectors, at least its first `places`, the last of which is record `newest`. None when records
    /// were removed from the space since it was looked at: look again.
    pub(super) async fn vectors(
        &self,
        of: &VectorSpace,
        places: usize,
        newest: StateSeq,
    ) -> Result<Option<Arc<Vectors>>, StoreError> {
        let vectors = self.vectors.entry(of);
        vectors.of.fetch_max(places, Ordering::Relaxed);
        if vectors.places() < places {
            self.load(of, &vectors, places).await?;
            self.vectors.trim();
        }
        self.adopt_graphs(of, &vectors).await;
        let is_same = places == 0 || vectors.read().seqs.get(places - 1) == Some(&newest);
        if !is_same {
            self.forget(&of.space).await;
        }
        Ok(is_same.then_some(vectors))
    }

    /// Reads on from the last record that is in memory. A caller that goes away leaves it where it was between two
    /// records: what is being taken in is taken in to its end before anybody else reads on.
    async fn load(&self, of: &VectorSpace, vectors: &Arc<Vectors>, places: usize) -> Result<(), StoreError> {
        let mut said = vectors.places();
        while vectors.places() < places {
            let turn = Arc::clone(&vectors.turn).lock_owned().await;
            let after = vectors.read().seqs.last().copied().unwrap_or_default();
            let records = self.parts.store.state_scan(&of.space, after, LOAD_RECORDS).await?;
            if records.is_empty() {
                return Ok(());
            }
            let (taker, space) = (Arc::clone(vectors), of.space.clone());
            let taken = move || {
                let taken = taker.take_in(&space, records);
                drop(turn);
                taken
            };
            tasks::compute(taken).await?;
            let loaded = vectors.places();
            if loaded >= said + SAY_EVERY {
                tracing::info!(space = %of.space, loaded, of = places, "loading vectors");
                said = loaded;
            }
        }
        Ok(())
    }
}

impl Vectors {
    /// The candidates for a query, as records.
    pub(super) fn search(&self, query: &Query, ask: Ask, matching: &Bits) -> (Found, Vec<StateSeq>) {
        let search = || {
            let held = self.read();
            let found = held.index.search(query, &ask, matching);
            let seqs = found.candidates.iter().map(|candidate| held.seqs[candidate.place]).collect();
            (found, seqs)
        };
        if matching.len() <= HERE_MAX { search() } else { tasks::compute_here(search) }
    }

    /// The visible places that a filter lets through.
    pub(super) fn filtered(&self, visible: &Bits, filter: &Filter) -> Bits {
        let filtered = || self.read().index.filtered(visible, filter);
        if visible.len() <= HERE_MAX { filtered() } else { tasks::compute_here(filtered) }
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.read().index)
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        change(&mut self.held.write().unwrap_or_else(PoisonError::into_inner).index)
    }

    pub(super) fn places(&self) -> usize {
        self.read().seqs.len()
    }

    fn take_in(&self, space: &Space, records: Vec<Record>) -> Result<(), StoreError> {
        for records in records.chunks(TAKE_RECORDS) {
            let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
            for record in records {
                held.push(space, record)?;
            }
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        let held = self.read();
        let graphs = held.index.graphs();
        Progress {
            loaded: held.seqs.len(),
            of: self.of.load(Ordering::Relaxed).max(held.seqs.len()),
            bytes: bytes(&held),
            graphs: graphs.len(),
            in_graphs: graphs.iter().map(|graph| graph.members().len()).sum(),
            building: self.tended.load(Ordering::Relaxed),
        }
    }

    fn bytes(&self) -> usize {
        bytes(&self.read())
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn push(&mut self, space: &Space, record: &Record) -> Result<(), StoreError> {
        let seq = record.operation.seq;
        let pushed = match &record.content {
            Content::Value(value) => match &value.vector {
                Some(vector) => {
                    let payload = serde_json::from_str(&value.json).ok();
                    self.index.put(vector, payload.as_ref())
                }
                None => self.index.delete(),
            },
            Content::Nothing | Content::Erased => self.index.delete(),
        };
        pushed.map_err(|error| {
            StoreError::Damaged(format!("record {seq} of {space}: {}", errors::chain(&error)))
        })?;
        self.seqs.push(seq);
        Ok(())
    }
}

fn bytes(held: &Held) -> usize {
    let memory = held.index.memory();
    memory.codes + memory.graphs + memory.payloads + held.seqs.len() * size_of::<StateSeq>()
}

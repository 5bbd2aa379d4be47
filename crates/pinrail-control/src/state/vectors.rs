//! Vectors: what an agent finds by meaning, in spaces that one embedder fills.
//!
//! A space's name stands for one index per embedder, since vectors of two embedders are never compared (I12): a
//! candidate with a new embedder fills an index of its own beside the incumbent's, and [`States::coverage`] says how
//! far it is. What each embedder is, is kept beside them ([`embedders`]).
//!
//! A search has three steps: which places the reader sees (the space's [`Index`]), which of those may be nearest (codes
//! in memory, [`loaded`]), and how near they are, from the vectors that the store holds. Ties break by key, so the
//! same view always gives the same bytes.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use pinrail_domain::id::{CollectionName, StateSeq, TenantId};
use pinrail_domain::state::bits::Bits;
use pinrail_domain::state::index::Index;
use pinrail_domain::state::{Content, Moment, Record, StateKey};
use pinrail_store::StoreError;
use pinrail_store::state::{BATCH_MAX, Seen};
use pinrail_vectors::arena::BadVector;
use pinrail_vectors::filter::Filter;
use pinrail_vectors::index::{Ask, Looked};
use pinrail_vectors::payload::BadPayload;
use pinrail_vectors::plan::Effort;
use pinrail_vectors::query::Query;
use pinrail_vectors::rescore::rescore;

use super::{
    Authorised, BadParents, Change, Decided, NewValue, ReadError, Reader, States, WriteError, Wrote,
};
use crate::commit::Idempotency;
use crate::tasks;

mod build;
pub mod canaries;
pub mod embedders;
pub mod live;
mod loaded;
mod probes;
mod remote;

pub use build::Built;
pub use embedders::{EmbedderRefused, Named, VectorSpace};
pub use loaded::Progress;

pub(super) use loaded::Cache;
use loaded::Vectors;

/// A vector to keep.
#[derive(Clone, Debug)]
pub struct Upsert {
    pub key: StateKey,
    pub vector: Vec<f32>,
    /// A JSON object; filters look at it.
    pub payload: Option<serde_json::Value>,
    pub parents: Vec<StateSeq>,
}

/// A question.
#[derive(Clone, Debug)]
pub struct Search {
    pub vector: Vec<f32>,
    pub k: usize,
    pub filter: Option<Filter>,
    pub min_score: Option<f32>,
    /// Scan everything that is visible, whatever graphs there are.
    pub exact: bool,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Found {
    pub at: Moment,
    /// Best first.
    pub hits: Vec<Hit>,
    /// How many vectors the reader sees, and how many of them the filter lets through.
    pub visible: usize,
    pub matching: usize,
    /// Whether it is certain that nothing better was missed.
    pub proven: bool,
    pub looked: Looked,
}

/// A result.
#[derive(Clone, Debug)]
pub struct Hit {
    pub score: f32,
    pub record: Record,
}

/// How far an index is, against all keys of its space in the same view.
#[derive(Clone, Debug)]
pub struct Coverage {
    pub space: VectorSpace,
    /// Keys that this embedder has embedded.
    pub keys: usize,
    /// Keys of the space, whichever embedder has them.
    pub of: usize,
    /// What is in memory; none while the index isn't used.
    pub index: Option<Progress>,
}

/// Why vectors aren't written.
#[derive(Debug, thiserror::Error)]
pub enum UpsertRefused {
    #[error("a request holds 1 to {BATCH_MAX} records; this one has {0}")]
    Count(usize),
    #[error("the vector of `{key}` is refused")]
    Vector { key: StateKey, source: BadVector },
    #[error("the payload of `{key}` is refused")]
    Payload { key: StateKey, source: BadPayload },
    #[error(transparent)]
    Parents(#[from] BadParents),
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("the query vector is refused")]
    Query(#[source] BadVector),
    #[error("top is {0}; it must be 1 to {TOP_MAX}")]
    Top(usize),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// More results than this are an export: `state export` does that.
pub const TOP_MAX: usize = 1_000;
/// Each reload reads a space whole; who meets so many removals in a row is told to come again.
const RELOADS_MAX: usize = 4;

impl States {
    /// Keeps vectors under their keys; a key that was there gets the new one.
    pub async fn upsert(
        &self,
        by: &Authorised,
        to: &VectorSpace,
        upserts: &[Upsert],
        idempotency: Option<&Idempotency>,
    ) -> Result<Wrote, WriteError<UpsertRefused>> {
        if upserts.is_empty() || upserts.len() > BATCH_MAX {
            return Err(WriteError::Refused(UpsertRefused::Count(upserts.len())));
        }
        let changes = upserts.iter().map(|upsert| upsert.change(to)).collect::<Result<Vec<_>, _>>();
        let changes = changes.map_err(WriteError::Refused)?;
        let parents = upserts.iter().flat_map(|upsert| upsert.parents.iter().copied());
        self.check_parents(&to.space.tenant, parents).await?;
        self.keep_embedder(to).await?;
        let decide = |_: &Index| Ok(Decided { changes: changes.clone(), expect: None });
        let wrote = self.write(by, &to.space, idempotency, decide).await?;
        self.tend(&to.space);
        Ok(wrote)
    }

    /// Deletes keys from every index of the space in which their author sees them. Returns how many records ended.
    pub async fn delete_vectors(
        &self,
        by: &Authorised,
        tenant: &TenantId,
        name: &CollectionName,
        keys: &[StateKey],
    ) -> Result<usize, WriteError<UpsertRefused>> {
        if keys.is_empty() || keys.len() > BATCH_MAX {
            return Err(WriteError::Refused(UpsertRefused::Count(keys.len())));
        }
        let mut ended = 0;
        for VectorSpace { space, .. } in self.embedders(tenant, name).await? {
            let decide = |index: &Index| {
                let seen = |key: &&StateKey| index.get(Some(by.author.deployment), key).is_some();
                let delete = |key: &StateKey| Change { key: key.clone(), value: None, parents: Vec::new() };
                Ok(Decided { changes: keys.iter().filter(seen).map(delete).collect(), expect: None })
            };
            let wrote = self.write(by, &space, None, decide).await?;
            ended += wrote.appended.map_or(0, |done| done.last.0 - done.first.0 + 1) as usize;
        }
        Ok(ended)
    }

    /// The records of a reader's view that are nearest to a vector.
    pub async fn search(
        &self,
        of: &VectorSpace,
        reader: &Reader,
        search: &Search,
    ) -> Result<Found, SearchError> {
        if !(1..=TOP_MAX).contains(&search.k) {
            return Err(SearchError::Top(search.k));
        }
        let query = Query::new(of.shape(), &search.vector).map_err(SearchError::Query)?;
        if search.filter.is_none()
            && let Some(found) = self.search_in_store(of, reader, &query, search).await?
        {
            return Ok(found);
        }
        let effort = if search.exact { Effort::Exact } else { Effort::Cheapest };
        let ask = Ask { k: search.k, min_score: search.min_score, effort };
        for attempt in 0.. {
            let (at, visible, vectors) = self.seen_vectors(of, reader).await?;
            let matching = match &search.filter {
                Some(filter) => vectors.filtered(&visible, filter),
                None => visible.clone(),
            };
            let counts = (visible.len(), matching.len());
            let (found, seqs) = vectors.search(&query, ask, &matching);
            let records = self.records(&seqs).await.map_err(ReadError::from)?;
            // What was removed or erased since the vectors were read took the place of others: look anew.
            let is_whole = records.len() == seqs.len() && records.iter().all(is_vector);
            if !is_whole && attempt < RELOADS_MAX {
                self.vectors.forget(&of.space);
                continue;
            }
            let hits = rank(&query, records, search)?;
            let mut read: Vec<StateSeq> = hits.iter().map(|hit| hit.record.operation.seq).collect();
            read.sort_unstable();
            self.note(reader, &of.space, at, Seen::Records(read)).await;
            self.tend(&of.space);
            let (proven, looked) = (found.proven, found.looked);
            return Ok(Found { at, hits, visible: counts.0, matching: counts.1, proven, looked });
        }
        unreachable!("the last attempt returns")
    }

    /// How many vectors a reader sees, or of those the ones that a filter lets through.
    pub async fn count_vectors(
        &self,
        of: &VectorSpace,
        reader: &Reader,
        filter: Option<&Filter>,
    ) -> Result<(Moment, usize), ReadError> {
        let Some(filter) = filter else {
            return self.view(&of.space, reader, |sight| (sight.view.at, sight.shown().len())).await;
        };
        let (at, visible, vectors) = self.seen_vectors(of, reader).await?;
        Ok((at, vectors.filtered(&visible, filter).len()))
    }

    /// How far each embedder of a space is, in a reader's view.
    pub async fn coverage(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        reader: &Reader,
    ) -> Result<Vec<Coverage>, ReadError> {
        let mut of_each: Vec<Vec<StateKey>> = Vec::new();
        let mut covered = Vec::new();
        for space in self.embedders(tenant, name).await? {
            let keys = self.view(&space.space, reader, |sight| {
                let shown = sight.shown();
                shown.iter().map(|place| sight.index.key(place).clone()).collect::<Vec<_>>()
            });
            let keys = keys.await?;
            let index = self.vectors.progress(&space.space);
            covered.push(Coverage { space, keys: keys.len(), of: keys.len(), index });
            of_each.push(keys);
        }
        if covered.len() > 1 {
            let all = move || of_each.iter().flatten().collect::<HashSet<_>>().len();
            let of = tasks::compute(all).await;
            covered.iter_mut().for_each(|coverage| coverage.of = of);
        }
        Ok(covered)
    }

    /// The places that a reader sees, and the vectors at least so far.
    async fn seen_vectors(
        &self,
        of: &VectorSpace,
        reader: &Reader,
    ) -> Result<(Moment, Bits, Arc<Vectors>), ReadError> {
        for _ in 0..=RELOADS_MAX {
            let (at, bits, places, newest) = self
                .view(&of.space, reader, |sight| {
                    let index = sight.index;
                    (sight.view.at, sight.shown().into_owned(), index.len(), index.newest())
                })
                .await?;
            // Records may be removed in between, and the places with them: then both are looked at anew.
            if let Some(vectors) = self.vectors(of, places, newest).await? {
                return Ok((at, bits, vectors));
            }
        }
        let moved = io::Error::other(format!("the records of {} kept being removed", of.space));
        Err(ReadError::Store(StoreError::Unavailable(Arc::new(moved))))
    }
}

impl Upsert {
    fn change(&self, to: &VectorSpace) -> Result<Change, UpsertRefused> {
        let Upsert { key, vector, payload, parents } = self;
        Query::new(to.shape(), vector)
            .map_err(|source| UpsertRefused::Vector { key: key.clone(), source })?;
        if let Some(payload) = payload {
            pinrail_vectors::payload::check(payload)
                .map_err(|source| UpsertRefused::Payload { key: key.clone(), source })?;
        }
        let json = payload.as_ref().map_or_else(|| "{}".to_owned(), serde_json::Value::to_string);
        let value = Some(NewValue { json, vector: Some(vector.clone()) });
        Ok(Change { key: key.clone(), value, parents: parents.clone() })
    }
}

fn is_vector(record: &Record) -> bool {
    match &record.content {
        Content::Value(value) => value.vector.is_some(),
        Content::Nothing | Content::Erased => false,
    }
}

fn rank(query: &Query, records: Vec<Record>, search: &Search) -> Result<Vec<Hit>, SearchError> {
    let mut records: Vec<Option<Record>> = records.into_iter().map(Some).collect();
    let candidates = records.iter().enumerate().filter_map(|(n, record)| {
        let record = record.as_ref()?;
        match &record.content {
            Content::Value(value) => Some((n, &record.operation.key, value.vector.as_deref()?)),
            Content::Nothing | Content::Erased => None,
        }
    });
    // What is stored was checked when it was written.
    let ranked = rescore(query, candidates, search.k, search.min_score).map_err(SearchError::Query)?;
    let hit = |ranked: pinrail_vectors::rescore::Hit| {
        let record = records[ranked.place].take().expect("each candidate is ranked once");
        Hit { score: ranked.score, record }
    };
    Ok(ranked.into_iter().map(hit).collect())
}

//! Searches that the store carries out, where it can: then no replica reads a space's vectors into its memory.
//!
//! The store gives candidates of the reader's view; how near they are is worked out here, from the vectors that it holds, as in every
//! search. Searches with a filter are carried out here whole: payloads are matched as the filter says, and never as SQL would.

use pinrail_domain::id::StateSeq;
use pinrail_store::state::{Near, Nearest, Seen};
use pinrail_vectors::index::Looked;
use pinrail_vectors::query::Query;

use super::{Found, Search, SearchError, VectorSpace, is_vector, rank};
use crate::state::{ReadError, Reader, States};

/// Records may be removed between the search and the look at them; who meets that so often in a row searches here.
const ATTEMPTS_MAX: usize = 3;

impl States {
    /// Who searches vectors, for people; none where each replica does.
    #[must_use]
    pub fn vectors_searched_by(&self) -> Option<String> {
        self.parts.store.vectors_search()
    }

    /// The answer of the store; none where it doesn't search.
    pub(super) async fn search_in_store(
        &self,
        of: &VectorSpace,
        reader: &Reader,
        query: &Query,
        search: &Search,
    ) -> Result<Option<Found>, SearchError> {
        if self.vectors_searched_by().is_none() {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS_MAX {
            let looked =
                self.view(&of.space, reader, |sight| (sight.view.at, sight.shown().len(), sight.index.len()));
            let (at, visible, operations) = looked.await?;
            let asked = Nearest {
                space: &of.space,
                own: reader.own,
                at,
                vector: &search.vector,
                metric: of.embedder.metric,
                k: search.k,
                exact: search.exact,
                operations,
                visible,
            };
            let near = self.parts.store.vectors_nearest(&asked).await.map_err(ReadError::from)?;
            let Some(Near { seqs, proven }) = near else { return Ok(None) };
            let records = self.records(&seqs).await.map_err(ReadError::from)?;
            let is_whole = records.len() == seqs.len() && records.iter().all(is_vector);
            if !is_whole {
                continue;
            }
            let hits = rank(query, records, search)?;
            let mut read: Vec<StateSeq> = hits.iter().map(|hit| hit.record.operation.seq).collect();
            read.sort_unstable();
            self.note(reader, &of.space, at, Seen::Records(read)).await;
            let looked = match proven {
                true => Looked { scanned: visible, ..Looked::default() },
                false => Looked { walked: 1, ..Looked::default() },
            };
            return Ok(Some(Found { at, hits, visible, matching: visible, proven, looked }));
        }
        Ok(None)
    }
}

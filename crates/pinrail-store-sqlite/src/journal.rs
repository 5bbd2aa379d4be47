//! The journal in SQLite: `journal/write.rs` appends, `journal/read.rs` reads, `journal/search.rs` looks for texts,
//! `journal/erase.rs` erases, `journal/collect.rs` drops what is old.
//!
//! A run is one row of `runs` (its stamp, its summary, and columns to search by) and one row of `run_events`
//! for every write. Event 0 is made of the run's row: the stamp isn't stored twice.

use std::sync::Arc;

use async_trait::async_trait;
use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::Recorded;
use pinrail_domain::journal::collect::RunDay;
use pinrail_domain::time::Day;
use pinrail_store::journal::{
    CollectError, Found, OpenRuns, Run, RunFilter, Search, SessionKey, Write, WriteError, Written,
};
use pinrail_store::{Journal, StoreError};

use crate::Sqlite;

mod collect;
mod erase;
mod read;
mod search;
mod write;

/// Places that a run has in `run_events`: more than any run has events. Stored: never change.
const PLACES_PER_RUN: i64 = 1 << 17;

#[async_trait]
impl Journal for Sqlite {
    async fn journal_write(&self, writes: Arc<Vec<Write>>) -> Vec<Result<Written, WriteError>> {
        let count = writes.len();
        if count == 0 {
            return Vec::new();
        }
        let prepared: Vec<_> = writes.iter().map(write::Prepared::new).collect();
        let results = self.writer.carry_out(|reply| write::Writing::new(writes, prepared, reply)).await;
        results.unwrap_or_else(|failure| vec![Err(WriteError::Store(failure.0)); count])
    }

    async fn run_erase(&self, runs: &[RunId]) -> Result<u64, StoreError> {
        Ok(erase::runs(self, runs).await?)
    }

    async fn run_days(&self, until: Day) -> Result<Vec<RunDay>, StoreError> {
        Ok(self.readers.ask(move |db| collect::days(db, until)).await?)
    }

    async fn run_collect(&self, day: Day) -> Result<u64, CollectError> {
        collect::day(self, day).await
    }

    async fn run_get(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        Ok(self.quick.ask(move |db| read::run(db, run)).await?)
    }

    async fn run_events(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        Ok(self.readers.ask(move |db| read::events(db, run, from, limit)).await?)
    }

    async fn run_list(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let filter = filter.clone();
        Ok(self.readers.ask(move |db| read::list(db, &filter, before, limit)).await?)
    }

    async fn run_search(
        &self,
        search: &Search,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let search = search.clone();
        Ok(self.readers.ask(move |db| search::find(db, &search, before, limit)).await?)
    }

    async fn run_open(&self, deployment: DeploymentId) -> Result<OpenRuns, StoreError> {
        Ok(self.readers.ask(move |db| read::open(db, deployment)).await?)
    }

    async fn run_open_total(&self) -> Result<u64, StoreError> {
        Ok(self.readers.ask(read::open_total).await?)
    }

    async fn session_get(&self, key: &SessionKey) -> Result<Option<DeploymentId>, StoreError> {
        let key = key.clone();
        Ok(self.quick.ask(move |db| read::binding(db, &key)).await?)
    }

    async fn sessions_recent(&self, limit: usize) -> Result<Vec<(SessionKey, DeploymentId)>, StoreError> {
        Ok(self.readers.ask(move |db| read::bindings(db, limit)).await?)
    }
}

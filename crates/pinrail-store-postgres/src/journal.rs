//! The journal in PostgreSQL: `journal/queue.rs` groups what is written at the same time, `journal/write.rs` carries a group out,
//! `journal/put.rs` puts its rows where they belong, `journal/days.rs` makes partitions ahead, `journal/read.rs` reads,
//! `journal/list.rs` lists, `journal/search.rs` looks for texts, `journal/erase.rs` erases,
//! `journal/collect.rs` drops what is old.
//!
//! A run is one row of `runs` (its stamp, its summary, and columns to search by) and one row of `run_events`
//! for every write. Event 0 is made of the run's row: the stamp isn't stored twice.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::Recorded;
use pinrail_domain::journal::collect::RunDay;
use pinrail_domain::time::Day;
use pinrail_store::journal::{
    CollectError, Found, OpenRuns, Run, RunFilter, Search, SessionKey, Write, WriteError, Written,
};
use pinrail_store::{Journal, StoreError};
use uuid::Uuid;

use crate::Postgres;

mod collect;
mod days;
mod erase;
mod list;
mod put;
mod queue;
mod read;
mod search;
mod write;

pub(crate) use put::outcome_number;

/// What is kept in memory for writing.
#[derive(Default)]
pub(crate) struct Keeping {
    queue: Arc<queue::Queue>,
    days: days::Days,
    skew: put::Skew,
    /// Carried out.
    groups: AtomicU64,
}

#[async_trait]
impl Journal for Postgres {
    async fn journal_write(&self, writes: Arc<Vec<Write>>) -> Vec<Result<Written, WriteError>> {
        if writes.is_empty() {
            return Vec::new();
        }
        self.write_in_group(writes).await
    }

    async fn run_erase(&self, runs: &[RunId]) -> Result<u64, StoreError> {
        let mut erased = 0;
        for run in runs {
            let (events, arguments) = (self.erase_run(*run).await?, self.erase_arguments(*run).await?);
            erased += u64::from(events || arguments);
        }
        Ok(erased)
    }

    async fn run_days(&self, until: Day) -> Result<Vec<RunDay>, StoreError> {
        Ok(self.read_days(until).await?)
    }

    async fn run_collect(&self, day: Day) -> Result<u64, CollectError> {
        self.collect_day(day).await
    }

    async fn run_get(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        Ok(self.read_runs(&[run]).await?.pop())
    }

    async fn run_get_many(&self, runs: &[RunId]) -> Result<Vec<Run>, StoreError> {
        let mut found = Vec::with_capacity(runs.len());
        for some in runs.chunks(read::RUNS_AT_ONCE) {
            found.extend(self.read_runs(some).await?);
        }
        Ok(found)
    }

    async fn run_events(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        Ok(self.read_events(run, from, limit).await?)
    }

    async fn run_list(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        Ok(self.list_runs(filter, before, limit).await?)
    }

    async fn run_search(
        &self,
        search: &Search,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        Ok(self.search_runs(search, before, limit).await?)
    }

    async fn run_open(&self, deployment: DeploymentId) -> Result<OpenRuns, StoreError> {
        Ok(self.count_open(deployment).await?)
    }

    async fn run_open_total(&self) -> Result<u64, StoreError> {
        Ok(self.count_all_open().await?)
    }

    async fn session_get(&self, key: &SessionKey) -> Result<Option<DeploymentId>, StoreError> {
        Ok(self.read_binding(key).await?)
    }

    async fn sessions_recent(&self, limit: usize) -> Result<Vec<(SessionKey, DeploymentId)>, StoreError> {
        Ok(self.read_bindings(limit).await?)
    }
}

fn uuid(run: RunId) -> Uuid {
    Uuid::from_u128(run.0)
}

fn run_id(uuid: Uuid) -> RunId {
    RunId(uuid.as_u128())
}

/// When an id says that it was made, in Unix milliseconds: what ids begin with.
fn ms_of(run: RunId) -> u64 {
    u64::try_from(run.0 >> 80).expect("48 bits")
}

//! The journal's calls.

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

use super::{Breaking, away, full, now};
use crate::schedule::{Call, Fate};

#[async_trait]
impl Journal for Breaking {
    async fn journal_write(&self, writes: Arc<Vec<Write>>) -> Vec<Result<Written, WriteError>> {
        let call = Call::write("journal_write");
        let fate = self.schedule.before(call).await;
        let failed = |error: StoreError| writes.iter().map(|_| Err(error.clone().into())).collect();
        match fate {
            Fate::Full => return failed(full()),
            Fate::Away => return failed(away()),
            Fate::Go | Fate::Lost => {}
        }
        let results = self.write(&writes);
        self.schedule.after(call).await;
        if fate == Fate::Lost { failed(away()) } else { results }
    }

    async fn run_erase(&self, runs: &[RunId]) -> Result<u64, StoreError> {
        self.through(Call::write("run_erase"), || now(self.memory.run_erase(runs))).await
    }

    async fn run_days(&self, until: Day) -> Result<Vec<RunDay>, StoreError> {
        self.through(Call::read("run_days"), || now(self.memory.run_days(until))).await
    }

    async fn run_collect(&self, day: Day) -> Result<u64, CollectError> {
        self.through(Call::write("run_collect"), || now(self.memory.run_collect(day))).await
    }

    async fn run_get(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        self.through(Call::read("run_get"), || Ok(self.run(run))).await
    }

    async fn run_events(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.through(Call::read("run_events"), || now(self.memory.run_events(run, from, limit))).await
    }

    async fn run_list(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        self.through(Call::read("run_list"), || now(self.memory.run_list(filter, before, limit))).await
    }

    async fn run_search(
        &self,
        search: &Search,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        self.through(Call::read("run_search"), || now(self.memory.run_search(search, before, limit))).await
    }

    async fn run_open(&self, deployment: DeploymentId) -> Result<OpenRuns, StoreError> {
        self.through(Call::read("run_open"), || now(self.memory.run_open(deployment))).await
    }

    async fn run_open_total(&self) -> Result<u64, StoreError> {
        self.through(Call::read("run_open_total"), || now(self.memory.run_open_total())).await
    }

    async fn session_get(&self, key: &SessionKey) -> Result<Option<DeploymentId>, StoreError> {
        self.through(Call::read("session_get"), || now(self.memory.session_get(key))).await
    }

    async fn sessions_recent(&self, limit: usize) -> Result<Vec<(SessionKey, DeploymentId)>, StoreError> {
        self.through(Call::read("sessions_recent"), || now(self.memory.sessions_recent(limit))).await
    }
}

impl Breaking {
    /// A run as the store hands it out.
    pub(crate) fn run(&self, run: RunId) -> Option<Run> {
        let mut found = now(self.memory.run_get(run)).expect("no failure was planned");
        if let Some(found) = &mut found {
            self.tampering.stamp(&mut found.stamp);
        }
        found
    }

    fn write(&self, writes: &Arc<Vec<Write>>) -> Vec<Result<Written, WriteError>> {
        let results = match self.tampering.forgets(writes) {
            Some(forgotten) => forgotten,
            None => now(self.memory.journal_write(Arc::clone(writes))),
        };
        let mut truth = self.truth();
        for (write, _) in writes.iter().zip(&results).filter(|(_, result)| result.is_ok()) {
            match write {
                Write::Start(start) => truth.started(start),
                Write::Append(append) => truth.extended(append),
            }
        }
        results
    }
}

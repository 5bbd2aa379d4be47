//! The state's calls.

use async_trait::async_trait;
use pinrail_domain::id::{DeploymentId, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::state::{Layer, Moment, Operation, Record, Space};
use pinrail_domain::time::Timestamp;
use pinrail_store::state::{AppendError, Appended, Batch, Read, SpaceFacts, SpaceFilter, Use, Written};
use pinrail_store::{State, StoreError};

use super::{Breaking, now};
use crate::schedule::Call;

#[async_trait]
impl State for Breaking {
    async fn state_append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.through(Call::write("state_append"), || self.append(batch)).await
    }

    async fn state_head(&self) -> Result<Moment, StoreError> {
        self.through(Call::read("state_head"), || now(self.memory.state_head())).await
    }

    async fn state_moment(&self, at: Timestamp) -> Result<Moment, StoreError> {
        self.through(Call::read("state_moment"), || now(self.memory.state_moment(at))).await
    }

    async fn state_until(&self, ledger: LedgerSeq) -> Result<StateSeq, StoreError> {
        self.through(Call::read("state_until"), || now(self.memory.state_until(ledger))).await
    }

    async fn space_list(
        &self,
        filter: &SpaceFilter,
        after: Option<&Space>,
        limit: usize,
    ) -> Result<Vec<SpaceFacts>, StoreError> {
        self.through(Call::read("space_list"), || now(self.memory.space_list(filter, after, limit))).await
    }

    async fn state_operations(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        let read = || {
            let mut operations = now(self.memory.state_operations(space, after, limit))?;
            self.tampering.operations(space.layer == Layer::Context, &mut operations);
            Ok(operations)
        };
        self.through(Call::read("state_operations"), read).await
    }

    async fn state_records(&self, seqs: &[StateSeq]) -> Result<Vec<Record>, StoreError> {
        self.through(Call::read("state_records"), || now(self.memory.state_records(seqs))).await
    }

    async fn state_scan(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.through(Call::read("state_scan"), || now(self.memory.state_scan(space, after, limit))).await
    }

    async fn state_written(&self, deployment: DeploymentId) -> Result<Vec<Written>, StoreError> {
        self.through(Call::read("state_written"), || now(self.memory.state_written(deployment))).await
    }

    async fn state_of_deployment(
        &self,
        deployment: DeploymentId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError> {
        let read = || now(self.memory.state_of_deployment(deployment, after, limit));
        self.through(Call::read("state_of_deployment"), read).await
    }

    async fn state_of_run(
        &self,
        run: RunId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError> {
        self.through(Call::read("state_of_run"), || now(self.memory.state_of_run(run, after, limit))).await
    }

    async fn state_children(&self, parents: &[StateSeq]) -> Result<Vec<StateSeq>, StoreError> {
        self.through(Call::read("state_children"), || now(self.memory.state_children(parents))).await
    }

    async fn reads_note(&self, reads: &[Read], at: Timestamp) -> Result<(), StoreError> {
        self.through(Call::write("reads_note"), || now(self.memory.reads_note(reads, at))).await
    }

    async fn reads_of_space(
        &self,
        space: &Space,
        from: StateSeq,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Read>, StoreError> {
        let read = || now(self.memory.reads_of_space(space, from, skip, limit));
        self.through(Call::read("reads_of_space"), read).await
    }

    async fn state_uses(&self, tenants: Option<&[TenantId]>) -> Result<Vec<Use>, StoreError> {
        self.through(Call::read("state_uses"), || now(self.memory.state_uses(tenants))).await
    }

    async fn state_remove(
        &self,
        deployment: DeploymentId,
        until: StateSeq,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let remove = || now(self.memory.state_remove(deployment, until, limit));
        self.through(Call::write("state_remove"), remove).await
    }

    async fn state_erase(&self, seqs: &[StateSeq]) -> Result<u64, StoreError> {
        self.through(Call::write("state_erase"), || now(self.memory.state_erase(seqs))).await
    }
}

impl Breaking {
    pub(crate) fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let handed = batch.clone();
        let appended = match self.tampering.loses(&batch, &self.truth()) {
            Some(lost) => lost,
            None => now(self.memory.state_append(batch))?,
        };
        self.truth().wrote(&handed, appended);
        self.tampering.repeat(self, &handed);
        Ok(appended)
    }
}

//! The state's part of the gated store.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use pinrail_domain::id::{DeploymentId, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::state::{Moment, Operation, Record, Space};
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::state::{
    AppendError, Appended, Batch, Read, SpaceFacts, SpaceFilter, State, Use, Written,
};

use super::Gated;

#[async_trait]
impl State for Gated {
    async fn state_append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.state_appends.fetch_add(1, Ordering::SeqCst);
        let appended = self.memory.state_append(batch).await;
        self.state.pass().await;
        appended
    }

    async fn state_head(&self) -> Result<Moment, StoreError> {
        self.memory.state_head().await
    }

    async fn state_moment(&self, at: Timestamp) -> Result<Moment, StoreError> {
        self.memory.state_moment(at).await
    }

    async fn state_until(&self, ledger: LedgerSeq) -> Result<StateSeq, StoreError> {
        self.memory.state_until(ledger).await
    }

    async fn space_list(
        &self,
        filter: &SpaceFilter,
        after: Option<&Space>,
        limit: usize,
    ) -> Result<Vec<SpaceFacts>, StoreError> {
        self.memory.space_list(filter, after, limit).await
    }

    async fn state_operations(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        self.operations.pass().await;
        self.memory.state_operations(space, after, limit).await
    }

    async fn state_records(&self, seqs: &[StateSeq]) -> Result<Vec<Record>, StoreError> {
        self.memory.state_records(seqs).await
    }

    async fn state_scan(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.memory.state_scan(space, after, limit).await
    }

    async fn state_written(&self, deployment: DeploymentId) -> Result<Vec<Written>, StoreError> {
        self.memory.state_written(deployment).await
    }

    async fn state_of_deployment(
        &self,
        deployment: DeploymentId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError> {
        self.memory.state_of_deployment(deployment, after, limit).await
    }

    async fn state_of_run(
        &self,
        run: RunId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError> {
        self.memory.state_of_run(run, after, limit).await
    }

    async fn state_children(&self, parents: &[StateSeq]) -> Result<Vec<StateSeq>, StoreError> {
        self.memory.state_children(parents).await
    }

    async fn reads_note(&self, reads: &[Read], at: Timestamp) -> Result<(), StoreError> {
        self.memory.reads_note(reads, at).await
    }

    async fn reads_of_space(
        &self,
        space: &Space,
        from: StateSeq,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Read>, StoreError> {
        self.memory.reads_of_space(space, from, skip, limit).await
    }

    async fn state_uses(&self, tenants: Option<&[TenantId]>) -> Result<Vec<Use>, StoreError> {
        self.memory.state_uses(tenants).await
    }

    async fn state_remove(
        &self,
        deployment: DeploymentId,
        until: StateSeq,
        limit: usize,
    ) -> Result<u64, StoreError> {
        self.memory.state_remove(deployment, until, limit).await
    }

    async fn state_erase(&self, seqs: &[StateSeq]) -> Result<u64, StoreError> {
        self.memory.state_erase(seqs).await
    }
}

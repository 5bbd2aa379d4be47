//! The gates' part of the gated store.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{GateId, ReleaseId};
use pinrail_store::gates::{GateChange, GateCreateError, GateFilter, GateRecord, GateRow, Gates, RowKey};
use pinrail_store::{Answer, StoreError};

use super::Gated;

#[async_trait]
impl Gates for Gated {
    async fn gate_create(
        &self,
        gates: Vec<GateRecord>,
        answer: Option<Answer>,
    ) -> Result<(), GateCreateError> {
        self.memory.gate_create(gates, answer).await
    }

    async fn gate_update(&self, change: GateChange) -> Result<bool, StoreError> {
        self.memory.gate_update(change).await
    }

    async fn gate_get(&self, id: GateId) -> Result<Option<GateRecord>, StoreError> {
        self.memory.gate_get(id).await
    }

    async fn gate_list(
        &self,
        filter: &GateFilter,
        before: Option<GateId>,
        limit: usize,
    ) -> Result<Vec<GateRecord>, StoreError> {
        self.memory.gate_list(filter, before, limit).await
    }

    async fn gate_rows_append(&self, gate: GateId, rows: Vec<GateRow>) -> Result<u64, StoreError> {
        self.memory.gate_rows_append(gate, rows).await
    }

    async fn gate_rows_read(
        &self,
        gate: GateId,
        after: Option<RowKey>,
        limit: usize,
    ) -> Result<Vec<GateRow>, StoreError> {
        self.memory.gate_rows_read(gate, after, limit).await
    }

    async fn gate_rows_reusable(
        &self,
        release: ReleaseId,
        case: Digest,
        repeats: u32,
    ) -> Result<Vec<(GateId, GateRow)>, StoreError> {
        self.memory.gate_rows_reusable(release, case, repeats).await
    }
}

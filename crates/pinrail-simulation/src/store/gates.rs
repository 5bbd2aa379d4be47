//! The gates' part of the store that breaks.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{GateId, ReleaseId};
use pinrail_store::gates::{GateChange, GateCreateError, GateFilter, GateRecord, GateRow, Gates, RowKey};
use pinrail_store::{Answer, StoreError};

use super::{Breaking, now};
use crate::schedule::Call;

#[async_trait]
impl Gates for Breaking {
    async fn gate_create(
        &self,
        gates: Vec<GateRecord>,
        answer: Option<Answer>,
    ) -> Result<(), GateCreateError> {
        self.through(Call::write("gate_create"), || now(self.memory.gate_create(gates, answer))).await
    }

    async fn gate_update(&self, change: GateChange) -> Result<bool, StoreError> {
        self.through(Call::write("gate_update"), || now(self.memory.gate_update(change))).await
    }

    async fn gate_get(&self, id: GateId) -> Result<Option<GateRecord>, StoreError> {
        self.through(Call::read("gate_get"), || now(self.memory.gate_get(id))).await
    }

    async fn gate_list(
        &self,
        filter: &GateFilter,
        before: Option<GateId>,
        limit: usize,
    ) -> Result<Vec<GateRecord>, StoreError> {
        self.through(Call::read("gate_list"), || now(self.memory.gate_list(filter, before, limit))).await
    }

    async fn gate_rows_append(&self, gate: GateId, rows: Vec<GateRow>) -> Result<u64, StoreError> {
        self.through(Call::write("gate_rows_append"), || now(self.memory.gate_rows_append(gate, rows))).await
    }

    async fn gate_rows_read(
        &self,
        gate: GateId,
        after: Option<RowKey>,
        limit: usize,
    ) -> Result<Vec<GateRow>, StoreError> {
        self.through(Call::read("gate_rows_read"), || now(self.memory.gate_rows_read(gate, after, limit)))
            .await
    }

    async fn gate_rows_reusable(
        &self,
        release: ReleaseId,
        case: Digest,
        repeats: u32,
    ) -> Result<Vec<(GateId, GateRow)>, StoreError> {
        self.through(Call::read("gate_rows_reusable"), || {
            now(self.memory.gate_rows_reusable(release, case, repeats))
        })
        .await
    }
}

//! Gates in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{GateId, ReleaseId};

use super::Memory;
use crate::gates::{GateChange, GateCreateError, GateFilter, GateRecord, GateRow, Gates, RowKey};
use crate::{Answer, StoreError};

/// What is kept of a gate.
pub(super) struct Kept {
    record: GateRecord,
    rows: BTreeMap<RowKey, GateRow>,
}

#[async_trait]
impl Gates for Memory {
    async fn gate_create(
        &self,
        gates: Vec<GateRecord>,
        answer: Option<Answer>,
    ) -> Result<(), GateCreateError> {
        self.write(|kept| {
            if let Some(given) = kept.given(answer.as_ref()) {
                return Err(GateCreateError::Answered(given));
            }
            if let Some(there) = gates.iter().find(|gate| kept.gates.contains_key(&gate.id)) {
                return Err(GateCreateError::Exists(there.id));
            }
            let new = gates.into_iter().map(|record| (record.id, Kept { record, rows: BTreeMap::new() }));
            kept.gates.extend(new);
            kept.keep(answer);
            Ok(())
        })?
    }

    async fn gate_update(&self, change: GateChange) -> Result<bool, StoreError> {
        let GateChange { id, from, to, document, fence } = change;
        self.write(|kept| {
            let leads = kept.together.check(fence).is_ok();
            let Some(gate) = kept.gates.get_mut(&id).filter(|gate| leads && gate.record.status == from)
            else {
                return false;
            };
            gate.record.status = to;
            gate.record.document = document;
            true
        })
    }

    async fn gate_get(&self, id: GateId) -> Result<Option<GateRecord>, StoreError> {
        Ok(self.lock().gates.get(&id).map(|gate| gate.record.clone()))
    }

    async fn gate_list(
        &self,
        filter: &GateFilter,
        before: Option<GateId>,
        limit: usize,
    ) -> Result<Vec<GateRecord>, StoreError> {
        let kept = self.lock();
        let newest_first = kept.gates.values().rev().map(|gate| &gate.record);
        let older = newest_first.filter(|gate| before.is_none_or(|before| gate.id < before));
        Ok(older.filter(|gate| filter.takes(gate)).take(limit).cloned().collect())
    }

    async fn gate_rows_append(&self, gate: GateId, rows: Vec<GateRow>) -> Result<u64, StoreError> {
        self.write(|kept| {
            let Some(gate) = kept.gates.get_mut(&gate) else { return 0 };
            let mut count = 0;
            for row in rows {
                if gate.rows.get(&row.key).is_none_or(|there| !there.settled) {
                    gate.rows.insert(row.key, row);
                    count += 1;
                }
            }
            count
        })
    }

    async fn gate_rows_read(
        &self,
        gate: GateId,
        after: Option<RowKey>,
        limit: usize,
    ) -> Result<Vec<GateRow>, StoreError> {
        let kept = self.lock();
        let rows = kept.gates.get(&gate).into_iter().flat_map(|gate| gate.rows.values());
        let later = rows.filter(|row| after.is_none_or(|after| row.key > after));
        Ok(later.take(limit).cloned().collect())
    }

    async fn gate_rows_reusable(
        &self,
        release: ReleaseId,
        case: Digest,
        repeats: u32,
    ) -> Result<Vec<(GateId, GateRow)>, StoreError> {
        let kept = self.lock();
        let newest = |repeat| {
            let key = RowKey { case, repeat, release };
            let row = |(id, gate): (&GateId, &Kept)| {
                gate.rows.get(&key).filter(|row| row.settled).map(|row| (*id, row.clone()))
            };
            kept.gates.iter().rev().find_map(row)
        };
        Ok((0..repeats).filter_map(newest).collect())
    }
}

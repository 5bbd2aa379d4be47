//! Deliveries in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pinrail_domain::id::LedgerSeq;

use super::Memory;
use crate::StoreError;
use crate::deliveries::{DeadLetter, Deliveries, Outlet};

/// What is kept of an outlet.
#[derive(Default)]
pub(super) struct Delivered {
    cursor: LedgerSeq,
    dead: BTreeMap<LedgerSeq, DeadLetter>,
}

#[async_trait]
impl Deliveries for Memory {
    async fn delivery_cursor(&self, to: &Outlet) -> Result<Option<LedgerSeq>, StoreError> {
        Ok(self.lock().deliveries.get(to).map(|delivered| delivered.cursor))
    }

    async fn delivery_advance(
        &self,
        to: &Outlet,
        cursor: LedgerSeq,
        dead: Option<DeadLetter>,
    ) -> Result<bool, StoreError> {
        self.write(|kept| {
            let delivered = kept.deliveries.entry(to.clone()).or_default();
            let moves = delivered.cursor < cursor;
            if moves {
                delivered.cursor = cursor;
                delivered.dead.extend(dead.map(|letter| (letter.seq, letter)));
            }
            moves
        })
    }

    async fn dead_letter_list(
        &self,
        of: &Outlet,
        after: LedgerSeq,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let kept = self.lock();
        let dead = kept.deliveries.get(of).into_iter().flat_map(|delivered| delivered.dead.values());
        Ok(dead.filter(|letter| letter.seq > after).take(limit).cloned().collect())
    }

    async fn dead_letter_get(&self, of: &Outlet, seq: LedgerSeq) -> Result<Option<DeadLetter>, StoreError> {
        Ok(self.lock().deliveries.get(of).and_then(|delivered| delivered.dead.get(&seq).cloned()))
    }

    async fn dead_letter_count(&self, of: &Outlet) -> Result<u64, StoreError> {
        Ok(self.lock().deliveries.get(of).map_or(0, |delivered| delivered.dead.len() as u64))
    }

    async fn dead_letter_put(&self, of: &Outlet, letter: DeadLetter) -> Result<bool, StoreError> {
        self.write(|kept| {
            let there = kept.deliveries.get_mut(of).and_then(|delivered| delivered.dead.get_mut(&letter.seq));
            there.map(|there| *there = letter).is_some()
        })
    }

    async fn dead_letter_delete(&self, of: &Outlet, seq: LedgerSeq) -> Result<bool, StoreError> {
        self.write(|kept| {
            kept.deliveries.get_mut(of).is_some_and(|delivered| delivered.dead.remove(&seq).is_some())
        })
    }

    async fn delivery_outlets(&self) -> Result<Vec<Outlet>, StoreError> {
        Ok(self.lock().deliveries.keys().cloned().collect())
    }

    async fn delivery_forget(&self, outlet: &Outlet) -> Result<(), StoreError> {
        self.write(|kept| {
            kept.deliveries.remove(outlet);
        })
    }
}

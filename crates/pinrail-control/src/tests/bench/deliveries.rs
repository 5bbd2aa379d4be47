//! The webhooks' part of the gated store.

use async_trait::async_trait;
use pinrail_domain::id::LedgerSeq;
use pinrail_store::StoreError;
use pinrail_store::deliveries::{DeadLetter, Deliveries, Outlet};

use super::Gated;

#[async_trait]
impl Deliveries for Gated {
    async fn delivery_cursor(&self, to: &Outlet) -> Result<Option<LedgerSeq>, StoreError> {
        self.memory.delivery_cursor(to).await
    }

    async fn delivery_advance(
        &self,
        to: &Outlet,
        cursor: LedgerSeq,
        dead: Option<DeadLetter>,
    ) -> Result<bool, StoreError> {
        self.memory.delivery_advance(to, cursor, dead).await
    }

    async fn dead_letter_list(
        &self,
        of: &Outlet,
        after: LedgerSeq,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.memory.dead_letter_list(of, after, limit).await
    }

    async fn dead_letter_get(&self, of: &Outlet, seq: LedgerSeq) -> Result<Option<DeadLetter>, StoreError> {
        self.memory.dead_letter_get(of, seq).await
    }

    async fn dead_letter_count(&self, of: &Outlet) -> Result<u64, StoreError> {
        self.memory.dead_letter_count(of).await
    }

    async fn dead_letter_put(&self, of: &Outlet, letter: DeadLetter) -> Result<bool, StoreError> {
        self.memory.dead_letter_put(of, letter).await
    }

    async fn dead_letter_delete(&self, of: &Outlet, seq: LedgerSeq) -> Result<bool, StoreError> {
        self.memory.dead_letter_delete(of, seq).await
    }

    async fn delivery_outlets(&self) -> Result<Vec<Outlet>, StoreError> {
        self.memory.delivery_outlets().await
    }

    async fn delivery_forget(&self, outlet: &Outlet) -> Result<(), StoreError> {
        self.memory.delivery_forget(outlet).await
    }
}

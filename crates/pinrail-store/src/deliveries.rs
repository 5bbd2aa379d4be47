//! How far webhooks were told of the ledger, and what couldn't be delivered.
//!
//! The ledger itself is what is to be delivered: here is only each webhook's place in it, and notes of entries that its
//! receiver wouldn't take. There is at most one note for each entry, so they never outgrow the ledger.

use async_trait::async_trait;
use pinrail_domain::id::{LedgerSeq, WebhookName};
use pinrail_domain::time::Timestamp;

use crate::StoreError;

/// A webhook from the entry that added it until it is removed: one that is added again under its name is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outlet {
    pub webhook: WebhookName,
    /// The entry that added it.
    pub since: LedgerSeq,
}

/// An entry that a receiver wouldn't take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub seq: LedgerSeq,
    /// How often it was sent, in all.
    pub attempts: u32,
    /// What the last attempt failed of. Never holds a secret (I15).
    pub why: String,
    /// When the last attempt failed.
    pub at: Timestamp,
}

/// Keeps webhooks' places and dead letters.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// The last entry that was delivered to an outlet, passed over, or made a dead letter; none before the first.
    async fn delivery_cursor(&self, to: &Outlet) -> Result<Option<LedgerSeq>, StoreError>;

    /// Moves the cursor forward and keeps the dead letter, if there is one, in one durable step (I9). Returns whether it
    /// did: nothing happens where the cursor is there already, or beyond.
    async fn delivery_advance(
        &self,
        to: &Outlet,
        cursor: LedgerSeq,
        dead: Option<DeadLetter>,
    ) -> Result<bool, StoreError>;

    /// Up to `limit` dead letters of entries after `after`, in their order.
    async fn dead_letter_list(
        &self,
        of: &Outlet,
        after: LedgerSeq,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    async fn dead_letter_get(&self, of: &Outlet, seq: LedgerSeq) -> Result<Option<DeadLetter>, StoreError>;

    /// How many there are.
    async fn dead_letter_count(&self, of: &Outlet) -> Result<u64, StoreError>;

    /// Keeps what became of a dead letter that was sent again. Returns whether it was there: one that is gone stays so.
    async fn dead_letter_put(&self, of: &Outlet, letter: DeadLetter) -> Result<bool, StoreError>;

    /// Forgets a dead letter. Returns whether it was there.
    async fn dead_letter_delete(&self, of: &Outlet, seq: LedgerSeq) -> Result<bool, StoreError>;

    /// The outlets of which anything is kept, in order.
    async fn delivery_outlets(&self) -> Result<Vec<Outlet>, StoreError>;

    /// Forgets all of an outlet whose webhook was removed.
    async fn delivery_forget(&self, outlet: &Outlet) -> Result<(), StoreError>;
}

//! The ledger's store: append at the head or not at all.

use async_trait::async_trait;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::{Entry, Head};

use crate::{Answer, StoreError};

/// Entries to append together, and the answer that reports them.
#[derive(Clone, Debug)]
pub struct Append {
    /// At least one; the first follows the head that the caller last saw.
    pub entries: Vec<Entry>,
    pub answer: Option<Answer>,
}

/// Why nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended first: decide again on the newer world.
    #[error("the ledger has moved on to entry {}", head.seq)]
    Moved { head: Head },
    /// This idempotency key has its answer.
    #[error("the idempotency key was used before")]
    Answered(Box<Answer>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps the ledger.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The last entry's place and hash; [`Head::START`] when there is none.
    async fn ledger_head(&self) -> Result<Head, StoreError>;

    /// Appends all entries and keeps the answer, in one transaction. Durable on return (I9).
    ///
    /// The answer's key is looked at first, then the head.
    async fn ledger_append(&self, append: Append) -> Result<(), AppendError>;

    /// Up to `limit` entries after `after`, in order. An entry that can't be read is
    /// [`StoreError::Damaged`] naming its sequence.
    async fn ledger_read(&self, after: LedgerSeq, limit: usize) -> Result<Vec<Entry>, StoreError>;
}

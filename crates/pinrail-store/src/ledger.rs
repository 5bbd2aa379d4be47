//! The ledger's store: append at the head or not at all.

use async_trait::async_trait;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::{Entry, Head};

use crate::{Answer, StoreError, Term};

/// Entries to append together, and the answer that reports them.
#[derive(Clone, Debug)]
pub struct Append {
    /// At least one; the first follows the head that the caller last saw.
    pub entries: Vec<Entry>,
    pub answer: Option<Answer>,
    /// Append only while this is the leaders' newest term; none doesn't ask who leads.
    pub fence: Option<Term>,
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
    /// Another replica leads now: what was decided here is old news.
    #[error("another replica leads since term {newest}")]
    Fenced { newest: Term },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Append {
    /// Entries alone: without an answer, and whoever leads.
    #[must_use]
    pub fn of(entries: Vec<Entry>) -> Append {
        Append { entries, answer: None, fence: None }
    }

    /// The head that these entries build on.
    ///
    /// Panics where the caller broke the contract: no entry, or entries that don't form a chain.
    #[must_use]
    pub fn base(&self) -> Head {
        let first = self.entries.first().expect("an append holds at least one entry");
        let place = first.seq.0.checked_sub(1).expect("the first entry's place is 1");
        for pair in self.entries.windows(2) {
            let chained = pair[1].seq == pair[0].seq.next() && pair[1].prev == pair[0].hash;
            assert!(chained, "entry {} doesn't follow the one before it", pair[1].seq);
        }
        Head { seq: LedgerSeq(place), hash: first.prev }
    }
}

/// Keeps the ledger.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The last entry's place and hash; [`Head::START`] when there is none.
    async fn ledger_head(&self) -> Result<Head, StoreError>;

    /// Appends all entries and keeps the answer, in one transaction. Durable on return (I9).
    ///
    /// The answer's key is looked at first, then the term, then the head.
    async fn ledger_append(&self, append: Append) -> Result<(), AppendError>;

    /// Up to `limit` entries after `after`, in order. An entry that can't be read is
    /// [`StoreError::Damaged`] naming its sequence.
    async fn ledger_read(&self, after: LedgerSeq, limit: usize) -> Result<Vec<Entry>, StoreError>;
}

//! Reading and verifying the ledger as it is stored, not as it is remembered.

use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::{Broken, Entry, Head};
use pinrail_store::StoreError;

use crate::Control;
use crate::append::READ_ENTRIES;

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry fits the one before it, from the first to `head`.
    Whole { head: Head },
    /// The first entry that doesn't fit.
    Broken(Broken),
    /// An entry can't even be read.
    Unreadable { after: LedgerSeq, what: String },
    /// The stored chain is whole in itself but not the one this server has seen: entries were cut off, or all of
    /// it was written anew.
    Truncated { stored: Head, known: Head },
}

impl Control {
    /// Up to `limit` entries after `after`, as stored.
    pub async fn ledger_read(&self, after: LedgerSeq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.inner.store.ledger_read(after, limit).await
    }

    /// Checks the whole chain as stored, and that it reaches what this server has seen (I8).
    pub async fn ledger_verify(&self) -> Result<Verdict, StoreError> {
        let known = self.head();
        let mut head = Head::START;
        let mut at_known = head;
        let mut at_once = READ_ENTRIES;
        loop {
            let entries = match self.inner.store.ledger_read(head.seq, at_once).await {
                Ok(entries) => entries,
                // One of them is damaged, but one before it may be broken: from here on they are read singly.
                Err(StoreError::Damaged(_)) if at_once > 1 => {
                    at_once = 1;
                    continue;
                }
                Err(StoreError::Damaged(what)) => return Ok(Verdict::Unreadable { after: head.seq, what }),
                Err(error) => return Err(error),
            };
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                match head.follow(entry) {
                    Ok(next) => head = next,
                    Err(broken) => return Ok(Verdict::Broken(broken)),
                }
                if head.seq <= known.seq {
                    at_known = head;
                }
            }
        }
        if at_known != known {
            return Ok(Verdict::Truncated { stored: at_known, known });
        }
        Ok(Verdict::Whole { head })
    }
}

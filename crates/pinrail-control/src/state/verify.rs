//! Verification: every record of a space against its digests, and every missing content against an erasure's proof.

use std::collections::BTreeMap;

use pinrail_domain::id::StateSeq;
use pinrail_domain::state::{Content, Record, Space};
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;

use super::States;
use crate::errors;

/// What verifying a space came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub space: Space,
    pub at: Timestamp,
    pub records: u64,
    /// Records whose content was erased, as a proof in the ledger says.
    pub erased: u64,
    /// How many records aren't what was written.
    pub damaged: u64,
    /// The first of them.
    pub named: Vec<Damage>,
}

/// A record that isn't what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub seq: StateSeq,
    pub key: String,
    pub what: String,
}

/// Damaged records named one by one.
pub const NAMED_MAX: usize = 100;
/// Records read at once.
const PAGE: usize = 500;

impl Verdict {
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damaged == 0
    }

    fn damaged(&mut self, seq: StateSeq, key: &str, what: impl Into<String>) {
        self.damaged += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(Damage { seq, key: key.to_owned(), what: what.into() });
        }
    }
}

impl States {
    /// Reads all of a space from the store and recomputes its digests. The verdict is remembered.
    pub async fn verify(&self, space: &Space) -> Result<Verdict, StoreError> {
        let at = self.parts.clock.now();
        let mut verdict =
            Verdict { space: space.clone(), at, records: 0, erased: 0, damaged: 0, named: Vec::new() };
        let mut after = StateSeq(0);
        loop {
            let operations = self.parts.store.state_operations(space, after, PAGE).await?;
            let Some(last) = operations.last().map(|operation| operation.seq) else { break };
            let seqs: Vec<StateSeq> = operations.iter().map(|operation| operation.seq).collect();
            let records = self.readable(&seqs, &mut verdict).await?;
            self.judge(space, records, &mut verdict).await?;
            after = last;
        }
        let mut checks = self.checks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        checks.insert(space.clone(), verdict.clone());
        Ok(verdict)
    }

    /// The last verdict on each space that was verified since the process began.
    #[must_use]
    pub fn verdicts(&self) -> BTreeMap<Space, Verdict> {
        self.checks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Records that can be read; one by one where the store finds one of them damaged.
    async fn readable(&self, seqs: &[StateSeq], verdict: &mut Verdict) -> Result<Vec<Record>, StoreError> {
        match self.records(seqs).await {
            Err(StoreError::Damaged(_)) => {}
            read => return read,
        }
        let mut records = Vec::new();
        for seq in seqs {
            match self.records(&[*seq]).await {
                Ok(one) => records.extend(one),
                Err(error @ StoreError::Damaged(_)) => {
                    verdict.records += 1;
                    verdict.damaged(*seq, "", errors::chain(&error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(records)
    }

    async fn judge(
        &self,
        space: &Space,
        records: Vec<Record>,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let erased = records.iter().filter(|record| record.content == Content::Erased);
        let proven = self.erasures_of(&space.tenant, erased.map(|record| record.operation.seq)).await?;
        for record in records {
            let seq = record.operation.seq;
            let key = record.operation.key.as_str();
            verdict.records += 1;
            if !record.is_whole() {
                verdict.damaged(seq, key, "its content, or what it says of itself, is not what was written");
                continue;
            }
            match (&record.content, proven.get(&seq)) {
                (Content::Nothing | Content::Value(_), _) => {}
                (Content::Erased, Some(proof)) if proof.digest == record.digest => verdict.erased += 1,
                (Content::Erased, Some(proof)) => {
                    let what = format!("the erasure in ledger entry {} names another digest", proof.entry);
                    verdict.damaged(seq, key, what);
                }
                (Content::Erased, None) => {
                    verdict.damaged(seq, key, "its content is gone, and no erasure in the ledger names it");
                }
            }
        }
        Ok(())
    }
}

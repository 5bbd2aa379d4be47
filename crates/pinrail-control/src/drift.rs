//! Findings: what is pinned and changed all the same goes into the ledger, and what agents ask for follows in the same
//! commit.

use std::sync::Arc;

use pinrail_domain::digest::Digest;
use pinrail_domain::drift::{DriftRefused, Sign, Subject, clear, find};
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::world::World;
use pinrail_store::Watches;

use crate::{By, CommitError, Committed, Control};

impl Control {
    /// Where watches over models are kept.
    #[must_use]
    pub fn watch_store(&self) -> Arc<dyn Watches> {
        Arc::clone(&self.inner.store) as Arc<dyn Watches>
    }

    /// Opens a finding, with what its agents ask for; none where the same is open already.
    pub async fn find_drift(
        &self,
        subject: &Subject,
        sign: &Sign,
        what: &str,
        evidence: Option<Digest>,
    ) -> Result<Committed<Option<LedgerSeq>>, CommitError<DriftRefused>> {
        let decide = |world: &World| {
            let bodies = find(world, subject, sign, what, evidence)?;
            let place = (!bodies.is_empty()).then(|| world.head.seq.next());
            Ok((bodies, place))
        };
        self.commit(By::system("something changed behind its pin"), decide, |_, place| place).await
    }

    /// Says that a finding is dealt with.
    pub async fn clear_drift(
        &self,
        by: By,
        finding: LedgerSeq,
    ) -> Result<Committed<LedgerSeq>, CommitError<DriftRefused>> {
        let decide = |world: &World| Ok((vec![clear(world, finding)?], ()));
        self.commit(by, decide, |world, ()| world.head.seq).await
    }
}

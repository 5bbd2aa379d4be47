//! What the ledger says of one deployment.

use pinrail_domain::id::{DeploymentId, LedgerSeq};
use pinrail_domain::ledger::Entry;
use pinrail_domain::rollout::told::tell;
use pinrail_store::StoreError;

use crate::Control;
use crate::append::READ_ENTRIES;

/// Entries looked through for one page: a busy ledger has mostly others' entries. What isn't found yet is on the next page.
const LOOKED_MAX: usize = 20 * READ_ENTRIES;

impl Control {
    /// The entries after `after` that are about a deployment, oldest first, at most `limit`; and the entry after which to go
    /// on, where there may be more. None for a deployment that doesn't exist.
    pub async fn timeline(
        &self,
        id: DeploymentId,
        after: LedgerSeq,
        limit: usize,
    ) -> Result<Option<(Vec<Entry>, Option<LedgerSeq>)>, StoreError> {
        let snapshot = self.snapshot();
        let Some(deployment) = snapshot.world.deployments.get(&id) else { return Ok(None) };
        // Nothing before its opening is about it.
        let mut at = after.max(LedgerSeq(deployment.opened_seq.0.saturating_sub(1)));
        let (mut found, mut looked) = (Vec::new(), 0);
        while looked < LOOKED_MAX {
            let entries = self.inner.store.ledger_read(at, READ_ENTRIES).await?;
            let is_end = entries.len() < READ_ENTRIES;
            looked += entries.len();
            for entry in entries {
                at = entry.seq;
                if tell(&entry, deployment, None).is_some() {
                    found.push(entry);
                    if found.len() == limit {
                        let more = at < self.snapshot().world.head.seq;
                        return Ok(Some((found, more.then_some(at))));
                    }
                }
            }
            if is_end {
                return Ok(Some((found, None)));
            }
        }
        Ok(Some((found, Some(at))))
    }
}

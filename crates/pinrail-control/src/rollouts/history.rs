//! How a rollout's guardrails moved.

use pinrail_domain::id::{DeploymentId, LedgerSeq};
use pinrail_domain::ledger::Entry;
use pinrail_domain::rollout::History;
use pinrail_domain::rollout::told::tell;
use pinrail_store::StoreError;

use crate::Control;

/// Entries of a rollout that are looked at; it has one for each step and stop.
const ENTRIES_MAX: usize = 500;
/// Pages of the ledger that are read for them: a history is no reason to read all of a large one.
const PAGES_MAX: usize = 50;

/// What guardrails showed of a rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    pub history: History,
    /// Whether it has all that was journaled so far; after a start that takes a while.
    pub complete: bool,
    /// It is what the ledger's entries kept as their evidence: a point for each step's end.
    pub from_ledger: bool,
}

impl Control {
    /// How a rollout's guardrails moved; none for a deployment that doesn't exist or has no rollout.
    pub async fn history(&self, id: DeploymentId) -> Result<Option<Watched>, StoreError> {
        let snapshot = self.snapshot();
        self.inner.observer.follow(&snapshot.world);
        let Some(rollout) = snapshot.world.deployments.get(&id).and_then(|of| of.rollout.as_deref()) else {
            return Ok(None);
        };
        let known = self.inner.observer.history(id);
        let complete = known.as_ref().is_none_or(|(_, complete)| *complete);
        if let Some((history, complete)) = known.filter(|(history, _)| !history.is_empty()) {
            return Ok(Some(Watched { history, complete, from_ledger: false }));
        }
        let (mut entries, mut after): (Vec<Entry>, _) = (Vec::new(), LedgerSeq(0));
        for _ in 0..PAGES_MAX {
            let Some((page, next)) = self.timeline(id, after, ENTRIES_MAX - entries.len()).await? else {
                break;
            };
            entries.extend(page);
            match next {
                Some(next) if entries.len() < ENTRIES_MAX => after = next,
                Some(_) | None => break,
            }
        }
        let deployment = snapshot.world.deployments.get(&id);
        let kept = entries.iter().filter_map(|entry| {
            let told = deployment.and_then(|deployment| tell(entry, deployment, None))?;
            Some((entry.at, told.evidence?))
        });
        let history = History::of_evidence(&rollout.plan, kept);
        Ok(Some(Watched { history, complete, from_ledger: true }))
    }
}

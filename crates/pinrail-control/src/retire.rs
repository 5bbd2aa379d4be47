//! Retiring releases that nobody needs any more.

use std::collections::BTreeMap;

use pinrail_domain::id::{DeploymentId, ReleaseId};
use pinrail_domain::journal::RunStatus;
use pinrail_domain::retire::{Need, RetireRefused, needs, retire};
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use pinrail_store::journal::RunFilter;
use serde::{Deserialize, Serialize};

use crate::{By, CommitError, Committed, Control};

/// A release that is retired now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    pub release: ReleaseId,
    pub at: Timestamp,
}

/// Gates' runs that are counted: beyond that it makes no difference.
const COUNTED_MAX: usize = 1_000;

impl Control {
    /// Retires a release, or says all that needs it. Once is enough: again, it changes nothing.
    pub async fn retire(
        &self,
        by: By,
        release: ReleaseId,
    ) -> Result<Committed<Retired>, CommitError<RetireRefused>> {
        let open = self.open_on(release).await.map_err(CommitError::Store)?;
        let decide = |world: &World| Ok((retire(world, release, &open)?.into_iter().collect(), ()));
        let report = |world: &World, ()| {
            let at = world.releases.get(&release).and_then(|release| release.retired);
            Retired { release, at: at.expect("it was retired just now, or before") }
        };
        self.commit(by, decide, report).await
    }

    /// All that still needs a release: empty where it may be retired now, and where there is no such release.
    pub async fn retire_needs(&self, release: ReleaseId) -> Result<Vec<Need>, StoreError> {
        let open = self.open_on(release).await?;
        let snapshot = self.snapshot();
        let known = snapshot.world.releases.get(&release);
        Ok(known.map(|known| needs(&snapshot.world, known, &open)).unwrap_or_default())
    }

    /// How many runs are open in each deployment that holds the release, or that gates ask it in (the ground).
    async fn open_on(&self, release: ReleaseId) -> Result<BTreeMap<DeploymentId, u64>, StoreError> {
        self.inner.runs.settled().await;
        let snapshot = self.snapshot();
        let mut open = BTreeMap::new();
        let holds = snapshot.world.deployments.values();
        for deployment in holds.filter(|deployment| deployment.releases.values().any(|held| *held == release))
        {
            open.insert(deployment.id, self.inner.store.run_open(deployment.id).await?.total());
        }
        for status in RunStatus::ALL.into_iter().filter(|status| status.is_open()) {
            let filter = RunFilter {
                release: Some(release),
                status: Some(status),
                gate: Some(true),
                ..RunFilter::default()
            };
            let runs = self.inner.store.run_list(&filter, None, COUNTED_MAX).await?;
            *open.entry(DeploymentId(0)).or_default() += runs.len() as u64;
        }
        Ok(open)
    }
}

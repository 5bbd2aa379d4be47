//! Which keys a deployment and others wrote without seeing each other.

use pinrail_domain::id::DeploymentId;
use pinrail_domain::state::Space;
use pinrail_domain::state::index::Conflict;
use pinrail_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::Control;

/// What promoting a deployment decides between it and others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflicts {
    /// How many keys there are in all.
    pub count: u64,
    /// The first [`CONFLICTS_SHOWN`], by space and key.
    pub shown: Vec<InSpace>,
}

/// A conflict, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InSpace {
    pub space: Space,
    pub conflict: Conflict,
}

/// Whoever has more than this looks at the spaces themselves.
pub const CONFLICTS_SHOWN: usize = 100;

impl Conflicts {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Control {
    /// What promoting the deployment would decide now; nothing once it counts or was taken back.
    pub async fn conflicts(&self, id: DeploymentId) -> Result<Conflicts, StoreError> {
        let mut conflicts = Conflicts::default();
        let mut written = self.inner.store.state_written(id).await?;
        written.sort_by(|a, b| a.space.cmp(&b.space));
        for written in written {
            let found = self.inner.states.look(&written.space, |index| index.conflicts(id)).await?;
            conflicts.count += found.len() as u64;
            let room = CONFLICTS_SHOWN.saturating_sub(conflicts.shown.len());
            let placed = found.into_iter().take(room);
            conflicts.shown.extend(placed.map(|conflict| InSpace { space: written.space.clone(), conflict }));
        }
        Ok(conflicts)
    }
}

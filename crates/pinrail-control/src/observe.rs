//! What is observed of rollouts under way.

use pinrail_domain::id::DeploymentId;
use pinrail_domain::rollout::Facts;
use pinrail_domain::world::World;
use tokio::sync::watch;

/// Follows the journal for the rollouts under way.
pub struct Observer {
    changed: watch::Sender<u64>,
}

impl Default for Observer {
    fn default() -> Self {
        Observer { changed: watch::channel(0).0 }
    }
}

impl Observer {
    /// What is known of a rollout now.
    pub(crate) fn facts(&self, _id: DeploymentId) -> Facts {
        Facts::default()
    }

    /// Rises whenever something was observed.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes in which rollouts are under way.
    pub(crate) fn follow(&self, _world: &World) {}
}

//! The dial: turned in one commit, in force with the snapshot that shows it.

use pinrail_domain::dial::{DialRefused, Turn, turn};
use pinrail_domain::id::Epoch;
use pinrail_domain::world::World;
use serde::{Deserialize, Serialize};

use crate::{By, CommitError, Committed, Control};

/// What a turn of the dial did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turned {
    /// Members that acknowledged this epoch know of it.
    pub epoch: Epoch,
    /// Whether it stood elsewhere before.
    pub changed: bool,
}

impl Control {
    /// Turns the dial. Nothing blocks it: no freeze, no gate, no quota (I7).
    pub async fn turn_dial(
        &self,
        by: By,
        wish: &Turn,
    ) -> Result<Committed<Turned>, CommitError<DialRefused>> {
        let actor = by.actor.clone();
        let decide = |world: &World| {
            let body = turn(world, wish, &actor)?;
            let changed = body.is_some();
            Ok((body.into_iter().collect(), changed))
        };
        self.commit(by, decide, |world, changed| Turned { epoch: world.epoch, changed }).await
    }
}

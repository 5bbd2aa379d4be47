//! The dial: turned in one commit, in force with the snapshot that shows it.
//!
//! No broken store keeps it from being turned down (I7): where the ledger can't be written, or doesn't answer within
//! [`COMMIT_WAIT`], the turn is in force in this process at once, noted in a [`Notebook`], and written to the ledger as soon
//! as that can be ([`unrecorded`]). Turning up waits for the ledger, since a process that doesn't know it would go on
//! enforcing less than the others.

use std::time::Duration;

use pinrail_domain::dial::{DialRefused, Position, Turn, turn};
use pinrail_domain::id::Epoch;
use pinrail_domain::world::World;
use serde::{Deserialize, Serialize};

use crate::{By, CommitError, Committed, Control, append};

mod unrecorded;

pub use unrecorded::Notebook;
pub(crate) use unrecorded::{Unrecorded, follow};

/// What a turn of the dial did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turned {
    /// Members that acknowledged this epoch know of it.
    pub epoch: Epoch,
    /// Whether it stood elsewhere before.
    pub changed: bool,
    /// Whether it is in the ledger; else it is in force in this process alone, and gets there later.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub recorded: bool,
}

/// How long a store may take before a turn down is in force without it. A healthy one takes some milliseconds.
pub const COMMIT_WAIT: Duration = Duration::from_secs(1);

impl Control {
    /// Turns the dial. Nothing blocks it: no freeze, no gate, no quota, and where it goes down, no store (I7).
    pub async fn turn_dial(
        &self,
        by: By,
        wish: &Turn,
    ) -> Result<Committed<Turned>, CommitError<DialRefused>> {
        let start = self.inner.clock.ticks();
        let snapshot = self.snapshot();
        let now = snapshot.routes.dials().get(&wish.place).map_or(Position::Full, |known| known.position);
        drop(snapshot);
        if wish.position <= now {
            // What isn't recorded yet must be, or it would come back after this.
            self.record_dial(&wish.place).await?;
            return self.commit_turn(by, wish).await;
        }
        let committed = tokio::time::timeout(COMMIT_WAIT, self.commit_turn(by.clone(), wish)).await;
        let (why, may_come) = match committed {
            Ok(Err(error @ (CommitError::Store(_) | CommitError::Corrupt(_) | CommitError::Contended))) => {
                (crate::errors::chain(&error), append::is_behind(&self.inner))
            }
            Err(_late) => ("the store doesn't answer".to_owned(), true),
            Ok(done) => return done,
        };
        // What makes no sense is refused with the store or without it.
        let snapshot = self.snapshot();
        turn(&snapshot.world, wish, &by.actor).map_err(CommitError::Refused)?;
        let took_us = || self.inner.clock.ticks().us_since(start);
        // Only its acknowledgement was lost: noted as well, it would come back after the next turn up. Where its entry may come to
        // light yet, and somebody turned further down meanwhile, nobody knows whether the ledger has it: it is noted.
        let stands = snapshot.world.dials.get(&wish.place).filter(|known| known.position >= wish.position);
        let stands = stands.map(|known| known.by == by.actor && known.reason == by.reason);
        if let Some(changed) = stands.filter(|changed| *changed || !may_come) {
            let value = Turned { epoch: snapshot.world.epoch, changed, recorded: true };
            return Ok(Committed { value, replayed: false, seq: None, took_us: took_us() });
        }
        drop(snapshot);
        tracing::error!(place = %wish.place, position = %wish.position, why, "the dial is turned without the ledger");
        let epoch = self.turn_unrecorded(by, wish).await;
        let value = Turned { epoch, changed: true, recorded: false };
        Ok(Committed { value, replayed: false, seq: None, took_us: took_us() })
    }

    async fn commit_turn(&self, by: By, wish: &Turn) -> Result<Committed<Turned>, CommitError<DialRefused>> {
        let actor = by.actor.clone();
        let decide = |world: &World| {
            let body = turn(world, wish, &actor)?;
            let changed = body.is_some();
            Ok((body.into_iter().collect(), changed))
        };
        let turned = |world: &World, changed| Turned { epoch: world.epoch, changed, recorded: true };
        self.commit(by, decide, turned).await
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
fn is_true(flag: &bool) -> bool {
    *flag
}

//! Who reads, and as of when.

use pinrail_domain::id::{AgentName, DeploymentId, LedgerSeq, RunId, StateSeq};
use pinrail_domain::state::Moment;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;

use super::States;
use crate::append;

/// A reader: whose own writes it sees, and as of when it looks.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    pub own: Option<DeploymentId>,
    /// Whom the read is noted for. People and probes are not noted: they conclude nothing.
    pub run: Option<(RunId, AgentName)>,
    pub as_of: AsOf,
}

/// As of when somebody reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AsOf {
    #[default]
    Now,
    /// Right after a record.
    State(StateSeq),
    /// Right before the next ledger entry.
    Ledger(LedgerSeq),
    /// After the last record and entry that aren't later.
    Time(Timestamp),
    Moment(Moment),
}

/// Why a view can't be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Moment(#[from] BadMoment),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a moment can't be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMoment {
    /// "As of" never returns the future.
    #[error("the newest record is {} and the newest ledger entry {}; {asked} is not yet", newest.state, newest.ledger)]
    Future { asked: u64, newest: Moment },
    /// Something that was visible then was removed.
    #[error(
        "some of what was visible then was removed by `pinrail gc`; from ledger entry {} on everything can be read",
        floor.ledger
    )]
    Collected { floor: Moment },
}

impl Reader {
    /// Somebody who sees what is committed.
    #[must_use]
    pub fn everybody() -> Reader {
        Reader::default()
    }

    /// The moment to look at; none is now.
    pub(super) async fn moment(&self, states: &States) -> Result<Option<Moment>, ReadError> {
        let store = &states.parts.store;
        let head = match self.as_of {
            AsOf::Now => Moment::default(),
            AsOf::State(_) | AsOf::Ledger(_) | AsOf::Time(_) | AsOf::Moment(_) => store.state_head().await?,
        };
        // A moment that another replica named may be later than what is shown here.
        append::reach(&states.parts.inner, head.ledger).await?;
        let snapshot = states.parts.snapshot.load_full();
        let world = &snapshot.world;
        let collected = ReadError::Moment(BadMoment::Collected { floor: world.floor });
        if self.as_of == AsOf::Now {
            // Where what a deployment wrote is gone, its own view went with it.
            let is_gone = self.own.is_some_and(|own| world.collected.contains_key(&own));
            return if is_gone { Err(collected) } else { Ok(None) };
        }
        let newest = Moment { state: head.state, ledger: world.head.seq };
        let at = match self.as_of {
            AsOf::Now => return Ok(None),
            AsOf::Moment(at) => at,
            AsOf::Time(at) => store.state_moment(at).await?,
            AsOf::Ledger(ledger) => Moment { state: store.state_until(ledger).await?, ledger },
            AsOf::State(StateSeq(0)) => Moment::default(),
            AsOf::State(state) => match store.state_records(&[state]).await?.first() {
                Some(record) => Moment { state, ledger: record.operation.ledger },
                None if state > newest.state => {
                    return Err(BadMoment::Future { asked: state.0, newest }.into());
                }
                None => return Err(collected),
            },
        };
        if at.state > newest.state || at.ledger > newest.ledger {
            let asked = if at.ledger > newest.ledger { at.ledger.0 } else { at.state.0 };
            return Err(BadMoment::Future { asked, newest }.into());
        }
        if world.lost(self.own, at.ledger).is_some() {
            return Err(collected);
        }
        Ok(Some(at))
    }
}

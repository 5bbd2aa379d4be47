//! Who reads, and as of when.

use pinrail_domain::id::{AgentName, DeploymentId, LedgerSeq, RunId, StateSeq};
use pinrail_domain::state::Moment;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;

use super::States;

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
    #[error("what was there at or before record {} and ledger entry {} was removed by `pinrail gc`", floor.state, floor.ledger)]
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
        if self.as_of == AsOf::Now {
            return Ok(None);
        }
        let snapshot = states.parts.snapshot.load_full();
        let store = &states.parts.store;
        let newest = Moment { state: store.state_head().await?.state, ledger: snapshot.world.head.seq };
        let at = match self.as_of {
            AsOf::Now => return Ok(None),
            AsOf::Moment(at) => at,
            AsOf::Time(at) => store.state_moment(at).await?,
            AsOf::Ledger(ledger) => Moment { state: store.state_until(ledger).await?, ledger },
            AsOf::State(StateSeq(0)) => Moment::default(),
            AsOf::State(state) => {
                let record = store.state_records(&[state]).await?;
                let ledger = record.first().map(|record| record.operation.ledger);
                let asked = state.0;
                Moment { state, ledger: ledger.ok_or(BadMoment::Future { asked, newest })? }
            }
        };
        if at.state > newest.state || at.ledger > newest.ledger {
            let asked = if at.ledger > newest.ledger { at.ledger.0 } else { at.state.0 };
            return Err(BadMoment::Future { asked, newest }.into());
        }
        let floor = snapshot.world.floor;
        if at.state < floor.state || at.ledger < floor.ledger {
            return Err(BadMoment::Collected { floor }.into());
        }
        Ok(Some(at))
    }
}

//! The facts of one space, from its operations and the ledger.

use super::Facts;
use crate::id::{DeploymentId, StateSeq};
use crate::state::index::Index;
use crate::state::view::{Hidden, View};

/// What everybody's view of a space says of each operation, then and now: worked out anew from the operations, and not
/// from the sets that reads use.
#[derive(Clone, Debug)]
pub struct Histories<'a> {
    index: &'a Index,
    now: View,
    hidden_then: Vec<Option<Hidden>>,
    hidden_now: Vec<Option<Hidden>>,
}

impl<'a> Histories<'a> {
    /// Of two views of everybody: `then` as of the manifest's moment, `now` as of the moment at which the present was read.
    #[must_use]
    pub fn new(index: &'a Index, then: &View, now: View) -> Histories<'a> {
        let reasons = |view: &View| index.history(view).map(|(_, why)| why).collect();
        Histories { index, hidden_then: reasons(then), hidden_now: reasons(&now), now }
    }

    /// An operation that isn't here is as if it never came.
    fn hidden(&self, of: &[Option<Hidden>], record: StateSeq) -> Option<Hidden> {
        self.index.place(record).map_or(Some(Hidden::AfterAsOf), |place| of[place].clone())
    }
}

impl Facts for Histories<'_> {
    fn hidden_then(&self, record: StateSeq) -> Option<Hidden> {
        self.hidden(&self.hidden_then, record)
    }

    fn hidden_now(&self, record: StateSeq) -> Option<Hidden> {
        self.hidden(&self.hidden_now, record)
    }

    fn visible_now(&self) -> Vec<StateSeq> {
        let reasons = self.hidden_now.iter().enumerate();
        reasons.filter(|(_, why)| why.is_none()).map(|(place, _)| self.index.seq(place)).collect()
    }

    fn deployment(&self, record: StateSeq) -> Option<DeploymentId> {
        self.index.place(record).map(|place| self.index.deployment(place))
    }

    fn counts(&self, deployment: DeploymentId) -> bool {
        self.now.commits.is_committed(deployment, self.now.at.ledger)
    }
}

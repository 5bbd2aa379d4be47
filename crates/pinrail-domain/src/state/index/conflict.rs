//! What promoting a deployment would overwrite, or be overwritten by.
//!
//! A key is in conflict when the deployment wrote it, others' newest operation on it counts for everybody, and that
//! operation wasn't yet visible when the deployment first wrote the key: it came later, or was committed later. After
//! the promotion the later one in the sequence wins, as always.

use serde::{Deserialize, Serialize};

use super::Index;
use crate::id::{DeploymentId, StateSeq};
use crate::state::StateKey;

/// A key that an uncommitted deployment and others wrote without seeing each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    pub key: StateKey,
    /// The deployment's newest operation on it.
    pub own: StateSeq,
    /// The others' newest.
    pub theirs: StateSeq,
    pub their_deployment: DeploymentId,
    pub wins: Winner,
}

/// Whose operation counts once the deployment is promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Winner {
    Own,
    Theirs,
}

impl Index {
    /// The conflicts that promoting the deployment would decide, by key; none once it counts or was taken back.
    #[must_use]
    pub fn conflicts(&self, deployment: DeploymentId) -> Vec<Conflict> {
        let Some((number, writer)) = self.writer(deployment) else { return Vec::new() };
        if writer.standing != super::Counting::Open {
            return Vec::new();
        }
        let mut conflicts: Vec<Conflict> =
            writer.contested.iter().filter_map(|key| self.conflict(number, *key)).collect();
        conflicts.sort_by(|a, b| a.key.cmp(&b.key));
        conflicts
    }

    fn conflict(&self, number: u32, key: u32) -> Option<Conflict> {
        let theirs = self.top(None, key)?;
        let is_own = |place: &usize| self.operations.writers[*place] == number;
        let own = self.chain(key).filter(is_own).find(|place| !self.cascaded.contains(*place))?;
        let first = self.chain(key).filter(is_own).last()?;
        let their_deployment = self.deployment(theirs);
        let committed = self.commits.span(their_deployment).committed.unwrap_or_default();
        (theirs > first || committed > self.operations.ledgers[first]).then(|| Conflict {
            key: self.keys[key as usize].name.clone(),
            own: self.seq(own),
            theirs: self.seq(theirs),
            their_deployment,
            wins: if own > theirs { Winner::Own } else { Winner::Theirs },
        })
    }
}

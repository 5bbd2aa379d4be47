//! Which rolled-back data may be removed for good, and why the rest stays.
//!
//! Looked at is each deployment that was rolled back and still has records. Its records are removed when all of this
//! holds, checked in this order:
//! 1. its state went back with it: what a rollback of pointers alone left counts still;
//! 2. no open run is stamped with it, since its own runs see its writes (I4);
//! 3. it was rolled back at least as long ago as rolled-back data is kept;
//! 4. no deployment that is still *needed* was opened while it counted: the manifest of that one names its records, and
//!    so does everything that is read as of then.
//!
//! A deployment is *needed* when a pointer names it, when a rollback could return to it (the fallback chain of an active
//! one), when it is an open candidate or data job, or when a run of it is open.
//!
//! Removing such records changes no newest view of anybody but of the deployment itself, because they count for nobody
//! else. It changes the past: moments at which a collected deployment counted can't be read any more
//! ([`World::lost`]); all other moments can, also older ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Moment;
use crate::deployment::{Deployment, Status};
use crate::id::{DeploymentId, LedgerSeq, StateSeq};
use crate::ledger::Body;
use crate::time::Timestamp;
use crate::world::World;

/// What a plan is made of, beside the world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub now: Timestamp,
    /// How long rolled-back data is kept, in milliseconds.
    pub kept_ms: u64,
    /// How many runs of a deployment are open; one without is left out.
    pub open_runs: BTreeMap<DeploymentId, u64>,
    /// How many records a deployment has; one without is left out.
    pub written: BTreeMap<DeploymentId, u64>,
    /// The newest record of all.
    pub newest: StateSeq,
}

/// What to remove, and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub collect: Vec<Collected>,
    pub keep: Vec<Kept>,
    /// Records up to here are removed. At ledger entries before its own, some moments can't be read any more.
    pub floor: Moment,
}

/// A deployment whose records are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    pub deployment: DeploymentId,
    pub records: u64,
}

/// A rolled-back deployment whose records stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub deployment: DeploymentId,
    pub records: u64,
    #[serde(flatten)]
    pub why: Why,
}

/// Why a rolled-back deployment's records stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    #[error("only its pointers went back: its state was kept")]
    StateKept,
    #[error("{runs} of its runs are open")]
    RunsOpen { runs: u64 },
    #[error("it was rolled back only lately")]
    Lately { rolled_back_at: Timestamp, kept_until: Timestamp },
    #[error(
        "deployment {needed} was opened while it counted, and a pointer, a fallback or a run needs that one"
    )]
    Needed { needed: DeploymentId },
}

/// Plans a collection.
#[must_use]
pub fn plan(world: &World, facts: &Facts) -> Plan {
    let needed = needed(world, facts);
    let mut plan = Plan { floor: Moment { state: facts.newest, ..Moment::default() }, ..Plan::default() };
    for (id, records) in facts.written.iter().filter(|(_, records)| **records > 0) {
        let Some(deployment) = world.deployments.get(id) else { continue };
        let (deployment_id, records) = (*id, *records);
        match why_not(world, facts, &needed, deployment) {
            None => {}
            Some(Some(why)) => plan.keep.push(Kept { deployment: deployment_id, records, why }),
            Some(None) => {
                plan.collect.push(Collected { deployment: deployment_id, records });
                plan.floor.ledger = plan.floor.ledger.max(counted_until(world, deployment_id));
            }
        }
    }
    plan
}

impl Plan {
    /// How many records are removed.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.collect.iter().map(|collected| collected.records).sum()
    }

    /// The ledger entry that says so; none where nothing is removed.
    #[must_use]
    pub fn entry(&self) -> Option<Body> {
        let deployments: Vec<DeploymentId> =
            self.collect.iter().map(|collected| collected.deployment).collect();
        let nothing = deployments.is_empty();
        (!nothing).then(|| Body::StateCollected { deployments, records: self.records(), floor: self.floor })
    }
}

/// The deployments whose views must stay as they are, as of their opening too.
#[must_use]
pub fn needed(world: &World, facts: &Facts) -> BTreeSet<DeploymentId> {
    let mut needed: BTreeSet<DeploymentId> =
        facts.open_runs.iter().filter(|(_, runs)| **runs > 0).map(|(id, _)| *id).collect();
    for ((agent, _), pointer) in world.pointers.iter() {
        needed.extend(pointer.candidate);
        let mut active = pointer.active;
        while let Some(id) = active {
            needed.insert(id);
            active = world.deployments.get(&id).and_then(|deployment| world.fallback(agent, deployment));
        }
    }
    for deployment in world.deployments.values() {
        match deployment.status {
            Status::Candidate { .. } => {
                needed.insert(deployment.id);
            }
            Status::Promoted { .. } | Status::RolledBack { .. } => {}
        }
    }
    needed
}

/// Why a deployment stays; `Some(None)` when it goes, none when it was never rolled back.
fn why_not(
    world: &World,
    facts: &Facts,
    needed: &BTreeSet<DeploymentId>,
    deployment: &Deployment,
) -> Option<Option<Why>> {
    let (at, kept_state) = match deployment.status {
        Status::Candidate { .. } | Status::Promoted { .. } => return None,
        Status::RolledBack { at, kept_state, .. } => (at, kept_state),
    };
    if kept_state {
        return Some(Some(Why::StateKept));
    }
    if let Some(runs) = facts.open_runs.get(&deployment.id).filter(|runs| **runs > 0) {
        return Some(Some(Why::RunsOpen { runs: *runs }));
    }
    let kept_until = at.plus_ms(facts.kept_ms);
    if facts.now < kept_until {
        return Some(Some(Why::Lately { rolled_back_at: at, kept_until }));
    }
    let counted_at_opening = |id: &&DeploymentId| {
        let opened = world.deployments.get(*id).map(|needed| needed.opened_seq);
        opened.is_some_and(|opened| world.commits.is_committed(deployment.id, opened))
    };
    Some(needed.iter().find(counted_at_opening).map(|needed| Why::Needed { needed: *needed }))
}

/// The entry up to which a deployment that was taken back counted; 0 where it never did.
fn counted_until(world: &World, id: DeploymentId) -> LedgerSeq {
    let span = world.commits.span(id);
    span.committed.and(span.retracted).unwrap_or_default()
}

#[cfg(test)]
mod tests;

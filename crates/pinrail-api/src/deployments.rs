//! `POST|GET /api/v1/deployments`, `GET /api/v1/deployments/{id}`, `POST …/{id}/promote|commit|rollback|weight`,
//! `POST /api/v1/holds/lift`. What goes back is in [`back`], proof in [`proof`], who was misled in [`blast`], what a candidate is proven
//! by in [`rollout`].

use std::collections::BTreeMap;

use pinrail_domain::digest::Digest;
use pinrail_domain::gate::{Missing, Waiver};
use pinrail_domain::id::{
    AgentName, DeploymentId, Epoch, IngestName, LedgerSeq, ReleaseId, RunId, SegmentName, StateSeq,
};
use pinrail_domain::share::Share;
use pinrail_domain::state::index::Winner;
use pinrail_domain::state::{Space, StateKey};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

pub mod back;
pub mod blast;
pub mod history;
pub mod pairs;
pub mod proof;
pub mod rollout;

/// A deployment to open: of releases, with at most one of `now`, `weight` and `rollout` (none is the agents' rollout); or of a data
/// job, with `ingest` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenDeployment {
    /// Release ids or unambiguous prefixes of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub releases: BTreeMap<AgentName, String>,
    /// The name of a data job, whose writes commit or abort as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentName>,
    /// All traffic at once.
    #[serde(default)]
    pub now: bool,
    /// A canary's share, in basis points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Share>,
    /// Step by step: `true` is the agents' own plan, a table one for this deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<rollout::WantedRollout>,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub lift_hold: bool,
    /// Open nothing, and say what would happen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Why something is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Because {
    #[serde(default)]
    pub reason: String,
}

/// A promotion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub lift_hold: bool,
    /// Why a candidate is promoted before its rollout is through.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub overridden: Option<String>,
}

/// A candidate's new share of traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetWeight {
    pub weight: Share,
    #[serde(default)]
    pub reason: String,
}

/// Which hold to lift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiftHold {
    pub agent: AgentName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentName>,
    pub reason: String,
}

/// A hold was lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLifted {
    pub agent: AgentName,
    pub segment: SegmentName,
    pub seq: LedgerSeq,
}

/// What a change to a deployment led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flip {
    pub deployment: DeploymentId,
    /// `candidate`, `active`, `superseded` or `rolled back`; of a data job `open`, `committed` or `rolled back`.
    pub state: String,
    /// A data job's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestName>,
    pub segment: SegmentName,
    pub epoch: Epoch,
    pub seq: LedgerSeq,
    /// What each of the deployment's agents has active in its segment now.
    pub active: BTreeMap<AgentName, Option<DeploymentId>>,
    /// From the call to the flip, in microseconds.
    pub took_us: u64,
    /// Runs that finish on this deployment's stamp.
    pub open_runs: OpenRuns,
    /// The change is made, but its open runs couldn't be counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open_runs_unknown: bool,
    /// What a promotion decided between the deployment and others that wrote the same keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<Conflicts>,
    /// Records of others that a cascade took along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_along: Option<u64>,
    /// What a rollback to what can be called passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<back::PassedOver>,
    /// The agents for which nothing was found that can be called: they went where any rollback leads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncallable: Vec<AgentName>,
}

/// Keys that a deployment and others wrote without seeing each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflicts {
    pub count: u64,
    /// The first 100, by space and key.
    pub shown: Vec<Conflict>,
}

/// A key that was written twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    #[serde(flatten)]
    pub space: Space,
    pub key: StateKey,
    /// The deployment's newest record on it.
    pub own: StateSeq,
    /// The others' newest.
    pub theirs: StateSeq,
    pub their_deployment: DeploymentId,
    /// Whose counts once the deployment is promoted.
    pub wins: Winner,
}

/// Runs that are not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRuns {
    pub queued: u64,
    pub running: u64,
    pub paused: u64,
    pub parked: u64,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub deployment: DeploymentId,
    #[serde(default)]
    pub kind: Kind,
    pub state: String,
    /// A data job's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestName>,
    pub releases: BTreeMap<AgentName, ReleaseId>,
    pub segment: SegmentName,
    pub reason: String,
    pub opened_at: Timestamp,
    /// A candidate's share of traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Share>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// Where a rollback returns each agent to.
    pub replaced: BTreeMap<AgentName, Option<DeploymentId>>,
    /// The digest of the state as it was when the deployment was opened, once that is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Only in the answer for one deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// What promoting it now would decide. Only in the answer for one candidate or open data job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<Conflicts>,
    /// How it is proven; absent where its weight is set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<rollout::RolloutShort>,
    /// The newest verdict of an offline eval of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<pinrail_domain::deployment::Gate>,
    /// What people said that its promotion may do without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Waiver>,
    /// What its promotion still needs of the gate. Only in the answer for one candidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gate_missing: Vec<Missing>,
}

/// What a deployment holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    #[default]
    Release,
    Ingest,
}

/// When and why a deployment was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    pub at: Timestamp,
    pub why: String,
    pub was_promoted: bool,
    /// Only pointers went back: what it wrote counts still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept_state: bool,
}

/// What keeps a deployment from being drained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    pub open: OpenRuns,
    /// Whether nothing runs on it any more.
    pub drained: bool,
    /// Runs that block draining, oldest first. Where more than 1000 of a status are open, the oldest of its newest
    /// 1000.
    pub blocking: Vec<Blocking>,
    /// How many more are open than `blocking` lists.
    #[serde(default)]
    pub more: u64,
}

/// A run that blocks draining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocking {
    pub run: RunId,
    pub agent: AgentName,
    pub status: String,
    pub since: Timestamp,
}

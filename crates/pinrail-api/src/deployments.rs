//! `POST|GET /api/v1/deployments`, `GET /api/v1/deployments/{id}`, `POST …/{id}/promote|rollback|weight`,
//! `POST /api/v1/holds/lift`.

use std::collections::BTreeMap;

use pinrail_domain::id::{AgentName, DeploymentId, Epoch, LedgerSeq, ReleaseId, RunId, SegmentName};
use pinrail_domain::share::Share;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A deployment to open. Exactly one of `now` and `weight`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenDeployment {
    /// Release ids or unambiguous prefixes of them.
    pub releases: BTreeMap<AgentName, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentName>,
    /// All traffic at once.
    #[serde(default)]
    pub now: bool,
    /// A canary's share, in basis points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Share>,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub lift_hold: bool,
}

/// Why something is done. A rollback needs a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Because {
    #[serde(default)]
    pub reason: String,
    /// For a promotion only.
    #[serde(default)]
    pub lift_hold: bool,
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
    /// `candidate`, `active`, `superseded` or `rolled back`.
    pub state: String,
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
    pub state: String,
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
    /// Only in the answer for one deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
}

/// When and why a deployment was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    pub at: Timestamp,
    pub why: String,
    pub was_promoted: bool,
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

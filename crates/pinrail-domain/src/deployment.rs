//! A deployment: one attempt to put releases in front of traffic, and its whole life.
//!
//! `Candidate` → `Promoted` or `RolledBack`; a promoted one can still be rolled back. Nothing leaves
//! `RolledBack`. Whether a promoted deployment is *active* or *superseded* is not stored: the pointers say it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::assign::Salt;
use crate::digest::Digest;
use crate::gate::Waiver;
use crate::id::{AgentName, DeploymentId, IngestName, LedgerSeq, ReleaseId, SegmentName};
use crate::rollout::{Evidence, Rollout};
use crate::share::Share;
use crate::time::Timestamp;

/// One attempt to put releases in front of traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: DeploymentId,
    /// The data job's name: none for a deployment of releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestName>,
    /// What each agent it covers runs; nothing for a data job.
    pub releases: BTreeMap<AgentName, ReleaseId>,
    pub segment: SegmentName,
    pub salt: Salt,
    pub opened_at: Timestamp,
    pub opened_seq: LedgerSeq,
    pub reason: String,
    pub status: Status,
    /// What was active at each of its pointers when it was promoted: where a rollback returns to.
    pub replaced: BTreeMap<AgentName, Option<DeploymentId>>,
    /// The state as it was when the deployment was opened, once that is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// How it is proven; none where its weight is set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Box<Rollout>>,
    /// The newest verdict of an offline eval of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// What people said that its promotion may do without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Waiver>,
    /// What the last step of its rollout, or its rollback by a guardrail, rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<Evidence>>,
}

/// The verdict of an offline eval that was run elsewhere. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    pub verdict: GateVerdict,
    /// The report that it rests on, an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Digest>,
}

/// What an eval says of a candidate. Stored: never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    Pass,
    Fail,
    /// Too little to tell: never promotes.
    Inconclusive,
}

/// Where a deployment is in its life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Takes a share of its segment's traffic; nobody else sees what it writes.
    Candidate {
        weight: Share,
        /// Segments in which the share is another.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        segments: BTreeMap<SegmentName, Share>,
    },
    /// Committed. Active where a pointer names it, superseded elsewhere.
    Promoted { at: Timestamp, seq: LedgerSeq },
    /// Aborted, or taken back after a promotion.
    RolledBack {
        at: Timestamp,
        seq: LedgerSeq,
        why: String,
        was_promoted: bool,
        /// Only pointers went back: what a promoted deployment wrote counts still, until it is rolled back again with
        /// its state.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        kept_state: bool,
    },
}

impl GateVerdict {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            GateVerdict::Pass => "pass",
            GateVerdict::Fail => "fail",
            GateVerdict::Inconclusive => "inconclusive",
        }
    }
}

impl Deployment {
    #[must_use]
    pub fn is_rolled_back(&self) -> bool {
        match self.status {
            Status::RolledBack { .. } => true,
            Status::Candidate { .. } | Status::Promoted { .. } => false,
        }
    }
}

/// What an (agent, segment) serves now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pointer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<DeploymentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<DeploymentId>,
    pub weight: Share,
    /// Set by a rollback; nothing is opened or promoted here until a person lifts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

/// Why a pointer is held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    pub deployment: DeploymentId,
    pub since: Timestamp,
    pub seq: LedgerSeq,
    pub why: String,
}

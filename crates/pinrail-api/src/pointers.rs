//! `GET /api/v1/pointers`: what every agent and segment serves.

use pinrail_domain::deployment::Hold;
use pinrail_domain::id::{AgentName, DeploymentId, Epoch, LedgerSeq, ReleaseId, SegmentName};
use pinrail_domain::share::Share;
use serde::{Deserialize, Serialize};

/// All pointers as of one ledger entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pointers {
    pub epoch: Epoch,
    pub seq: LedgerSeq,
    pub pointers: Vec<Pointer>,
}

/// What an agent serves in a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pointer {
    pub agent: AgentName,
    pub segment: SegmentName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Side>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Side>,
    pub weight: Share,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

/// A deployment and the release that the agent runs in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    pub model: String,
}

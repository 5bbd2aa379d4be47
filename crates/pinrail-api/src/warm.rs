//! `GET /api/v1/warm`, `POST /api/v1/warm/probe`: what serves and what a rollback may return to, and whether it can be called.

use pinrail_domain::id::{AgentName, DeploymentId, ProviderName, ReleaseId, SegmentName};
use pinrail_domain::time::Timestamp;
use pinrail_domain::warm::Callable;
use serde::{Deserialize, Serialize};

/// Releases to probe now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeNow {
    /// Only this agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
}

/// The warm set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmSet {
    /// By agent and segment: the candidate first, then the active one and those before it.
    pub items: Vec<WarmRelease>,
    /// How many models were called for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed: Option<u64>,
}

/// A release that serves, is being proven, or that a rollback may return to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmRelease {
    pub agent: AgentName,
    pub segment: SegmentName,
    pub release: ReleaseId,
    pub deployment: DeploymentId,
    /// How many rollbacks away it is: 0 is active; absent for a candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_back: Option<u32>,
    pub provider: ProviderName,
    pub snapshot: String,
    /// `yes`, `unknown`, `failing`, `refused` or `gone`.
    pub state: Callable,
    /// Why it can't be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of the newest probe, where it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed_at: Option<Timestamp>,
    /// Since when probes end as the newest does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The model that the provider says answered the newest probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
    /// When its model ends, as far as the catalogue knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires: Option<Timestamp>,
}

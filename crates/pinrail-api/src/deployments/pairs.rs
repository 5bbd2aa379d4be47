//! `GET /api/v1/deployments/{id}/pairs[/{run}]`: what a candidate answered to copies, beside what was served.

use pinrail_domain::id::{AgentName, DeploymentId, ReleaseId, RunId, TenantId};
use pinrail_domain::journal::{Compared, RunStatus};
use pinrail_domain::rollout::quantity::Usd;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A page of pairs, and what became of the deployment's copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    pub items: Vec<Pair>,
    /// Pass as `before` for the next page; absent at the end, and where the worst come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    pub copies: Copies,
}

/// What became of a deployment's copies, counted since the server started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// They got a place in the queue.
    pub queued: u64,
    /// There was no room for them.
    pub dropped: u64,
    /// Their turn came when the step was over or its budget used up.
    pub refused: u64,
    /// The candidate gave no answer that can be compared.
    pub failed: u64,
    pub compared: u64,
    /// What the copies of the current step cost.
    pub spent: Usd,
}

/// A candidate's answer to a copy, and the live one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The candidate's run.
    pub run: RunId,
    pub at: Timestamp,
    pub agent: AgentName,
    pub tenant: TenantId,
    pub status: RunStatus,
    /// The divergence and its parts; none where there is nothing to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// Why there is nothing to compare, once the run has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    pub candidate: Side,
    /// None where the live run can't be read any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Side>,
}

/// One of the two answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    pub run: RunId,
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    /// Only where the agent's journal keeps bodies in full; in lists its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// There was more text than is here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolAsked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refusal: bool,
    /// From the request's arrival to the last byte, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_byte_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
}

/// A tool that an answer asks for. Of copies it is never executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolAsked {
    pub name: String,
    /// JSON text as the model wrote it; only where bodies are kept in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}

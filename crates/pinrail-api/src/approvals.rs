//! `POST /api/v1/runs/{id}/tools/authorize`, `GET /api/v1/approvals[/{id}]`, `POST /api/v1/approvals/{id}/approve|deny`.

use pinrail_domain::approval::{ApprovalState, Decision, Use};
use pinrail_domain::dial::{Position, Ruling};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{
    AgentName, ApprovalId, DeploymentId, ReleaseId, RunId, SegmentName, SessionId, TenantId, ToolName,
};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Asks whether a run may call a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizeTool {
    pub tool: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
    /// The caller's id of the call, such as the model's: asked again with it, the call is the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How long to wait for a person's decision, at most 30000.
    #[serde(default)]
    pub wait_ms: u64,
}

/// What was decided about a tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolAuthorized {
    pub decision: Ruling,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalId>,
    /// Until when somebody may decide, or the call may be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where the dial stands for the run.
    pub dial: Position,
}

/// A tool call that waits for a person, or did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub approval: ApprovalId,
    pub state: ApprovalState,
    pub run: RunId,
    pub agent: AgentName,
    pub segment: SegmentName,
    pub tenant: TenantId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    pub tool: ToolName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// As JSON text, while it waits for its decision, and after that as far as the agent's journal may keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments_digest: Option<Digest>,
    /// Which setting of the dial asks.
    pub why: String,
    pub asked_at: Timestamp,
    pub expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Use>,
}

/// A decision's reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

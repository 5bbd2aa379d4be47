//! `GET /api/v1/mcp`, `GET /api/v1/mcp/{server}/diff`, `PUT|GET|DELETE /api/v1/mcp/servers/{server}`.
//!
//! The body of a `PUT` is the `McpServerSpec` itself.

use pinrail_domain::digest::Digest;
use pinrail_domain::drift::{Sign, Subject};
use pinrail_domain::id::{LedgerSeq, McpServerName, ReleaseId};
use pinrail_domain::mcp::{Differences, McpServerSpec};
use pinrail_domain::release::diff::ToolsDiff;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// An MCP server and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct McpServer {
    pub server: McpServerName,
    pub spec: McpServerSpec,
}

/// All MCP servers as they are now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct McpStatus {
    pub servers: Vec<McpState>,
    /// Clients that use the proxy now.
    pub sessions: usize,
}

/// An MCP server as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct McpState {
    pub server: McpServerName,
    pub connected: bool,
    /// Who it says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// How many tools it lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<usize>,
    /// What a pin of it would be named by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Digest>,
    /// When its tools were listed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
    /// Why it can't be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The pins in use, with the releases that name them.
    pub pins: Vec<McpPin>,
    /// What is open about it. The tools that these name are in quarantine.
    pub findings: Vec<McpFinding>,
}

/// A pin in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct McpPin {
    pub pin: Digest,
    pub releases: Vec<ReleaseId>,
}

/// An open finding about a server's tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct McpFinding {
    pub finding: LedgerSeq,
    pub at: Timestamp,
    pub subject: Subject,
    pub sign: Sign,
    pub what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
}

/// How a server differs from a pin of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct McpDiff {
    pub server: McpServerName,
    pub pin: Digest,
    /// What the server lists now.
    pub live: Digest,
    pub differences: Differences,
    /// The places that differ, tool by tool.
    pub tools: ToolsDiff,
}

//! `POST|GET /api/v1/releases`, `GET /api/v1/releases/{id}`, `GET /api/v1/releases/{a}/diff/{b}`.
//!
//! Where a release is named, 6 or more of its first hex digits do when they are unambiguous.

use pinrail_domain::id::{AgentName, ReleaseId};
use pinrail_domain::release::Manifest;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A release to create.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRelease {
    pub agent: AgentName,
    pub manifest: Manifest,
    #[serde(default)]
    pub reason: String,
    /// Lets an unknown model into tier `critical`, for this reason, which the ledger keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_override: Option<String>,
}

/// A release that exists now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseCreated {
    pub release: ReleaseId,
    pub short: String,
    pub agent: AgentName,
    /// `pinned`, `floating` or `unknown`.
    pub identity: String,
    /// False when it existed already.
    pub created: bool,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub release: ReleaseId,
    pub short: String,
    pub agents: Vec<AgentName>,
    pub identity: String,
    /// Why the catalogue says so today.
    pub identity_why: String,
    pub created_at: Timestamp,
    pub manifest: Manifest,
    /// Whether a pointer names it.
    pub live: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_override: Option<String>,
}

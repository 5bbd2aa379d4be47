//! `POST|GET /api/v1/releases`, `GET /api/v1/releases/{id}`, `GET /api/v1/releases/{a}/diff/{b}`.
//!
//! Where a release is named, 6 or more of its first hex digits do when they are unambiguous.

use pinrail_domain::id::{AgentName, ReleaseId};
use pinrail_domain::model::Newer;
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

/// A newer snapshot of an agent's pinned model is wanted: `POST /api/v1/agents/{agent}/bump`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bump {
    /// The release to start from; none: what the agent runs in segment `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The model id to pin; none: the newest snapshot of the pinned model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Don't ask the provider for its models: look at the catalogue alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
    /// Say what there is, and create nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    #[serde(default)]
    pub reason: String,
}

/// A release that differs from another in its model's snapshot only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bumped {
    pub agent: AgentName,
    pub from: ReleaseId,
    pub model: String,
    /// The newer snapshots, newest first; empty where there is none.
    pub newer: Vec<Newer>,
    /// Why the provider's own list isn't part of that, where it isn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<String>,
    /// None where there is nothing newer, or nothing was to be created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseCreated>,
    /// The model that the release pins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A release that nobody needs any more: `POST /api/v1/releases/{release}/retire`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retire {
    #[serde(default)]
    pub reason: String,
}

/// A release that can't be deployed any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    pub release: ReleaseId,
    pub short: String,
    /// Since when.
    pub at: Timestamp,
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
    /// Since when nobody may deploy it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Timestamp>,
    /// What it pins and isn't so any more, as open findings say it: tools that changed, were added or are gone, servers
    /// that are others, models that drifted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
}

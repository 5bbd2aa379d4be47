//! `POST /api/v1/deployments/{id}/rollback`, and what it would do.

use std::collections::BTreeMap;

use pinrail_domain::dial::Stranded;
use pinrail_domain::id::{AgentName, DeploymentId, ReleaseId};
use pinrail_domain::state::Layer;
use serde::{Deserialize, Serialize};

use super::OpenRuns;

/// What to take back, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// Needed, except for a dry run.
    #[serde(default)]
    pub reason: String,
    /// Pointers only: what the deployment wrote counts on, until it is rolled back again without this.
    #[serde(default)]
    pub keep_state: bool,
    /// Also take along what others derived from the deployment's writes.
    #[serde(default)]
    pub cascade: bool,
    /// Return to the newest release that can be called, as far as is known, and pass over what can't.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub callable: bool,
    /// Change nothing, and say what would happen: a [`Plan`].
    #[serde(default)]
    pub dry_run: bool,
}

/// What a rollback would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub deployment: DeploymentId,
    pub state: String,
    pub keep_state: bool,
    pub cascade: bool,
    /// Where the pointers that name it would go.
    pub pointers: BTreeMap<AgentName, Option<DeploymentId>>,
    /// What would be hidden, by layer.
    pub layers: BTreeMap<Layer, Hides>,
    /// Whose records the cascade would take along, and how many of each.
    pub taken_along: BTreeMap<DeploymentId, u64>,
    /// Runs that would finish on its stamp.
    pub open_runs: OpenRuns,
    /// Runs that it or its records touched.
    pub reach: super::blast::Reach,
    /// Calls that no rollback takes back.
    pub side_effects: super::blast::Effects,
    /// What a rollback to what can be called would pass over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// The agents for which nothing can be called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncallable: Vec<AgentName>,
    /// Fallbacks of the dial that would answer nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<Stranded>,
    /// What the limits left out of `reach` and `side_effects`, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
}

/// A deployment that a rollback doesn't return to, as it can't be called. It stays committed, with what it wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    pub agent: AgentName,
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    pub why: String,
}

/// Records of one layer that a rollback hides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hides {
    pub spaces: u64,
    pub puts: u64,
    pub deletes: u64,
    /// Records of others that go with them.
    #[serde(default)]
    pub taken_along: u64,
}

//! `POST /api/v1/deployments/{id}/rollback`, and what it would do.

use std::collections::BTreeMap;

use pinrail_domain::id::{AgentName, DeploymentId};
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
    /// What the limits left out of the last two, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
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

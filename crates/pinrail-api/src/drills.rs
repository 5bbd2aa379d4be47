//! `POST` and `GET /api/v1/readiness/drill`: a rehearsal of a rollback with state.

use pinrail_domain::id::DeploymentId;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A drill to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldDrill {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What a drill came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    pub at: Timestamp,
    /// The data job that was rolled back.
    pub deployment: DeploymentId,
    pub went_well: bool,
    pub steps: Vec<DrillStep>,
    /// From the rollback's call until everybody's view was checked to be what it was.
    pub consistent_us: u64,
    /// Records that the rollback hid.
    pub records: u64,
    /// What wasn't as it should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// A step, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillStep {
    pub name: String,
    pub took_us: u64,
}

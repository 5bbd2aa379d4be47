//! `GET /api/v1/traffic`: what agents served in the last hour, counted in memory.

use pinrail_domain::id::{AgentName, DeploymentId, SegmentName};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The last hour's live runs: no copies for a shadow step, no gate's questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    pub at: Timestamp,
    /// All that happened since then is counted; an hour ago, later after a start or where there is very much.
    pub since: Timestamp,
    /// Whether what was written before the server started was read, too.
    pub complete: bool,
    /// Journal writes that may be missing in these numbers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// By agent and segment; only where there was any traffic.
    pub lines: Vec<Line>,
}

/// What an agent served in a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub agent: AgentName,
    pub segment: SegmentName,
    #[serde(flatten)]
    pub counts: Counts,
    /// The same by deployment.
    pub deployments: Vec<Part>,
}

/// What one deployment served of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub deployment: DeploymentId,
    #[serde(flatten)]
    pub counts: Counts,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Runs that began per minute: the average of the last five full minutes, or of what there is; null while less than ten
    /// seconds are known.
    pub runs_per_minute: Option<f64>,
    pub errors: Errors,
    /// Runs that began in each of the last 60 minutes, oldest first; the last one is still running.
    pub minutes: Vec<u32>,
}

/// Of the runs that ended in the last fifteen minutes, how many were errors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    pub errors: u64,
    pub ended: u64,
    /// `errors` of `ended`, 0 to 1; absent where nothing ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

//! `GET /api/v1/deployments/{id}/history`: how a rollout's guardrails moved.

use pinrail_domain::id::{AgentName, DeploymentId};
use pinrail_domain::rollout::history::Point;
use pinrail_domain::rollout::quantity::Margin;
use pinrail_domain::rollout::spec::Metric;
use pinrail_domain::stats::Better;
use serde::{Deserialize, Serialize};

/// How a rollout's guardrails moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    pub deployment: DeploymentId,
    /// Whether it has all that was journaled so far; after a start that takes a while.
    pub complete: bool,
    pub source: Source,
    /// In the plan's order.
    pub guardrails: Vec<Course>,
}

/// Where points come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// What was looked at while the rollout was under way, or read again from the journal after a start.
    Observed,
    /// What the ledger's entries rest on: a point for each of them.
    Ledger,
}

/// What one guardrail showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Course {
    pub guardrail: String,
    pub agent: AgentName,
    pub metric: Metric,
    /// What `candidate` and `incumbent` are counted in: `share` (0 to 1), `score` (0 to 1), `ms`, `tokens` or `usd`.
    pub unit: String,
    /// Which way is good.
    pub direction: Better,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    /// How much worse is tolerable.
    pub margin: Margin,
    /// What margin, harm and its bounds are: `difference` (in the unit) or `ratio` (0.1: a tenth more than the incumbent).
    pub harm: String,
    /// By how many times its margin the guardrail must be proven in the current step, or in the one in which the rollout ended.
    pub slack: f64,
    /// Oldest first, at most 240.
    pub points: Vec<Point>,
}

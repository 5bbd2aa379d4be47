//! `GET /api/v1/readiness`: could everything be taken back right now?

use pinrail_domain::id::Epoch;
use serde::{Deserialize, Serialize};

use crate::warm::WarmRelease;

/// All indicators, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether no objective is missed.
    pub ready: bool,
    pub epoch: Epoch,
    pub indicators: Vec<Indicator>,
    /// What serves and what a rollback may return to, with what its newest probe came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warm: Vec<WarmRelease>,
}

/// One thing that a rollback depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indicator {
    pub name: String,
    pub objective: String,
    pub observed: String,
    pub met: Met,
    /// What is amiss, or why nothing is known: one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

/// Whether an objective is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Met {
    Yes,
    No,
    /// There is nothing to judge it by.
    Unknown,
}

//! What is kept of one answer: the row of a gate that a verdict is worked out from.

use std::collections::BTreeMap;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{GateId, ReleaseId, RunId};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;

/// One arm's answer to one case, once. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub release: ReleaseId,
    pub case: Digest,
    /// From 0.
    pub repeat: u32,
    pub at: Timestamp,
    /// None for an answer that was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    pub outcome: Outcome,
    /// The answer to each turn, as far as it came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// What the provider says that answered, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served: Vec<String>,
    /// How often the provider had to be asked again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// The gate that asked, where this one reuses its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<GateId>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It was answered and judged.
    Scored(Score),
    /// There is no answer, or nothing could judge it: it counts neither way.
    Error { why: String },
    /// There is an answer that must not count: something else than the pin gave it, or it is a cached one.
    Refused { why: String },
}

/// How good an answer is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub pass: bool,
    /// From 0 to 1.
    pub score: f64,
    /// What failed, in a sentence; empty where all passed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Scores by the names that assertions give them (`metric`), each the weighted mean of those of that name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, f64>,
    pub parts: Vec<Part>,
    /// What judges and embedders cost.
    #[serde(default, skip_serializing_if = "is_zero64")]
    pub judge_cost_nano_usd: u64,
}

/// How one assertion went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The assertion's type, with `not-` where it is negated.
    pub kind: String,
    pub pass: bool,
    pub score: f64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The turn that it is of, from 1; none: of the whole conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_zero64(number: &u64) -> bool {
    *number == 0
}

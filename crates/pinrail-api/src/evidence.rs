//! `GET /api/v1/gates/{gate}/report|statement`, `POST /api/v1/gates/import`: what a verdict rests on.

use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::{SuiteKind, SuitePin};
use pinrail_domain::id::{AgentName, GateId, ReleaseId};
use serde::{Deserialize, Serialize};

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// For a terminal.
    Text,
    /// For a pull request.
    Markdown,
    /// For CI.
    Junit,
    /// All of it.
    #[default]
    Json,
    /// The in-toto statement in its envelope.
    Statement,
}

/// Evals that another tool ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportGate {
    pub format: ImportFormat,
    pub agent: AgentName,
    /// 6 or more digits of a release's id.
    pub candidate: String,
    /// What it is compared with; absent: nothing, and the suite's floor counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<String>,
    pub candidate_answers: ImportArm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent_answers: Option<ImportArm>,
    /// A suite of the agent's settings that the answers must fit into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// Without one: what the suite that the import makes is called; absent: `imported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// And what it is there for; absent: `success`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<SuiteKind>,
    /// The score from which on an answer passes, where the tool doesn't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_at: Option<f64>,
    /// The scorer that counts, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorer: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The tools whose files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportFormat {
    Promptfoo,
    Inspect,
}

/// Where an arm's answers are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportArm {
    /// The tool's file, an artifact.
    pub document: Digest,
    /// Of a file with several providers or prompts: whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportedGate {
    pub gate: GateId,
    pub agent: AgentName,
    pub candidate: ReleaseId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<ReleaseId>,
    pub verdict: GateVerdict,
    pub why: String,
    pub suite: SuitePin,
    /// Whether the agent's settings list that suite: only then the verdict counts for a promotion.
    pub listed: bool,
    /// Answers with a place in the suite.
    pub answers: u64,
    pub refused: Vec<ImportRefused>,
    pub report: Digest,
    pub statement: Digest,
    pub signed: bool,
}

/// Answers that don't count, for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportRefused {
    /// `candidate` or `incumbent`.
    pub arm: String,
    pub why: String,
    pub answers: u64,
    /// Some of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub which: Vec<String>,
}

//! What is kept of a gate beside its rows: what it was told to do, how far it is, how it ended.

use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::SuitePin;
use pinrail_domain::id::{AgentName, ReleaseId};
use pinrail_domain::ledger::Actor;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The document of a gate. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    pub settings: Settings,
    pub progress: Progress,
    /// How it ended, with a verdict or without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// It was taken up again: what ended in errors is asked again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry_errors: bool,
}

/// What a gate was told to do; fixed at its start, whatever the agent's settings become. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub suites: Vec<SuitePin>,
    /// How often each arm answers each case, before anybody looks at the verdict.
    pub repeats: u32,
    /// How often at most, where that leaves it undecided.
    pub repeats_max: u32,
    pub alpha: f64,
    pub budget_nano_usd: u64,
    pub concurrency: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
    /// Whether answers of other gates count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judge>,
    /// Who started it, and why.
    pub by: Actor,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The release that judges `llm-rubric` and `factuality`: the one that was active when the gate began. Stored: never
/// rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judge {
    pub agent: AgentName,
    pub release: ReleaseId,
}

/// How far a gate is. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Answers that are there, errors among them.
    pub done: u64,
    /// Answers that are planned, as far as is known: an undecided gate may plan more.
    pub total: u64,
    pub repeats: u32,
    pub errors: u64,
    /// Answers that don't count, since something else than the pin gave them.
    pub refused: u64,
    /// Answers of other gates.
    pub reused: u64,
    /// How often a provider had to be asked again.
    pub retries: u64,
    /// What its own answers cost, judges included; answers without a known price count nothing.
    pub spent_nano_usd: u64,
    /// What all planned answers will have cost, as those so far go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_nano_usd: Option<u64>,
    /// Until all planned answers are there, as those so far go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    /// The suite that is being asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
}

/// How a gate ended. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub at: Timestamp,
    /// A sentence.
    pub why: String,
    /// None where it was stopped or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<GateVerdict>,
    /// The whole report, an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Digest>,
    /// The in-toto statement in its envelope, an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Digest>,
}
impl End {
    /// One without a verdict.
    #[must_use]
    pub fn bare(at: Timestamp, why: String) -> End {
        End { at, why, verdict: None, report: None, statement: None }
    }
}

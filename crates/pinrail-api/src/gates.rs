//! `POST|GET /api/v1/gates`, `GET /api/v1/gates/{gate}[/rows|/watch]`, `POST /api/v1/gates/{gate}/cancel|resume`.

use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::SuitePin;
use pinrail_domain::id::{AgentName, DeploymentId, GateId, ReleaseId};
use pinrail_domain::ledger::Actor;
use pinrail_domain::rollout::quantity::Usd;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Gates to start: one for each agent of a deployment, or one of an agent's release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartGate {
    /// The candidate's deployment; else `agent` and `candidate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// 6 or more digits of a release's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// What it is compared with; absent: what the segment serves now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<String>,
    /// The names of the suites; none: all that the agent's settings list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Usd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Whether answers that other gates have count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
    /// Only says what it would take.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What was started, or would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartedGates {
    pub gates: Vec<StartedGate>,
}

/// One gate with what it will take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartedGate {
    /// None where nothing was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateId>,
    pub agent: AgentName,
    pub candidate: ReleaseId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<ReleaseId>,
    pub suites: Vec<String>,
    pub repeats: u32,
    pub estimate: GateEstimate,
}

/// What a gate will take, about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GateEstimate {
    pub cases: u64,
    pub answers: u64,
    pub calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Absent where a model's price isn't known: then the budget can't stop the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
    pub budget_nano_usd: u64,
    pub time_ms: u64,
}

/// A gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    pub gate: GateId,
    pub agent: AgentName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    pub candidate: ReleaseId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<ReleaseId>,
    pub created_at: Timestamp,
    /// `running`, `finished`, `failed` or `cancelled`.
    pub status: String,
    pub settings: GateSettings,
    pub progress: GateProgress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<GateEnd>,
    /// The whole report, where one gate is asked for and it has a verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Value>,
}

/// What a gate was told to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateSettings {
    pub suites: Vec<SuitePin>,
    pub repeats: u32,
    pub repeats_max: u32,
    pub alpha: f64,
    pub budget_nano_usd: u64,
    pub concurrency: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
    pub reuse: bool,
    /// The release that judges answers, and whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<(AgentName, ReleaseId)>,
    pub by: Actor,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How far a gate is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GateProgress {
    pub done: u64,
    pub total: u64,
    pub repeats: u32,
    pub errors: u64,
    pub refused: u64,
    pub reused: u64,
    pub retries: u64,
    pub spent_nano_usd: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_nano_usd: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// It waits until fewer gates run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queued: bool,
}

/// How a gate ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateEnd {
    pub at: Timestamp,
    pub why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<GateVerdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Digest>,
}

/// One arm's answer to one case, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateRow {
    pub suite: String,
    /// The case's place in its suite, from 1.
    pub number: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `candidate` or `incumbent`.
    pub arm: String,
    /// `release`, `case`, `repeat`, `at`, `run`, `outcome`, `answers`, `served`, `retries`, `reused`.
    #[serde(flatten)]
    pub row: Map<String, Value>,
}

//! `GET /api/v1/deployments/{id}/blast-radius`, `GET …/{id}/report`, `POST …/{id}/compensate`.

use std::collections::BTreeMap;

use pinrail_domain::dial::Stranded;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{
    AgentName, DeploymentId, EventSeq, IngestName, RunId, SessionId, StateSeq, TenantId,
};
use pinrail_domain::state::Layer;
use pinrail_domain::state::derive::{Cause, Misled};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::back::Hides;
use super::proof::Proof;
use super::{Drain, Kind, RolledBack};
use crate::members::EpochReport;

/// Whom a deployment may have misled, and what they did. A page of it: `runs` goes on behind `next`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlastRadius {
    pub deployment: DeploymentId,
    pub state: String,
    /// What it wrote, and what was derived from that.
    pub layers: BTreeMap<Layer, Touched>,
    pub reach: Reach,
    /// The affected runs, oldest first.
    pub runs: Vec<AffectedRun>,
    /// What the limits left out, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// Pass as `after` for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Records of one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    pub written: u64,
    pub derived: u64,
}

/// How far a deployment reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    pub own_runs: u64,
    /// Runs of other deployments that read what is tainted.
    pub misled_runs: u64,
    /// Sessions of all these runs.
    pub sessions: u64,
    pub tenants: u64,
}

/// A run that ran on the deployment, or read what it wrote or what was derived from that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AffectedRun {
    pub run: RunId,
    pub agent: AgentName,
    pub tenant: TenantId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    pub deployment: DeploymentId,
    pub status: String,
    /// The first tainted record that it read, and as of when; absent for the deployment's own runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Misled>,
    /// Why that record is tainted, cause by cause, back to what the deployment wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Step>,
    /// Tainted records that it wrote.
    pub wrote: u64,
    pub side_effects: Vec<SideEffect>,
    /// Calls of such tools that the model asked for through the gateway, and that nobody journaled.
    #[serde(default)]
    pub unreported: u64,
}

/// A link of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub record: StateSeq,
    pub cause: Cause,
}

/// A call of a tool that the run's release lists as a side effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SideEffect {
    pub event: EventSeq,
    pub tool: String,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Of the arguments' canonical JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments_digest: Option<Digest>,
    /// The first 200 characters of the arguments.
    pub arguments: String,
    /// `ok` or `error`; absent where no result was journaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensated_at: Option<Timestamp>,
}

/// Calls that no rollback takes back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    pub calls: u64,
    /// Of these, how many were reported for compensation.
    pub compensated: u64,
    /// Calls that models asked for through the gateway, and that nobody journaled.
    pub unreported: u64,
    /// By tool.
    pub tools: BTreeMap<String, u64>,
}

/// What a deployment came to, and how its rollback went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub deployment: DeploymentId,
    pub kind: Kind,
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestName>,
    pub opened_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// From the call of the rollback to the flip, in microseconds; absent when it was another process that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip_us: Option<u64>,
    /// Who acknowledged its newest change, of a rolled-back deployment the rollback; absent when this server doesn't keep that
    /// epoch any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<EpochReport>,
    pub drain: Drain,
    /// Whether what `layers` counts is hidden.
    pub hidden: bool,
    pub layers: BTreeMap<Layer, Hides>,
    /// Records that others derived from its writes, by layer.
    pub derived: BTreeMap<Layer, u64>,
    pub reach: Reach,
    pub side_effects: Effects,
    /// With `verify=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Proof>,
    /// Fallbacks of the dial that answer nobody without it: of a deployment that is rolled back, now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<Stranded>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
}

/// Report the calls that a rollback can't take back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compensate {
    /// Send nothing, and say what would be sent.
    #[serde(default)]
    pub dry_run: bool,
    /// Send also what was delivered before.
    #[serde(default)]
    pub again: bool,
    /// Why: receivers are told, and it is journaled with each report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What became of the reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compensated {
    pub deployment: DeploymentId,
    pub delivered: u64,
    pub would_send: u64,
    /// Delivered before.
    pub skipped: u64,
    /// Calls of agents that name no address.
    pub no_address: u64,
    pub failed: u64,
    /// Calls that models asked for through the gateway, and that nobody journaled: nobody can be told of these.
    pub unreported: u64,
    pub reports: Vec<CallReport>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
}

/// What became of one call's report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallReport {
    /// The CloudEvent's id: the same whenever this call is reported for this deployment.
    pub id: String,
    pub run: RunId,
    pub event: EventSeq,
    pub agent: AgentName,
    pub tool: String,
    pub at: Timestamp,
    /// `delivered`, `would_send`, `skipped`, `no_address` or `failed`.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Why it failed; of a delivered one, why that couldn't be journaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
}

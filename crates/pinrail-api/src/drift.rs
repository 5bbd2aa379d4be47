//! Drift: what is pinned and changed all the same, and the watch that finds out.

use std::collections::BTreeMap;

use pinrail_domain::digest::Digest;
use pinrail_domain::drift::{Sign, Subject};
use pinrail_domain::id::{AgentName, LedgerSeq, ProviderName};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What is watched, and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Findings that nobody has cleared, oldest first.
    pub findings: Vec<DriftFinding>,
    pub models: Vec<DriftModel>,
    pub settings: DriftSettings,
}

/// How models are watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftSettings {
    pub enabled: bool,
    /// Tokens of answers that a model may cost on one day (UTC).
    pub tokens_per_day: u32,
    pub every_hours: u32,
    pub prompts: u32,
    pub samples: u32,
    pub calibration_days: u32,
    /// Days that a change must last.
    pub persistence: u32,
    /// The least shift of shares that is a finding.
    pub shift_min: f64,
    /// The bound on false alarms, per model.
    pub false_alarms_per_year: f64,
}

/// Something that is pinned and isn't so any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftFinding {
    /// The ledger entry that says so.
    pub finding: LedgerSeq,
    pub at: Timestamp,
    pub subject: Subject,
    pub sign: Sign,
    pub what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
    /// Agents that serve a release which pins it.
    pub agents: Vec<AgentName>,
}

/// A model that is watched by border prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftModel {
    pub provider: ProviderName,
    pub snapshot: String,
    /// Agents whose active, candidate or warm releases pin it; none: it is no longer watched.
    pub agents: Vec<AgentName>,
    /// `looking` for prompts, `calibrating`, `quiet`, `suspect`, `drifted`, or `blind` when nothing can be watched.
    pub state: String,
    pub sentence: String,
    /// How often the watch is wrong, and what it sees.
    pub promise: String,
    /// `sampled` or `logprobs`; absent before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    pub prompts: u32,
    /// Quiet days that later ones are compared with.
    pub baseline_days: u32,
    /// About the smallest shift that is found within the days of persistence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest_shift: Option<f64>,
    /// How many times what drawing alone explains quiet days vary by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
    pub false_alarms_per_year: f64,
    /// Tokens of answers today (UTC).
    pub tokens_today: u32,
    /// Tokens of questions today.
    pub input_tokens_today: u64,
    pub calls_today: u32,
    pub failed_today: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_look: Option<Timestamp>,
    /// The provider was busy: it is left alone until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// The last days, oldest first; all of them where one model is shown.
    pub days: Vec<DriftDay>,
    /// The prompts with what they were answered last; only where one model is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<DriftPrompt>,
}

/// A day of a watch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftDay {
    /// UTC, as in `2026-11-20`.
    pub day: String,
    pub state: String,
    /// How far shares moved from the baseline: 0.3 is thirty points. Only of days that look different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_needed: Option<f64>,
}

/// A border prompt and the answers of the last day that it was asked on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftPrompt {
    pub prompt: String,
    pub asked: u32,
    pub failed: u32,
    /// The share of each answer.
    pub answers: BTreeMap<String, f64>,
}

/// A finding was cleared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftCleared {
    pub finding: LedgerSeq,
    /// The entry that says so.
    pub seq: LedgerSeq,
    /// What the finding was about; none where the request was answered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
}

/// Which model to look at now; all of them when nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunDrift {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// What looking now did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftRun {
    pub looked: Vec<DriftLooked>,
}

/// What looking at one model did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftLooked {
    pub provider: ProviderName,
    pub snapshot: String,
    pub calls: u32,
    pub state: String,
    pub sentence: String,
    /// The finding that it opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<LedgerSeq>,
}

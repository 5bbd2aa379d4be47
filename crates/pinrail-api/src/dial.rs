//! `GET|PUT /api/v1/dial`.

use pinrail_domain::dial::{Place, Position, ToolRule};
use pinrail_domain::id::{Epoch, LedgerSeq, ReleaseId, ToolName};
use pinrail_domain::ledger::Actor;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A turn of the dial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetDial {
    /// What it applies to: whatever fits all that is named. Nothing named: everything.
    #[serde(default)]
    pub place: Place,
    pub position: Position,
    /// At `fallback`: who answers, by 6 or more digits of its id; none: what the agent's settings say, else the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// At `canned`: what is said; none: what the agent's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What a turn did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DialTurned {
    pub place: Place,
    pub position: Position,
    /// Whether it stood elsewhere before.
    pub changed: bool,
    /// Members that acknowledged this epoch know of it.
    pub epoch: Epoch,
    /// Whether it is in the ledger; else it is in force in this server alone, and gets there when the store is back.
    pub recorded: bool,
}

/// Where the dial stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dial {
    pub epoch: Epoch,
    pub seq: LedgerSeq,
    /// Every place where it isn't at `full`, the most restrictive first.
    pub settings: Vec<DialSetting>,
    /// What is in force for the caller that was asked about; none where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForce>,
}

/// How the dial stands at a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DialSetting {
    pub place: Place,
    pub position: Position,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    pub since: Timestamp,
    /// The ledger's entry; none while it isn't recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<LedgerSeq>,
    pub by: Actor,
    pub reason: String,
    pub recorded: bool,
}

/// What the dial leaves of a caller's calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InForce {
    pub position: Position,
    /// Where the setting that decides stands, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Tools with settings of their own, and the tool that was asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolInForce>,
}

/// What may become of calls of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolInForce {
    pub tool: ToolName,
    /// If it has no side effects.
    pub rule: ToolRule,
    /// If it has.
    pub rule_with_side_effects: ToolRule,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

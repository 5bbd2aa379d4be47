//! Rollouts: `POST /api/v1/deployments` with `rollout`, `GET …/{id}/rollout`, `GET …/{id}/timeline`,
//! `POST …/{id}/freeze|resume|approve|gate|override`.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::deployment::{Gate, GateVerdict};
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::SuiteKind;
use pinrail_domain::id::{AgentName, DeploymentId, LedgerSeq, ReleaseId, SegmentName};
use pinrail_domain::ledger::Actor;
use pinrail_domain::rollout::facts::Pairs;
use pinrail_domain::rollout::progress::{Approval, Stop, Weights};
use pinrail_domain::rollout::told::Says;
use pinrail_domain::rollout::{Evidence, Finding, Guardrail, Outline, RolloutSpec, Step};
use pinrail_domain::share::Share;
use pinrail_domain::stats::Arms;
use pinrail_domain::time::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// Which plan a deployment follows: `true` is the agents' own, a table one for this deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum WantedRollout {
    Agents(bool),
    Own(Box<RolloutSpec>),
}

impl<'de> Deserialize<'de> for WantedRollout {
    /// By hand, so that an error names the field that it is about.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WantedRollout, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if let serde_json::Value::Bool(agents) = value {
            return Ok(WantedRollout::Agents(agents));
        }
        let own = serde_json::from_value(value);
        own.map(WantedRollout::Own).map_err(|error| D::Error::custom(format!("rollout: {error}")))
    }
}

/// What a deployment with `dry_run` would do; nothing was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlined {
    pub releases: BTreeMap<AgentName, ReleaseId>,
    pub segment: SegmentName,
    /// `rollout`, `canary` or `now`.
    pub traffic: String,
    /// Of a rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
}

/// A verdict of an offline eval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordGate {
    pub verdict: GateVerdict,
    /// The report, an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Digest>,
    #[serde(default)]
    pub reason: String,
}

/// A promotion is to do without a part of its gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideGate {
    /// None: all that it waits for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub kinds: BTreeSet<SuiteKind>,
    /// Why: the ledger keeps it.
    #[serde(default)]
    pub reason: String,
}

/// Where a deployment's rollout stands, or how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    pub deployment: DeploymentId,
    /// The deployment's: `candidate`, `active`, `superseded` or `rolled back`.
    pub state: String,
    pub releases: BTreeMap<AgentName, ReleaseId>,
    pub segment: SegmentName,
    /// All of it in a few sentences.
    pub sentence: String,
    /// Rises with every entry of the rollout.
    pub generation: u64,
    /// The current step, or the one in which it ended; from 1.
    pub step: usize,
    pub steps: Vec<StepStanding>,
    /// The candidate's shares of traffic now; nothing after the end.
    pub weights: Weights,
    /// The share of live requests that the candidate answers copies of.
    pub shadow: Share,
    pub opened_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// What is missing before it moves on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<String>,
    /// What comes when nothing is missing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// When something happens by itself even if nothing is observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Whether all that was journaled so far is in these numbers; after a start that takes a while.
    pub complete: bool,
    pub guardrails: Vec<Watched>,
    /// Runs that ended since the step began.
    pub runs: Arms<u64>,
    /// Units that are compared, over the whole rollout.
    pub units: Arms<u64>,
    /// The arms don't get the shares that they should.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ratio_off: bool,
    pub pairs: Pairs,
    /// Who approved the current step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Why the controller couldn't do what comes next; it tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// A rollout in a line, beside its deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutShort {
    /// From 1.
    pub step: usize,
    pub steps: usize,
    /// `canary 5%`.
    pub what: String,
    pub since: Timestamp,
    /// Why it stands still, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// Only in the answer for one deployment, while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
}

/// A step and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepStanding {
    /// From 1.
    pub step: usize,
    /// `canary 5%`.
    pub what: String,
    pub standing: Standing,
    pub plan: Step,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The ledger entry that ended it, with its evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<LedgerSeq>,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Done,
    Now,
    ToCome,
    /// The rollout ended in it.
    Ended,
    /// The rollout ended before it.
    Skipped,
}

/// Why a rollout stands still.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    pub at: Timestamp,
    pub seq: LedgerSeq,
    pub why: Stop,
    pub words: String,
}

/// A guardrail and what it shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    #[serde(flatten)]
    pub guardrail: Guardrail,
    /// What it must prove for the step, `at most 2.00 points worse`.
    pub proves: String,
    /// What it says about that.
    pub says: Says,
    /// The numbers; none before anything was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// The numbers in a few words.
    pub words: String,
}

/// How a rollout ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub at: Timestamp,
    /// The ledger entry that ended it.
    pub seq: LedgerSeq,
    /// `promoted` or `rolled back`.
    pub how: String,
    /// Of a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Something that happened to a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    pub at: Timestamp,
    pub seq: LedgerSeq,
    pub actor: Actor,
    /// In words.
    pub what: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The numbers that it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

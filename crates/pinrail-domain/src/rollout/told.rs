//! What happened to a deployment and what a guardrail says, in words: for people who look at it afterwards.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::facts::{Evidence, Finding};
use super::outlook::{step_words, stop_words};
use super::plan::{Guardrail, Plan, Step};
use super::progress::Rollout;
use crate::deployment::{Deployment, Gate, GateVerdict};
use crate::gate::{Judgement, SuiteKind};
use crate::id::IngestName;
use crate::ledger::{Body, Entry};
use crate::share::Share;

/// What a ledger entry did to a deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Told<'e> {
    /// In words, without the reason that the entry gives.
    pub what: String,
    /// The numbers that it rests on.
    pub evidence: Option<&'e Evidence>,
}

/// What a guardrail says at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Proven worse, by at least the margin as far as was seen.
    Worse,
    /// Proven to be inside the step's margin.
    NotWorse,
    Undecided,
    /// One of the arms has fewer units than it wants.
    TooFewSamples,
    /// Its source gives nothing.
    NoSource,
}

impl Says {
    /// What a finding says, where the margin times `slack` is to be proven.
    #[must_use]
    pub fn of(guardrail: &Guardrail, finding: &Finding, slack: f64) -> Says {
        if finding.trouble.is_some() {
            Says::NoSource
        } else if !finding.has_samples(guardrail) {
            Says::TooFewSamples
        } else if finding.is_breach(guardrail) {
            Says::Worse
        } else if finding.is_not_worse(guardrail, slack) {
            Says::NotWorse
        } else {
            Says::Undecided
        }
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Says::Worse => "worse",
            Says::NotWorse => "not worse",
            Says::Undecided => "undecided",
            Says::TooFewSamples => "too few samples",
            Says::NoSource => "no source",
        })
    }
}

/// By how many times its margin a guardrail must be proven at a step: what the canary there, or the last one before it, asks.
#[must_use]
pub fn slack_at(plan: &Plan, step: usize) -> f64 {
    let canary = |step: &Step| match step {
        Step::Canary { slack, .. } => Some(*slack),
        Step::Gate | Step::Shadow { .. } | Step::Pause { .. } | Step::Approve { .. } => None,
    };
    let before = plan.steps.iter().take(step + 1).rev().find_map(canary);
    before.or_else(|| plan.steps.iter().find_map(canary)).unwrap_or(1.0)
}

/// Tells what a ledger entry did to a deployment; none where it is about something else.
#[must_use]
pub fn tell<'e>(entry: &'e Entry, of: &Deployment, rollout: Option<&Rollout>) -> Option<Told<'e>> {
    let id = of.id;
    let step = |place: usize| match rollout.and_then(|rollout| rollout.plan.steps.get(place)) {
        Some(step) => {
            let steps = rollout.map_or(0, |rollout| rollout.plan.steps.len());
            format!("step {} of {steps}: {}", place + 1, step_words(step))
        }
        None => format!("step {}", place + 1),
    };
    let (deployment, what, evidence) = match &entry.body {
        Body::DeploymentOpened { deployment, weight, ingest, rollout: plan, .. } => {
            let begins = plan.is_some().then(|| step(0));
            (deployment, opened_words(ingest.as_ref(), begins, *weight), None)
        }
        Body::DeploymentPromoted { deployment, overridden, evidence } => {
            let overriding = |why| format!("promoted, overriding its rollout: {why}");
            let what = overridden.as_ref().map_or_else(|| "promoted".to_owned(), overriding);
            (deployment, what, evidence.as_deref())
        }
        Body::DeploymentRolledBack { deployment, keep_state, evidence, .. } => {
            let what = if *keep_state { "rolled back, pointers only" } else { "rolled back" };
            (deployment, what.to_owned(), evidence.as_deref())
        }
        Body::RolloutStep { deployment, entered, .. } => {
            (deployment, format!("entered {}", step(entered.step)), entered.evidence.as_deref())
        }
        Body::RolloutStopped { deployment, why, evidence, .. } => {
            (deployment, format!("stopped: {}", stop_words(why)), evidence.as_deref())
        }
        Body::RolloutResumed { deployment, .. } => {
            (deployment, "resumed, with the whole time of its step before it".to_owned(), None)
        }
        Body::RolloutApproved { deployment, step: place, .. } => {
            (deployment, format!("approved {}", step(*place)), None)
        }
        Body::GateRecorded { deployment, gate } => (deployment, gate_words(gate), None),
        Body::GateJudged { agent, judgement, .. } if of.releases.get(agent) == Some(&judgement.candidate) => {
            (&id, judged_words(judgement), None)
        }
        Body::GateOverridden { deployment, kinds } => (deployment, overridden_words(kinds), None),
        Body::GateOverrideSeconded { deployment, .. } => (deployment, "override seconded".to_owned(), None),
        Body::ManifestRecorded { deployment, .. } => {
            (deployment, "the state as it was then is recorded".to_owned(), None)
        }
        Body::WeightSet { deployment, weight } => (deployment, format!("weight set to {weight}"), None),
        Body::StateCollected { deployments, records, .. } if deployments.contains(&id) => {
            (&id, format!("what it wrote was removed for good ({records} records in all)"), None)
        }
        Body::GateJudged { .. }
        | Body::ProviderPut { .. }
        | Body::ProviderRemoved { .. }
        | Body::AgentPut { .. }
        | Body::AgentRemoved { .. }
        | Body::ReleaseCreated { .. }
        | Body::StateCollected { .. }
        | Body::JournalCollected { .. }
        | Body::StateErased { .. }
        | Body::HoldLifted { .. }
        | Body::KeyCreated { .. }
        | Body::KeyRevoked { .. }
        | Body::WebhookPut { .. }
        | Body::WebhookRemoved { .. }
        | Body::DialSet { .. }
        | Body::DriftFound { .. }
        | Body::DriftCleared { .. }
        | Body::CatalogueUpdated { .. }
        | Body::ReleaseRetired { .. }
        | Body::McpServerPut { .. }
        | Body::McpServerRemoved { .. } => return None,
    };
    (*deployment == id).then_some(Told { what, evidence })
}

/// How a deployment began: with a step of its rollout, if it has one.
fn opened_words(ingest: Option<&IngestName>, begins: Option<String>, weight: Share) -> String {
    match (ingest, begins) {
        (Some(name), _) => format!("opened for data job {name}"),
        (None, Some(step)) => format!("opened; {step}"),
        (None, None) if weight == Share::NONE => "opened".to_owned(),
        (None, None) => format!("opened at {weight}, by hand"),
    }
}

fn overridden_words(kinds: &[SuiteKind]) -> String {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    format!("gate overridden for {} suites", kinds.join(", "))
}

pub(crate) fn judged_words(judgement: &Judgement) -> String {
    let suites: Vec<String> =
        judgement.suites.iter().map(|suite| format!("{} {}", suite.name, suite.verdict.as_str())).collect();
    format!("gate ended {}: {}", judgement.verdict.as_str(), suites.join(", "))
}

pub(crate) fn gate_words(gate: &Gate) -> String {
    let verdict = match gate.verdict {
        GateVerdict::Pass => "pass",
        GateVerdict::Fail => "fail",
        GateVerdict::Inconclusive => "inconclusive",
    };
    match gate.report {
        Some(report) => format!("gate recorded: {verdict}, report {}", report.short()),
        None => format!("gate recorded: {verdict}"),
    }
}

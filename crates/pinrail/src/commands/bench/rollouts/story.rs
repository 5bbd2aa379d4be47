//! A rollout's timeline, from the ledger.

use std::fmt::Write as _;

use pinrail_domain::id::DeploymentId;
use pinrail_domain::ledger::{Body, Entry};
use pinrail_domain::rollout::Evidence;
use pinrail_domain::rollout::outlook::{step_words, stop_words};
use pinrail_domain::rollout::plan::Plan;
use pinrail_domain::time::Timestamp;
use serde::Deserialize as _;
use serde_json::Value;

/// The rollout of a deployment entry by entry, with samples and bounds.
pub fn timeline(name: &str, deployment: u64, ledger: &Value) -> anyhow::Result<String> {
    let id = DeploymentId(deployment);
    let mut text = format!("\nthe {name} candidate, deployment {id}:\n");
    let (mut plan, mut opened_at) = (None, Timestamp(0));
    for entry in ledger["items"].as_array().into_iter().flatten() {
        let entry = Entry::deserialize(entry)?;
        let Some((what, evidence)) = told(&entry.body, id, &mut plan) else { continue };
        if opened_at == Timestamp(0) {
            opened_at = entry.at;
        }
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of minutes")]
        let seconds = entry.at.ms_since(opened_at) as f64 / 1_000.0;
        writeln!(text, "  {seconds:7.1} s  {what}")?;
        let Some(evidence) = evidence else { continue };
        let (runs, units) = (evidence.runs, evidence.units);
        writeln!(
            text,
            "             {} and {} runs in the step, {} and {} sessions in all",
            runs.candidate, runs.incumbent, units.candidate, units.incumbent
        )?;
        for finding in &evidence.findings {
            writeln!(text, "             {}", finding.sentence())?;
        }
    }
    Ok(text)
}

/// What an entry says of the deployment, and what it rests on.
#[allow(clippy::wildcard_enum_match_arm, reason = "of the ledger's many kinds, a timeline shows these")]
fn told<'a>(
    body: &'a Body,
    id: DeploymentId,
    plan: &mut Option<Plan>,
) -> Option<(String, Option<&'a Evidence>)> {
    let step =
        |at: usize| plan.as_ref().and_then(|plan| plan.steps.get(at)).map(step_words).unwrap_or_default();
    match body {
        Body::DeploymentOpened { deployment, rollout: Some(opened), .. } if *deployment == id => {
            let first = opened.steps.first().map(step_words).unwrap_or_default();
            *plan = Some((**opened).clone());
            Some((format!("opened at {first}"), None))
        }
        Body::RolloutStep { deployment, entered, .. } if *deployment == id => {
            Some((format!("on to {}", step(entered.step)), entered.evidence.as_deref()))
        }
        Body::RolloutStopped { deployment, why, evidence, .. } if *deployment == id => {
            Some((stop_words(why), evidence.as_deref()))
        }
        Body::DeploymentPromoted { deployment, evidence, .. } if *deployment == id => {
            Some(("promoted".to_owned(), evidence.as_deref()))
        }
        Body::DeploymentRolledBack { deployment, evidence, .. } if *deployment == id => {
            Some(("rolled back".to_owned(), evidence.as_deref()))
        }
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "of the ledger's many kinds, a timeline shows these"
        )]
        _ => None,
    }
}

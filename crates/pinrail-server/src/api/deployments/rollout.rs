//! `GET /api/v1/deployments/{deployment}/rollout?seen=&wait_ms=`: where a rollout stands, or how it ended.
//!
//! With `seen` and `wait_ms` the answer comes when the rollout's generation is another one than `seen`, when it has ended, when
//! the time is over, or when the server shuts down. When too many wait already, it comes at once.

use std::time::Duration;

use pinrail_api::deployments::rollout::{
    Ended, Rollout as Shown, RolloutShort, Standing, StepStanding, Stopped, Watched,
};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::rollouts;
use pinrail_domain::deploy;
use pinrail_domain::deployment::{Deployment, Status};
use pinrail_domain::id::DeploymentId;
use pinrail_domain::rollout::acts::RolloutRefused;
use pinrail_domain::rollout::facts::{Evidence, Finding, margin_words};
use pinrail_domain::rollout::outlook::{step_words, stop_words};
use pinrail_domain::rollout::told::{Says, slack_at};
use pinrail_domain::rollout::{Facts, Guardrail, Plan, Rollout, Weights};
use pinrail_domain::share::Share;
use pinrail_domain::world::World;
use serde::Deserialize;
use tokio::time::Instant;

use super::{gate_missing, id, no_deployment, not_a_candidate};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    /// The generation that the caller knows.
    seen: Option<u64>,
    #[serde(default)]
    wait_ms: u64,
}

pub async fn show(call: Call) -> Answer {
    let id = id(&call)?;
    let Query { seen, wait_ms } = call.query()?;
    let (longest, wait) = (call.state.limits.poll_wait_max, Duration::from_millis(wait_ms));
    if wait > longest {
        let longest = longest.as_millis();
        return Err(Problem::new(
            Code::BadRequest,
            format!("wait_ms is {wait_ms}; at most {longest} are allowed"),
        )
        .next_step("wait for less, and ask again"));
    }
    // Listening begins before the first look, so that nothing that happens in between is missed.
    let mut heads = call.control().heads();
    let mut draining = call.state.draining.subscribe();
    let mut shown = look(&call, id)?;
    let is_old = |shown: &Shown| shown.ended.is_none() && seen == Some(shown.generation);
    let place = match is_old(&shown) && wait_ms > 0 {
        true => call.state.pollers.clone().try_acquire_owned().ok(),
        false => None,
    };
    let deadline = Instant::now() + wait;
    while place.is_some() && is_old(&shown) {
        let is_over = tokio::select! {
            changed = heads.changed() => changed.is_err(),
            _ = draining.wait_for(|draining| *draining) => true,
            () = tokio::time::sleep_until(deadline) => true,
        };
        shown = look(&call, id)?;
        if is_over {
            break;
        }
    }
    reply::json(&shown)
}

/// Where a rollout stands, or how it ended.
pub fn look(call: &Call, id: DeploymentId) -> Result<Shown, Problem> {
    let standing = call.control().standing(id);
    let snapshot = call.control().snapshot();
    let deployment = snapshot.world.deployments.get(&id).ok_or_else(|| no_deployment(id))?;
    let Some(rollout) = deployment.rollout.as_deref() else {
        return Err(refused(RolloutRefused::ByHand { id }));
    };
    Ok(match standing.filter(|_| ended(deployment).is_none()) {
        Some(standing) => under_way(&snapshot.world, deployment, standing),
        None => over(&snapshot.world, deployment, rollout),
    })
}

/// A rollout in a line.
pub(super) fn short(rollout: &Rollout, sentence: Option<String>) -> RolloutShort {
    RolloutShort {
        step: rollout.step + 1,
        steps: rollout.plan.steps.len(),
        what: step_words(rollout.current()),
        since: rollout.since,
        stopped: rollout.stopped.as_ref().map(|stopped| stop_words(&stopped.why)),
        sentence,
    }
}

/// Why nothing happens to a rollout, with the way on.
pub(super) fn refused(refused: RolloutRefused) -> Problem {
    let detail = problem::chain(&refused);
    let state = |id: DeploymentId, next_step: String| {
        Problem::new(Code::RolloutState, detail.clone()).next_step(next_step).fact("deployment", id.0)
    };
    let look = |id| format!("`pinrail deployment show {id}` (GET /api/v1/deployments/{id}/rollout)");
    match refused {
        RolloutRefused::NoDeployment(id) => no_deployment(id),
        RolloutRefused::Over { id, state } => not_a_candidate(detail, id, state),
        RolloutRefused::ByHand { id } => state(
            id,
            format!(
                "widen it, `pinrail deployment weight {id} 20%`, or promote it, `pinrail deployment promote {id}` (POST \
                 /api/v1/deployments/{id}/weight|promote)"
            ),
        ),
        RolloutRefused::Stale { id, generation } => {
            state(id, format!("look again: {}", look(id))).fact("generation", generation)
        }
        RolloutRefused::Stopped { id, .. } => state(
            id,
            format!(
                "let it go on, `pinrail deployment resume {id}`, or end it: `pinrail deployment promote {id} --override 'why'`, \
                 `pinrail deployment rollback {id} --reason …` (POST /api/v1/deployments/{id}/resume|promote|rollback)"
            ),
        ),
        RolloutRefused::NotStopped { id } => {
            state(id, format!("it goes on by itself; see what it waits for: {}", look(id)))
        }
        RolloutRefused::Gate { id, missing } => gate_missing(detail, Some(id), &missing),
        RolloutRefused::NoApproval { id, step, word: _ } => {
            state(id, format!("see what it waits for: {}", look(id))).fact("step", step)
        }
    }
}

fn under_way(world: &World, deployment: &Deployment, standing: rollouts::Standing) -> Shown {
    let rollouts::Standing { rollout, facts, outlook, sentence, refused } = standing;
    let shown = base(world, deployment, &rollout, &facts.evidence());
    let stopped = rollout.stopped.as_ref().map(|stopped| Stopped {
        at: stopped.at,
        seq: stopped.seq,
        why: stopped.why.clone(),
        words: stop_words(&stopped.why),
    });
    let Facts { complete, ratio_off, .. } = facts;
    Shown {
        sentence,
        weights: rollout.weights_now().clone(),
        shadow: rollout.shadow,
        stopped,
        waits: outlook.waits,
        next: Some(outlook.next),
        at: outlook.at,
        complete,
        ratio_off,
        refused,
        approvals: rollout.approvals,
        ..shown
    }
}

fn over(world: &World, deployment: &Deployment, rollout: &Rollout) -> Shown {
    let evidence = deployment.evidence.as_deref().cloned().unwrap_or_default();
    let mut shown = base(world, deployment, rollout, &evidence);
    shown.sentence = match &shown.ended {
        Some(Ended { at, how, why, .. }) => {
            let (step, steps, at) = (shown.step, shown.steps.len(), at.rfc3339());
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let mut words = how.clone();
            words[..1].make_ascii_uppercase();
            format!("{words} at {at}, in step {step} of {steps}, {}{why}.", step_words(rollout.current()))
        }
        None => String::new(),
    };
    shown
}

/// What is the same under way and afterwards.
fn base(world: &World, deployment: &Deployment, rollout: &Rollout, evidence: &Evidence) -> Shown {
    Shown {
        deployment: deployment.id,
        state: deploy::state(world, deployment).to_owned(),
        releases: deployment.releases.clone(),
        segment: deployment.segment.clone(),
        sentence: String::new(),
        generation: rollout.generation,
        step: rollout.step + 1,
        steps: steps(deployment, rollout),
        weights: Weights::default(),
        shadow: Share::NONE,
        opened_at: deployment.opened_at,
        stopped: None,
        waits: Vec::new(),
        next: None,
        at: None,
        complete: true,
        guardrails: watched(&rollout.plan, rollout.step, &evidence.findings),
        runs: evidence.runs,
        units: evidence.units,
        ratio_off: false,
        pairs: evidence.pairs.clone(),
        approvals: Vec::new(),
        gate: deployment.gate.clone(),
        refused: None,
        ended: ended(deployment),
    }
}

fn ended(deployment: &Deployment) -> Option<Ended> {
    match &deployment.status {
        Status::Candidate { .. } => None,
        Status::Promoted { at, seq } => {
            Some(Ended { at: *at, seq: *seq, how: "promoted".to_owned(), why: None })
        }
        Status::RolledBack { at, seq, why, .. } => {
            let why = Some(why.clone()).filter(|why| !why.is_empty());
            Some(Ended { at: *at, seq: *seq, how: "rolled back".to_owned(), why })
        }
    }
}

fn steps(deployment: &Deployment, rollout: &Rollout) -> Vec<StepStanding> {
    let ended = ended(deployment);
    let is_promoted = match deployment.status {
        Status::Promoted { .. } => true,
        Status::Candidate { .. } | Status::RolledBack { .. } => false,
    };
    let is_last = rollout.step + 1 == rollout.plan.steps.len();
    let of = |(place, step): (usize, &pinrail_domain::rollout::Step)| {
        let behind = rollout.behind.iter().find(|behind| behind.step == place);
        let standing = match (place.cmp(&rollout.step), &ended) {
            (std::cmp::Ordering::Less, _) => Standing::Done,
            (std::cmp::Ordering::Equal, None) => Standing::Now,
            (std::cmp::Ordering::Equal, Some(_)) if is_promoted && is_last => Standing::Done,
            (std::cmp::Ordering::Equal, Some(_)) => Standing::Ended,
            (std::cmp::Ordering::Greater, None) => Standing::ToCome,
            (std::cmp::Ordering::Greater, Some(_)) => Standing::Skipped,
        };
        let is_current = place == rollout.step;
        let end = ended.as_ref().filter(|_| is_current);
        StepStanding {
            step: place + 1,
            what: step_words(step),
            standing,
            plan: step.clone(),
            since: behind.map(|behind| behind.since).or(is_current.then_some(rollout.since)),
            until: behind.map(|behind| behind.until).or(end.map(|end| end.at)),
            seq: behind.map(|behind| behind.seq).or(end.map(|end| end.seq)),
        }
    };
    rollout.plan.steps.iter().enumerate().map(of).collect()
}

fn watched(plan: &Plan, step: usize, findings: &[Finding]) -> Vec<Watched> {
    let slack = slack_at(plan, step);
    let of = |guardrail: &Guardrail| {
        let is_its =
            |finding: &&Finding| finding.guardrail == guardrail.name && finding.agent == guardrail.agent;
        let finding = findings.iter().find(is_its).cloned();
        Watched {
            guardrail: guardrail.clone(),
            proves: format!("at most {} worse", margin_words(guardrail.margin, slack, &guardrail.metric)),
            says: finding.as_ref().map_or(Says::TooFewSamples, |finding| Says::of(guardrail, finding, slack)),
            words: match &finding {
                Some(finding) => finding.sentence(),
                None => format!("{}: nothing was observed yet", guardrail.name),
            },
            finding,
        }
    };
    plan.guardrails.iter().map(of).collect()
}

#[cfg(test)]
mod tests;

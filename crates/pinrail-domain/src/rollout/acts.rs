//! The ledger entries of a rollout: what people and the controller may do with it.
//!
//! Everything of the controller names the generation that it was decided on, and is refused when the rollout has moved
//! on since. What people do isn't: they act on what they see, and nothing blocks a rollback (I7).

use super::facts::Evidence;
use super::plan::Step;
use super::progress::{Entered, Rollout, Stop};
use crate::deploy::{gate_words, state};
use crate::deployment::{Deployment, Gate, Status};
use crate::dial::{self, DialRefused, Place, Turn};
use crate::gate::{self, Missing};
use crate::id::DeploymentId;
use crate::ledger::{Actor, Body};
use crate::time::Timestamp;
use crate::world::World;

/// Why nothing happens to a rollout.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RolloutRefused {
    #[error("there is no deployment {0}")]
    NoDeployment(DeploymentId),
    #[error("deployment {id} is {state}, so its rollout is over")]
    Over { id: DeploymentId, state: &'static str },
    #[error("deployment {id} was opened without a rollout: its weight is set by hand")]
    ByHand { id: DeploymentId },
    #[error("the rollout of deployment {id} has moved on to generation {generation}")]
    Stale { id: DeploymentId, generation: u64 },
    #[error("the rollout of deployment {id} is stopped already: {why}")]
    Stopped { id: DeploymentId, why: String },
    #[error("the rollout of deployment {id} is neither stopped nor at a pause")]
    NotStopped { id: DeploymentId },
    #[error("the gate of deployment {id} is missing: {}", gate_words(.missing))]
    Gate { id: DeploymentId, missing: Vec<Missing> },
    #[error("step {step} of deployment {id} is a {word}, which needs no approval")]
    NoApproval { id: DeploymentId, step: usize, word: &'static str },
}

/// Enters a step.
pub fn enter(
    world: &World,
    id: DeploymentId,
    generation: u64,
    step: usize,
    evidence: Evidence,
) -> Result<Body, RolloutRefused> {
    let (_, rollout) = current(world, id, generation)?;
    let entered = Box::new(Entered::of(&rollout.plan, step, rollout.weights_now(), Some(Box::new(evidence))));
    Ok(Body::RolloutStep { deployment: id, generation: generation + 1, entered })
}

/// Stops a rollout that the controller can't go on with, and turns the dial down where the breach asks for that: one
/// commit, so that nobody sees one without the other. Where the dial can't be turned ([`dials_left`]), it is left.
pub fn stop(
    world: &World,
    id: DeploymentId,
    generation: u64,
    why: Stop,
    evidence: Evidence,
) -> Result<Vec<Body>, RolloutRefused> {
    let (deployment, _) = current(world, id, generation)?;
    let turned = turns(world, deployment, &why).filter_map(|(_, turned)| turned.ok().flatten());
    let turned: Vec<Body> = turned.collect();
    let evidence = Some(Box::new(evidence));
    let stopped = Body::RolloutStopped { deployment: id, generation: generation + 1, why, evidence };
    Ok([stopped].into_iter().chain(turned).collect())
}

/// Where a stop would turn the dial and can't, and why: it stands lower already, or nobody could answer.
#[must_use]
pub fn dials_left(world: &World, id: DeploymentId, why: &Stop) -> Vec<(Place, DialRefused)> {
    let Some(deployment) = world.deployments.get(&id) else { return Vec::new() };
    turns(world, deployment, why).filter_map(|(place, turned)| Some((place, turned.err()?))).collect()
}

/// Checks that a decision made on `generation` is not old news.
pub fn check_generation(world: &World, id: DeploymentId, generation: u64) -> Result<(), RolloutRefused> {
    current(world, id, generation).map(drop)
}

/// Stops a rollout because somebody says so. Guardrails go on watching.
pub fn freeze(
    world: &World,
    id: DeploymentId,
    reason: &str,
    seen: Option<Box<Evidence>>,
) -> Result<Body, RolloutRefused> {
    let (_, rollout) = under_way(world, id)?;
    if let Some(stopped) = &rollout.stopped {
        let why = super::outlook::stop_words(&stopped.why);
        return Err(RolloutRefused::Stopped { id, why });
    }
    Ok(Body::RolloutStopped {
        deployment: id,
        generation: rollout.generation + 1,
        why: Stop::Person { reason: reason.to_owned() },
        evidence: seen,
    })
}

/// Lets a stopped rollout go on, with the whole time of its step before it; ends a pause.
pub fn resume(world: &World, id: DeploymentId, now: Timestamp) -> Result<Body, RolloutRefused> {
    let (deployment, rollout) = under_way(world, id)?;
    let generation = rollout.generation + 1;
    if rollout.stopped.is_some() {
        return Ok(Body::RolloutResumed { deployment: id, generation });
    }
    let is_last = rollout.step + 1 == rollout.plan.steps.len();
    match rollout.current() {
        Step::Pause { .. } if !is_last => {
            let entered = Box::new(Entered::of(&rollout.plan, rollout.step + 1, rollout.weights_now(), None));
            Ok(Body::RolloutStep { deployment: id, generation, entered })
        }
        Step::Pause { .. } => {
            let missing = promotion_missing(world, deployment, now);
            if !missing.is_empty() {
                return Err(RolloutRefused::Gate { id, missing });
            }
            Ok(Body::DeploymentPromoted { deployment: id, overridden: None, evidence: None })
        }
        Step::Gate | Step::Shadow { .. } | Step::Canary { .. } | Step::Approve { .. } => {
            Err(RolloutRefused::NotStopped { id })
        }
    }
}

/// Approves the current step; who does is the entry's actor.
pub fn approve(world: &World, id: DeploymentId) -> Result<Body, RolloutRefused> {
    let (_, rollout) = under_way(world, id)?;
    match rollout.current() {
        Step::Approve { .. } => Ok(Body::RolloutApproved {
            deployment: id,
            generation: rollout.generation + 1,
            step: rollout.step,
        }),
        step @ (Step::Gate | Step::Shadow { .. } | Step::Canary { .. } | Step::Pause { .. }) => {
            Err(RolloutRefused::NoApproval { id, step: rollout.step + 1, word: step.word() })
        }
    }
}

/// Records the verdict of an eval that was run elsewhere. A candidate without a rollout takes it, too: as a fact.
pub fn record_gate(world: &World, id: DeploymentId, gate: Gate) -> Result<Body, RolloutRefused> {
    candidate(world, id)?;
    Ok(Body::GateRecorded { deployment: id, gate })
}

/// What the gate has against a promotion (I14).
pub(super) fn promotion_missing(world: &World, deployment: &Deployment, now: Timestamp) -> Vec<Missing> {
    let Deployment { releases, segment, waivers, .. } = deployment;
    gate::missing(world, releases, segment, waivers, now)
}

/// The turns of the dial that a stop asks for: at every place where the candidate serves.
fn turns<'a>(
    world: &'a World,
    deployment: &'a Deployment,
    why: &Stop,
) -> impl Iterator<Item = (Place, Result<Option<Body>, DialRefused>)> {
    let position = match why {
        Stop::Breach { dial, guardrail: _ } => *dial,
        Stop::Person { .. }
        | Stop::Deadline { .. }
        | Stop::SampleRatio
        | Stop::Budget
        | Stop::Drift { .. } => None,
    };
    let places = deployment.releases.keys().flat_map(|agent| {
        let segments = world.segments_reached(agent, &deployment.segment).into_iter();
        segments.map(|segment| Place { segment: Some(segment), ..Place::agent(agent) })
    });
    position.into_iter().flat_map(move |position| {
        places.clone().map(move |place| {
            let wish = Turn { place: place.clone(), position, release: None, text: None };
            (place, dial::turn(world, &wish, &Actor::System))
        })
    })
}

fn current(
    world: &World,
    id: DeploymentId,
    generation: u64,
) -> Result<(&Deployment, &Rollout), RolloutRefused> {
    let (deployment, rollout) = under_way(world, id)?;
    match rollout.generation == generation {
        true => Ok((deployment, rollout)),
        false => Err(RolloutRefused::Stale { id, generation: rollout.generation }),
    }
}

fn under_way(world: &World, id: DeploymentId) -> Result<(&Deployment, &Rollout), RolloutRefused> {
    let deployment = candidate(world, id)?;
    let rollout = deployment.rollout.as_deref().ok_or(RolloutRefused::ByHand { id })?;
    Ok((deployment, rollout))
}

fn candidate(world: &World, id: DeploymentId) -> Result<&Deployment, RolloutRefused> {
    let deployment = world.deployments.get(&id).ok_or(RolloutRefused::NoDeployment(id))?;
    match deployment.status {
        Status::Candidate { .. } => Ok(deployment),
        Status::Promoted { .. } | Status::RolledBack { .. } => {
            Err(RolloutRefused::Over { id, state: state(world, deployment) })
        }
    }
}

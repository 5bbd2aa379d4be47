//! The ledger entries of a gate: its verdict, and what people say a promotion may do without.

use std::collections::BTreeSet;

use super::needs::{Waiver, missing};
use super::{Judgement, SuiteKind};
use crate::deploy::state;
use crate::deployment::{Deployment, Status};
use crate::id::{AgentName, DeploymentId, GateId, ReleaseId};
use crate::ledger::{Actor, Body};
use crate::time::Timestamp;
use crate::world::World;

/// Why a verdict isn't kept.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JudgeRefused {
    #[error("there is no agent `{0}`")]
    NoAgent(AgentName),
    #[error("agent `{agent}` has no release {release}")]
    NoRelease { agent: AgentName, release: ReleaseId },
}

/// Why a gate isn't overridden.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OverrideRefused {
    #[error("there is no deployment {0}")]
    NoDeployment(DeploymentId),
    #[error("deployment {id} is {state}, so there is nothing to promote")]
    Over { id: DeploymentId, state: &'static str },
    #[error(
        "the gate asks for nothing of deployment {id} that could be overridden: name kinds that it waits for"
    )]
    Nothing { id: DeploymentId },
    #[error("an override is a person's word and needs a reason")]
    NoReason,
    #[error(
        "deployment {id} moves an agent of tier critical, whose gate only two different keys can override"
    )]
    NeedsKey { id: DeploymentId },
    #[error("there is no override of deployment {id} that waits for a second key")]
    NothingToSecond { id: DeploymentId },
    #[error("the override of deployment {id} is this key's own: another one must second it")]
    OwnWord { id: DeploymentId },
}

/// Keeps how a gate ended.
pub fn judged(
    world: &World,
    agent: &AgentName,
    gate: GateId,
    judgement: &Judgement,
) -> Result<Body, JudgeRefused> {
    if !world.agents.contains_key(agent) {
        return Err(JudgeRefused::NoAgent(agent.clone()));
    }
    for release in [Some(judgement.candidate), judgement.incumbent].into_iter().flatten() {
        if !world.releases.get(&release).is_some_and(|known| known.agents.contains(agent)) {
            return Err(JudgeRefused::NoRelease { agent: agent.clone(), release });
        }
    }
    Ok(Body::GateJudged { agent: agent.clone(), gate, judgement: Box::new(judgement.clone()) })
}

/// Says that a candidate may be promoted without these kinds of suites; no kinds: all that it waits for.
///
/// In tier `critical` it counts once another key seconds it.
pub fn override_gate(
    world: &World,
    id: DeploymentId,
    kinds: &BTreeSet<SuiteKind>,
    by: &Actor,
    reason: &str,
    now: Timestamp,
) -> Result<Body, OverrideRefused> {
    let deployment = candidate(world, id)?;
    if reason.trim().is_empty() {
        return Err(OverrideRefused::NoReason);
    }
    if needs_second(world, deployment) && !matches!(by, Actor::Key { .. }) {
        return Err(OverrideRefused::NeedsKey { id });
    }
    let Deployment { releases, segment, waivers, .. } = deployment;
    let asked: BTreeSet<SuiteKind> = missing(world, releases, segment, waivers, now)
        .iter()
        .flat_map(|missing| missing.unmet.iter().map(super::Unmet::kind))
        .collect();
    let waived: Vec<SuiteKind> = if kinds.is_empty() {
        asked.into_iter().collect()
    } else {
        asked.intersection(kinds).copied().collect()
    };
    if waived.is_empty() {
        return Err(OverrideRefused::Nothing { id });
    }
    Ok(Body::GateOverridden { deployment: id, kinds: waived })
}

/// Seconds the newest override that waits for it.
pub fn second(world: &World, id: DeploymentId, by: &Actor) -> Result<Body, OverrideRefused> {
    let deployment = candidate(world, id)?;
    if !matches!(by, Actor::Key { .. }) {
        return Err(OverrideRefused::NeedsKey { id });
    }
    let waits = |waiver: &&Waiver| waiver.is_of_a_key() && waiver.seconded.is_none();
    let waiver =
        deployment.waivers.iter().rev().find(waits).ok_or(OverrideRefused::NothingToSecond { id })?;
    if waiver.by == *by {
        return Err(OverrideRefused::OwnWord { id });
    }
    Ok(Body::GateOverrideSeconded { deployment: id, overridden: waiver.seq })
}

/// Whether an override of this deployment's gate takes two keys.
#[must_use]
pub fn needs_second(world: &World, deployment: &Deployment) -> bool {
    let strict = |agent: &AgentName| {
        world.agents.get(agent).is_some_and(|spec| spec.tier.demands().override_needs_second)
    };
    deployment.releases.keys().any(strict)
}

fn candidate(world: &World, id: DeploymentId) -> Result<&Deployment, OverrideRefused> {
    let deployment = world.deployments.get(&id).ok_or(OverrideRefused::NoDeployment(id))?;
    match deployment.status {
        Status::Candidate { .. } => Ok(deployment),
        Status::Promoted { .. } | Status::RolledBack { .. } => {
            Err(OverrideRefused::Over { id, state: state(world, deployment) })
        }
    }
}

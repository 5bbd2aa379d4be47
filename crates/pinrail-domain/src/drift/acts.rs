//! What follows when something drifted, and how people say that it is dealt with.

use super::{DriftAction, FINDINGS_MAX, Sign, Subject};
use crate::deployment::Status;
use crate::dial::{Place, Turn, turn};
use crate::digest::Digest;
use crate::id::LedgerSeq;
use crate::ledger::{Actor, Body};
use crate::rollout::Stop;
use crate::world::World;

/// Why nothing is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriftRefused {
    #[error("there is no open finding {0}")]
    NoFinding(LedgerSeq),
    #[error("{0} findings are open; at most {FINDINGS_MAX} are kept: clear some of them")]
    TooMany(usize),
}

/// Opens a finding, and does what the agents that pin its subject ask for; nothing where the same is open already.
pub fn find(
    world: &World,
    subject: &Subject,
    sign: &Sign,
    what: &str,
    evidence: Option<Digest>,
) -> Result<Vec<Body>, DriftRefused> {
    let known =
        |finding: &&std::sync::Arc<super::Finding>| finding.subject == *subject && finding.sign.is_as(sign);
    if world.findings.values().any(|finding| known(&finding)) {
        return Ok(Vec::new());
    }
    if world.findings.len() >= FINDINGS_MAX {
        return Err(DriftRefused::TooMany(world.findings.len()));
    }
    let (subject, sign) = (subject.clone(), sign.clone());
    let mut bodies =
        vec![Body::DriftFound { subject: subject.clone(), sign, what: what.to_owned(), evidence }];
    for agent in world.agents_on(&subject) {
        let Some(spec) = world.agents.get(&agent) else { continue };
        match spec.on_drift() {
            DriftAction::Alert => {}
            DriftAction::Freeze => freeze(world, &agent, what, &mut bodies),
            DriftAction::Dial(position) => {
                let place = Place::agent(&agent);
                let turned = Turn { place, position, release: None, text: None };
                // It stands lower already, or nobody could answer: then the finding is all there is.
                bodies.extend(turn(world, &turned, &Actor::System).ok().flatten());
            }
        }
    }
    Ok(bodies)
}

/// Says that a finding is dealt with.
pub fn clear(world: &World, finding: LedgerSeq) -> Result<Body, DriftRefused> {
    match world.findings.contains_key(&finding) {
        true => Ok(Body::DriftCleared { finding }),
        false => Err(DriftRefused::NoFinding(finding)),
    }
}

/// Stops the agent's rollouts that go on; each once, however many of its agents drifted.
fn freeze(world: &World, agent: &crate::id::AgentName, what: &str, bodies: &mut Vec<Body>) {
    for deployment in world.deployments.values() {
        let is_candidate = matches!(deployment.status, Status::Candidate { .. });
        let Some(rollout) = deployment.rollout.as_deref().filter(|_| is_candidate) else { continue };
        let stops =
            |body: &Body| matches!(body, Body::RolloutStopped { deployment: id, .. } if *id == deployment.id);
        if rollout.stopped.is_none() && deployment.releases.contains_key(agent) && !bodies.iter().any(stops) {
            bodies.push(Body::RolloutStopped {
                deployment: deployment.id,
                generation: rollout.generation + 1,
                why: Stop::Drift { what: what.to_owned() },
                evidence: None,
            });
        }
    }
}

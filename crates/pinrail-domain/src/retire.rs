//! Retiring releases: a release that nobody needs any more says so, and can't be deployed again.
//!
//! It is refused with *every* reason, in this order: pointers, warm sets, the dial, gates that it judges, runs. Runs may only
//! begin where a pointer, the dial, or an open run of the same deployment leads, so that none can come between the look
//! at them and the entry.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::deployment::Pointer;
use crate::dial::Position;
use crate::id::{AgentName, DeploymentId, ReleaseId, SegmentName};
use crate::ledger::Body;
use crate::world::{Release, World};

/// What still needs a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "needs", rename_all = "snake_case")]
pub enum Need {
    /// It serves there.
    Active { agent: AgentName, segment: SegmentName, deployment: DeploymentId },
    /// It is being proven there.
    Candidate { agent: AgentName, segment: SegmentName, deployment: DeploymentId },
    /// A rollback may return to it.
    Warm { agent: AgentName, segment: SegmentName, deployment: DeploymentId, steps_back: u32 },
    /// An agent's settings name it as what answers at `fallback`.
    Fallback { agent: AgentName },
    /// The dial stands at `fallback` with it somewhere.
    Dial { place: String },
    /// It judges the gates of another agent.
    Judge { agent: AgentName, of: AgentName },
    /// Runs go on in a deployment that holds it (0: gates' runs); they, or runs that they start, may call it.
    Runs { deployment: DeploymentId, open: u64 },
}

/// Why a release isn't retired.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetireRefused {
    #[error("there is no release {0}")]
    NoRelease(ReleaseId),
    #[error("release {} is needed: {}", release.short(), words(needs))]
    Needed { release: ReleaseId, needs: Vec<Need> },
}

/// Retires a release; nothing where it is retired already. `open` says how many runs are open in each deployment that
/// holds it.
pub fn retire(
    world: &World,
    id: ReleaseId,
    open: &BTreeMap<DeploymentId, u64>,
) -> Result<Option<Body>, RetireRefused> {
    let release = world.releases.get(&id).ok_or(RetireRefused::NoRelease(id))?;
    if release.retired.is_some() {
        return Ok(None);
    }
    let needs = needs(world, release, open);
    if needs.is_empty() {
        Ok(Some(Body::ReleaseRetired { release: id }))
    } else {
        Err(RetireRefused::Needed { release: id, needs })
    }
}

/// Everything that still needs a release; empty where nothing does.
#[must_use]
pub fn needs(world: &World, release: &Release, open: &BTreeMap<DeploymentId, u64>) -> Vec<Need> {
    let id = release.id;
    let mut needs = Vec::new();
    let runs_it = |agent: &AgentName, deployment: Option<DeploymentId>| {
        deployment.filter(|deployment| {
            world.deployments.get(deployment).is_some_and(|of| of.releases.get(agent) == Some(&id))
        })
    };
    for ((agent, segment), Pointer { active, candidate, .. }) in world.pointers.iter() {
        let here = || (agent.clone(), segment.clone());
        needs.extend(runs_it(agent, *active).map(|deployment| {
            let (agent, segment) = here();
            Need::Active { agent, segment, deployment }
        }));
        needs.extend(runs_it(agent, *candidate).map(|deployment| {
            let (agent, segment) = here();
            Need::Candidate { agent, segment, deployment }
        }));
    }
    for agent in world.agents.keys() {
        let warm = world.warm(agent).into_iter().filter(|warm| warm.release == id && warm.steps_back > 0);
        needs.extend(warm.map(|warm| Need::Warm {
            agent: agent.clone(),
            segment: warm.segment,
            deployment: warm.deployment,
            steps_back: warm.steps_back,
        }));
    }
    needs.extend(dialled(world, id));
    for (of, spec) in world.agents.iter() {
        let judge = spec.gate.as_ref().and_then(|gate| gate.judge.as_ref());
        let judge = judge.filter(|judge| {
            crate::gate::incumbent(world, judge, &SegmentName::default_segment()) == Some(id)
        });
        needs.extend(judge.map(|agent| Need::Judge { agent: agent.clone(), of: of.clone() }));
    }
    let open = open.iter().filter(|(_, open)| **open > 0);
    needs.extend(open.map(|(deployment, open)| Need::Runs { deployment: *deployment, open: *open }));
    needs
}

fn dialled(world: &World, id: ReleaseId) -> Vec<Need> {
    let named = world.agents.iter().filter(|(_, spec)| {
        spec.dial.as_ref().is_some_and(|dial| dial.fallbacks().any(|release| release == id))
    });
    let named = named.map(|(agent, _)| Need::Fallback { agent: agent.clone() });
    let set = world
        .dials
        .iter()
        .filter(|(_, setting)| setting.position == Position::Fallback && setting.release == Some(id));
    named.chain(set.map(|(place, _)| Need::Dial { place: place.to_string() })).collect()
}

fn words(needs: &[Need]) -> String {
    needs.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Active { agent, segment, deployment } => {
                write!(f, "{agent}/{segment} serves it (deployment {deployment})")
            }
            Need::Candidate { agent, segment, deployment } => {
                write!(f, "it is the candidate of {agent}/{segment} (deployment {deployment})")
            }
            Need::Warm { agent, segment, deployment, steps_back } => write!(
                f,
                "it is in the warm set of {agent}/{segment}, {steps_back} back (deployment {deployment})"
            ),
            Need::Fallback { agent } => write!(f, "{agent} names it as what answers at `fallback`"),
            Need::Dial { place } => write!(f, "the dial of {place} stands at `fallback` with it"),
            Need::Judge { agent, of } => write!(f, "as what {agent} runs, it judges the gates of {of}"),
            Need::Runs { deployment: DeploymentId(0), open } => write!(f, "gates ask it in {open} runs"),
            Need::Runs { deployment, open } => write!(f, "{open} runs are open in deployment {deployment}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::Traffic;
    use crate::dial::DialSpec;
    use crate::share::Share;
    use crate::world::tests::play::{Play, agent, release_id};

    fn needed(play: &Play, release: u32, open: &[(u64, u64)]) -> Vec<String> {
        let open = open.iter().map(|(id, runs)| (DeploymentId(*id), *runs)).collect();
        match retire(&play.world, release_id(release), &open) {
            Ok(_) => Vec::new(),
            Err(RetireRefused::Needed { needs, .. }) => needs.iter().map(ToString::to_string).collect(),
            Err(RetireRefused::NoRelease(id)) => panic!("{id}"),
        }
    }

    #[test]
    fn what_needs_a_release_is_said_all_of_it() {
        let mut play = Play::new();
        let none: [&str; 0] = [];
        assert_eq!(needed(&play, 1, &[]), none);
        for release in 1..=4 {
            let traffic = if release == 4 { Traffic::Canary(Share::NONE) } else { Traffic::Now };
            play.open(&["planner"], release, "default", traffic);
        }
        assert_eq!(needed(&play, 4, &[]), ["it is the candidate of planner/default (deployment 4)"]);
        assert_eq!(
            needed(&play, 3, &[(3, 2)]),
            ["planner/default serves it (deployment 3)", "2 runs are open in deployment 3",]
        );
        assert_eq!(
            needed(&play, 1, &[]),
            ["it is in the warm set of planner/default, 2 back (deployment 1)"]
        );
        let mut spec = crate::agent::AgentSpec::clone(&play.world.agents[&agent("planner")]);
        spec.warm = Some(1);
        spec.dial = Some(Box::new(DialSpec { fallback: Some(release_id(1)), ..DialSpec::default() }));
        play.append(vec![Body::AgentPut { agent: agent("planner"), spec: spec.clone() }]);
        assert_eq!(needed(&play, 1, &[(1, 0)]), ["planner names it as what answers at `fallback`"]);
        spec.dial = None;
        play.append(vec![Body::AgentPut { agent: agent("planner"), spec }]);
        assert_eq!(needed(&play, 1, &[(1, 3)]), ["3 runs are open in deployment 1"]);

        let body = retire(&play.world, release_id(1), &BTreeMap::new()).unwrap().unwrap();
        play.append(vec![body]);
        assert_eq!(retire(&play.world, release_id(1), &BTreeMap::new()), Ok(None), "once is enough");
        let unknown = release_id(9);
        assert_eq!(retire(&play.world, unknown, &BTreeMap::new()), Err(RetireRefused::NoRelease(unknown)));
    }
}

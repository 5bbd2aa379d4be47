//! Where a rollback leads when it may only lead to what can be called.
//!
//! Each agent goes back over what served it before, newest first. A deployment is passed over when *any* of the releases
//! that it would serve is in trouble: what was put in front of traffic together comes back together or not at all. What is
//! passed over stays committed, and so does what it wrote. Where nothing can be called, the agent goes where a rollback
//! leads without this: nothing may block it (I7).

use std::collections::BTreeSet;

use crate::deployment::Deployment;
use crate::id::{AgentName, DeploymentId, ReleaseId};
use crate::world::World;

/// Where an agent returns to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    pub agent: AgentName,
    /// None where nothing served it before.
    pub to: Option<DeploymentId>,
    /// Newer ones that it doesn't return to; where nothing can be called, all that there is.
    pub passed_over: Vec<PassedOver>,
    /// Whether nothing is known to keep what it returns to from being called.
    pub callable: bool,
}

/// A deployment that couldn't answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    /// A sentence for people.
    pub why: String,
}

/// Where taking a deployment back leads each agent that it serves now. `trouble` says why a release couldn't answer for an
/// agent, as far as anybody knows.
pub fn landings(
    world: &World,
    id: DeploymentId,
    trouble: impl Fn(&AgentName, ReleaseId) -> Option<String>,
) -> Vec<Landing> {
    let Some(from) = world.deployments.get(&id) else { return Vec::new() };
    let served = |agent: &&AgentName| world.pointer(agent, &from.segment).active == Some(id);
    let moved: BTreeSet<&AgentName> = from.releases.keys().filter(served).collect();
    let in_trouble = |before: &Deployment| {
        let mut releases = before.releases.iter().filter(|(agent, _)| moved.contains(agent));
        releases.find_map(|(agent, release)| Some((agent.clone(), *release, trouble(agent, *release)?)))
    };
    let landing = |agent: &&AgentName| {
        let mut passed_over = Vec::new();
        for before in world.fallbacks(agent, from) {
            let Some((whose, release, why)) = in_trouble(before) else {
                return Landing { agent: (*agent).clone(), to: Some(before.id), passed_over, callable: true };
            };
            let why =
                if whose == **agent { why } else { format!("{whose}, which it serves together with: {why}") };
            passed_over.push(PassedOver { deployment: before.id, release, why });
        }
        let to = world.fallback(agent, from);
        Landing { agent: (*agent).clone(), to, passed_over, callable: false }
    };
    moved.iter().map(landing).collect()
}

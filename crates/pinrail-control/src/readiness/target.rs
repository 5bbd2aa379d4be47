//! Whether a rollback would lead to something that answers.
//!
//! A target is callable when its release loads, its provider is registered and has its key, and the catalogue doesn't
//! say that the model is retired. Whether the provider really answers, only a call can tell.

use std::collections::BTreeSet;

use pinrail_domain::deployment::Pointer;
use pinrail_domain::id::{AgentName, DeploymentId};
use pinrail_domain::model::Lifecycle;
use pinrail_domain::world::World;

use super::{Seen, Surroundings};
use crate::{Control, Snapshot};

pub async fn look(control: &Control, around: &Surroundings) -> Seen {
    let snapshot = control.snapshot();
    let (mut why, mut good, mut checked) = (Vec::new(), 0, BTreeSet::new());
    for ((agent, segment), pointer) in snapshot.world.pointers.iter() {
        for (serving, target) in rollbacks(&snapshot.world, agent, pointer) {
            let Some(target) = target else {
                why.push(format!(
                    "{agent}/{segment}: deployment {serving} has nothing before it; taken back, nothing would answer"
                ));
                continue;
            };
            if !checked.insert((agent.clone(), target)) {
                continue;
            }
            match trouble(control, around, &snapshot, agent, target).await {
                Some(trouble) => {
                    why.push(format!("{agent}/{segment}: deployment {target}, behind {serving}: {trouble}"));
                }
                None => good += 1,
            }
        }
    }
    match (good, why.len()) {
        (0, 0) => Seen::unknown("nothing is deployed"),
        (_, 0) => Seen::met(format!("{good} targets, all callable")),
        (_, bad) => Seen::missed(
            format!("{bad} of {} rollbacks would lead to nothing that answers", good + bad),
            why,
            "deploy a release that can be called before the next one, so that there is something to return to",
        ),
    }
}

/// What serves at a pointer, each with where a rollback of it leads.
fn rollbacks(
    world: &World,
    agent: &AgentName,
    pointer: &Pointer,
) -> Vec<(DeploymentId, Option<DeploymentId>)> {
    let mut all = Vec::new();
    if let Some(candidate) = pointer.candidate {
        all.push((candidate, pointer.active));
    }
    if let Some(active) = pointer.active.and_then(|id| world.deployments.get(&id)) {
        all.push((active.id, world.fallback(agent, active)));
    }
    all
}

/// Why a deployment couldn't answer for an agent.
async fn trouble(
    control: &Control,
    around: &Surroundings,
    snapshot: &Snapshot,
    agent: &AgentName,
    deployment: DeploymentId,
) -> Option<String> {
    let world = &snapshot.world;
    let release = *world.deployments.get(&deployment)?.releases.get(agent)?;
    let short = release.short();
    let contract = match control.contracts().get(release).await {
        Ok(contract) => contract,
        Err(error) => return Some(format!("its release {short} cannot be loaded: {error}")),
    };
    let model = &contract.manifest.model;
    let Some(provider) = world.providers.get(&model.provider) else {
        return Some(format!("provider {} of its release {short} is not registered", model.provider));
    };
    if around.keyless_providers.contains(&model.provider) {
        return Some(format!("the key of provider {} is not set where the server runs", model.provider));
    }
    let now = control.inner.clock.now();
    match control.catalogue().lifecycle(&provider.catalogue, &model.snapshot, now) {
        Lifecycle::Retired { .. } => Some(format!("{} has retired model {}", model.provider, model.snapshot)),
        Lifecycle::Active
        | Lifecycle::Deprecated { .. }
        | Lifecycle::RetiringSoon { .. }
        | Lifecycle::Unlisted => None,
    }
}

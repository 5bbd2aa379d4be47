//! Whether a rollback would lead to something that answers.
//!
//! A target is callable when its release loads, its provider is registered and has its key, the catalogue doesn't
//! say that the model is retired, and its newest probe was answered ([`crate::warm`]). One that wasn't probed yet counts as
//! callable, and the row says how many there are.

use std::collections::BTreeSet;

use pinrail_domain::deployment::Pointer;
use pinrail_domain::id::{AgentName, DeploymentId};
use pinrail_domain::warm::Callable;
use pinrail_domain::world::World;

use super::{Seen, Surroundings};
use crate::{Control, Snapshot};

pub async fn look(control: &Control, around: &Surroundings) -> Seen {
    let snapshot = control.snapshot();
    let (mut why, mut good, mut checked) = (Vec::new(), 0, BTreeSet::new());
    let mut unprobed = 0;
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
                Judged::No(trouble) => {
                    why.push(format!("{agent}/{segment}: deployment {target}, behind {serving}: {trouble}"));
                }
                Judged::Unprobed => {
                    good += 1;
                    unprobed += 1;
                }
                Judged::Yes => good += 1,
            }
        }
    }
    match (good, why.len()) {
        (0, 0) => Seen::unknown("nothing is deployed"),
        (_, 0) if unprobed > 0 => {
            Seen::met(format!("{good} targets, as far as is known callable; {unprobed} not probed yet"))
        }
        (_, 0) => Seen::met(format!("{good} targets, all callable")),
        (_, bad) => Seen::missed(
            format!("{bad} of {} rollbacks would lead to nothing that answers", good + bad),
            why,
            "`pinrail warm probe` asks again; `pinrail deployment rollback ID --to-callable` passes over what cannot be called; \
             else deploy a release that can be called before the next one, so that there is something to return to",
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

/// Whether a deployment could answer for an agent.
enum Judged {
    Yes,
    Unprobed,
    /// Why not.
    No(String),
}

async fn trouble(
    control: &Control,
    around: &Surroundings,
    snapshot: &Snapshot,
    agent: &AgentName,
    deployment: DeploymentId,
) -> Judged {
    let world = &snapshot.world;
    let release = world.deployments.get(&deployment).and_then(|of| of.releases.get(agent).copied());
    let Some(release) = release else { return Judged::No("it holds no release of the agent".to_owned()) };
    if let Err(error) = control.contracts().get(release).await {
        return Judged::No(format!("its release {} cannot be loaded: {error}", release.short()));
    }
    let (callable, why) = control.callable(world, around, release);
    match callable {
        Callable::Yes => Judged::Yes,
        Callable::Unknown => Judged::Unprobed,
        Callable::Failing | Callable::Refused | Callable::Gone => Judged::No(why.unwrap_or_default()),
    }
}

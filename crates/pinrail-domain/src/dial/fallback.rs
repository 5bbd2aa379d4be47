//! Who answers at `fallback`: a release that served before, in the deployment that brought it.

use super::Answerer;
use crate::deployment::{Deployment, Status};
use crate::id::{AgentName, ReleaseId, SegmentName};
use crate::world::World;

/// Why nobody answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFallback {
    #[error("nothing is active there")]
    NothingActive,
    #[error("no release was active there before the one that is; name one that was promoted elsewhere")]
    NothingBefore,
    #[error(
        "release {} was never promoted for this agent, or was rolled back: no deployment holds what it would write",
        .0.short()
    )]
    NotPromoted(ReleaseId),
}

/// Who answers for an agent in a segment: the release that is named, else the one of the agent's settings, else the
/// one before what is active. It answers in the newest promoted deployment that has it, so that what it writes counts
/// as that deployment's other writes do.
pub fn fallback(
    world: &World,
    agent: &AgentName,
    segment: &SegmentName,
    named: Option<ReleaseId>,
) -> Result<Answerer, NoFallback> {
    let spec = world.agents.get(agent).and_then(|spec| spec.dial.as_deref());
    if let Some(release) = named.or_else(|| spec?.fallback(segment)) {
        return promoted(world, agent, segment, release).ok_or(NoFallback::NotPromoted(release));
    }
    let default = SegmentName::default_segment();
    let pointer = world.pointer(agent, segment);
    let active = pointer.active.or_else(|| world.pointer(agent, &default).active);
    let active = active.and_then(|id| world.deployments.get(&id)).ok_or(NoFallback::NothingActive)?;
    let now = active.releases.get(agent);
    let mut from = active;
    // The same release may have been promoted twice in a row: that would be no other answer.
    loop {
        let before = world.fallback(agent, from).ok_or(NoFallback::NothingBefore)?;
        from = world.deployments.get(&before).ok_or(NoFallback::NothingBefore)?;
        match from.releases.get(agent) {
            Some(release) if Some(release) != now => {
                return Ok(Answerer { deployment: from.id, release: *release });
            }
            Some(_) | None => {}
        }
    }
}

fn promoted(world: &World, agent: &AgentName, segment: &SegmentName, release: ReleaseId) -> Option<Answerer> {
    let counts = |deployment: &&std::sync::Arc<Deployment>| {
        matches!(deployment.status, Status::Promoted { .. })
            && deployment.releases.get(agent) == Some(&release)
    };
    let newest = world.deployments.values().rev().filter(counts);
    let here = newest.clone().find(|deployment| deployment.segment == *segment);
    let found = here.or_else(|| newest.clone().next())?;
    Some(Answerer { deployment: found.id, release })
}

//! Who answers at `fallback`: a release that served before, in the deployment that brought it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Answerer, Position};
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
    #[error("release {} is retired; name one that isn't (`pinrail release list`)", .0.short())]
    Retired(ReleaseId),
}

/// Something that names a release as a fallback, and finds it nowhere once a deployment is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranded {
    pub agent: AgentName,
    pub release: ReleaseId,
    /// Where the dial stands at `fallback` with it; none: the agent's settings name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
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
        let is_retired = world.releases.get(&release).is_some_and(|release| release.retired.is_some());
        if is_retired {
            return Err(NoFallback::Retired(release));
        }
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

/// Which fallbacks answer nobody without a deployment, since no other promoted one holds the release that they name.
/// Empty for a candidate: nobody falls back to it.
#[must_use]
pub fn stranded(world: &World, without: &Deployment) -> Vec<Stranded> {
    match without.status {
        Status::Candidate { .. } => return Vec::new(),
        Status::Promoted { .. } | Status::RolledBack { .. } => {}
    }
    let mut stranded = Vec::new();
    for (agent, release) in &without.releases {
        let elsewhere = world.deployments.values().any(|other| {
            other.id != without.id
                && matches!(other.status, Status::Promoted { .. })
                && other.releases.get(agent) == Some(release)
        });
        if elsewhere {
            continue;
        }
        let (agent, release) = (agent.clone(), *release);
        let set = world.dials.iter().filter(|(place, setting)| {
            setting.position == Position::Fallback
                && setting.release == Some(release)
                && place.agent.as_ref().is_none_or(|named| *named == agent)
        });
        stranded.extend(set.map(|(place, _)| Stranded {
            agent: agent.clone(),
            release,
            place: Some(place.to_string()),
        }));
        let spec = world.agents.get(&agent).and_then(|spec| spec.dial.as_deref());
        if spec.is_some_and(|spec| spec.fallbacks().any(|named| named == release)) {
            stranded.push(Stranded { agent, release, place: None });
        }
    }
    stranded
}

impl fmt::Display for Stranded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stranded { agent, release, place } = self;
        let short = release.short();
        match place {
            Some(place) => write!(f, "the dial of {place} stands at fallback with release {short}")?,
            None => write!(f, "the settings of agent {agent} name release {short} as its fallback")?,
        }
        write!(f, ", which no other promoted deployment holds: at fallback nobody answers for {agent}")
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

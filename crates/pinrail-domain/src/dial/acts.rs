//! Turning the dial: who may, where, and to what.

use serde::{Deserialize, Serialize};

use super::{CANNED_BYTES_MAX, Place, Position, SETTINGS_MAX, fallback};
use crate::id::{AgentName, ReleaseId, SegmentName};
use crate::ledger::{Actor, Body};
use crate::world::World;

/// A turn of the dial that somebody asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    pub place: Place,
    pub position: Position,
    /// At `fallback`: who answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// At `canned`: what is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Why the dial isn't turned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialRefused {
    #[error("there is no agent `{0}`")]
    NoAgent(AgentName),
    #[error("agent `{agent}` has no segment `{segment}`")]
    NoSegment { agent: AgentName, segment: SegmentName },
    #[error("a segment belongs to an agent: name the agent of segment `{0}`")]
    SegmentAlone(SegmentName),
    #[error(
        "a tool's dial has the positions full, supervised and off: `{0}` says what answers in a model's place"
    )]
    NotForTools(Position),
    #[error("`{what}` goes with position `{position}` only")]
    NotAt { what: &'static str, position: Position },
    #[error("the text is {0} bytes long; at most {CANNED_BYTES_MAX} are kept")]
    TextTooLong(usize),
    #[error("the dial is set at {0} places; at most {SETTINGS_MAX} are allowed: turn some of them to full")]
    TooMany(usize),
    #[error("nobody can answer for agent `{agent}` in segment `{segment}`: {why}")]
    NoFallback { agent: AgentName, segment: SegmentName, why: String },
    #[error("the dial of {place} stands at {now}, and only a person turns it up")]
    OnlyPeopleTurnUp { place: String, now: Position },
}

/// Turns the dial; nothing where it stands so already. What Pinrail does by itself only turns it down.
pub fn turn(world: &World, turn: &Turn, by: &Actor) -> Result<Option<Body>, DialRefused> {
    let Turn { place, position, release, text } = turn;
    check(world, turn)?;
    let standing = world.dials.get(place);
    let now = standing.map_or(Position::Full, |setting| setting.position);
    if matches!(by, Actor::System) && *position <= now {
        return match *position == now {
            true => Ok(None),
            false => Err(DialRefused::OnlyPeopleTurnUp { place: place.to_string(), now }),
        };
    }
    let same = |setting: &super::Setting| setting.release == *release && setting.text == *text;
    if now == *position && standing.is_none_or(|setting| same(setting)) {
        return Ok(None);
    }
    if standing.is_none() && world.dials.len() >= SETTINGS_MAX {
        return Err(DialRefused::TooMany(world.dials.len()));
    }
    let (place, text) = (place.clone(), text.clone());
    Ok(Some(Body::DialSet { place, position: *position, release: *release, text }))
}

fn check(world: &World, turn: &Turn) -> Result<(), DialRefused> {
    let Turn { place, position, release, text } = turn;
    match (&place.agent, &place.segment) {
        (None, Some(segment)) => return Err(DialRefused::SegmentAlone(segment.clone())),
        (Some(agent), segment) => {
            let spec = world.agents.get(agent).ok_or_else(|| DialRefused::NoAgent(agent.clone()))?;
            if let Some(segment) = segment.as_ref().filter(|segment| !spec.has_segment(segment)) {
                return Err(DialRefused::NoSegment { agent: agent.clone(), segment: segment.clone() });
            }
        }
        (None, None) => {}
    }
    let for_tools = matches!(position, Position::Full | Position::Supervised | Position::Off);
    if place.tool.is_some() && !for_tools {
        return Err(DialRefused::NotForTools(*position));
    }
    if release.is_some() && *position != Position::Fallback {
        return Err(DialRefused::NotAt { what: "release", position: Position::Fallback });
    }
    if text.is_some() && *position != Position::Canned {
        return Err(DialRefused::NotAt { what: "text", position: Position::Canned });
    }
    if let Some(text) = text.as_ref().filter(|text| text.len() > CANNED_BYTES_MAX) {
        return Err(DialRefused::TextTooLong(text.len()));
    }
    match (position, &place.agent) {
        (Position::Fallback, Some(agent)) => can_fall_back(world, place, agent, *release),
        _ => Ok(()),
    }
}

/// Wherever the agent serves something at this place, somebody must be there to answer.
fn can_fall_back(
    world: &World,
    place: &Place,
    agent: &AgentName,
    release: Option<ReleaseId>,
) -> Result<(), DialRefused> {
    let served = world.pointers.iter().filter(|((owner, segment), pointer)| {
        owner == agent
            && pointer.active.is_some()
            && place.segment.as_ref().is_none_or(|named| named == segment)
    });
    for ((_, segment), _) in served {
        fallback(world, agent, segment, release).map_err(|why| DialRefused::NoFallback {
            agent: agent.clone(),
            segment: segment.clone(),
            why: why.to_string(),
        })?;
    }
    Ok(())
}

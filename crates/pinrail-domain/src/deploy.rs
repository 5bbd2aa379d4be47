//! What may be done with deployments: each function looks at the world and returns the ledger entries to
//! append, or why not. Several entries of one answer are appended together or not at all.
//!
//! Conditions, in the order they are checked: what is named exists; the tier admits the model; something
//! would change; no other candidate is in the way; no hold is set (or the caller lifts it); the gate was passed, where
//! something is promoted that needs one (I14). Rolling back checks
//! only that the deployment exists and isn't rolled back yet: nothing may block it (I7).

use std::collections::BTreeMap;

use crate::assign::Salt;
use crate::deployment::{Deployment, Hold, Status};
use crate::gate::{self, Missing, Waiver};
use crate::id::{AgentName, DeploymentId, IngestName, ReleaseId, SegmentName};
use crate::ledger::Body;
use crate::model::Identity;
use crate::release::ModelId;
use crate::rollout::progress::Entered;
use crate::rollout::{Evidence, Plan, Weights};
use crate::share::Share;
use crate::state::view::Ranges;
use crate::tier::ModelRefused;
use crate::time::Timestamp;
use crate::world::World;

mod landing;

pub use landing::{Landing, PassedOver, landings};

/// A wish to put releases in front of a segment's traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    pub releases: BTreeMap<AgentName, ReleaseId>,
    pub segment: SegmentName,
    pub traffic: Traffic,
    /// Lift the holds that are in the way.
    pub lift_hold: bool,
}

/// How much traffic a new deployment gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Traffic {
    /// A canary's share, set by hand.
    Canary(Share),
    /// What its plan says, step by step.
    Rollout(Box<Plan>),
    /// All, at once: opened and promoted together.
    Now,
}

/// What a promotion rests on.
#[derive(Clone, Debug, PartialEq)]
pub enum Grounds {
    /// Somebody asks for it, having seen this. A rollout that isn't through must be overridden, with a reason.
    Person { overridden: Option<String>, seen: Option<Box<Evidence>> },
    /// The rollout is through; refused where it has moved on since that was decided.
    Rollout { generation: u64, evidence: Box<Evidence> },
}

impl Grounds {
    /// Somebody asks for it and overrides nothing.
    pub const ASKED: Grounds = Grounds::Person { overridden: None, seen: None };
}

/// What goes back with a deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TakeBack {
    /// Move pointers only: what it wrote counts on, if it was committed.
    pub keep_state: bool,
    /// Records of others that were derived from its own, to go with them.
    pub derived: Ranges,
    /// Where agents return to that don't return to the newest before it ([`landings`]).
    pub to: BTreeMap<AgentName, DeploymentId>,
    /// What was seen of its rollout.
    pub evidence: Option<Box<Evidence>>,
}

/// Jobs that nobody ends pile up uncommitted data; more than this at once is a leak.
pub const INGESTS_OPEN_MAX: usize = 100;
/// A ledger entry holds them, and an entry is read whole: some hundred kilobytes.
pub const DERIVED_RANGES_MAX: usize = 20_000;

/// An agent may be planner and executor and a few more; a deployment is not a fleet.
pub const AGENTS_PER_DEPLOYMENT_MAX: usize = 64;

/// Why a deployment isn't opened.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum OpenRefused {
    #[error("a deployment names 1 to {AGENTS_PER_DEPLOYMENT_MAX} agents; this one names {0}")]
    AgentCount(usize),
    #[error("there is no agent `{0}`")]
    NoAgent(AgentName),
    #[error("agent `{agent}` has no segment `{segment}`")]
    NoSegment { agent: AgentName, segment: SegmentName },
    #[error("agent `{agent}` has no release {release}")]
    NoRelease { agent: AgentName, release: ReleaseId },
    #[error("provider `{provider}` of release {release} is not registered")]
    NoProvider { release: ReleaseId, provider: crate::id::ProviderName },
    #[error("release {} of agent `{agent}` was retired at {}", release.short(), at.rfc3339())]
    Retired { agent: AgentName, release: ReleaseId, at: Timestamp },
    #[error(transparent)]
    Model(#[from] ModelRefused),
    #[error("deployment {candidate} is the candidate of {agent}/{segment}")]
    CandidateInTheWay { agent: AgentName, segment: SegmentName, candidate: DeploymentId },
    #[error("every agent named already runs that release in segment `{segment}` (deployment {active})")]
    AlreadyActive { segment: SegmentName, active: DeploymentId },
    #[error("{agent}/{segment} is held since deployment {} was rolled back: {}", hold.deployment, hold.why)]
    Held { agent: AgentName, segment: SegmentName, hold: Hold },
    /// It would be promoted at once.
    #[error("the gate is missing: {}", gate_words(.0))]
    Gate(Vec<Missing>),
}

/// Why a deployment isn't promoted.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PromoteRefused {
    #[error("there is no deployment {0}")]
    NoDeployment(DeploymentId),
    #[error("deployment {id} is {state}, so there is nothing to promote")]
    NotACandidate { id: DeploymentId, state: &'static str },
    #[error(transparent)]
    Model(#[from] ModelRefused),
    #[error("{agent}/{segment} is held since deployment {} was rolled back: {}", hold.deployment, hold.why)]
    Held { agent: AgentName, segment: SegmentName, hold: Hold },
    #[error("the rollout of deployment {id} is at step {step} of {steps}: it isn't proven yet")]
    Unproven { id: DeploymentId, step: usize, steps: usize },
    #[error("the rollout of deployment {id} has moved on to generation {generation}")]
    Stale { id: DeploymentId, generation: u64 },
    #[error("the gate of deployment {id} is missing: {}", gate_words(.missing))]
    Gate { id: DeploymentId, missing: Vec<Missing> },
}

/// Why a deployment isn't rolled back: only because there is nothing to take back.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum RollBackRefused {
    #[error("there is no deployment {0}")]
    NoDeployment(DeploymentId),
    #[error("deployment {id} is rolled back already: {why}")]
    AlreadyRolledBack { id: DeploymentId, why: String },
    #[error(
        "{records} records were derived from what deployment {id} wrote, in more than {DERIVED_RANGES_MAX} separate \
         ranges"
    )]
    TooManyDerived { id: DeploymentId, records: u64 },
}

/// Why a data job isn't opened.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum IngestRefused {
    #[error("data job `{name}` is open already, as deployment {deployment}")]
    Open { name: IngestName, deployment: DeploymentId },
    #[error("{INGESTS_OPEN_MAX} data jobs are open; no more can be")]
    TooMany,
}

/// Why a weight isn't set.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum WeightRefused {
    #[error("there is no deployment {0}")]
    NoDeployment(DeploymentId),
    #[error("deployment {id} is {state}; only a candidate has a weight")]
    NotACandidate { id: DeploymentId, state: &'static str },
    #[error("the rollout of deployment {id} sets its weight")]
    Rollout { id: DeploymentId },
}

/// Why a hold isn't lifted.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{agent}/{segment} is not held")]
pub struct NotHeld {
    pub agent: AgentName,
    pub segment: SegmentName,
}

/// Opens a deployment. `judge` tells what the catalogue says of a release's models today.
pub fn open(
    world: &World,
    wish: &Open,
    salt: Salt,
    judge: impl Fn(ModelId<'_>) -> Identity,
    now: Timestamp,
) -> Result<(DeploymentId, Vec<Body>), OpenRefused> {
    let Open { releases, segment, traffic, lift_hold } = wish;
    if releases.is_empty() || releases.len() > AGENTS_PER_DEPLOYMENT_MAX {
        return Err(OpenRefused::AgentCount(releases.len()));
    }
    for (agent, release) in releases {
        admit(world, agent, *release, segment, &judge)?;
    }
    refuse_a_repeat(world, releases, segment)?;
    for agent in releases.keys() {
        if let Some(candidate) = world.pointer(agent, segment).candidate {
            let (agent, segment) = (agent.clone(), segment.clone());
            return Err(OpenRefused::CandidateInTheWay { agent, segment, candidate });
        }
    }
    let mut bodies = holds_to_lift(world, releases.keys(), segment, *lift_hold)
        .map_err(|(agent, hold)| OpenRefused::Held { agent, segment: segment.clone(), hold })?;
    if *traffic == Traffic::Now {
        refuse_without_gate(world, releases, segment, &[], now).map_err(OpenRefused::Gate)?;
    }
    let deployment = world.next_deployment();
    let (weight, rollout) = match traffic {
        Traffic::Canary(weight) => (*weight, None),
        Traffic::Rollout(plan) => {
            let first = Entered::of(plan, 0, &Weights::default(), None);
            (first.weight, Some(plan.clone()))
        }
        Traffic::Now => (Share::NONE, None),
    };
    bodies.push(Body::DeploymentOpened {
        deployment,
        releases: releases.clone(),
        segment: segment.clone(),
        weight,
        salt,
        ingest: None,
        rollout,
    });
    if *traffic == Traffic::Now {
        bodies.push(Body::DeploymentPromoted { deployment, overridden: None, evidence: None });
    }
    Ok((deployment, bodies))
}

/// Commits a candidate: it becomes what its segment runs.
pub fn promote(
    world: &World,
    id: DeploymentId,
    grounds: &Grounds,
    lift_hold: bool,
    judge: impl Fn(ModelId<'_>) -> Identity,
    now: Timestamp,
) -> Result<Vec<Body>, PromoteRefused> {
    let deployment = world.deployments.get(&id).ok_or(PromoteRefused::NoDeployment(id))?;
    match &deployment.status {
        Status::Candidate { .. } => {}
        Status::Promoted { .. } | Status::RolledBack { .. } => {
            return Err(PromoteRefused::NotACandidate { id, state: state(world, deployment) });
        }
    }
    for (agent, release) in &deployment.releases {
        if let (Some(spec), Some(release)) = (world.agents.get(agent), world.releases.get(release)) {
            admit_model(spec.tier, release, &judge)?;
        }
    }
    let segment = &deployment.segment;
    // The others were removed since it was opened: what is there now is not its to move.
    let moved =
        deployment.releases.keys().filter(|agent| world.pointer(agent, segment).candidate == Some(id));
    let mut bodies = holds_to_lift(world, moved, segment, lift_hold)
        .map_err(|(agent, hold)| PromoteRefused::Held { agent, segment: segment.clone(), hold })?;
    bodies.push(promoted(deployment, grounds)?);
    // I14: whoever asks, and on whatever grounds.
    refuse_without_gate(world, &deployment.releases, segment, &deployment.waivers, now)
        .map_err(|missing| PromoteRefused::Gate { id, missing })?;
    Ok(bodies)
}

fn refuse_without_gate(
    world: &World,
    releases: &BTreeMap<AgentName, ReleaseId>,
    segment: &SegmentName,
    waivers: &[Waiver],
    now: Timestamp,
) -> Result<(), Vec<Missing>> {
    let missing = gate::missing(world, releases, segment, waivers, now);
    if missing.is_empty() { Ok(()) } else { Err(missing) }
}

pub(crate) fn gate_words(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn promoted(deployment: &Deployment, grounds: &Grounds) -> Result<Body, PromoteRefused> {
    let id = deployment.id;
    let (overridden, evidence) = match (grounds, deployment.rollout.as_deref()) {
        (Grounds::Rollout { generation, evidence }, Some(rollout)) => {
            if rollout.generation != *generation {
                return Err(PromoteRefused::Stale { id, generation: rollout.generation });
            }
            (None, Some(evidence.clone()))
        }
        (Grounds::Person { overridden: None, .. }, Some(rollout)) => {
            let (step, steps) = (rollout.step + 1, rollout.plan.steps.len());
            return Err(PromoteRefused::Unproven { id, step, steps });
        }
        (Grounds::Person { overridden, seen }, Some(_)) => (overridden.clone(), seen.clone()),
        // Without a rollout there is nothing to override.
        (Grounds::Person { .. } | Grounds::Rollout { .. }, None) => (None, None),
    };
    Ok(Body::DeploymentPromoted { deployment: id, overridden, evidence })
}

/// Opens a deployment for a data job: what is written in its name commits or aborts as one.
pub fn open_ingest(
    world: &World,
    name: &IngestName,
    salt: Salt,
) -> Result<(DeploymentId, Body), IngestRefused> {
    let jobs = world.deployments.values().filter(|deployment| deployment.ingest.is_some());
    let mut open = jobs.filter(|job| matches!(job.status, Status::Candidate { .. }));
    if let Some(same) = open.clone().find(|job| job.ingest.as_ref() == Some(name)) {
        return Err(IngestRefused::Open { name: name.clone(), deployment: same.id });
    }
    if open.nth(INGESTS_OPEN_MAX - 1).is_some() {
        return Err(IngestRefused::TooMany);
    }
    let deployment = world.next_deployment();
    let opened = Body::DeploymentOpened {
        deployment,
        releases: BTreeMap::new(),
        segment: SegmentName::default_segment(),
        weight: Share::NONE,
        salt,
        ingest: Some(name.clone()),
        rollout: None,
    };
    Ok((deployment, opened))
}

/// Takes a deployment back, candidate or promoted: one entry (I5, I6, I7).
pub fn roll_back(world: &World, id: DeploymentId, what: &TakeBack) -> Result<Body, RollBackRefused> {
    let deployment = world.deployments.get(&id).ok_or(RollBackRefused::NoDeployment(id))?;
    let TakeBack { keep_state, derived, to, evidence } = what;
    if derived.ranges().len() > DERIVED_RANGES_MAX {
        return Err(RollBackRefused::TooManyDerived { id, records: derived.len() });
    }
    match &deployment.status {
        Status::RolledBack { kept_state: true, .. } if !keep_state => {}
        Status::Candidate { .. } | Status::Promoted { .. } => {}
        Status::RolledBack { why, .. } => {
            return Err(RollBackRefused::AlreadyRolledBack { id, why: why.clone() });
        }
    }
    Ok(Body::DeploymentRolledBack {
        deployment: id,
        keep_state: *keep_state,
        derived: derived.clone(),
        to: to.clone(),
        evidence: evidence.clone(),
    })
}

/// Sets a candidate's share of its segment's traffic.
pub fn set_weight(world: &World, id: DeploymentId, weight: Share) -> Result<Body, WeightRefused> {
    let deployment = world.deployments.get(&id).ok_or(WeightRefused::NoDeployment(id))?;
    match &deployment.status {
        Status::Candidate { .. } if deployment.rollout.as_ref().is_some_and(|r| r.stopped.is_none()) => {
            Err(WeightRefused::Rollout { id })
        }
        Status::Candidate { .. } => Ok(Body::WeightSet { deployment: id, weight }),
        Status::Promoted { .. } | Status::RolledBack { .. } => {
            Err(WeightRefused::NotACandidate { id, state: state(world, deployment) })
        }
    }
}

/// Lifts a hold, so that deployments may be opened and promoted there again.
pub fn lift_hold(world: &World, agent: &AgentName, segment: &SegmentName) -> Result<Body, NotHeld> {
    let (agent, segment) = (agent.clone(), segment.clone());
    match world.pointer(&agent, &segment).hold {
        Some(_) => Ok(Body::HoldLifted { agent, segment }),
        None => Err(NotHeld { agent, segment }),
    }
}

/// A deployment's state in a word: `candidate`, `active`, `superseded` or `rolled back`; of a data job `open`,
/// `committed` or `rolled back`.
///
/// One that is active for any of its agents counts as active.
#[must_use]
pub fn state(world: &World, deployment: &Deployment) -> &'static str {
    let is_active =
        |agent: &AgentName| world.pointer(agent, &deployment.segment).active == Some(deployment.id);
    match &deployment.status {
        Status::Candidate { .. } if deployment.ingest.is_some() => "open",
        Status::Candidate { .. } => "candidate",
        Status::Promoted { .. } if deployment.releases.keys().any(is_active) => "active",
        Status::Promoted { .. } if deployment.ingest.is_some() => "committed",
        Status::Promoted { .. } => "superseded",
        Status::RolledBack { .. } => "rolled back",
    }
}

fn admit(
    world: &World,
    agent: &AgentName,
    id: ReleaseId,
    segment: &SegmentName,
    judge: &impl Fn(ModelId<'_>) -> Identity,
) -> Result<(), OpenRefused> {
    let spec = world.agents.get(agent).ok_or_else(|| OpenRefused::NoAgent(agent.clone()))?;
    if !spec.has_segment(segment) {
        return Err(OpenRefused::NoSegment { agent: agent.clone(), segment: segment.clone() });
    }
    let release = world
        .releases
        .get(&id)
        .filter(|release| release.agents.contains(agent))
        .ok_or_else(|| OpenRefused::NoRelease { agent: agent.clone(), release: id })?;
    if let Some(at) = release.retired {
        return Err(OpenRefused::Retired { agent: agent.clone(), release: id, at });
    }
    let mut models = release.manifest.model.models();
    if let Some(model) = models.find(|model| !world.providers.contains_key(model.provider)) {
        return Err(OpenRefused::NoProvider { release: id, provider: model.provider.clone() });
    }
    Ok(admit_model(spec.tier, release, judge)?)
}

fn admit_model(
    tier: crate::tier::Tier,
    release: &crate::world::Release,
    judge: &impl Fn(ModelId<'_>) -> Identity,
) -> Result<(), ModelRefused> {
    let overridden = release.model_override.is_some();
    release
        .manifest
        .model
        .models()
        .try_for_each(|model| tier.admit(model.snapshot, &judge(model), overridden))
}

fn refuse_a_repeat(
    world: &World,
    releases: &BTreeMap<AgentName, ReleaseId>,
    segment: &SegmentName,
) -> Result<(), OpenRefused> {
    let running = |(agent, release): (&AgentName, &ReleaseId)| {
        let active = world.pointer(agent, segment).active?;
        let runs = world.deployments.get(&active)?.releases.get(agent) == Some(release);
        runs.then_some(active)
    };
    let active: Option<Vec<DeploymentId>> = releases.iter().map(running).collect();
    match active.and_then(|ids| ids.into_iter().max()) {
        Some(active) => Err(OpenRefused::AlreadyActive { segment: segment.clone(), active }),
        None => Ok(()),
    }
}

fn holds_to_lift<'a>(
    world: &World,
    agents: impl Iterator<Item = &'a AgentName>,
    segment: &SegmentName,
    lift: bool,
) -> Result<Vec<Body>, (AgentName, Hold)> {
    let mut bodies = Vec::new();
    for agent in agents {
        match world.pointer(agent, segment).hold {
            None => {}
            Some(_) if lift => {
                bodies.push(Body::HoldLifted { agent: agent.clone(), segment: segment.clone() });
            }
            Some(hold) => return Err((agent.clone(), hold)),
        }
    }
    Ok(bodies)
}

#[cfg(test)]
mod tests;

//! Which deployment answers a run: the world compiled for one question, asked on every request.
//!
//! In this order (design: resolution), and nothing else decides:
//! 0. where the dial stands at `off`, nobody; at `fallback`, the release that answers then;
//! 1. a sub-agent run inherits its parent's deployment when that covers its agent, even if it was rolled back
//!    since: the parent finishes on what it started with. (The caller
//!    leaves the parent out once that run has finished and its deployment was rolled back.)
//! 2. the first segment that matches tenant and attributes, else `default`. A segment where nothing was ever
//!    promoted is served by what is active in `default` (and, without a candidate of its own, by the
//!    candidate there too);
//! 3. the session's binding, while its deployment is the active one or the candidate here;
//! 4. the unit's bucket against the candidate's weight; else what is active.
//!
//! Asking takes no lock and allocates nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::agent::{AgentSpec, Segment};
use crate::assign::{Salt, bucket, on_candidate, shadow_bucket};
use crate::deployment::{Deployment, Pointer, Status};
use crate::dial::{
    self, Answerer, Caller, DialSpec, Dialled, Halted, NoFallback, Position, Settings, Standing,
};
use crate::id::{AgentName, DeploymentId, Epoch, LedgerSeq, ReleaseId, SegmentName, TenantId};
use crate::journal::Stamp;
use crate::share::Share;
use crate::world::{Shared, World};

/// All routes as of one ledger entry; replaced as a whole.
#[derive(Debug, Default)]
pub struct Routes {
    pub epoch: Epoch,
    pub seq: LedgerSeq,
    agents: HashMap<AgentName, AgentRoute>,
    deployments: Shared<BTreeMap<DeploymentId, Arc<Deployment>>>,
    dials: Shared<Settings>,
    /// Who answers under each setting at `fallback`.
    fallbacks: BTreeMap<(LedgerSeq, AgentName, SegmentName), Result<Answerer, NoFallback>>,
}

/// One agent's routes.
#[derive(Debug)]
pub struct AgentRoute {
    pub spec: Arc<AgentSpec>,
    segments: Vec<(Condition, Choice)>,
    default: Choice,
}

/// A deployment and what the agent runs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub deployment: DeploymentId,
    pub release: ReleaseId,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub tenant: &'a TenantId,
    pub attributes: &'a BTreeMap<String, String>,
    /// What assignment hashes.
    pub unit: &'a str,
    /// The deployment that the session is bound to.
    pub bound: Option<DeploymentId>,
    /// The parent run's deployment.
    pub parent: Option<DeploymentId>,
}

/// The answer, with its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<'a> {
    pub segment: &'a SegmentName,
    pub target: Target,
    pub via: Via,
    /// Who answers a copy, and the share of requests of which one is made.
    pub shadow: Option<(Target, Share)>,
    /// What the dial leaves of the run's calls; none: everything.
    pub dial: Option<Dialled>,
}

/// Why a run got its deployment. Stored: never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// There was no candidate to choose.
    Active,
    /// The unit's bucket decided.
    Bucket(u16),
    /// The session was bound.
    Session,
    /// The parent run's deployment covers the agent.
    Parent,
    /// It answers a copy of a live request.
    Shadow,
    /// A gate asks the release, whatever is deployed.
    Gate,
    /// The dial stands at `fallback`.
    Dial,
}

/// Why no deployment answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    #[error("there is no agent `{0}`")]
    NoAgent(String),
    #[error("agent `{agent}` has no active release in segment `{segment}`")]
    NothingActive { agent: AgentName, segment: SegmentName },
    #[error(transparent)]
    Dialled(#[from] Box<Halted>),
}

#[derive(Debug)]
struct Condition {
    /// Sorted, for binary search; empty means any.
    tenants: Vec<TenantId>,
    attributes: Vec<(String, Vec<String>)>,
}

#[derive(Debug)]
struct Choice {
    segment: SegmentName,
    active: Option<Target>,
    candidate: Option<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    target: Target,
    weight: Share,
    /// The share of what others answer that it answers copies of.
    shadow: Share,
    salt: Salt,
}

impl Routes {
    /// Compiles the world.
    #[must_use]
    pub fn of(world: &World) -> Routes {
        Routes::with(world, &Settings::new())
    }

    /// Compiles the world with settings of the dial that aren't in the ledger yet. At each place the more restrictive one
    /// counts, so that these take away and never give.
    #[must_use]
    pub fn with(world: &World, unrecorded: &Settings) -> Routes {
        let mut dials = world.dials.clone();
        for (place, setting) in unrecorded {
            let known = dials.get(place).map(|known| known.position);
            if known.is_none_or(|known| known < setting.position) {
                dials.insert(place.clone(), Arc::clone(setting));
            }
        }
        let agents =
            world.agents.iter().map(|(agent, spec)| (agent.clone(), AgentRoute::of(world, agent, spec)));
        Routes {
            epoch: world.epoch,
            seq: world.head.seq,
            agents: agents.collect(),
            deployments: world.deployments.clone(),
            fallbacks: fallbacks(world, &dials),
            dials,
        }
    }

    /// Every place where the dial isn't at `full`, as it is enforced.
    #[must_use]
    pub fn dials(&self) -> &Settings {
        &self.dials
    }

    /// What the dial leaves of a caller's calls; none: everything.
    #[must_use]
    pub fn dialled(&self, caller: Caller<'_>) -> Option<Dialled> {
        if self.dials.is_empty() { None } else { Dialled::of(&self.dials, caller) }
    }

    /// What the dial leaves of a run's calls: as of now, whenever it began. By a run that answers a copy or a gate nobody
    /// is served and nothing is done, so the dial leaves it alone.
    #[must_use]
    pub fn dialled_run(&self, stamp: &Stamp) -> Option<Dialled> {
        let Stamp { agent, segment, tenant, .. } = stamp;
        if self.dials.is_empty() || stamp.shadow.is_some() || stamp.gate.is_some() {
            return None;
        }
        self.dialled(Caller { agent, segment, tenant })
    }

    /// The same, with what the agent's settings say about it.
    #[must_use]
    pub fn standing(&self, stamp: &Stamp) -> Option<Standing> {
        let dialled = self.dialled_run(stamp)?;
        Some(Standing::of(dialled, &stamp.segment, self.dial_spec(&stamp.agent)))
    }

    /// Why a run that has begun may not call its model now: the dial is off, or another release is to answer, to which
    /// the run can't change (I2).
    #[must_use]
    pub fn halts(&self, stamp: &Stamp) -> Option<Halted> {
        let dialled = self.dialled_run(stamp)?;
        let Stamp { agent, segment, tenant, .. } = stamp;
        let caller = Caller { agent, segment, tenant };
        let spec = self.dial_spec(agent);
        match dialled.position {
            Position::Full | Position::Supervised | Position::ReadOnly | Position::Canned => None,
            Position::Off => dialled.halted(caller, spec, None),
            Position::Fallback if stamp.via == Via::Dial => None,
            Position::Fallback => match self.answerer(caller, &dialled)? {
                Ok(answerer) if answerer.release == stamp.release => None,
                Ok(answerer) => {
                    let (run, release) = (stamp.run, stamp.release.short());
                    let why = format!(
                        "run {run} is bound to release {release} for life; begin a new run, which release {} answers",
                        answerer.release.short()
                    );
                    dialled.halted(caller, spec, Some(why))
                }
                Err(why) => dialled.halted(caller, spec, Some(format!("and nobody can answer, as {why}"))),
            },
        }
    }

    fn dial_spec(&self, agent: &AgentName) -> Option<&DialSpec> {
        self.agents.get(agent)?.spec.dial.as_deref()
    }

    fn answerer(&self, caller: Caller<'_>, dialled: &Dialled) -> Option<&Result<Answerer, NoFallback>> {
        let (_, setting) = dialled.by.as_ref()?;
        self.fallbacks.get(&(setting.seq, caller.agent.clone(), caller.segment.clone()))
    }

    #[must_use]
    pub fn agent(&self, agent: &str) -> Option<(&AgentName, &AgentRoute)> {
        self.agents.get_key_value(agent)
    }

    /// The agents, in no order.
    pub fn agents(&self) -> impl Iterator<Item = &AgentName> {
        self.agents.keys()
    }

    #[must_use]
    pub fn deployment(&self, id: DeploymentId) -> Option<&Deployment> {
        self.deployments.get(&id).map(|deployment| &**deployment)
    }

    /// Decides which deployment answers.
    pub fn resolve(&self, agent: &str, question: Question<'_>) -> Result<Decision<'_>, NoRoute> {
        let (agent, route) = self.agent(agent).ok_or_else(|| NoRoute::NoAgent(agent.to_owned()))?;
        let choice = route.choice(question.tenant, question.attributes);
        let caller = Caller { agent, segment: &choice.segment, tenant: question.tenant };
        let dial = self.dialled(caller);
        if let Some(halted) = dial.as_ref().filter(|dial| dial.position == Position::Off) {
            let halted = halted.halted(caller, route.spec.dial.as_deref(), None);
            return Err(Box::new(halted.expect("a dial that is off was turned off by a setting")).into());
        }
        if let Some(answerer) = dial.as_ref().and_then(|dial| self.falls_back(caller, &route.spec, dial)) {
            let Answerer { deployment, release } = answerer?;
            let target = Target { deployment, release };
            return Ok(Decision { segment: &choice.segment, target, via: Via::Dial, shadow: None, dial });
        }
        if let Some(mut decision) = question.parent.and_then(|parent| self.inherit(agent, parent)) {
            decision.dial = dial;
            return Ok(decision);
        }
        let (target, via) = choice.decide(question).ok_or_else(|| NoRoute::NothingActive {
            agent: agent.clone(),
            segment: choice.segment.clone(),
        })?;
        let shadow = choice.shadow(target);
        Ok(Decision { segment: &choice.segment, target, via, shadow, dial })
    }

    /// Who answers a copy of a call of this run, if anybody does.
    ///
    /// A candidate does whose share of copies the run's bucket is in ([`shadow_bucket`]), while the run is on what is
    /// active where the candidate stands: an older deployment is no longer what the candidate would replace. All
    /// calls of a run are copied, or none. No copies are made of copies, nor of runs that inherited their
    /// deployment, nor of a gate's.
    #[must_use]
    pub fn shadow(&self, stamp: &Stamp) -> Option<Target> {
        if stamp.shadow.is_some() || matches!(stamp.via, Via::Parent | Via::Gate | Via::Dial) {
            return None;
        }
        let (_, route) = self.agent(stamp.agent.as_str())?;
        let choice = route.choice(&stamp.tenant, &stamp.attributes);
        let live = Target { deployment: stamp.deployment, release: stamp.release };
        let (target, share) = choice.shadow(live).filter(|_| choice.active == Some(live))?;
        let salt = choice.candidate?.salt;
        on_candidate(shadow_bucket(salt, stamp.run), share).then_some(target)
    }

    /// Who answers in the place of what is deployed, where the dial says so.
    fn falls_back(
        &self,
        caller: Caller<'_>,
        spec: &AgentSpec,
        dial: &Dialled,
    ) -> Option<Result<Answerer, Box<Halted>>> {
        if dial.position != Position::Fallback {
            return None;
        }
        match self.answerer(caller, dial)? {
            Ok(answerer) => Some(Ok(*answerer)),
            Err(why) => {
                let why = Some(format!("and nobody can answer, as {why}"));
                dial.halted(caller, spec.dial.as_deref(), why).map(|halted| Err(Box::new(halted)))
            }
        }
    }

    fn inherit(&self, agent: &AgentName, parent: DeploymentId) -> Option<Decision<'_>> {
        let deployment = self.deployments.get(&parent)?;
        let release = *deployment.releases.get(agent)?;
        let target = Target { deployment: parent, release };
        Some(Decision { segment: &deployment.segment, target, via: Via::Parent, shadow: None, dial: None })
    }
}

impl AgentRoute {
    fn of(world: &World, agent: &AgentName, spec: &Arc<AgentSpec>) -> AgentRoute {
        let choice =
            |segment: &SegmentName| Choice::of(world, agent, segment, &world.pointer(agent, segment));
        let default = choice(&SegmentName::default_segment());
        let segments = spec.segments.iter().map(|segment| {
            let mut own = choice(&segment.name);
            if own.active.is_none() {
                own.active = default.active;
                own.candidate = own.candidate.or_else(|| inherited(world, agent, &segment.name, &default));
            }
            (Condition::of(segment), own)
        });
        AgentRoute { spec: Arc::clone(spec), segments: segments.collect(), default }
    }

    /// Whether a binding could matter: without a candidate, every unit goes to what is active.
    #[must_use]
    pub fn has_candidate(&self, tenant: &TenantId, attributes: &BTreeMap<String, String>) -> bool {
        self.choice(tenant, attributes).candidate.is_some()
    }

    /// Whether a deployment is the active one or the candidate for these runs: only then a binding to it counts.
    #[must_use]
    pub fn offers(
        &self,
        tenant: &TenantId,
        attributes: &BTreeMap<String, String>,
        deployment: DeploymentId,
    ) -> bool {
        let choice = self.choice(tenant, attributes);
        let candidate = choice.candidate.map(|candidate| candidate.target);
        [choice.active, candidate].into_iter().flatten().any(|target| target.deployment == deployment)
    }

    fn choice(&self, tenant: &TenantId, attributes: &BTreeMap<String, String>) -> &Choice {
        let matching = self.segments.iter().find(|(condition, _)| condition.holds(tenant, attributes));
        matching.map_or(&self.default, |(_, choice)| choice)
    }
}

impl Choice {
    fn of(world: &World, agent: &AgentName, segment: &SegmentName, pointer: &Pointer) -> Choice {
        let deployment = |id: Option<DeploymentId>| {
            let deployment = world.deployments.get(&id?)?;
            let release = *deployment.releases.get(agent)?;
            Some((deployment, Target { deployment: deployment.id, release }))
        };
        let candidate = deployment(pointer.candidate).map(|(deployment, target)| {
            let weight = match deployment.status {
                Status::Candidate { weight, .. } => weight,
                Status::Promoted { .. } | Status::RolledBack { .. } => Share::NONE,
            };
            let shadow = deployment.rollout.as_ref().map_or(Share::NONE, |rollout| rollout.shadow);
            Candidate { target, weight, shadow, salt: deployment.salt }
        });
        let active = deployment(pointer.active).map(|(_, target)| target);
        Choice { segment: segment.clone(), active, candidate }
    }

    fn shadow(&self, live: Target) -> Option<(Target, Share)> {
        let candidate = self.candidate.filter(|candidate| candidate.shadow > Share::NONE)?;
        (candidate.target != live).then_some((candidate.target, candidate.shadow))
    }

    fn decide(&self, question: Question<'_>) -> Option<(Target, Via)> {
        let Some(candidate) = self.candidate else {
            return Some((self.active?, Via::Active));
        };
        let sides = [self.active, Some(candidate.target)];
        if let Some(bound) = question.bound
            && let Some(target) = sides.into_iter().flatten().find(|target| target.deployment == bound)
        {
            return Some((target, Via::Session));
        }
        let bucket = bucket(candidate.salt, question.unit);
        let target =
            if on_candidate(bucket, candidate.weight) { Some(candidate.target) } else { self.active };
        Some((target?, Via::Bucket(bucket)))
    }
}

/// The candidate of `default` as a segment sees it that `default` serves: its share here may be another.
fn inherited(world: &World, agent: &AgentName, segment: &SegmentName, default: &Choice) -> Option<Candidate> {
    let candidate = default.candidate?;
    let pointer = world.pointer(agent, &default.segment);
    let deployment = world.deployments.get(&pointer.candidate?)?;
    let weight = match &deployment.status {
        Status::Candidate { weight, segments } => segments.get(segment).copied().unwrap_or(*weight),
        Status::Promoted { .. } | Status::RolledBack { .. } => Share::NONE,
    };
    Some(Candidate { weight, ..candidate })
}

/// Who answers under each setting at `fallback`, in every segment that it holds in.
fn fallbacks(
    world: &World,
    dials: &Settings,
) -> BTreeMap<(LedgerSeq, AgentName, SegmentName), Result<Answerer, NoFallback>> {
    let mut fallbacks = BTreeMap::new();
    let settings = dials.iter().filter(|(_, setting)| setting.position == Position::Fallback);
    for (place, setting) in settings {
        let agents =
            world.agents.iter().filter(|(agent, _)| place.agent.as_ref().is_none_or(|named| named == *agent));
        for (agent, spec) in agents {
            let segments = spec.segments.iter().map(|segment| segment.name.clone());
            let segments = segments.chain([SegmentName::default_segment()]);
            for segment in
                segments.filter(|segment| place.segment.as_ref().is_none_or(|named| named == segment))
            {
                let answerer = dial::fallback(world, agent, &segment, setting.release);
                fallbacks.insert((setting.seq, agent.clone(), segment), answerer);
            }
        }
    }
    fallbacks
}

impl Condition {
    fn of(segment: &Segment) -> Condition {
        let mut tenants = segment.tenants.clone();
        tenants.sort_unstable();
        let attributes = segment.attributes.iter().map(|(name, values)| (name.clone(), values.clone()));
        Condition { tenants, attributes: attributes.collect() }
    }

    fn holds(&self, tenant: &TenantId, attributes: &BTreeMap<String, String>) -> bool {
        let tenant_fits = self.tenants.is_empty() || self.tenants.binary_search(tenant).is_ok();
        tenant_fits
            && self.attributes.iter().all(|(name, values)| {
                attributes.get(name).is_some_and(|value| values.iter().any(|accepted| accepted == value))
            })
    }
}

#[cfg(test)]
mod tests;

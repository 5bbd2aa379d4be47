//! What taking a deployment back would do, before it is done; and how long it took.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use pinrail_domain::deploy::{self, RollBackRefused, TakeBack};
use pinrail_domain::deployment::Deployment;
use pinrail_domain::id::{AgentName, DeploymentId};
use pinrail_domain::meter::{Meter, Reading, STORE_US};
use pinrail_domain::state::Layer;
use pinrail_domain::state::view::Ranges;
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use pinrail_store::journal::OpenRuns;

use super::derived::{Found, TAINTED_MAX};
use super::{PassedOver, chosen, told};
use crate::Control;
use crate::readiness::Surroundings;

/// What goes back, as somebody asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Pointers only: what it wrote counts on.
    pub keep_state: bool,
    /// Also what others derived from its writes.
    pub cascade: bool,
}

/// What taking a deployment back would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Where each agent's pointer would go; an agent that isn't there stays as it is.
    pub pointers: BTreeMap<AgentName, Option<DeploymentId>>,
    /// What would be hidden, by layer.
    pub layers: BTreeMap<Layer, Hides>,
    /// Whose records a cascade takes along, and how many of each.
    pub taken_along: BTreeMap<DeploymentId, u64>,
    /// Runs that finish on the deployment's stamp.
    pub open: OpenRuns,
    /// What a rollback to what can be called would pass over.
    pub passed_over: Vec<PassedOver>,
    /// The agents for which nothing can be called.
    pub uncallable: Vec<AgentName>,
}

/// What a rollback hides in a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hides {
    pub spaces: u64,
    pub puts: u64,
    pub deletes: u64,
    /// Records of others that go with them.
    pub taken_along: u64,
}

/// Why what goes back can't be told.
#[derive(Debug, thiserror::Error)]
pub enum PlanRefused {
    #[error(transparent)]
    Refused(#[from] RollBackRefused),
    /// Nothing but a cascade needs it: a rollback without one is always possible (I7).
    #[error("more than {TAINTED_MAX} records are the deployment's own or were derived from them")]
    TooManyTainted(DeploymentId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long the newest rollbacks of this process took, in microseconds.
pub struct Flips {
    newest: Mutex<VecDeque<(DeploymentId, u64)>>,
    all: Meter,
}

/// Rollbacks remembered: whoever wants to know how long one took asks soon.
const FLIPS_MAX: usize = 1_000;

impl Control {
    /// What a cascade takes along. Nothing where none is asked for: then nothing is read (I7).
    pub async fn extent(&self, id: DeploymentId, extent: Extent) -> Result<TakeBack, PlanRefused> {
        let Extent { keep_state, cascade } = extent;
        let derived = if cascade && !keep_state {
            self.check_back(id, keep_state)?;
            taken_along(id, &self.derived_from(id).await?)?
        } else {
            Ranges::default()
        };
        Ok(TakeBack { keep_state, derived, ..TakeBack::default() })
    }

    /// What taking the deployment back would do now; `callable`: when it may only lead to what can be called, around here.
    pub async fn plan_back(
        &self,
        id: DeploymentId,
        extent: Extent,
        callable: Option<&Surroundings>,
    ) -> Result<Plan, PlanRefused> {
        self.check_back(id, extent.keep_state)?;
        let snapshot = self.snapshot();
        let world = &snapshot.world;
        let deployment = world.deployments.get(&id).ok_or(RollBackRefused::NoDeployment(id))?;
        let mut plan = Plan {
            pointers: pointers_after(world, deployment),
            layers: BTreeMap::new(),
            taken_along: BTreeMap::new(),
            open: self.drain_of(id).await?.open,
            passed_over: Vec::new(),
            uncallable: Vec::new(),
        };
        if let Some(around) = callable {
            let landings = self.landings(world, id, around);
            for (agent, to) in chosen(&landings) {
                plan.pointers.insert(agent, Some(to));
            }
            (plan.passed_over, plan.uncallable) = told(landings);
        }
        // What was never committed can't go on counting: its state goes whatever was asked for.
        let keeps = extent.keep_state && world.commits.span(id).committed.is_some();
        if !keeps {
            plan.layers = self.written_by(id).await?;
        }
        if extent.cascade && !extent.keep_state {
            let found = self.derived_from(id).await?;
            let ranges = taken_along(id, &found)?;
            deploy::roll_back(world, id, &TakeBack { derived: ranges.clone(), ..TakeBack::default() })?;
            let going = found.places.iter().filter(|(record, _)| ranges.contains(**record));
            for (_, place) in going {
                let layer = found.spaces[place.space as usize].layer;
                plan.layers.entry(layer).or_default().taken_along += 1;
                *plan.taken_along.entry(place.deployment).or_default() += 1;
            }
        }
        Ok(plan)
    }

    /// How long taking the deployment back took, in microseconds; none when another process did it.
    #[must_use]
    pub fn flip_us(&self, id: DeploymentId) -> Option<u64> {
        self.inner.flips.of(id)
    }

    /// How long all rollbacks of this process took, in microseconds.
    #[must_use]
    pub fn flips_us(&self) -> Reading {
        self.inner.flips.all.read()
    }

    /// What the deployment wrote, by layer.
    pub(super) async fn written_by(&self, id: DeploymentId) -> Result<BTreeMap<Layer, Hides>, StoreError> {
        let mut layers: BTreeMap<Layer, Hides> = BTreeMap::new();
        for written in self.inner.store.state_written(id).await? {
            let hides = layers.entry(written.space.layer).or_default();
            hides.spaces += 1;
            hides.puts += written.puts;
            hides.deletes += written.deletes;
        }
        Ok(layers)
    }

    fn check_back(&self, id: DeploymentId, keep_state: bool) -> Result<(), RollBackRefused> {
        let what = TakeBack { keep_state, ..TakeBack::default() };
        deploy::roll_back(&self.snapshot().world, id, &what).map(drop)
    }
}

impl Default for Flips {
    fn default() -> Flips {
        Flips { newest: Mutex::default(), all: Meter::new(STORE_US) }
    }
}

impl Flips {
    pub(crate) fn note(&self, id: DeploymentId, took_us: u64) {
        self.all.add(took_us);
        let mut flips = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if flips.len() >= FLIPS_MAX {
            flips.pop_front();
        }
        flips.push_back((id, took_us));
    }

    fn of(&self, id: DeploymentId) -> Option<u64> {
        let flips = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        flips.iter().rev().find(|(of, _)| *of == id).map(|(_, took_us)| *took_us)
    }
}

fn taken_along(id: DeploymentId, found: &Found) -> Result<Ranges, PlanRefused> {
    if found.cut { Err(PlanRefused::TooManyTainted(id)) } else { Ok(found.derived.taken_along()) }
}

fn pointers_after(world: &World, deployment: &Deployment) -> BTreeMap<AgentName, Option<DeploymentId>> {
    let moved = deployment.releases.keys().filter_map(|agent| {
        let pointer = world.pointer(agent, &deployment.segment);
        if pointer.active == Some(deployment.id) {
            Some((agent.clone(), world.fallback(agent, deployment)))
        } else {
            (pointer.candidate == Some(deployment.id)).then_some((agent.clone(), pointer.active))
        }
    });
    moved.collect()
}

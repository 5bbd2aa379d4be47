//! What agents' traffic was lately: what an outline of a plan is worked out from.
//!
//! A bounded look at the newest runs, page by page; of a part of them the events are read too, for what rates and values to
//! expect. It is an estimate, and whoever follows the plan sees the truth in `standing`.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::id::{AgentName, DeploymentId, EventSeq, RunId, SegmentName, SessionId, TenantId};
use pinrail_domain::journal::{RunStatus, Stamp};
use pinrail_domain::key::Scope;
use pinrail_domain::rollout::Plan;
use pinrail_domain::rollout::observed::Baseline;
use pinrail_domain::rollout::outline::{self, Flow, Keys, Outline, Recent};
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use pinrail_store::journal::{Run, RunFilter};

use crate::{Control, tasks};

/// How far back is looked: a week has every weekday.
const WINDOW_MS: u64 = 7 * 86_400_000;
/// Runs of each agent that are counted; busier agents are looked at over a shorter time.
const RUNS_MAX: usize = 5_000;
const PAGE_RUNS: usize = 500;
/// Runs of each agent whose events are read: a rate of one in a hundred is seen some times.
const SAMPLED_MAX: usize = 500;
/// Events read of a run; what a longer one does later says nothing new.
const EVENTS_MAX: usize = 500;

impl Control {
    /// Says what a plan takes for these agents in a segment, from their traffic of the last days.
    pub async fn outline(
        &self,
        agents: impl IntoIterator<Item = &AgentName>,
        segment: &SegmentName,
        plan: Plan,
    ) -> Result<Outline, StoreError> {
        let recent = self.recent(agents, segment, &plan).await?;
        Ok(tasks::compute(move || outline::outline(&plan, &recent)).await)
    }

    /// What looks wrong about an agent's settings, where they changed how its candidates are proven from what they were
    /// `before`.
    pub async fn doubts(
        &self,
        agent: &AgentName,
        before: Option<&AgentSpec>,
    ) -> Result<Vec<String>, StoreError> {
        let (snapshot, segment) = (self.snapshot(), SegmentName::default_segment());
        let Some(spec) = snapshot.world.agents.get(agent).filter(|spec| spec.rollout.is_some()) else {
            return Ok(Vec::new());
        };
        let plan = Plan::of(agent, spec, &segment);
        if before.is_some_and(|before| Plan::of(agent, before, &segment) == plan) {
            return Ok(Vec::new());
        }
        Ok(self.outline([agent], &segment, plan).await?.doubts)
    }

    async fn recent(
        &self,
        agents: impl IntoIterator<Item = &AgentName>,
        segment: &SegmentName,
        plan: &Plan,
    ) -> Result<Recent, StoreError> {
        let (snapshot, now) = (self.snapshot(), self.inner.clock.now());
        let world = &snapshot.world;
        let mut recent = Recent { keys: keys(world), ..Recent::default() };
        let mut baseline = Baseline::new(plan);
        for agent in agents {
            let Some(first) = first_deployed(world, agent) else { continue };
            let since = Timestamp(now.0.saturating_sub(WINDOW_MS)).max(first);
            let runs = self.newest_runs(agent, since).await?;
            let span_ms = match runs.last() {
                // There are more within the window than are counted.
                Some(oldest) if runs.len() >= RUNS_MAX => now.ms_since(oldest.summary.started_at),
                Some(_) | None => now.ms_since(since),
            };
            recent.flows.extend(flows(world, agent, segment, &runs, span_ms.max(1)));
            self.measure(&runs, &mut baseline).await?;
        }
        recent.measured = baseline.bases();
        Ok(recent)
    }

    async fn newest_runs(&self, agent: &AgentName, since: Timestamp) -> Result<Vec<Run>, StoreError> {
        let filter = RunFilter { agent: Some(agent.clone()), since: Some(since), ..RunFilter::default() };
        let mut runs: Vec<Run> = Vec::new();
        while runs.len() < RUNS_MAX {
            let before = runs.last().map(|run| run.stamp.run);
            let page = self.inner.store.run_list(&filter, before, PAGE_RUNS).await?;
            let is_last = page.len() < PAGE_RUNS;
            runs.extend(page);
            if is_last {
                break;
            }
        }
        Ok(runs)
    }

    async fn measure(&self, runs: &[Run], baseline: &mut Baseline) -> Result<(), StoreError> {
        let ended = runs.iter().filter(|run| is_live(run) && run.summary.status == RunStatus::Finished);
        for run in ended.take(SAMPLED_MAX) {
            let events = self.inner.store.run_events(run.stamp.run, EventSeq(0), EVENTS_MAX).await?;
            // Without its tools, no call of a tool is held against it.
            let tools = self.inner.observer.tools(run.stamp.release).await.unwrap_or_default();
            baseline.take(&run.stamp, &events, &tools);
        }
        Ok(())
    }
}

/// What is compared: a session of a tenant, or a run without one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Session(TenantId, SessionId),
    Run(RunId),
}

impl Unit {
    fn of(stamp: &Stamp) -> Unit {
        match &stamp.session {
            Some(session) => Unit::Session(stamp.tenant.clone(), session.clone()),
            None => Unit::Run(stamp.run),
        }
    }
}

/// An agent's traffic in the segments that a deployment in `segment` serves.
fn flows(world: &World, agent: &AgentName, segment: &SegmentName, runs: &[Run], span_ms: u64) -> Vec<Flow> {
    let mut counted: BTreeMap<&SegmentName, (u64, BTreeSet<Unit>)> = BTreeMap::new();
    for run in runs.iter().filter(|run| is_live(run)) {
        let (runs, units) = counted.entry(&run.stamp.segment).or_default();
        *runs += 1;
        units.insert(Unit::of(&run.stamp));
    }
    let served = served(world, agent, segment);
    served
        .into_iter()
        .map(|(segment, own)| {
            let (runs, units) =
                counted.get(&segment).map_or((0, 0), |(runs, units)| (*runs, units.len() as u64));
            Flow { agent: agent.clone(), segment, span_ms, runs, units, own }
        })
        .collect()
}

/// The segments that a deployment in `segment` reaches, each with a deployment of its own that keeps it out.
fn served(
    world: &World,
    agent: &AgentName,
    segment: &SegmentName,
) -> Vec<(SegmentName, Option<DeploymentId>)> {
    let mut served = vec![(segment.clone(), None)];
    if segment.as_str() == SegmentName::DEFAULT {
        let others = world.agents.get(agent).into_iter().flat_map(|spec| &spec.segments);
        served.extend(others.map(|other| {
            let pointer = world.pointer(agent, &other.name);
            (other.name.clone(), pointer.active.or(pointer.candidate))
        }));
    }
    served
}

/// When an agent's first deployment was opened; nothing was served before.
fn first_deployed(world: &World, agent: &AgentName) -> Option<Timestamp> {
    let mut own = world.deployments.values().filter(|deployment| deployment.releases.contains_key(agent));
    own.next().map(|deployment| deployment.opened_at)
}

fn keys(world: &World) -> Keys {
    let may = world.keys.values().filter(|key| key.scopes.iter().any(|scope| scope.includes(Scope::Deploy)));
    let names = may.map(|key| key.name.clone()).collect();
    if world.keyed { Keys::Named(names) } else { Keys::Open }
}

/// Whether a person was served by it.
fn is_live(run: &Run) -> bool {
    run.stamp.shadow.is_none()
}

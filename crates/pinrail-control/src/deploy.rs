//! Deployments: opened, widened, promoted, taken back.

use std::collections::BTreeMap;

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::assign::Salt;
use pinrail_domain::deploy::{
    self, Grounds, IngestRefused, Landing, NotHeld, Open, OpenRefused, PromoteRefused, RollBackRefused,
    TakeBack, WeightRefused, landings,
};
use pinrail_domain::id::{AgentName, DeploymentId, Epoch, IngestName, LedgerSeq, ReleaseId, SegmentName};
use pinrail_domain::release::ModelId;
use pinrail_domain::rollout::plan::BadRollout;
use pinrail_domain::rollout::{Plan, RolloutSpec};
use pinrail_domain::share::Share;
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use pinrail_store::journal::{OpenRuns, Run, RunFilter};
use serde::{Deserialize, Serialize};

use crate::contracts::ContractError;
use crate::readiness::Surroundings;
use crate::{By, CommitError, Committed, Control};

pub mod blast;
pub mod compensate;
pub mod conflicts;
pub mod derived;
pub mod flow;
pub mod report;
pub mod take_back;

pub use take_back::Flips;

use conflicts::Conflicts;

/// What a change to a deployment led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flipped {
    pub deployment: DeploymentId,
    pub state: String,
    pub segment: SegmentName,
    pub epoch: Epoch,
    /// The ledger entry that did it.
    pub seq: LedgerSeq,
    /// What each of the deployment's agents has active in its segment now.
    pub active: BTreeMap<AgentName, Option<DeploymentId>>,
    /// A data job's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestName>,
    /// Keys that a promoted deployment and others wrote without seeing each other, as of just before.
    #[serde(default, skip_serializing_if = "Conflicts::is_empty")]
    pub conflicts: Conflicts,
    /// What a rollback to what can be called passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// The agents for which nothing was found that can be called: they went where any rollback leads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncallable: Vec<AgentName>,
}

/// A deployment that a rollback didn't return to. It stays committed, with what it wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    pub agent: AgentName,
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    pub why: String,
}

/// Why a deployment isn't opened.
#[derive(Debug, thiserror::Error)]
pub enum DeployRefused {
    #[error(transparent)]
    Refused(#[from] OpenRefused),
    /// Found before any traffic could meet it.
    #[error("a release cannot be loaded")]
    Contract(#[from] ContractError),
}

/// A deployment's open runs, and the newest of each state by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Drain {
    pub open: OpenRuns,
    pub blocking: Vec<Run>,
}

/// Runs named in a drain report; the counts are exact anyway.
const BLOCKING_SHOWN: usize = 20;

impl Control {
    /// Opens a deployment, and promotes it at once if so wished. Its releases are loaded first, so that one that
    /// can't be served never gets traffic.
    pub async fn deploy(
        &self,
        by: By,
        wish: &Open,
    ) -> Result<Committed<Flipped>, CommitError<DeployRefused>> {
        let snapshot = self.snapshot();
        for release in wish.releases.values().filter(|id| snapshot.world.releases.contains_key(id)) {
            self.inner.contracts.get(*release).await.map_err(|error| CommitError::Refused(error.into()))?;
        }
        let (salt, now) = (self.salt(), self.inner.clock.now());
        let decide = |world: &World| {
            let (id, bodies) = deploy::open(world, wish, salt, |model| self.judge(world, model), now)?;
            Ok((bodies, id))
        };
        let opened = self.commit(by, decide, flipped).await?;
        if !opened.replayed {
            self.inner.states.check_embedders(opened.value.deployment);
        }
        Ok(opened)
    }

    /// Says whether a deployment would be opened, and opens nothing.
    pub async fn deploy_refused(&self, wish: &Open) -> Result<(), DeployRefused> {
        let snapshot = self.snapshot();
        let world = &snapshot.world;
        for release in wish.releases.values().filter(|id| world.releases.contains_key(id)) {
            self.inner.contracts.get(*release).await?;
        }
        deploy::open(world, wish, Salt(0), |model| self.judge(world, model), self.inner.clock.now())?;
        Ok(())
    }

    /// Opens a deployment for a data job.
    pub async fn open_ingest(
        &self,
        by: By,
        name: &IngestName,
    ) -> Result<Committed<Flipped>, CommitError<IngestRefused>> {
        let salt = self.salt();
        let decide = |world: &World| {
            let (id, body) = deploy::open_ingest(world, name, salt)?;
            Ok((vec![body], id))
        };
        self.commit(by, decide, flipped).await
    }

    /// Commits a candidate or a data job. What is being written in a data job's name comes first.
    pub async fn promote(
        &self,
        by: By,
        id: DeploymentId,
        lift_hold: bool,
    ) -> Result<Committed<Flipped>, CommitError<PromoteRefused>> {
        self.promote_on(by, id, &Grounds::ASKED, lift_hold).await
    }

    /// Commits a candidate on what a rollout has proven, or although it isn't through.
    pub async fn promote_on(
        &self,
        by: By,
        id: DeploymentId,
        grounds: &Grounds,
        lift_hold: bool,
    ) -> Result<Committed<Flipped>, CommitError<PromoteRefused>> {
        let is_job = self.snapshot().world.deployments.get(&id).is_some_and(|job| job.ingest.is_some());
        let _alone = if is_job { Some(self.inner.jobs.write().await) } else { None };
        let conflicts = self.conflicts(id).await.map_err(CommitError::Store)?;
        let decide = |world: &World| {
            let judge = |model: ModelId<'_>| self.judge(world, model);
            Ok((deploy::promote(world, id, grounds, lift_hold, judge, self.inner.clock.now())?, id))
        };
        let report = |world: &World, id| Flipped { conflicts: conflicts.clone(), ..flipped(world, id) };
        self.commit(by, decide, report).await
    }

    /// Takes a deployment back: one ledger append, whatever else is going on (I5, I7).
    pub async fn roll_back(
        &self,
        by: By,
        id: DeploymentId,
        what: TakeBack,
    ) -> Result<Committed<Flipped>, CommitError<RollBackRefused>> {
        let what = TakeBack { evidence: what.evidence.or_else(|| self.seen(id)), ..what };
        let decide = |world: &World| Ok((vec![deploy::roll_back(world, id, &what)?], id));
        let done = self.commit(by, decide, flipped).await?;
        if !done.replayed {
            self.inner.flips.note(id, done.took_us);
        }
        Ok(done)
    }

    /// Takes a deployment back to the newest before it that can be called, as far as is known here without asking anybody:
    /// one ledger append, too, and never blocked: where nothing can be called, it leads where any rollback does (I5, I7).
    pub async fn roll_back_to_callable(
        &self,
        by: By,
        id: DeploymentId,
        what: TakeBack,
        around: &Surroundings,
    ) -> Result<Committed<Flipped>, CommitError<RollBackRefused>> {
        let what = TakeBack { evidence: what.evidence.or_else(|| self.seen(id)), ..what };
        let decide = |world: &World| {
            let landings = self.landings(world, id, around);
            let what = TakeBack { to: chosen(&landings), ..what.clone() };
            Ok((vec![deploy::roll_back(world, id, &what)?], landings))
        };
        let report = |world: &World, landings: Vec<Landing>| {
            let (passed_over, uncallable) = told(landings);
            Flipped { passed_over, uncallable, ..flipped(world, id) }
        };
        let done = self.commit(by, decide, report).await?;
        if !done.replayed {
            self.inner.flips.note(id, done.took_us);
        }
        Ok(done)
    }

    /// Where taking a deployment back leads, when it may only lead to what can be called.
    #[must_use]
    pub fn landings(&self, world: &World, id: DeploymentId, around: &Surroundings) -> Vec<Landing> {
        landings(world, id, |_, release| self.trouble(world, around, release))
    }

    /// Sets a candidate's share of traffic.
    pub async fn set_weight(
        &self,
        by: By,
        id: DeploymentId,
        weight: Share,
    ) -> Result<Committed<Flipped>, CommitError<WeightRefused>> {
        let decide = |world: &World| Ok((vec![deploy::set_weight(world, id, weight)?], id));
        self.commit(by, decide, flipped).await
    }

    /// Lifts the hold that a rollback set.
    pub async fn lift_hold(
        &self,
        by: By,
        agent: &AgentName,
        segment: &SegmentName,
    ) -> Result<Committed<LedgerSeq>, CommitError<NotHeld>> {
        let decide = |world: &World| Ok((vec![deploy::lift_hold(world, agent, segment)?], ()));
        self.commit(by, decide, |world, ()| world.head.seq).await
    }

    /// What still runs on a deployment, exactly, with the runs that keep it from draining.
    pub async fn drain_of(&self, id: DeploymentId) -> Result<Drain, StoreError> {
        // A stamp may be on its way to the store; it counts.
        self.inner.runs.settled().await;
        let open = self.inner.store.run_open(id).await?;
        let mut blocking = Vec::new();
        for status in pinrail_domain::journal::RunStatus::ALL.into_iter().filter(|status| status.is_open()) {
            let filter = RunFilter { deployment: Some(id), status: Some(status), ..RunFilter::default() };
            let room = BLOCKING_SHOWN - blocking.len();
            blocking.extend(self.inner.store.run_list(&filter, None, room).await?);
        }
        Ok(Drain { open, blocking })
    }

    /// The plan that a deployment of these agents would follow in a segment; none where no agent is known.
    #[must_use]
    pub fn plan_for<'a>(
        &self,
        agents: impl IntoIterator<Item = &'a AgentName>,
        segment: &SegmentName,
    ) -> Option<Plan> {
        let snapshot = self.snapshot();
        let known = agents.into_iter().filter_map(|name| Some((name, &**snapshot.world.agents.get(name)?)));
        Plan::together(known, segment)
    }

    /// What these settings come to as a plan for these agents in a segment; none where no agent is known.
    pub fn plan_of<'a>(
        &self,
        agents: impl IntoIterator<Item = &'a AgentName>,
        segment: &SegmentName,
        settings: &RolloutSpec,
    ) -> Result<Option<Plan>, BadRollout> {
        let snapshot = self.snapshot();
        let mut specs = Vec::new();
        for agent in agents {
            let Some(spec) = snapshot.world.agents.get(agent) else { continue };
            settings.check(spec)?;
            specs.push((agent, AgentSpec { rollout: Some(settings.clone()), ..AgentSpec::clone(spec) }));
        }
        Ok(Plan::together(specs.iter().map(|(agent, spec)| (*agent, spec)), segment))
    }

    /// An agent of these that nothing answers for in a segment, so that nothing is there to compare a candidate with.
    #[must_use]
    pub fn unserved<'a>(
        &self,
        agents: impl IntoIterator<Item = &'a AgentName>,
        segment: &SegmentName,
    ) -> Option<AgentName> {
        let snapshot = self.snapshot();
        let world = &snapshot.world;
        let served = |agent: &AgentName| {
            let own = world.pointer(agent, segment).active;
            own.or_else(|| world.pointer(agent, &SegmentName::default_segment()).active)
        };
        agents.into_iter().find(|agent| served(agent).is_none()).cloned()
    }

    fn salt(&self) -> Salt {
        let mut random = [0; 8];
        self.inner.entropy.fill(&mut random);
        Salt(u64::from_le_bytes(random))
    }
}

pub(crate) fn flipped(world: &World, id: DeploymentId) -> Flipped {
    let deployment = &world.deployments[&id];
    let active = |agent: &AgentName| (agent.clone(), world.pointer(agent, &deployment.segment).active);
    Flipped {
        deployment: id,
        state: deploy::state(world, deployment).to_owned(),
        segment: deployment.segment.clone(),
        epoch: world.epoch,
        seq: world.head.seq,
        active: deployment.releases.keys().map(active).collect(),
        ingest: deployment.ingest.clone(),
        conflicts: Conflicts::default(),
        passed_over: Vec::new(),
        uncallable: Vec::new(),
    }
}

/// Where agents go that don't go to the newest before: only where that one can't be called and an older one can.
pub(crate) fn chosen(landings: &[Landing]) -> BTreeMap<AgentName, DeploymentId> {
    let chosen = landings.iter().filter(|landing| landing.callable && !landing.passed_over.is_empty());
    chosen.filter_map(|landing| Some((landing.agent.clone(), landing.to?))).collect()
}

/// What is told of landings: what was passed over, and for whom nothing can be called.
#[must_use]
pub fn told(landings: Vec<Landing>) -> (Vec<PassedOver>, Vec<AgentName>) {
    let (mut passed, mut uncallable) = (Vec::new(), Vec::new());
    for Landing { agent, passed_over, callable, to: _ } in landings {
        if !callable {
            uncallable.push(agent.clone());
        }
        passed.extend(passed_over.into_iter().map(|deploy::PassedOver { deployment, release, why }| {
            PassedOver { agent: agent.clone(), deployment, release, why }
        }));
    }
    (passed, uncallable)
}

//! Runs in which a candidate answers copies of live calls: who gets one, and what they cost so far.
//!
//! A copy is answered while the deployment is a candidate at a step with a share of copies, and while what the
//! step's copies cost is below its budget. Whatever is under way when the budget is reached ends: it is overdrawn by
//! as many answers as the gateway asks for at once. Costs are summed here from what the gateway reports; when a step
//! is new to this process, what the journal says that its copies cost comes first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinrail_domain::begin::{BeginError, Begun, CopyOf, Fate, NoShadow};
use pinrail_domain::deployment::Status;
use pinrail_domain::id::{DeploymentId, LedgerSeq};
use pinrail_domain::journal::Stamp;
use pinrail_domain::rollout::quantity::Usd;
use pinrail_domain::rollout::{Rollout, Step};
use pinrail_domain::routes::{Target, Via};
use pinrail_domain::share::Share;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::journal::RunFilter;

use super::{Planned, Runs};
use crate::{Control, Snapshot};

/// What became of a deployment's copies since this process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShadowCounts {
    /// Copies that got a place in the queue.
    pub queued: u64,
    /// Copies for which there was no room.
    pub dropped: u64,
    /// Copies whose turn came too late, or when the budget was used up.
    pub refused: u64,
    /// Copies that the candidate gave no answer to that can be compared.
    pub failed: u64,
    pub compared: u64,
}

/// The tallies of all deployments.
#[derive(Default)]
pub(super) struct Shadows {
    tallies: Mutex<HashMap<DeploymentId, Tally>>,
    /// Held while a step's costs are read from the journal, so that they are read once.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Tally {
    counts: ShadowCounts,
    /// The entry that began, or resumed, the step whose costs these are; none until they were read.
    step: Option<LedgerSeq>,
    spent_nano_usd: u64,
}

/// A step of which copies are made.
struct AtStep {
    target: Target,
    since: Timestamp,
    since_seq: LedgerSeq,
    budget: Option<Usd>,
}

/// Runs read at once while costs are summed.
const PAGE: usize = 1_000;

impl Runs {
    /// Begins the run in which a candidate answers a copy of a live call: with the live run's tenant, agent, segment
    /// and attributes, without its session, ended with its answer.
    ///
    /// Its stamp is on its way to the disk on return, whatever the tier: nobody is served by it.
    pub async fn begin_shadow(&self, copy: CopyOf) -> Result<Begun, NoShadow> {
        let CopyOf { live, target } = copy;
        let at_step = AtStep::of(&self.parts.snapshot.load(), &live, target)?;
        let journal = |error| BeginError::Journal(Arc::new(error));
        let spent = self.spent(&at_step).await.map_err(journal)?;
        if let Some(budget) = at_step.budget.filter(|budget| spent >= *budget) {
            return Err(NoShadow::Spent { spent, budget });
        }
        let at = self.parts.clock.now();
        let stamp = self.shadow_stamp(&live, target, at);
        if let Some(why) = self.pin_gone(&stamp) {
            return Err(BeginError::PinGone { run: stamp.run, why }.into());
        }
        let served = self.served(&stamp).await?;
        // Loading the release may have taken a while.
        AtStep::of(&self.parts.snapshot.load(), &live, target)?;
        let planned = Planned { stamp: Arc::clone(&stamp), at, bind: None };
        self.recorder.try_soon(planned.start(false, Vec::new(), None))?;
        Ok(self.begun(served, stamp, 1))
    }

    /// Counts what became of a copy.
    pub fn copied(&self, deployment: DeploymentId, fate: Fate) {
        let mut tallies = self.shadows.lock();
        let Tally { counts, spent_nano_usd, .. } = tallies.entry(deployment).or_default();
        let (counter, cost) = match fate {
            Fate::Queued => (&mut counts.queued, Usd::default()),
            Fate::Dropped => (&mut counts.dropped, Usd::default()),
            Fate::Refused => (&mut counts.refused, Usd::default()),
            Fate::Failed { cost } => (&mut counts.failed, cost),
            Fate::Compared { cost } => (&mut counts.compared, cost),
        };
        *counter += 1;
        *spent_nano_usd = spent_nano_usd.saturating_add(cost.nano);
    }

    fn shadow_stamp(&self, live: &Stamp, target: Target, at: Timestamp) -> Arc<Stamp> {
        let snapshot = self.parts.snapshot.load();
        let model = &snapshot.world.releases[&target.release].manifest.model;
        Arc::new(Stamp {
            run: self.new_run_id(at),
            session: None,
            parent: None,
            single: true,
            shadow: Some(live.run),
            deployment: target.deployment,
            release: target.release,
            epoch: snapshot.routes.epoch,
            via: Via::Shadow,
            provider: model.provider.clone(),
            snapshot: model.snapshot.clone(),
            ..live.clone()
        })
    }

    /// What the step's copies cost so far, as far as this process knows; the journal is asked once per step.
    async fn spent(&self, at_step: &AtStep) -> Result<Usd, StoreError> {
        let AtStep { target: Target { deployment, .. }, since, since_seq, .. } = *at_step;
        if let Some(spent) = self.shadows.spent(deployment, since_seq) {
            return Ok(spent);
        }
        let _reading = self.shadows.reading.lock().await;
        if let Some(spent) = self.shadows.spent(deployment, since_seq) {
            return Ok(spent);
        }
        let filter = RunFilter {
            deployment: Some(deployment),
            shadow: Some(true),
            since: Some(since),
            ..RunFilter::default()
        };
        let (mut nano, mut before) = (0_u64, None);
        loop {
            let page = self.parts.store.run_list(&filter, before, PAGE).await?;
            let costs = page.iter().map(|run| run.summary.cost_nano_usd);
            nano = costs.fold(nano, u64::saturating_add);
            before = page.last().map(|run| run.stamp.run);
            if page.len() < PAGE {
                return Ok(self.shadows.began(deployment, since_seq, nano));
            }
        }
    }
}

impl Control {
    /// What became of a deployment's copies since this process began.
    #[must_use]
    pub fn shadow_counts(&self, deployment: DeploymentId) -> ShadowCounts {
        let tallies = self.inner.runs.shadows.lock();
        tallies.get(&deployment).map(|tally| tally.counts).unwrap_or_default()
    }

    /// What the copies of a deployment's current step cost, as far as this process knows: after a start, all of it
    /// once the first copy was begun.
    #[must_use]
    pub fn shadow_spent(&self, deployment: DeploymentId) -> Usd {
        let tallies = self.inner.runs.shadows.lock();
        tallies.get(&deployment).map(|tally| Usd { nano: tally.spent_nano_usd }).unwrap_or_default()
    }
}

impl Shadows {
    /// What was spent in a step; none where the journal must be asked first.
    fn spent(&self, deployment: DeploymentId, step: LedgerSeq) -> Option<Usd> {
        let tallies = self.lock();
        let tally = tallies.get(&deployment).filter(|tally| tally.step == Some(step))?;
        Some(Usd { nano: tally.spent_nano_usd })
    }

    /// Begins a step's sum with what the journal says.
    fn began(&self, deployment: DeploymentId, step: LedgerSeq, nano: u64) -> Usd {
        let mut tallies = self.lock();
        let tally = tallies.entry(deployment).or_default();
        (tally.step, tally.spent_nano_usd) = (Some(step), nano);
        Usd { nano }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DeploymentId, Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AtStep {
    fn of(snapshot: &Snapshot, live: &Stamp, target: Target) -> Result<AtStep, NoShadow> {
        let id = target.deployment;
        let deployment = snapshot.routes.deployment(id);
        let deployment =
            deployment.filter(|deployment| matches!(deployment.status, Status::Candidate { .. }));
        let deployment = deployment
            .filter(|deployment| deployment.releases.get(&live.agent) == Some(&target.release))
            .ok_or(NoShadow::NotCandidate(id))?;
        let rollout = deployment.rollout.as_deref().filter(|rollout| rollout.shadow > Share::NONE);
        let rollout = rollout.ok_or(NoShadow::NoShare(id))?;
        let Rollout { since, since_seq, .. } = *rollout;
        let budget = match rollout.current() {
            Step::Shadow { budget, .. } => *budget,
            Step::Gate | Step::Canary { .. } | Step::Pause { .. } | Step::Approve { .. } => None,
        };
        Ok(AtStep { target, since, since_seq, budget })
    }
}

//! Runs in which a gate asks a release, whatever is deployed: they are in no deployment, belong to no session, write no
//! state and count for no rollout. Calls join them as they join any other run, so an arm answers on the path of live
//! traffic.

use std::sync::Arc;

use pinrail_domain::begin::BeginError;
use pinrail_domain::id::{AgentName, GateId, ReleaseId, RunId, SegmentName, TenantId};
use pinrail_domain::journal::{Event, Outcome, RunStatus, Stamp};
use pinrail_domain::routes::Via;
use pinrail_domain::state::view::GROUND;
use pinrail_store::StoreError;
use pinrail_store::journal::{Append, RunFilter, Write, WriteError};

use super::{Planned, Runs, journal_error};

/// Why a gate gets no run.
#[derive(Debug, thiserror::Error)]
pub enum GateRunRefused {
    #[error("agent `{agent}` has no release {release}")]
    NoRelease { agent: AgentName, release: ReleaseId },
    #[error(transparent)]
    Begin(#[from] BeginError),
}

/// Open runs read at once while those of a gate that was cut off are ended.
const PAGE: usize = 1_000;

impl Runs {
    /// Begins a run in which a gate asks a release. Durable on return.
    pub async fn begin_gate(
        &self,
        gate: GateId,
        agent: &AgentName,
        release: ReleaseId,
    ) -> Result<Arc<Stamp>, GateRunRefused> {
        let snapshot = self.parts.snapshot.load_full();
        let known = snapshot.world.releases.get(&release).filter(|known| known.agents.contains(agent));
        let refused = || GateRunRefused::NoRelease { agent: agent.clone(), release };
        let model = &known.ok_or_else(refused)?.manifest.model;
        let at = self.parts.clock.now();
        let stamp = Arc::new(Stamp {
            run: self.new_run_id(at),
            agent: agent.clone(),
            tenant: TenantId::shared(),
            session: None,
            parent: None,
            attributes: std::collections::BTreeMap::new(),
            single: false,
            shadow: None,
            gate: Some(gate),
            deployment: GROUND,
            release,
            segment: SegmentName::default_segment(),
            epoch: snapshot.routes.epoch,
            via: Via::Gate,
            provider: model.provider.clone(),
            snapshot: model.snapshot.clone(),
        });
        if let Some(why) = self.pin_gone(&stamp) {
            return Err(BeginError::PinGone { run: stamp.run, why }.into());
        }
        let planned = Planned { stamp: Arc::clone(&stamp), at, bind: None };
        self.recorder.durably(planned.start(false, Vec::new(), None)).await.map_err(journal_error)?;
        Ok(stamp)
    }

    /// Ends a gate's run; one that has ended already stays as it is.
    pub async fn end_gate(&self, run: RunId, outcome: Outcome) -> Result<(), WriteError> {
        let events = vec![(self.parts.clock.now(), Event::Finished { outcome, why: None })];
        let append = Append { run, expected: None, events, answer: None, follows: None };
        match self.recorder.durably(Write::Append(append)).await {
            Ok(_) | Err(WriteError::Illegal(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends the runs that a gate left open when it was cut off, and says how many.
    pub async fn end_open_gate(&self, gate: GateId) -> Result<u64, WriteError> {
        let mut ended = 0;
        for status in RunStatus::ALL.into_iter().filter(|status| status.is_open()) {
            let mut before = None;
            loop {
                let filter = RunFilter { gate: Some(true), status: Some(status), ..RunFilter::default() };
                let page = self.open_page(&filter, before).await.map_err(WriteError::Store)?;
                for run in page.iter().filter(|run| run.stamp.gate == Some(gate)) {
                    self.end_gate(run.stamp.run, Outcome::Cancelled).await?;
                    ended += 1;
                }
                before = page.last().map(|run| run.stamp.run);
                if page.len() < PAGE {
                    break;
                }
            }
        }
        Ok(ended)
    }

    async fn open_page(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
    ) -> Result<Vec<pinrail_store::journal::Run>, StoreError> {
        self.parts.store.run_list(filter, before, PAGE).await
    }
}

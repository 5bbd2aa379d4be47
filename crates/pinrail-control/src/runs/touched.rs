//! What a run read and wrote of the state, for who looks at the run.
//!
//! Reads are noted by space, not by run, so they are looked for where the run's kind looks: in the memory of its session and in
//! the tenant's shared spaces, among what was noted since the run began. Every step has a limit; where one was reached, it
//! is said.

use std::collections::BTreeSet;
use std::sync::Arc;

use pinrail_domain::deployment::Status;
use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::state::view::View;
use pinrail_domain::state::{Layer, Moment, Op, Operation, Space};
use pinrail_store::StoreError;
use pinrail_store::journal::Run;
use pinrail_store::state::{Read, Seen, SpaceFilter};

use crate::Control;

/// What a run read and wrote.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    pub reads: Vec<RunRead>,
    /// In the order of writing.
    pub writes: Vec<(Space, Operation)>,
    /// There may be more than was looked for.
    pub cut: bool,
}

/// One read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRead {
    pub space: Space,
    /// What it saw was the state as of then.
    pub at: Moment,
    /// How many records it was shown; none where that was all that was visible.
    pub records: Option<u64>,
    /// Deployments that were rolled back, whose records it was shown: what it concluded may be wrong.
    pub tainted: BTreeSet<DeploymentId>,
}

/// Records that a run wrote, at most: what a person reads through.
const WRITES_MAX: usize = 200;
/// Reads of a run that are told.
const READS_MAX: usize = 200;
/// Shared spaces of one layer in which reads are looked for.
const SPACES_MAX: usize = 20;
/// Reads of one space that are looked through.
const NOTED_MAX: usize = 1_000;
/// Records of a read whose authors are looked up.
const RECORDS_MAX: usize = 1_000;

impl Control {
    /// What the run read and wrote, as of now.
    pub async fn touched_by(&self, run: &Run) -> Result<Touched, StoreError> {
        self.inner.states.notes.settled().await;
        let store = &self.inner.store;
        let stamp = &run.stamp;
        let writes = store.state_of_run(stamp.run, StateSeq(0), WRITES_MAX + 1).await?;
        let mut touched = Touched { cut: writes.len() > WRITES_MAX, writes, reads: Vec::new() };
        touched.writes.truncate(WRITES_MAX);
        let from = store.state_moment(run.summary.started_at).await?.state;
        for space in self.read_spaces(run, &mut touched.cut).await? {
            let noted = store.reads_of_space(&space, from, 0, NOTED_MAX).await?;
            touched.cut |= noted.len() == NOTED_MAX;
            for read in noted.into_iter().filter(|read| read.run == stamp.run) {
                if touched.reads.len() == READS_MAX {
                    touched.cut = true;
                    return Ok(touched);
                }
                let tainted = self.tainted(&read, stamp.deployment).await?;
                let records = match &read.what {
                    Seen::All => None,
                    Seen::Records(seqs) => Some(seqs.len() as u64),
                };
                touched.reads.push(RunRead { space: read.space, at: read.at, records, tainted });
            }
        }
        touched.reads.sort_by_key(|read| read.at.state);
        Ok(touched)
    }

    /// The spaces in which the run may have read.
    async fn read_spaces(&self, run: &Run, cut: &mut bool) -> Result<Vec<Space>, StoreError> {
        let stamp = &run.stamp;
        let mut spaces = Vec::new();
        if let Some(session) = &stamp.session {
            spaces.push(Space::memory(stamp.tenant.clone(), &stamp.agent, session));
        }
        for layer in [Layer::Context, Layer::Vectors] {
            let tenants = Some(vec![stamp.tenant.clone()]);
            let filter = SpaceFilter { layer: Some(layer), tenants, prefix: None };
            let listed = self.inner.store.space_list(&filter, None, SPACES_MAX).await?;
            *cut |= listed.len() == SPACES_MAX;
            spaces.extend(listed.into_iter().map(|facts| facts.space));
        }
        Ok(spaces)
    }

    /// The deployments that are rolled back now and whose records the read showed.
    async fn tainted(&self, read: &Read, own: DeploymentId) -> Result<BTreeSet<DeploymentId>, StoreError> {
        let snapshot = self.snapshot();
        let world = &snapshot.world;
        let is_bad = |id: DeploymentId| match world.deployments.get(&id).map(|known| &known.status) {
            Some(Status::RolledBack { .. }) => true,
            Some(Status::Candidate { .. } | Status::Promoted { .. }) | None => false,
        };
        if let Seen::Records(seqs) = &read.what {
            let looked_up = &seqs[..seqs.len().min(RECORDS_MAX)];
            let records = self.inner.store.state_records(looked_up).await?;
            let authors = records.iter().map(|record| record.operation.deployment);
            return Ok(authors.filter(|author| is_bad(*author)).collect());
        }
        let view = View { own: Some(own), at: read.at, commits: Arc::clone(&world.commits) };
        let looked = self.inner.states.look(&read.space, |index| {
            let counted = index.deployments().filter(|id| is_bad(*id));
            let counted = counted.filter(|id| view.discounted_deployment(*id).is_none());
            let wrote = |id: DeploymentId| {
                let mut places = index.touched(id);
                places.any(|place| index.seq(place) <= read.at.state && index.op(place) == Op::Put)
            };
            counted.filter(|id| wrote(*id)).collect()
        });
        looked.await
    }
}

//! Who writes: a run, a data job, or an operator with a fact.

use std::collections::BTreeSet;
use std::sync::Arc;

use pinrail_domain::deployment::Status;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::journal::Stamp;
use pinrail_domain::state::view::GROUND;
use pinrail_domain::state::{Author, Origin, PARENTS_MAX, StateKey};
use tokio::sync::OwnedRwLockReadGuard;

use super::{States, WriteError};
use crate::commit::Idempotency;

/// In whose name something is written.
#[derive(Clone, Copy, Debug)]
pub enum WriteAs<'a> {
    /// What a run concluded: it belongs to the run's deployment.
    Run(&'a Stamp),
    /// A fact from outside that a run was told: it goes to the ground.
    Told(&'a Stamp),
    /// An open data job.
    Job(DeploymentId),
    /// A fact that an operator loads: it goes to the ground.
    Operator,
}

/// Why nothing can be written in a data job's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWriter {
    #[error("there is no deployment {0}")]
    NoDeployment(DeploymentId),
    #[error("deployment {0} is no data job: its runs write in its name")]
    NoJob(DeploymentId),
    #[error("data job {0} is not open any more")]
    Closed(DeploymentId),
    /// It is in no deployment, and what it wrote would count for everybody.
    #[error("run {0} is a gate's: nothing that it says is kept as state")]
    Gate(RunId),
}

/// A record that nothing can be derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParents {
    #[error("a record has at most {PARENTS_MAX} parents; this one names {0}")]
    TooMany(usize),
    /// Or of another tenant (I11).
    #[error("parent {0} is no record of this tenant")]
    NoParent(StateSeq),
}

/// An author whose name may be written in while this is held.
#[derive(Clone)]
pub struct Authorised {
    pub author: Author,
    open: Option<Open>,
}

/// A data job that doesn't commit here while this is held.
#[derive(Clone)]
struct Open {
    /// The newest entry that was known when it was seen to be open.
    as_of: LedgerSeq,
    _held: Arc<OwnedRwLockReadGuard<()>>,
}

impl Authorised {
    /// The entry as of which the author's data job was open; none where the author isn't one.
    pub(super) fn open_as_of(&self) -> Option<LedgerSeq> {
        self.open.as_ref().map(|open| open.as_of)
    }
}

impl States {
    /// The author that writes are stamped with. A data job doesn't commit here until the answer is dropped; what another replica
    /// commits or takes back meanwhile, the store tells the write.
    pub async fn author(&self, who: WriteAs<'_>) -> Result<Authorised, NoWriter> {
        let of_run = |stamp: &Stamp, deployment, origin| Author {
            deployment,
            origin,
            run: Some::<RunId>(stamp.run),
            agent: Some(stamp.agent.clone()),
        };
        let author = match who {
            WriteAs::Run(stamp) | WriteAs::Told(stamp) if stamp.gate.is_some() => {
                return Err(NoWriter::Gate(stamp.run));
            }
            WriteAs::Run(stamp) => of_run(stamp, stamp.deployment, Origin::Run),
            WriteAs::Told(stamp) => of_run(stamp, GROUND, Origin::External),
            WriteAs::Operator => {
                Author { deployment: GROUND, origin: Origin::External, run: None, agent: None }
            }
            WriteAs::Job(deployment) => {
                let held = Arc::new(Arc::clone(&self.parts.jobs).read_owned().await);
                let as_of = self.check_open(deployment)?;
                let author = Author { deployment, origin: Origin::Ingest, run: None, agent: None };
                return Ok(Authorised { author, open: Some(Open { as_of, _held: held }) });
            }
        };
        Ok(Authorised { author, open: None })
    }

    /// Checks that what something is said to be derived from is there.
    pub(super) async fn check_parents<E>(
        &self,
        tenant: &TenantId,
        parents: impl Iterator<Item = StateSeq>,
    ) -> Result<(), WriteError<E>>
    where
        E: From<BadParents> + std::error::Error + 'static,
    {
        let parents: BTreeSet<StateSeq> = parents.collect();
        if parents.is_empty() {
            return Ok(());
        }
        let parents: Vec<StateSeq> = parents.into_iter().collect();
        let found = self.records(&parents).await?;
        let own = |seq: &StateSeq| {
            found.iter().any(|record| record.operation.seq == *seq && record.space.tenant == *tenant)
        };
        match parents.iter().find(|seq| !own(seq)) {
            Some(stranger) => Err(WriteError::Refused(BadParents::NoParent(*stranger).into())),
            None => Ok(()),
        }
    }

    /// A key that no other record has; the same one for the same request.
    pub(super) fn new_key(&self, prefix: &str, n: usize, idempotency: Option<&Idempotency>) -> StateKey {
        let unique = match idempotency {
            Some(Idempotency { key, request }) => {
                Digest::of(format!("{}\n{}\n{request}", key.caller, key.key).as_bytes())
            }
            None => {
                let mut random = [0; 16];
                self.parts.entropy.fill(&mut random);
                Digest::of(&random)
            }
        };
        StateKey::new(&format!("{prefix}{}-{n}", &unique.hex()[..24])).expect("digits and letters are a key")
    }

    /// Checks that a data job is open; gives the entry as of which it is.
    fn check_open(&self, id: DeploymentId) -> Result<LedgerSeq, NoWriter> {
        let snapshot = self.parts.snapshot.load();
        let deployment = snapshot.world.deployments.get(&id).ok_or(NoWriter::NoDeployment(id))?;
        if deployment.ingest.is_none() {
            return Err(NoWriter::NoJob(id));
        }
        match deployment.status {
            Status::Candidate { .. } => Ok(snapshot.world.head.seq),
            Status::Promoted { .. } | Status::RolledBack { .. } => Err(NoWriter::Closed(id)),
        }
    }
}

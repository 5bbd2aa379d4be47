//! The drill: a rehearsal of a rollback with state, safe while everything serves (`pinrail readiness --drill`).
//!
//! A data job of its own writes into spaces of a tenant that nobody else has ([`TENANT`]), in every layer, over facts
//! that lie there; it is taken back; and what everybody sees there is held against what was seen before. No pointer
//! moves and no space of anybody else is touched. The rollback takes the same way as a real one: one ledger entry, one
//! snapshot, the indexes' next look.
//!
//! The result is a fact in the drill's own context space, so that a restart remembers it; the ledger has the jobs.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use pinrail_domain::deploy::{IngestRefused, RollBackRefused, TakeBack};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{
    AgentName, CollectionName, DeploymentId, IngestName, SessionId, StateSeq, TenantId,
};
use pinrail_domain::release::{Embedder, Metric};
use pinrail_domain::state::manifest::SetDigest;
use pinrail_domain::state::{Content, Layer, Space, StateKey};
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::state::vectors::{Upsert, VectorSpace};
use crate::state::{Change, Decided, NewValue, NoWriter, States, WriteAs};
use crate::{By, CommitError, Control};

/// Whose spaces a drill uses. Nobody's tenant has such a name but on purpose.
pub const TENANT: &str = "~drill";

/// What a drill came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    pub at: Timestamp,
    pub deployment: DeploymentId,
    pub steps: Vec<Step>,
    /// From the call of the rollback until everybody's view was checked to be what it was.
    pub consistent_us: u64,
    /// Records that the rollback hid.
    pub records: u64,
    /// What wasn't as it should be; empty where all went well.
    pub faults: Vec<String>,
}

/// A step of a drill and how long it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub took_us: u64,
}

/// The last drill of this process.
#[derive(Default)]
pub(crate) struct Drills {
    last: Mutex<Option<Drill>>,
    /// One drill at a time: two would see each other's spaces change.
    turn: tokio::sync::Mutex<()>,
}

/// Why there was no drill.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error("the drill's data job cannot be opened")]
    Open(#[source] CommitError<IngestRefused>),
    #[error("the drill's data job cannot be rolled back")]
    RollBack(#[source] CommitError<RollBackRefused>),
    #[error("nothing can be written in the drill's name")]
    Author(#[source] NoWriter),
    #[error("the drill's records cannot be written")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records that a drill writes to each space: enough that a rollback that walked records would show.
const RECORDS: usize = 64;
/// The key of the last result.
const LAST: &str = "last";

impl Drill {
    #[must_use]
    pub fn went_well(&self) -> bool {
        self.faults.is_empty()
    }
}

impl Control {
    /// Rehearses a rollback with state.
    pub async fn drill(&self, by: &By) -> Result<Drill, DrillError> {
        let _turn = self.inner.drills.turn.lock().await;
        let at = self.inner.clock.now();
        let states = self.states();
        let spaces = spaces();
        let mut steps = Vec::new();
        let mut faults = Vec::new();
        let mut started = self.inner.clock.ticks();
        let mut step = |name: &str| {
            let now = self.inner.clock.ticks();
            let took_us = now.us_since(std::mem::replace(&mut started, now));
            steps.push(Step { name: name.to_owned(), took_us });
        };

        lay_ground(states, &spaces).await?;
        let before = seen(states, &spaces, None).await?;
        step("look at what everybody sees");
        let name: IngestName = format!("drill-{}", at.0).parse().expect("a name of letters and digits");
        let open = By { reason: "a drill".to_owned(), ..by.without_idempotency() };
        let opened = self.open_ingest(open.clone(), &name).await.map_err(DrillError::Open)?;
        let deployment = opened.value.deployment;
        step("open a deployment");
        let mut records = 0;
        for space in &spaces {
            records += write(states, deployment, space).await?;
        }
        step("write to every layer");
        let own = seen(states, &spaces, Some(deployment)).await?;
        if own == before {
            faults.push("the deployment doesn't see its own writes".to_owned());
        }
        step("read through its own view");
        if seen(states, &spaces, None).await? != before {
            faults.push("others see writes that were never committed".to_owned());
        }
        step("read through everybody's view");
        let called = self.inner.clock.ticks();
        let back = By { reason: "the drill's end".to_owned(), ..open };
        self.roll_back(back, deployment, TakeBack::default()).await.map_err(DrillError::RollBack)?;
        step("roll back");
        if seen(states, &spaces, None).await? != before {
            faults.push("what everybody sees is not what it was".to_owned());
        }
        let consistent_us = self.inner.clock.ticks().us_since(called);
        step("verify everybody's view");
        let drill = Drill { at, deployment, steps, consistent_us, records, faults };
        remember(states, &drill).await?;
        *self.inner.drills.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(drill.clone());
        Ok(drill)
    }

    /// The last drill, of this process or another.
    pub async fn last_drill(&self) -> Result<Option<Drill>, StoreError> {
        let last = self.inner.drills.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Where others drill, too, only the store knows which was last.
        if last.is_some() && !self.is_shared() {
            return Ok(last);
        }
        let key = StateKey::new(LAST).expect("a short name");
        let seq = self.states().look(&results(), |index| index.get(None, &key)).await?;
        let records = self.states().records(seq.as_slice()).await?;
        let json = records.into_iter().find_map(|record| match record.content {
            Content::Value(value) => Some(value.json),
            Content::Nothing | Content::Erased => None,
        });
        Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
    }
}

/// A space in each layer.
fn spaces() -> Vec<Space> {
    let agent: AgentName = "drill".parse().expect("a short name");
    let session: SessionId = "drill".parse().expect("a short name");
    let collection: CollectionName = "drill".parse().expect("a short name");
    vec![Space::memory(tenant(), &agent, &session), Space::context(tenant(), &collection), vectors().space]
}

/// The drill's vectors: of an embedder that nobody has.
fn vectors() -> VectorSpace {
    let embedder = Embedder {
        embedder: "drill".to_owned(),
        dims: 2,
        metric: Metric::Cosine,
        provider: None,
        endpoint: None,
        revision: None,
        pooling: None,
        normalisation: None,
        prefix: None,
    };
    let name = "drill".parse().expect("a short name");
    VectorSpace::new(&tenant(), &name, &embedder).expect("the contract is plain and its dims are few")
}

/// Where results are kept.
fn results() -> Space {
    Space::context(tenant(), &"drill-results".parse().expect("a short name"))
}

fn tenant() -> TenantId {
    TENANT.parse().expect("visible ASCII")
}

fn key(n: usize) -> StateKey {
    StateKey::new(&format!("drill-{n}")).expect("a short name")
}

/// Makes sure that there is something that everybody sees: a fact that a drill writes over.
async fn lay_ground(states: &States, spaces: &[Space]) -> Result<(), DrillError> {
    for space in spaces {
        if states.look(space, |index| index.is_empty()).await? {
            put(states, WriteAs::Operator, space, vec![(key(0), "\"before\"".to_owned())]).await?;
        }
    }
    Ok(())
}

async fn write(states: &States, deployment: DeploymentId, space: &Space) -> Result<u64, DrillError> {
    let values = (0..RECORDS).map(|n| (key(n), format!("\"of the drill {n}\""))).collect();
    put(states, WriteAs::Job(deployment), space, values).await?;
    Ok(RECORDS as u64)
}

async fn remember(states: &States, drill: &Drill) -> Result<(), DrillError> {
    let json = serde_json::to_string(drill).expect("a result is plain data");
    let last = StateKey::new(LAST).expect("a short name");
    put(states, WriteAs::Operator, &results(), vec![(last, json)]).await
}

async fn put(
    states: &States,
    who: WriteAs<'_>,
    space: &Space,
    values: Vec<(StateKey, String)>,
) -> Result<(), DrillError> {
    let by = states.author(who).await.map_err(DrillError::Author)?;
    if space.layer == Layer::Vectors {
        let upsert = |(key, _)| Upsert { key, vector: vec![1.0, 0.5], payload: None, parents: Vec::new() };
        let upserts: Vec<Upsert> = values.into_iter().map(upsert).collect();
        let wrote = states.upsert(&by, &vectors(), &upserts, None).await;
        return wrote.map(drop).map_err(|error| DrillError::Write(Box::new(error)));
    }
    let change =
        |(key, json)| Change { key, value: Some(NewValue { json, vector: None }), parents: Vec::new() };
    let changes: Vec<Change> = values.into_iter().map(change).collect();
    let decide = |_: &_| Ok::<_, Infallible>(Decided { changes: changes.clone(), expect: None });
    let wrote = states.write(&by, space, None, decide).await;
    wrote.map(drop).map_err(|error| DrillError::Write(Box::new(error)))
}

/// A digest of what somebody sees in each of the spaces, records read from the store.
async fn seen(
    states: &States,
    spaces: &[Space],
    own: Option<DeploymentId>,
) -> Result<Vec<(u64, Digest)>, StoreError> {
    let mut seen = Vec::with_capacity(spaces.len());
    for space in spaces {
        let visible: Vec<StateSeq> =
            states.look(space, |index| index.iter(own).map(|(seq, _)| seq).collect()).await?;
        let mut set = SetDigest::new();
        for record in states.records(&visible).await? {
            set.add(record.operation.seq, &record.digest);
        }
        seen.push((set.count(), set.digest()));
    }
    Ok(seen)
}

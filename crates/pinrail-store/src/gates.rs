//! Gates and the rows that their verdicts are worked out from.
//!
//! What a gate's document and a row's body say is the gate crate's: here they are bytes under keys. A gate's verdict isn't
//! here either but in the ledger. A row is settled once and for all; one that says only that there is no answer yet
//! gives way to the next that is written for its key.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, DeploymentId, GateId, ReleaseId};
use pinrail_domain::time::Timestamp;

use crate::{Answer, StoreError, Term};

/// A gate, without its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRecord {
    pub id: GateId,
    pub agent: AgentName,
    /// The candidate's deployment, where the gate is for one.
    pub deployment: Option<DeploymentId>,
    pub candidate: ReleaseId,
    pub incumbent: Option<ReleaseId>,
    pub created_at: Timestamp,
    pub status: GateStatus,
    /// The settings, how far it is, and how it ended: JSON.
    pub document: String,
}

/// Where a gate is in its life. Stored: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GateStatus {
    /// It asks, or waits for its turn to.
    Running = 0,
    /// It has a verdict.
    Finished = 1,
    /// It couldn't go on.
    Failed = 2,
    /// Somebody stopped it.
    Cancelled = 3,
}

/// Where a gate is to be, by whoever saw where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateChange {
    pub id: GateId,
    /// Where it must be now: else somebody else changed it, and this is old news.
    pub from: GateStatus,
    pub to: GateStatus,
    pub document: String,
    /// Change it only while this is the leaders' newest term; none doesn't ask who leads.
    pub fence: Option<Term>,
}

/// What one arm answered to one case, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRow {
    pub key: RowKey,
    /// Whether this is the last word: only then it never changes, and can be reused by other gates.
    pub settled: bool,
    /// JSON.
    pub body: Vec<u8>,
}

/// Names a row in its gate. They are ordered so that what is compared stands side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    pub case: Digest,
    /// From 0.
    pub repeat: u32,
    pub release: ReleaseId,
}

/// Which gates. Everything set must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GateFilter {
    pub agent: Option<AgentName>,
    pub deployment: Option<DeploymentId>,
    pub status: Option<GateStatus>,
}

/// Why no gate was kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GateCreateError {
    #[error("{0} exists")]
    Exists(GateId),
    /// This idempotency key has its answer.
    #[error("the idempotency key was used before")]
    Answered(Box<Answer>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GateStatus {
    pub const ALL: [GateStatus; 4] =
        [GateStatus::Running, GateStatus::Finished, GateStatus::Failed, GateStatus::Cancelled];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            GateStatus::Running => "running",
            GateStatus::Finished => "finished",
            GateStatus::Failed => "failed",
            GateStatus::Cancelled => "cancelled",
        }
    }
}

impl GateFilter {
    /// Whether a gate is meant.
    #[must_use]
    pub fn takes(&self, gate: &GateRecord) -> bool {
        let GateFilter { agent, deployment, status } = self;
        agent.as_ref().is_none_or(|agent| *agent == gate.agent)
            && deployment.is_none_or(|deployment| Some(deployment) == gate.deployment)
            && status.is_none_or(|status| status == gate.status)
    }
}

/// Keeps gates.
#[async_trait]
pub trait Gates: Send + Sync {
    /// Keeps new gates, all or none, and the answer to whoever asked for them, in one durable step (I9). The answer's key
    /// is looked at first.
    async fn gate_create(
        &self,
        gates: Vec<GateRecord>,
        answer: Option<Answer>,
    ) -> Result<(), GateCreateError>;

    /// Says where a gate is now, durably (I9), and returns true; or changes nothing where there is no such gate, where it isn't
    /// where the change says, or where another leads.
    async fn gate_update(&self, change: GateChange) -> Result<bool, StoreError>;

    async fn gate_get(&self, id: GateId) -> Result<Option<GateRecord>, StoreError>;

    /// Up to `limit` gates of ids below `before`, newest first.
    async fn gate_list(
        &self,
        filter: &GateFilter,
        before: Option<GateId>,
        limit: usize,
    ) -> Result<Vec<GateRecord>, StoreError>;

    /// Keeps rows, all together and durably (I9); returns how many. A key's first settled row stays, whatever comes later;
    /// one that isn't settled makes place. Rows of a gate that there isn't are dropped.
    async fn gate_rows_append(&self, gate: GateId, rows: Vec<GateRow>) -> Result<u64, StoreError>;

    /// Up to `limit` rows after `after`, in the order of their keys.
    async fn gate_rows_read(
        &self,
        gate: GateId,
        after: Option<RowKey>,
        limit: usize,
    ) -> Result<Vec<GateRow>, StoreError>;

    /// Of each of a case's first `repeats` repeats the newest settled row that any gate has of a release's answer, with
    /// that gate, in the order of the repeats.
    async fn gate_rows_reusable(
        &self,
        release: ReleaseId,
        case: Digest,
        repeats: u32,
    ) -> Result<Vec<(GateId, GateRow)>, StoreError>;
}

//! What the gateway needs from the rest of Pinrail. The control plane implements it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use pinrail_domain::agent::Bodies;
use pinrail_domain::id::{AgentName, DeploymentId, Epoch, RunId, SegmentName, SessionId, TenantId};
use pinrail_domain::journal::{Event, RunStatus, Stamp};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Contract;
use pinrail_domain::time::Timestamp;

/// Gives runs their stamps and keeps their journals.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Begins a run, or joins the one that the call names. The stamp is on disk on return where the agent's
    /// tier asks for that, and on its way there otherwise (I3).
    async fn begin(&self, call: Call) -> Result<Begun, BeginError>;

    /// Journals further events of a run. Waits only while the journal's queue is full; a run's events keep
    /// their order.
    async fn record(&self, run: RunId, events: Vec<(Timestamp, Event)>);

    /// The agents that can be called, with the time (Unix seconds) each got its first release, by name.
    fn agents(&self) -> Vec<(AgentName, u64)>;
}

/// A model call that wants a run.
#[derive(Clone, Debug)]
pub struct Call {
    pub agent: String,
    pub tenant: TenantId,
    /// The run to join; none makes the call a run of its own.
    pub run: Option<RunId>,
    pub session: Option<SessionId>,
    pub attributes: BTreeMap<String, String>,
}

/// A run that may call its model.
#[derive(Clone, Debug)]
pub struct Begun {
    pub stamp: Arc<Stamp>,
    /// The number of this call within the run, from 1.
    pub call: u32,
    /// The epoch now; the stamp has the epoch it was made in.
    pub epoch: Epoch,
    pub contract: Arc<Contract>,
    pub provider: Arc<ProviderSpec>,
    pub bodies: Bodies,
}

/// Why a call gets no run.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    #[error("there is no agent `{0}`")]
    NoAgent(String),
    #[error("agent `{agent}` has no active release in segment `{segment}`")]
    NothingActive { agent: AgentName, segment: SegmentName },
    /// Also the answer for another tenant's run (I11).
    #[error("there is no run {0}")]
    NoRun(RunId),
    #[error("run {run} belongs to agent `{agent}`")]
    OtherAgent { run: RunId, agent: AgentName },
    #[error("run {run} is {status}")]
    NotRunning { run: RunId, status: RunStatus },
    /// The run was parked: its pin is gone, and no other model may answer in its place.
    #[error("run {run} is parked: {why}")]
    Parked { run: RunId, why: String },
    #[error("release of deployment {deployment} cannot be loaded")]
    Release {
        deployment: DeploymentId,
        #[source]
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Too much is open or queued; later may work.
    #[error("{what} is at its limit of {limit}")]
    Busy { what: &'static str, limit: u64 },
    #[error("the journal cannot be written")]
    Journal(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// Reads a secret by the name of its environment variable. The value never reaches a log or an error (I15).
pub trait Secrets: Send + Sync {
    fn secret(&self, env_name: &str) -> Option<String>;
}

//! What the gateway needs from the rest of Pinrail. The control plane implements it.

use std::sync::Arc;

use async_trait::async_trait;
use pinrail_domain::agent::AgentSpec;
pub use pinrail_domain::begin::{BeginError, Begun, Call, CopyOf, Fate, NoShadow, Ruled, Wanted};
use pinrail_domain::id::{AgentName, DeploymentId, ProviderName, RunId, SessionId};
use pinrail_domain::journal::{Event, Stamp};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::time::Timestamp;

/// Gives runs their stamps and keeps their journals.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Begins a run, or joins the one that the call names. The stamp is on disk on return where the agent's
    /// tier asks for that, and on its way there otherwise (I3).
    async fn begin(&self, call: Call) -> Result<Begun, BeginError>;

    /// Looks up what a call would get, and begins nothing: no run, no stamp, no binding.
    async fn peek(&self, call: Call) -> Result<Begun, BeginError>;

    /// An agent's settings.
    fn agent(&self, name: &str) -> Option<Arc<AgentSpec>>;

    /// A provider's settings.
    fn provider(&self, name: &ProviderName) -> Option<Arc<ProviderSpec>>;

    /// Begins the run in which a candidate answers a copy of a live call. It belongs to no session, and the live
    /// call does not wait for it.
    async fn begin_shadow(&self, copy: CopyOf) -> Result<Begun, NoShadow>;

    /// Counts what became of a copy for a deployment. Live calls do this: it never waits (I13).
    fn copied(&self, deployment: DeploymentId, fate: Fate);

    /// Says what becomes of a tool call that stands in an answer and needs a person's approval. Where that can't be
    /// found out, it isn't let through.
    async fn rule_tool(&self, wanted: Wanted) -> Ruled;

    /// Journals further events of a run. Waits only while the journal's queue is full; a run's events keep
    /// their order.
    async fn record(&self, run: RunId, events: Vec<(Timestamp, Event)>);

    /// Does as [`Runs::record`], and binds a session to the run's deployment: who goes on from the answer stays there.
    async fn record_followed(&self, stamp: &Stamp, events: Vec<(Timestamp, Event)>, session: SessionId);

    /// The agents that can be called, with the time (Unix seconds) each got its first release, by name.
    fn agents(&self) -> Vec<(AgentName, u64)>;
}

/// Reads a secret by the name of its environment variable. The value never reaches a log or an error (I15).
pub trait Secrets: Send + Sync {
    fn secret(&self, env_name: &str) -> Option<String>;
}

//! What the gateway needs from the rest of Pinrail. The control plane implements it.

use async_trait::async_trait;
pub use pinrail_domain::begin::{BeginError, Begun, Call};
use pinrail_domain::id::{AgentName, RunId};
use pinrail_domain::journal::Event;
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

/// Reads a secret by the name of its environment variable. The value never reaches a log or an error (I15).
pub trait Secrets: Send + Sync {
    fn secret(&self, env_name: &str) -> Option<String>;
}

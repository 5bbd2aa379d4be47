//! The gateway's port, over the control plane.

use async_trait::async_trait;
use pinrail_control::Control;
use pinrail_domain::id::{AgentName, RunId};
use pinrail_domain::journal::Event;
use pinrail_domain::time::Timestamp;
use pinrail_gateway::port::{BeginError, Begun, Call, Runs};

/// Gives the gateway its runs.
pub struct Port(pub Control);

#[async_trait]
impl Runs for Port {
    async fn begin(&self, call: Call) -> Result<Begun, BeginError> {
        self.0.runs().begin(call).await
    }

    async fn record(&self, run: RunId, events: Vec<(Timestamp, Event)>) {
        self.0.runs().record(run, events).await;
    }

    fn agents(&self) -> Vec<(AgentName, u64)> {
        self.0.runs().agents()
    }
}

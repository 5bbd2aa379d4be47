//! The gateway's port, over the control plane.

use std::sync::Arc;

use async_trait::async_trait;
use pinrail_control::Control;
use pinrail_domain::agent::AgentSpec;
use pinrail_domain::id::{AgentName, DeploymentId, ProviderName, RunId, SessionId};
use pinrail_domain::journal::{Event, Stamp};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::time::Timestamp;
use pinrail_gateway::port::{BeginError, Begun, Call, CopyOf, Fate, NoShadow, Ruled, Runs, Wanted};

use crate::drift::Notices;

/// Gives the gateway its runs.
pub struct Port {
    pub control: Control,
    /// Hears of answers from other models than those pinned.
    pub notices: Option<Notices>,
}

#[async_trait]
impl Runs for Port {
    async fn begin(&self, call: Call) -> Result<Begun, BeginError> {
        self.control.runs().begin(call).await
    }

    async fn peek(&self, call: Call) -> Result<Begun, BeginError> {
        self.control.runs().peek(call).await
    }

    fn agent(&self, name: &str) -> Option<Arc<AgentSpec>> {
        self.control.runs().agent(name)
    }

    fn provider(&self, name: &ProviderName) -> Option<Arc<ProviderSpec>> {
        self.control.runs().provider(name)
    }

    async fn begin_shadow(&self, copy: CopyOf) -> Result<Begun, NoShadow> {
        self.control.runs().begin_shadow(copy).await
    }

    fn copied(&self, deployment: DeploymentId, fate: Fate) {
        self.control.runs().copied(deployment, fate);
    }

    async fn rule_tool(&self, wanted: Wanted) -> Ruled {
        self.control.rule_tool(&wanted).await
    }

    async fn record(&self, run: RunId, events: Vec<(Timestamp, Event)>) {
        if let Some(notices) = &self.notices {
            notices.of(run, &events);
        }
        self.control.runs().record(run, events).await;
    }

    async fn record_followed(&self, stamp: &Stamp, events: Vec<(Timestamp, Event)>, session: SessionId) {
        if let Some(notices) = &self.notices {
            notices.of(stamp.run, &events);
        }
        self.control.runs().record_followed(stamp, events, session).await;
    }

    fn agents(&self) -> Vec<(AgentName, u64)> {
        self.control.runs().agents()
    }
}

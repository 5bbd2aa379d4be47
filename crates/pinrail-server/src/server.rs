//! The server as its embedder sees it.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use pinrail_api::status::MissingKey;
use pinrail_control::Control;
use pinrail_control::outbound::Outbound;
use pinrail_domain::time::Clock;
use pinrail_gateway::{Gateway, ProviderHealth};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::dispatch::Dispatch;
use crate::drift::Drift;
use crate::gates::Gates;
use crate::in_flight::InFlight;
use crate::limits::Limits;
use crate::lists::ModelLists;
use crate::mcp::Mcp;
use crate::metrics::{Metrics, UnderWay};
use crate::pages::Sessions;
use crate::state::State;
use crate::warm::Warm;
use crate::{connections, openapi, routes, traced};

/// What a server is made of.
pub struct Options {
    pub control: Control,
    pub gateway: Gateway,
    pub gates: Gates,
    /// Probes the warm set.
    pub warm: Warm,
    pub drift: Drift,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// Pinrail's version, for `/healthz` and `/api/v1/status`.
    pub version: String,
    /// The providers whose key variable isn't set in this process's environment.
    pub missing_keys: MissingKeys,
    /// Sends webhooks' events and reports for compensation: [`crate::Webhooks`].
    pub outbound: Arc<dyn Outbound>,
    /// Asks providers for their models.
    pub lists: Arc<dyn ModelLists>,
    pub mcp: Mcp,
    /// What the dashboard's sessions are signed with; none draws it, so that a restart ends them.
    pub session_secret: Option<String>,
    /// What a scrape of `/metrics` sees beside the control plane.
    pub metrics: Metrics,
}

/// Looks now which providers' keys are missing.
pub type MissingKeys = Arc<dyn Fn() -> Vec<MissingKey> + Send + Sync>;

/// Looks now how the providers do that were called.
pub type Healths = Arc<dyn Fn() -> Vec<ProviderHealth> + Send + Sync>;

/// What the shutdown had to cut, since it took longer than the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    pub connections_cut: usize,
    /// Requests whose answers were not out yet, streams included.
    pub requests_cut: usize,
}

/// The HTTP server.
pub struct Server {
    dispatch: Arc<Dispatch>,
}

impl Server {
    #[must_use]
    pub fn new(options: Options) -> Server {
        let Options {
            control,
            gateway,
            gates,
            warm,
            drift,
            mcp,
            clock,
            limits,
            version,
            missing_keys,
            outbound,
            lists,
            session_secret,
            metrics,
        } = options;
        let (seen, under_way) = (gateway.clone(), gateway.clone());
        let state = Arc::new(State {
            openapi: Bytes::from(openapi::document(&version)),
            sessions: Sessions::new(session_secret.as_deref(), control.entropy()),
            control,
            clock,
            gates,
            warm,
            drift,
            version,
            missing_keys,
            health: Arc::new(move || seen.health()),
            outbound,
            lists,
            mcp,
            metrics,
            under_way: Arc::new(move || UnderWay {
                calls: under_way.calls(),
                streams: under_way.streams(),
                copies: under_way.copies(),
            }),
            draining: watch::Sender::new(false),
            pollers: Arc::new(Semaphore::new(limits.pollers_max)),
            watchers: Arc::new(Semaphore::new(limits.watchers_max)),
            epoch_watchers: Arc::new(Semaphore::new(limits.epoch_watchers_max)),
            limits,
        });
        let router = routes::router(Arc::clone(&state));
        let dispatch = Dispatch { state, gateway, router, in_flight: InFlight::default() };
        Server { dispatch: Arc::new(dispatch) }
    }

    /// Serves until `shutdown` is ready; then takes no more connections, lets what is in flight finish within the
    /// limit, cuts the rest and says what that was. The control plane's queues are its owner's to drain, afterwards.
    ///
    /// # Errors
    /// When the listener has no address, so that it can't have been bound.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        let at = listener.local_addr()?;
        tracing::debug!(%at, "serving");
        let state = &self.dispatch.state;
        let telemetry = &state.metrics.telemetry;
        // It ends with the last request.
        let mut follower = JoinSet::new();
        if telemetry.is_sending() {
            follower.spawn(traced::follow(state.control.clone(), telemetry.clone()));
        }
        Ok(connections::serve(self.dispatch, listener, shutdown).await)
    }
}

#[cfg(test)]
mod tests;

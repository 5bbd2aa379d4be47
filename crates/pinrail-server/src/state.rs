//! What every endpoint may use.

use std::sync::Arc;

use bytes::Bytes;
use pinrail_control::Control;
use pinrail_control::outbound::Outbound;
use pinrail_domain::time::Clock;
use tokio::sync::{Semaphore, watch};

use crate::drift::Drift;
use crate::gates::Gates;
use crate::limits::Limits;
use crate::lists::ModelLists;
use crate::mcp::Mcp;
use crate::metrics::{Metrics, UnderWay};
use crate::pages::Sessions;
use crate::server::{Healths, MissingKeys};
use crate::warm::Warm;

/// What every endpoint may use.
pub struct State {
    pub control: Control,
    pub clock: Arc<dyn Clock>,
    pub gates: Gates,
    /// Probes the warm set.
    pub warm: Warm,
    pub drift: Drift,
    pub limits: Limits,
    pub mcp: Mcp,
    pub version: String,
    pub missing_keys: MissingKeys,
    /// Looks now how the providers do.
    pub health: Healths,
    /// True once the shutdown began: those who wait for events are answered at once.
    pub draining: watch::Sender<bool>,
    /// Places for readers that wait for events.
    pub pollers: Arc<Semaphore>,
    /// Sends webhooks' events and reports for compensation.
    pub outbound: Arc<dyn Outbound>,
    /// Asks providers for their models.
    pub lists: Arc<dyn ModelLists>,
    /// Places for those that follow a stream of events.
    pub watchers: Arc<Semaphore>,
    /// Places for those that follow the epoch.
    pub epoch_watchers: Arc<Semaphore>,
    /// What a scrape sees beside the control plane.
    pub metrics: Metrics,
    /// Looks now what the gateway has under way.
    pub under_way: Arc<dyn Fn() -> UnderWay + Send + Sync>,
    /// Who signed in to the dashboard.
    pub sessions: Sessions,
    /// The API's description, written once.
    pub openapi: Bytes,
}

/// How old what a replica shows may be before it asks not to be sent requests: some polls of the ledger that failed in a row.
const STALE_MS: u64 = 3_000;

const DRAINING: &str = "the server is shutting down";

impl State {
    /// Why the server can't do its work now, in words for its operator; empty when it can.
    pub fn troubles(&self) -> Vec<String> {
        let journal = self.control.runs().journal_trouble();
        let journal = journal.map(|what| format!("the journal cannot be written: {what}"));
        let draining = self.is_draining().then(|| DRAINING.to_owned());
        let unrecorded = self.control.dials_unrecorded().len();
        let dial = (unrecorded > 0).then(|| {
            format!(
                "the dial stands at {unrecorded} places as the ledger doesn't say yet: it cannot be written"
            )
        });
        let stale_ms = self.control.freshness().stale_ms();
        let stale = (stale_ms > STALE_MS).then(|| {
            format!(
                "the store was last heard of {} s ago: others may have moved pointers since",
                stale_ms / 1_000
            )
        });
        journal.into_iter().chain(dial).chain(stale).chain(draining).collect()
    }

    /// Why it would be no use to send model calls here now; empty while some of them are taken, whatever else isn't well.
    pub fn refusals(&self) -> Vec<String> {
        let draining = self.is_draining().then(|| DRAINING.to_owned());
        self.control.runs().refuse_everybody().into_iter().chain(draining).collect()
    }

    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

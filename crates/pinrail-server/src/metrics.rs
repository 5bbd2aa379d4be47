//! What a scrape of `/metrics` gets: what calls added up to, and what is looked up at this moment, one function per subject.
//!
//! Everything but members and waiting approvals is read from memory; these are left out where the store doesn't answer soon,
//! since a scrape that hangs shows nothing at all. The page is written on a thread of its own: at thirty thousand
//! series that takes some time, and calls don't wait for it (I13).

use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::id::DeploymentId;
use pinrail_store::StoreError;
use pinrail_telemetry::Telemetry;
use pinrail_telemetry::metrics::{Current, Page, table};

use crate::state::State;

mod approvals;
mod deployments;
mod gateway;
mod journal;
mod members;
mod process;
mod providers;
mod replica;
mod world;

pub use process::Process;

/// Where a scrape looks beside the control plane.
#[derive(Clone)]
pub struct Metrics {
    pub telemetry: Telemetry,
    /// `[metrics] open`: `/metrics` needs no key.
    pub open: bool,
    /// Looks at this process.
    pub process: Arc<dyn Fn() -> Process + Send + Sync>,
}

/// How long the store is waited for: Prometheus gives up on a whole page after 10 s.
const WAIT: Duration = Duration::from_secs(1);

/// What the gateway has under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnderWay {
    pub calls: usize,
    pub streams: usize,
    pub copies: usize,
}

impl Metrics {
    /// Counts calls, and looks at nothing beside the control plane.
    #[must_use]
    pub fn new(telemetry: Telemetry) -> Metrics {
        Metrics { telemetry, open: false, process: Arc::new(Process::default) }
    }
}

/// The page of now.
pub async fn page(state: &State) -> Page {
    let mut page = Page::default();
    page.gauge(&table::BUILD_INFO, &[&state.version], 1.0);
    page.gauge(&table::READY, &[], flag(state.troubles().is_empty()));
    state.metrics.telemetry.gather(&mut page, &current(state));
    gateway::gather(&mut page, (state.under_way)());
    providers::gather(&mut page, &(state.health)());
    journal::gather(&mut page, state);
    world::gather(&mut page, state);
    deployments::gather(&mut page, state);
    replica::gather(&mut page, state);
    process::gather(&mut page, &(state.metrics.process)());
    members::gather(&mut page, state).await;
    approvals::gather(&mut page, state).await;
    page
}

/// The deployments that pointers name.
fn current(state: &State) -> Current {
    let snapshot = state.control.snapshot();
    let named = |pointer: &pinrail_domain::deployment::Pointer| -> [Option<DeploymentId>; 2] {
        [pointer.active, pointer.candidate]
    };
    snapshot.world.pointers.values().flat_map(named).flatten().collect()
}

/// What the store says, if it does so soon.
async fn soon<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
    tokio::time::timeout(WAIT, asked).await.ok()?.ok()
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

/// A count as a page has it.
#[expect(clippy::cast_precision_loss, reason = "pages hold floating-point numbers; these are far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn size(count: usize) -> f64 {
    number(count as u64)
}

#[cfg(test)]
mod tests;

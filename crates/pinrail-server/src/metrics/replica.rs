//! This replica's place among those that share a store.

use pinrail_telemetry::metrics::{Page, table};

use super::{flag, number};
use crate::state::State;

/// How this replica stands to the store. What is true of a process alone is the default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replica {
    pub store_connected: bool,
    /// Journal writes that lie on the disk until the store is back.
    pub spooled_writes: u64,
}

impl Default for Replica {
    fn default() -> Replica {
        Replica { store_connected: true, spooled_writes: 0 }
    }
}

const MILLIS: f64 = 1_000.0;

/// Puts it on the page.
pub fn gather(page: &mut Page, state: &State) {
    let Replica { store_connected, spooled_writes } = (state.metrics.replica)();
    page.gauge(&table::REPLICA_STALE, &[], number(state.control.freshness().stale_ms()) / MILLIS);
    page.gauge(&table::REPLICA_LEADS, &[], flag(state.control.standing_here().leads()));
    page.gauge(&table::STORE_CONNECTED, &[], flag(store_connected));
    page.gauge(&table::JOURNAL_SPOOLED, &[], number(spooled_writes));
}

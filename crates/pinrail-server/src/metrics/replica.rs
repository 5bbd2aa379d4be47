//! This replica's place among those that share a store.

use pinrail_telemetry::metrics::{Page, table};

use super::{flag, number};
use crate::state::State;

const MILLIS: f64 = 1_000.0;
/// The ledger is read twice a second: a store that gave no answer for so long is away.
const AWAY_MS: u64 = 2_000;

/// Puts it on the page.
pub fn gather(page: &mut Page, state: &State) {
    let control = &state.control;
    let stale_ms = control.freshness().stale_ms();
    page.gauge(&table::REPLICA_STALE, &[], number(stale_ms) / MILLIS);
    page.gauge(&table::REPLICA_LEADS, &[], flag(control.standing_here().leads()));
    page.gauge(&table::STORE_CONNECTED, &[], flag(stale_ms < AWAY_MS));
    page.gauge(&table::JOURNAL_SPOOLED, &[], number(control.runs().spooled()));
}

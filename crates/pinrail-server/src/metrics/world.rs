//! The world: ledger, epoch, dial, findings; and the state that is in memory.

use pinrail_telemetry::metrics::{Page, table};

use super::{number, size};
use crate::state::State;

/// Puts it on the page.
pub fn gather(page: &mut Page, state: &State) {
    let snapshot = state.control.snapshot();
    let world = &snapshot.world;
    page.gauge(&table::LEDGER_HEAD, &[], number(world.head.seq.0));
    page.gauge(&table::EPOCH, &[], number(world.epoch.0));
    page.gauge(&table::DIALS, &[], size(snapshot.routes.dials().len()));
    page.gauge(&table::DIALS_UNRECORDED, &[], size(state.control.dials_unrecorded().len()));
    page.gauge(&table::FINDINGS, &[], size(world.findings.len()));
    let (spaces, bytes) = state.control.states().kept();
    page.gauge(&table::STATE_SPACES, &[], size(spaces));
    page.gauge(&table::STATE_BYTES, &[], size(bytes));
}

//! Tool calls that wait for a person.

use pinrail_telemetry::metrics::{Page, table};

use super::{number, soon};
use crate::state::State;

/// Puts them on the page, where the store says how many they are.
pub async fn gather(page: &mut Page, state: &State) {
    if let Some(waiting) = soon(state.control.approvals_pending()).await {
        page.gauge(&table::APPROVALS, &[], number(waiting));
    }
}

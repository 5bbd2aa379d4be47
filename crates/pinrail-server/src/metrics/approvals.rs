//! Tool calls that wait for a person.

use std::time::Duration;

use pinrail_telemetry::metrics::{Page, table};

use super::number;
use crate::state::State;

/// How long the store is waited for: Prometheus gives up on a whole page after 10 s.
const WAIT: Duration = Duration::from_secs(1);

/// Puts them on the page, where the store says how many they are.
pub async fn gather(page: &mut Page, state: &State) {
    if let Ok(Ok(waiting)) = tokio::time::timeout(WAIT, state.control.approvals_pending()).await {
        page.gauge(&table::APPROVALS, &[], number(waiting));
    }
}

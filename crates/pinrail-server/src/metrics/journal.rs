//! The journal: its queue, its writer, and what follows it.

use pinrail_control::runs::JournalSeen;
use pinrail_telemetry::metrics::{Page, table};

use super::{flag, number, size};
use crate::state::State;

/// Puts it on the page.
pub fn gather(page: &mut Page, state: &State) {
    let runs = state.control.runs();
    let JournalSeen { queued, limit, refused, trouble, took, writes, failed } = runs.journal_seen();
    page.gauge(&table::JOURNAL_QUEUED, &[], size(queued));
    page.gauge(&table::JOURNAL_LIMIT, &[], size(limit));
    page.count(&table::JOURNAL_REFUSED, &[], refused);
    page.gauge(&table::JOURNAL_TROUBLE, &[], flag(trouble));
    page.count(&table::JOURNAL_BATCHES, &["ok"], took.count().saturating_sub(failed));
    page.count(&table::JOURNAL_BATCHES, &["error"], failed);
    page.durations(&table::JOURNAL_BATCH_DURATION, &[], &took);
    page.sizes(&table::JOURNAL_BATCH_WRITES, &[], &writes);
    page.gauge(&table::RUNS_OPEN, &[], number(runs.live_open()));
    page.count(&table::TRAFFIC_DROPPED, &[], state.control.traffic_dropped());
}

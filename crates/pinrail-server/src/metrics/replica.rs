//! This replica's place among those that share a store.

use pinrail_telemetry::metrics::{Page, table};

use super::{flag, number};

/// How this replica stands to the others and to the store. What is true of a process alone is the default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replica {
    /// How long changes of pointers may have been missed; 0 while they are heard of.
    pub stale_seconds: f64,
    /// Whether it conducts.
    pub leads: bool,
    pub store_connected: bool,
    /// Journal writes that lie on the disk until the store is back.
    pub spooled_writes: u64,
}

impl Default for Replica {
    fn default() -> Replica {
        Replica { stale_seconds: 0.0, leads: false, store_connected: true, spooled_writes: 0 }
    }
}

/// Puts it on the page.
pub fn gather(page: &mut Page, replica: &Replica) {
    let Replica { stale_seconds, leads, store_connected, spooled_writes } = *replica;
    page.gauge(&table::REPLICA_STALE, &[], stale_seconds);
    page.gauge(&table::REPLICA_LEADS, &[], flag(leads));
    page.gauge(&table::STORE_CONNECTED, &[], flag(store_connected));
    page.gauge(&table::JOURNAL_SPOOLED, &[], number(spooled_writes));
}

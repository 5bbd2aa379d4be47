//! Metrics: what there is ([`table`]), what the gateway's calls add up to ([`Counts`]), and the page that a scrape gets
//! ([`Page`]).
//!
//! A call touches atomics and one map that readers share without a lock. How many series there are is bounded whatever is
//! called and however often something is deployed: see [`calls`]. No tenant, session, run or key is in a label (I11, I15).

use std::sync::atomic::{AtomicU64, Ordering};

use pinrail_domain::begin::Fate;
use pinrail_domain::journal::FaultOf;
use pinrail_domain::meter::{Meter, OVERHEAD_US, STORE_US};
use pinrail_gateway::telemetry::{Ended, Refusal, Tried};
use pinrail_wire::Dialect;

mod calls;
mod page;
mod providers;
pub mod table;

pub use calls::{Calls, Current, How, LABEL_SETS_MAX};
pub(crate) use page::number;
pub use page::{Format, Page};
pub use providers::{PROVIDERS_MAX, Providers};
pub use table::{Def, Kind};

/// What the gateway told, added up.
pub struct Counts {
    pub calls: Calls,
    pub providers: Providers,
    /// By dialect.
    overhead: [Meter; DIALECTS.len()],
    /// By dialect and fault.
    refused: [[AtomicU64; FAULTS.len()]; DIALECTS.len()],
    stamp_wait: Meter,
    /// By fate.
    copies: [AtomicU64; FATES.len()],
}

const DIALECTS: [Dialect; 3] = [Dialect::Chat, Dialect::Responses, Dialect::Messages];
const FAULTS: [FaultOf; 3] = [FaultOf::Client, FaultOf::Pinrail, FaultOf::Provider];
const FATES: [&str; 5] = ["queued", "dropped", "refused", "failed", "compared"];

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            calls: Calls::default(),
            providers: Providers::default(),
            overhead: DIALECTS.map(|_| Meter::new(OVERHEAD_US)),
            refused: Default::default(),
            stamp_wait: Meter::new(STORE_US),
            copies: Default::default(),
        }
    }
}

impl Counts {
    /// Counts a call that ended. What answers copies or a gate's questions serves nobody: only its attempts count.
    pub fn ended(&self, call: &Ended<'_>) {
        if let Some(us) = call.seen.overhead_us {
            self.overhead[dialect(call.seen.dialect)].add(us);
        }
        let stamp = &call.begun.stamp;
        if stamp.shadow.is_none() && stamp.gate.is_none() {
            self.calls.ended(call);
        }
    }

    /// Counts a request that got no run.
    pub fn refused(&self, refusal: &Refusal) {
        self.refused[dialect(refusal.dialect)][fault(refusal.fault)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an attempt that ended.
    pub fn attempted(&self, tried: &Tried) {
        self.providers.attempted(tried);
    }

    /// Counts a stamp that was waited for.
    pub fn stamp_waited(&self, us: u64) {
        self.stamp_wait.add(us);
    }

    /// Counts what became of a copy.
    pub fn copied(&self, fate: Fate) {
        let place = match fate {
            Fate::Queued => 0,
            Fate::Dropped => 1,
            Fate::Refused => 2,
            Fate::Failed { .. } => 3,
            Fate::Compared { .. } => 4,
        };
        self.copies[place].fetch_add(1, Ordering::Relaxed);
    }

    /// Puts everything on a page. Deployments that `current` doesn't name are one.
    pub fn gather(&self, page: &mut Page, current: &Current) {
        self.calls.gather(page, current);
        self.providers.gather(page);
        for (place, dialect) in DIALECTS.iter().enumerate() {
            page.durations(&table::GATEWAY_OVERHEAD, &[dialect.word()], &self.overhead[place].read());
            for (fault, count) in FAULTS.iter().zip(&self.refused[place]) {
                let labels = [dialect.word(), fault_word(*fault)];
                page.count(&table::GATEWAY_REFUSED, &labels, count.load(Ordering::Relaxed));
            }
        }
        page.durations(&table::STAMP_WAIT, &[], &self.stamp_wait.read());
        for (fate, count) in FATES.iter().zip(&self.copies) {
            page.count(&table::SHADOW_COPIES, &[fate], count.load(Ordering::Relaxed));
        }
    }
}

fn dialect(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Chat => 0,
        Dialect::Responses => 1,
        Dialect::Messages => 2,
    }
}

fn fault(fault: FaultOf) -> usize {
    match fault {
        FaultOf::Client => 0,
        FaultOf::Pinrail => 1,
        FaultOf::Provider => 2,
    }
}

/// Whose fault something is, as metrics and traces name it.
#[must_use]
pub fn fault_word(fault: FaultOf) -> &'static str {
    match fault {
        FaultOf::Client => "client",
        FaultOf::Pinrail => "pinrail",
        FaultOf::Provider => "provider",
    }
}

#[cfg(test)]
mod tests;

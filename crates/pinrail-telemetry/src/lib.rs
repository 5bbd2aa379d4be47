//! Metrics, traces and logs for the tools that people watch their systems with.
//!
//! This crate counts and traces what the gateway tells, writes the page that Prometheus scrapes, and sends spans and log
//! records by OTLP. It must never keep a call waiting (I13): what it can't take at once it drops, and counts. It must not
//! read the environment or a clock, nor know the store or the control plane: what those can tell is put on the page by the
//! server. No tenant, session, run or key is in a metric's label, and no key anywhere (I11, I15).
//!
//! Start reading at [`Telemetry`], then [`metrics::table`] (what there is) and [`metrics::Counts`] (how calls add up).

use std::sync::Arc;

use pinrail_domain::begin::Fate;
use pinrail_gateway::telemetry::{self as told, Refusal, Tried};

pub mod metrics;
#[cfg(test)]
mod testing;

use metrics::{Counts, Current, Page};

/// Hears what the gateway tells, and knows what it comes to. Cheap to clone; all clones are the same one.
#[derive(Clone, Default)]
pub struct Telemetry {
    counts: Arc<Counts>,
}

impl Telemetry {
    /// Puts all that was heard on a page. Deployments that `current` doesn't name are one.
    pub fn gather(&self, page: &mut Page, current: &Current) {
        self.counts.gather(page, current);
    }
}

impl told::Telemetry for Telemetry {
    fn refused(&self, refusal: &Refusal) {
        self.counts.refused(refusal);
    }

    fn stamp_waited(&self, us: u64) {
        self.counts.stamp_waited(us);
    }

    fn attempted(&self, tried: &Tried) {
        self.counts.attempted(tried);
    }

    fn copied(&self, fate: Fate) {
        self.counts.copied(fate);
    }

    fn ended(&self, call: &told::Ended<'_>) {
        self.counts.ended(call);
    }
}

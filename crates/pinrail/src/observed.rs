//! Puts together what observes the server: counts, and what a scrape looks at beside the control plane.

use std::sync::Arc;

use pinrail_server::metrics::Metrics;
use pinrail_telemetry::Telemetry;

use crate::files::Observe;
use crate::system::{SystemClock, process};

/// What observes the server.
pub struct Observed {
    pub telemetry: Telemetry,
    pub metrics: Metrics,
}

impl Observed {
    /// Begins to count.
    pub fn start(settings: &Observe, clock: &Arc<SystemClock>) -> Observed {
        let telemetry = Telemetry::default();
        let looked_at = Arc::clone(clock);
        let metrics = Metrics {
            open: settings.metrics_open,
            process: Arc::new(move || process::look(&looked_at)),
            ..Metrics::new(telemetry.clone())
        };
        Observed { telemetry, metrics }
    }
}

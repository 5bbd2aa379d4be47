//! Metrics, traces and logs for the tools that people watch their systems with.
//!
//! This crate counts and traces what the gateway tells, writes the page that Prometheus scrapes, and sends spans and log
//! records by OTLP. It must never keep a call waiting (I13): what it can't take at once it drops, and counts. It must not
//! read the environment or a clock, nor know the store or the control plane: what those can tell is put on the page by the
//! server. No tenant, session, run or key is in a metric's label, and no key anywhere (I11, I15).
//!
//! Start reading at [`Telemetry`], then [`metrics::table`] (what there is) and [`metrics::Counts`] (how calls add up);
//! [`traces::spans`] (what a call is in a trace) and [`otlp`] (how it gets to a collector).

use std::sync::Arc;

use pinrail_domain::begin::Fate;
use pinrail_domain::ledger::Entry;
use pinrail_domain::time::{Clock, Entropy};
use pinrail_gateway::telemetry::{self as told, Parent, Refusal, SpanId, Trace, Tried};

mod attributes;
pub mod logs;
pub mod metrics;
pub mod otlp;
#[cfg(test)]
mod testing;
pub mod traces;

use metrics::{Counts, Current, Page, table};
use otlp::{Collector, Fared, Otlp};
use traces::{Sampler, Tracer, spans};

/// Hears what the gateway tells, and knows what it comes to. Cheap to clone; all clones are the same one.
#[derive(Clone, Default)]
pub struct Telemetry {
    counts: Arc<Counts>,
    sends: Option<Arc<Sends>>,
}

/// How calls are traced, and where that goes.
pub struct Options {
    pub collector: Collector,
    pub sampler: Sampler,
    /// Bytes of a request and of its answer that spans keep; 0 keeps nothing of them.
    pub content_bytes_max: usize,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

struct Sends {
    tracer: Tracer,
    otlp: Arc<Otlp>,
}

impl Telemetry {
    /// Also sends spans to a collector, and log lines through a door. Needs a Tokio runtime.
    #[must_use]
    pub fn sending(options: Options, door: &logs::Door) -> Telemetry {
        let Options { collector, sampler, content_bytes_max, clock, entropy } = options;
        let otlp = Arc::new(Otlp::start(collector));
        door.open(Arc::clone(&otlp), Arc::clone(&clock));
        let tracer = Tracer { sampler, entropy, clock, content_bytes_max };
        Telemetry { counts: Arc::default(), sends: Some(Arc::new(Sends { tracer, otlp })) }
    }

    /// Puts all that was heard on a page. Deployments that `current` doesn't name are one.
    pub fn gather(&self, page: &mut Page, current: &Current) {
        self.counts.gather(page, current);
        let Some(sends) = &self.sends else { return };
        for (signal, fared) in [("traces", sends.otlp.spans.fared()), ("logs", sends.otlp.logs.fared())] {
            let Fared { queued, sent, overflowed, refused } = fared;
            page.count(&table::TELEMETRY_SENT, &[signal], sent);
            page.count(&table::TELEMETRY_DROPPED, &[signal, "queue"], overflowed);
            page.count(&table::TELEMETRY_DROPPED, &[signal, "export"], refused);
            page.gauge(&table::TELEMETRY_QUEUED, &[signal], metrics::number(queued as u64));
        }
    }

    /// Whether changes in the ledger are traced.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.sends.is_some()
    }

    /// Tells of a change in the ledger. Never waits.
    pub fn recorded(&self, entry: &Entry) {
        if let Some(sends) = &self.sends {
            sends.otlp.spans.offer(spans::of_entry(entry));
        }
    }

    /// Sends what is queued, for a moment, and nothing after that.
    pub async fn stop(&self) {
        if let Some(sends) = &self.sends {
            sends.otlp.stop().await;
        }
    }
}

impl told::Telemetry for Telemetry {
    fn traces(&self) -> bool {
        self.sends.is_some()
    }

    fn trace(&self, parent: Option<&Parent>) -> Option<Trace> {
        self.sends.as_ref()?.tracer.trace(parent)
    }

    fn span_id(&self) -> SpanId {
        self.sends.as_ref().map(|sends| sends.tracer.span_id()).unwrap_or_default()
    }

    fn content_bytes_max(&self) -> usize {
        self.sends.as_ref().map_or(0, |sends| sends.tracer.content_bytes_max)
    }

    fn refused(&self, refusal: &Refusal) {
        self.counts.refused(refusal);
        if let Some(sends) = &self.sends
            && let Some(span) = spans::of_refusal(refusal, &sends.tracer)
        {
            sends.otlp.spans.offer(span);
        }
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
        if let Some(sends) = &self.sends {
            for span in spans::of_call(call, &sends.tracer) {
                sends.otlp.spans.offer(span);
            }
        }
    }
}

#[cfg(test)]
mod tests;

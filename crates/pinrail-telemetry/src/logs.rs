//! The process's log lines as OTLP log records, with the trace that they belong to.
//!
//! Only Pinrail's own lines are sent: what the HTTP client beneath says of sending them would be sent in turn, without end. A
//! line belongs to the trace of the innermost span around it that names one, in its fields `trace_id` and `span_id`.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use pinrail_domain::time::Clock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::attributes::{any, text, with};
use crate::otlp::Otlp;

/// Where log lines go, once there is a collector: it is named after the first lines are written.
#[derive(Default)]
pub struct Door {
    to: ArcSwapOption<Open>,
}

/// Hands log lines over, through a door.
pub struct Logs {
    door: &'static Door,
}

struct Open {
    otlp: Arc<Otlp>,
    clock: Arc<dyn Clock>,
}

/// The trace that a span's lines belong to.
#[derive(Clone, Copy, Default)]
struct InTrace {
    id: Option<[u8; 16]>,
    span: Option<[u8; 8]>,
}

/// What a line says.
#[derive(Default)]
struct Said {
    message: String,
    attributes: Vec<KeyValue>,
}

/// What the targets of Pinrail's own lines begin with.
const OURS: &str = "pinrail";
/// The longest message or value that is sent.
const VALUE_BYTES_MAX: usize = 4_096;
const NS_PER_MS: u64 = 1_000_000;

impl Door {
    /// Has lines go to a collector from now on.
    pub fn open(&self, otlp: Arc<Otlp>, clock: Arc<dyn Clock>) {
        self.to.store(Some(Arc::new(Open { otlp, clock })));
    }

    /// Has lines go nowhere from now on.
    pub fn close(&self) {
        self.to.store(None);
    }
}

impl Logs {
    /// Hands lines over while the door is open.
    #[must_use]
    pub fn through(door: &'static Door) -> Logs {
        Logs { door }
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Logs {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut named = InTrace::default();
        attributes.record(&mut named);
        if let (Some(span), Some(_)) = (context.span(id), named.id) {
            span.extensions_mut().insert(named);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let open = self.door.to.load();
        let Some(Open { otlp, clock }) = open.as_deref() else { return };
        let about = event.metadata();
        if !about.target().starts_with(OURS) {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        said.attributes.push(text("code.namespace", about.target()));
        let spans = context.event_scope(event).into_iter().flatten();
        let trace = spans.filter_map(|span| span.extensions().get::<InTrace>().copied()).next();
        let trace = trace.unwrap_or_default();
        let (severity, word) = severity(about.level());
        let now = clock.now().0 * NS_PER_MS;
        otlp.logs.offer(LogRecord {
            time_unix_nano: now,
            observed_time_unix_nano: now,
            severity_number: severity as i32,
            severity_text: word.to_owned(),
            body: Some(any(Value::StringValue(said.message))),
            attributes: said.attributes,
            trace_id: trace.id.map(Vec::from).unwrap_or_default(),
            span_id: trace.span.map(Vec::from).unwrap_or_default(),
            flags: u32::from(trace.id.is_some()),
            ..LogRecord::default()
        });
    }
}

impl Visit for InTrace {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "trace_id" => self.id = bytes(&format!("{value:?}")),
            "span_id" => self.span = bytes(&format!("{value:?}")),
            _ => {}
        }
    }
}

impl Said {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::StringValue(message)) => self.message = message,
            (name, value) => self.attributes.push(with(name, value)),
        }
    }
}

impl Visit for Said {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::IntValue(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::DoubleValue(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::BoolValue(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::StringValue(value[..value.floor_char_boundary(VALUE_BYTES_MAX)].to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn severity(level: &Level) -> (SeverityNumber, &'static str) {
    match *level {
        Level::TRACE => (SeverityNumber::Trace, "TRACE"),
        Level::DEBUG => (SeverityNumber::Debug, "DEBUG"),
        Level::INFO => (SeverityNumber::Info, "INFO"),
        Level::WARN => (SeverityNumber::Warn, "WARN"),
        Level::ERROR => (SeverityNumber::Error, "ERROR"),
    }
}

/// An id in hexadecimal letters.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    (text.len() == 2 * N).then_some(bytes)
}

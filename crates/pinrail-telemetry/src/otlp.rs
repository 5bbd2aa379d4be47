//! Sends spans and log records to a collector: OTLP over HTTP, as protobuf.
//!
//! Each signal has a queue that nobody waits for and a task that empties it: what comes within a second goes together, at most
//! [`BATCH_MAX`] at once. A collector that refuses for now is asked again a few times; meanwhile the queue fills, and what
//! finds no room is dropped and counted, as is what the collector never took (I13).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::Uri;
use http::header::{HeaderName, HeaderValue};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::attributes::text;

mod send;

use send::Sender;

/// Where spans and log records go, and as whose.
#[derive(Clone, Debug)]
pub struct Collector {
    /// Without the signal's path: `http://127.0.0.1:4318`.
    pub endpoint: Uri,
    /// Sent along with every request; they may hold a key.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `service.name`.
    pub service: String,
    /// `service.version`.
    pub version: String,
    /// Further attributes of the process.
    pub resource: Vec<(String, String)>,
}

/// The queues to a collector.
pub struct Otlp {
    pub spans: Queue<Span>,
    pub logs: Queue<LogRecord>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// A queue that nobody waits for.
pub struct Queue<T> {
    /// None once nothing more is sent.
    to: ArcSwapOption<mpsc::Sender<T>>,
    counts: Arc<Counts>,
}

/// What became of a signal's items.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    /// There was no room.
    overflowed: AtomicU64,
    /// The collector didn't take them.
    refused: AtomicU64,
}

/// What became of a signal's items, and how many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fared {
    pub queued: usize,
    pub sent: u64,
    pub overflowed: u64,
    pub refused: u64,
}

/// Items of one kind as a request.
trait Signal: Sized + Send + 'static {
    const PATH: &'static str;
    const WORD: &'static str;

    fn request(items: Vec<Self>, about: &About) -> Vec<u8>;

    /// How many the collector refused, by its answer.
    fn rejected(answer: &[u8]) -> u64;
}

/// Whose items they are.
struct About {
    resource: Resource,
    scope: InstrumentationScope,
}

/// Items that wait: some seconds of a busy gateway. A span takes a kilobyte or two.
pub const QUEUE_MAX: usize = 4_096;
/// Items of one request, as the SDKs have it.
pub const BATCH_MAX: usize = 512;
/// How long items wait for company.
const LINGER: Duration = Duration::from_secs(1);
/// How long the last items have when the process stops.
const STOP_WAIT: Duration = Duration::from_secs(3);
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

impl Otlp {
    /// Starts to send. Needs a Tokio runtime.
    #[must_use]
    pub fn start(collector: Collector) -> Otlp {
        let collector = Arc::new(collector);
        let (spans, sending_spans) = Queue::start(&collector);
        let (logs, sending_logs) = Queue::start(&collector);
        Otlp { spans, logs, tasks: Mutex::new(vec![sending_spans, sending_logs]) }
    }

    /// Sends what is queued, for a moment, and nothing after that.
    pub async fn stop(&self) {
        self.spans.to.store(None);
        self.logs.to.store(None);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let all = async {
            for task in tasks {
                let _ended = task.await;
            }
        };
        if tokio::time::timeout(STOP_WAIT, all).await.is_err() {
            tracing::warn!(
                "the telemetry collector took too long for the last spans and log records: they are dropped"
            );
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

impl<T> Queue<T> {
    /// Queues an item, or drops it where there is no room. Never waits (I13).
    pub fn offer(&self, item: T) {
        let room = self.to.load().as_ref().is_some_and(|to| to.try_send(item).is_ok());
        if !room {
            self.counts.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of what was offered.
    #[must_use]
    pub fn fared(&self) -> Fared {
        let queued = self.to.load().as_ref().map_or(0, |to| to.max_capacity() - to.capacity());
        Fared {
            queued,
            sent: self.counts.sent.load(Ordering::Relaxed),
            overflowed: self.counts.overflowed.load(Ordering::Relaxed),
            refused: self.counts.refused.load(Ordering::Relaxed),
        }
    }
}

#[allow(private_bounds, reason = "what can be sent is this module's to say")]
impl<T: Signal> Queue<T> {
    fn start(collector: &Arc<Collector>) -> (Queue<T>, JoinHandle<()>) {
        let (to, queued) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::new(Counts::default());
        let task = tokio::spawn(export(queued, Arc::clone(collector), Arc::clone(&counts)));
        (Queue { to: ArcSwapOption::from_pointee(to), counts }, task)
    }
}

/// Sends batches until nothing more can come.
async fn export<T: Signal>(mut queued: mpsc::Receiver<T>, collector: Arc<Collector>, counts: Arc<Counts>) {
    let about = About::of(&collector);
    let mut sender = Sender::new(&collector, T::PATH, T::WORD);
    loop {
        let mut batch = Vec::new();
        if queued.recv_many(&mut batch, BATCH_MAX).await == 0 {
            return;
        }
        let linger = tokio::time::sleep(LINGER);
        tokio::pin!(linger);
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            tokio::select! {
                biased;
                more = queued.recv_many(&mut batch, room) => if more == 0 { break },
                () = &mut linger => break,
            }
        }
        let count = batch.len() as u64;
        let refused = match sender.send(T::request(batch, &about).into()).await {
            Some(answer) => T::rejected(&answer).min(count),
            None => count,
        };
        counts.sent.fetch_add(count - refused, Ordering::Relaxed);
        counts.refused.fetch_add(refused, Ordering::Relaxed);
    }
}

impl About {
    fn of(collector: &Collector) -> About {
        let own = [("service.name", &collector.service), ("service.version", &collector.version)];
        let further = collector.resource.iter().filter(|(key, _)| !own.iter().any(|(name, _)| name == key));
        let attributes = own
            .iter()
            .map(|(key, value)| text(key, value.as_str()))
            .chain(further.map(|(key, value)| text(key, value)))
            .collect();
        let resource = Resource { attributes, ..Resource::default() };
        let scope = InstrumentationScope {
            name: "pinrail".to_owned(),
            version: collector.version.clone(),
            ..InstrumentationScope::default()
        };
        About { resource, scope }
    }
}

impl Signal for Span {
    const PATH: &'static str = "/v1/traces";
    const WORD: &'static str = "spans";

    fn request(spans: Vec<Span>, about: &About) -> Vec<u8> {
        let scoped = ScopeSpans { scope: Some(about.scope.clone()), spans, schema_url: SCHEMA.to_owned() };
        let resource_spans = vec![ResourceSpans {
            resource: Some(about.resource.clone()),
            scope_spans: vec![scoped],
            schema_url: SCHEMA.to_owned(),
        }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }

    fn rejected(answer: &[u8]) -> u64 {
        let said = ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
        said.and_then(|part| u64::try_from(part.rejected_spans).ok()).unwrap_or_default()
    }
}

impl Signal for LogRecord {
    const PATH: &'static str = "/v1/logs";
    const WORD: &'static str = "log records";

    fn request(log_records: Vec<LogRecord>, about: &About) -> Vec<u8> {
        let scoped =
            ScopeLogs { scope: Some(about.scope.clone()), log_records, schema_url: SCHEMA.to_owned() };
        let resource_logs = vec![ResourceLogs {
            resource: Some(about.resource.clone()),
            scope_logs: vec![scoped],
            schema_url: SCHEMA.to_owned(),
        }];
        ExportLogsServiceRequest { resource_logs }.encode_to_vec()
    }

    fn rejected(answer: &[u8]) -> u64 {
        let said = ExportLogsServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
        said.and_then(|part| u64::try_from(part.rejected_log_records).ok()).unwrap_or_default()
    }
}

impl Collector {
    /// Reads `OTEL_EXPORTER_OTLP_HEADERS`: `name=value` with commas between them, values percent-encoded.
    ///
    /// # Errors
    /// Which one can't be used. Its value is not repeated: it may be a key (I15).
    pub fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let pairs = pairs(text).map_err(|place| format!("header {place} has no `=`"))?;
        let headers = pairs.into_iter().enumerate().map(|(place, (name, value))| {
            let bad =
                || format!("header {} (`{}`) is none", place + 1, &name[..name.floor_char_boundary(40)]);
            let mut header = HeaderValue::try_from(value).map_err(|_| bad())?;
            header.set_sensitive(true);
            Ok((HeaderName::try_from(name.as_str()).map_err(|_| bad())?, header))
        });
        headers.collect()
    }

    /// Reads `OTEL_RESOURCE_ATTRIBUTES`, which is written alike.
    ///
    /// # Errors
    /// The place of what is no pair.
    pub fn resource(text: &str) -> Result<Vec<(String, String)>, String> {
        pairs(text).map_err(|place| format!("attribute {place} has no `=`"))
    }
}

/// Pairs with commas between them; the place of one that is none.
fn pairs(text: &str) -> Result<Vec<(String, String)>, usize> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate();
    parts
        .map(|(place, part)| {
            let (name, value) = part.split_once('=').ok_or(place + 1)?;
            let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
            Ok((name.trim().to_owned(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_specification_has_them() {
        let check = |text: &str, expected: Option<&[(&str, &str)]>| {
            let read = Collector::headers(text).ok();
            let read: Option<Vec<_>> = read.as_ref().map(|headers| {
                headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
            });
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("", Some(&[]));
        check("api-key=abc", Some(&[("api-key", "abc")]));
        check(" api-key = abc , x=1=2,", Some(&[("api-key", "abc"), ("x", "1=2")]));
        check("authorization=Bearer%20abc", Some(&[("authorization", "Bearer abc")]));
        check("abc", None);
        check("a b=c", None);
        let refused = Collector::headers("api-key=sec\u{7}ret").unwrap_err();
        assert!(refused.contains("api-key") && !refused.contains("sec"), "{refused}"); // I15
    }
}

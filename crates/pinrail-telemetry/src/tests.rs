use std::collections::HashMap;
use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::journal::{Event, FaultOf};
use pinrail_domain::ledger::{Actor, Body};
use pinrail_domain::time::{Ticks, Timestamp};
use pinrail_gateway::telemetry::{Attempted, Began, Telemetry as _, TraceId, Traced};
use pinrail_wire::Dialect;
use prost::Message as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::logs::{Door, Logs};
use crate::otlp::QUEUE_MAX;
use crate::testing::{Call, SESSION, TENANT, tried};
use crate::traces::Root;

/// Where something was posted, its headers and its body.
type Post = (&'static str, HeaderMap, Bytes);

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Stub {
    got: Arc<Mutex<Vec<Post>>>,
    answer: Arc<Mutex<(u16, Vec<u8>)>>,
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000)
    }

    fn ticks(&self) -> Ticks {
        Ticks(1_040_000_000)
    }
}

/// Counts, which is as unpredictable as a test needs.
#[derive(Default)]
struct Counting(Mutex<u8>);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let mut count = self.0.lock().unwrap();
        *count = count.wrapping_add(1);
        bytes.fill(*count);
    }
}

const SECRET: &str = "a-collector-key-nobody-may-see";
const PROMPT: &str = "what the user said";

impl Stub {
    /// Listens on loopback; gives its address.
    async fn start(&self) -> String {
        *self.answer.lock().unwrap() = (200, Vec::new());
        let take = |signal: &'static str| {
            post(move |State(stub): State<Stub>, headers: HeaderMap, body: Bytes| async move {
                stub.got.lock().unwrap().push((signal, headers, body));
                let (status, body) = stub.answer.lock().unwrap().clone();
                (StatusCode::from_u16(status).unwrap(), body)
            })
        };
        let router = Router::new().route("/v1/traces", take("traces")).route("/v1/logs", take("logs"));
        let router = router.with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let bodies = got.iter().filter(|(signal, _, _)| *signal == "traces");
        bodies
            .flat_map(|(_, _, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap().resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    fn logs(&self) -> Vec<LogRecord> {
        let got = self.got.lock().unwrap();
        let bodies = got.iter().filter(|(signal, _, _)| *signal == "logs");
        bodies
            .flat_map(|(_, _, body)| ExportLogsServiceRequest::decode(body.clone()).unwrap().resource_logs)
            .flat_map(|resource| resource.scope_logs)
            .flat_map(|scope| scope.log_records)
            .collect()
    }
}

fn telemetry(url: &str, content_bytes_max: usize) -> (Telemetry, &'static Door) {
    let door: &'static Door = Box::leak(Box::default());
    let collector = Collector {
        endpoint: url.parse().unwrap(),
        headers: vec![(HeaderName::from_static("x-api-key"), HeaderValue::from_static(SECRET))],
        service: "pinrail-test".to_owned(),
        version: "0.0.0".to_owned(),
        resource: vec![("deployment.environment.name".to_owned(), "test".to_owned())],
    };
    let options = Options {
        collector,
        sampler: Sampler::Parent(Root::Always),
        content_bytes_max,
        clock: Arc::new(Fixed),
        entropy: Arc::new(Counting::default()),
    };
    (Telemetry::sending(options, door), door)
}

/// The attributes as text.
fn attributes(list: &[KeyValue]) -> HashMap<String, String> {
    let shown = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        Some(Value::ArrayValue(list)) => format!("{:?}", list.values.len()),
        other => format!("{other:?}"),
    };
    list.iter().map(|pair| (pair.key.clone(), shown(&pair.value))).collect()
}

/// A call of a traced client, two attempts long.
fn traced(telemetry: &Telemetry) -> Call {
    let parent = Parent { id: TraceId([7; 16]), span: SpanId([8; 8]), sampled: true, state: None };
    let mut call = Call::of("support", 3);
    call.seen.trace = telemetry.trace(Some(&parent));
    call.seen.tried = vec![tried("openai", Attempted::Timeout), tried("openai", Attempted::Ok)];
    for tried in &mut call.seen.tried {
        tried.traced = Some(Traced {
            span: telemetry.span_id(),
            spec: Arc::clone(&call.begun.provider),
            snapshot: "gpt-4o-2024-08-06".to_owned(),
            address: "api.example:443".to_owned(),
        });
    }
    call.seen.request =
        Some(Bytes::from(format!(r#"{{"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#)));
    call.seen.answer = Some("hello".to_owned());
    call
}

#[tokio::test]
async fn a_call_is_a_server_span_and_each_attempt_a_client_span_below_it() {
    let stub = Stub::default();
    let (telemetry, _) = telemetry(&stub.start().await, 0);
    let call = traced(&telemetry);
    telemetry.ended(&call.ended());
    telemetry.stop().await;
    let spans = stub.spans();
    let names: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.kind)).collect();
    let (server, client) = (SpanKind::Server as i32, SpanKind::Client as i32);
    assert_eq!(
        names,
        [("chat support", server), ("chat gpt-4o-2024-08-06", client), ("chat gpt-4o-2024-08-06", client)]
    );
    assert!(spans.iter().all(|span| span.trace_id == [7; 16]));
    assert_eq!(spans[0].parent_span_id, [8; 8]);
    assert!(spans[1..].iter().all(|span| span.parent_span_id == spans[0].span_id));
    assert_ne!(spans[1].span_id, spans[2].span_id);
    assert_eq!(spans[0].end_time_unix_nano - spans[0].start_time_unix_nano, 40_000_000);

    let check = |span: &Span, expected: &[(&str, &str)]| {
        let got = attributes(&span.attributes);
        for (key, value) in expected {
            assert_eq!(got.get(*key).map(String::as_str), Some(*value), "{key} of {}", span.name);
        }
    };
    let stamp = &call.begun.stamp;
    check(
        &spans[0],
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.agent.name", "support"),
            ("gen_ai.conversation.id", SESSION),
            ("gen_ai.response.model", "gpt-4o-2024-08-06"),
            ("gen_ai.response.finish_reasons", "1"),
            ("pinrail.agent", "support"),
            ("pinrail.release", &stamp.release.to_string()),
            ("pinrail.deployment", "3"),
            ("pinrail.run", &stamp.run.to_string()),
            ("pinrail.segment", "default"),
            ("pinrail.epoch", "5"),
            ("pinrail.outcome", "ok"),
        ],
    );
    check(&spans[1], &[("error.type", "timeout"), ("server.address", "api.example"), ("server.port", "443")]);
    check(
        &spans[2],
        &[
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-4o-2024-08-06"),
            ("gen_ai.usage.input_tokens", "10"),
            ("gen_ai.usage.output_tokens", "5"),
        ],
    );
    // Tokens are added up over spans, so they are on one.
    assert!(!attributes(&spans[0].attributes).contains_key("gen_ai.usage.input_tokens"));
}

#[tokio::test]
async fn nothing_private_goes_out_but_what_was_asked_for() {
    for content_bytes_max in [0, 1_000] {
        let stub = Stub::default();
        let (telemetry, _) = telemetry(&stub.start().await, content_bytes_max);
        telemetry.ended(&traced(&telemetry).ended());
        telemetry.stop().await;
        let got = stub.got.lock().unwrap().clone();
        assert_eq!(got.len(), 1);
        let (_, headers, body) = &got[0];
        assert_eq!(headers["x-api-key"], SECRET);
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let holds = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!holds(SECRET) && !holds(TENANT)); // I15
        assert_eq!(holds(PROMPT), content_bytes_max > 0);
        assert!(holds("pinrail-test") && holds("deployment.environment.name"));
    }
}

#[tokio::test]
async fn what_is_not_recorded_is_not_sent() {
    let stub = Stub::default();
    let (telemetry, _) = telemetry(&stub.start().await, 0);
    let unsampled = Parent { id: TraceId([7; 16]), span: SpanId([8; 8]), sampled: false, state: None };
    assert_eq!(telemetry.trace(Some(&unsampled)), None);
    telemetry.ended(&Call::of("support", 3).ended());
    telemetry.stop().await;
    assert_eq!(stub.spans(), []);
}

#[tokio::test]
async fn a_refusal_and_a_change_of_pointers_are_spans() {
    let stub = Stub::default();
    let (telemetry, _) = telemetry(&stub.start().await, 0);
    telemetry.refused(&Refusal {
        dialect: Dialect::Chat,
        fault: FaultOf::Client,
        code: "model_not_found",
        status: 404,
        began: Some(Began { parent: None, at: Timestamp(1_800_000_000_000), ticks: Ticks(1_000_000_000) }),
    });
    let entry = Entry {
        seq: LedgerSeq(9),
        prev: Digest::of(b"before"),
        at: Timestamp(1_800_000_000_000),
        actor: Actor::System,
        reason: "worse".to_owned(),
        body: Body::AgentRemoved { agent: "support".parse().unwrap() },
        hash: Digest::of(b"entry"),
    };
    telemetry.recorded(&entry);
    telemetry.recorded(&entry);
    telemetry.stop().await;
    let spans = stub.spans();
    assert_eq!(spans.len(), 3);
    assert_eq!(attributes(&spans[0].attributes)["error.type"], "model_not_found");
    assert_eq!(spans[1].name, "ledger agent_removed");
    let said = attributes(&spans[1].attributes);
    assert_eq!((said["pinrail.reason"].as_str(), said["pinrail.agent"].as_str()), ("worse", "support"));
    // Every replica tells the same span of the same entry.
    assert_eq!((&spans[1].trace_id, &spans[1].span_id), (&spans[2].trace_id, &spans[2].span_id));
}

#[tokio::test]
async fn log_lines_carry_the_trace_that_they_belong_to() {
    let stub = Stub::default();
    let (telemetry, door) = telemetry(&stub.start().await, 0);
    let call = traced(&telemetry);
    let subscriber = tracing_subscriber::registry().with(Logs::through(door));
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(deployment = 3, "outside");
        call.seen.log_span().in_scope(|| tracing::warn!(code = "busy", "inside"));
        tracing::warn!(target: "hyper", "not ours");
    });
    telemetry.stop().await;
    let logs = stub.logs();
    let said = |log: &LogRecord| match log.body.clone().unwrap().value {
        Some(Value::StringValue(text)) => text,
        other => panic!("{other:?}"),
    };
    let lines: Vec<_> = logs.iter().map(|log| (said(log), log.severity_text.clone())).collect();
    assert_eq!(lines, [("outside".to_owned(), "INFO".to_owned()), ("inside".to_owned(), "WARN".to_owned())]);
    assert!(logs[0].trace_id.is_empty());
    let trace = call.seen.trace.as_ref().unwrap();
    assert_eq!((&logs[1].trace_id[..], &logs[1].span_id[..]), (&trace.id.0[..], &trace.span.0[..]));
    assert_eq!(attributes(&logs[0].attributes)["deployment"], "3");
    assert_eq!(attributes(&logs[1].attributes)["code"], "busy");
}

#[tokio::test]
async fn what_the_collector_refuses_is_counted() {
    let check = async |status: u16, body: Vec<u8>, sent: u64, refused: u64| {
        let stub = Stub::default();
        let url = stub.start().await;
        *stub.answer.lock().unwrap() = (status, body);
        let (telemetry, _) = telemetry(&url, 0);
        telemetry.ended(&traced(&telemetry).ended());
        telemetry.stop().await;
        let fared = telemetry.sends.as_ref().unwrap().otlp.spans.fared();
        assert_eq!((fared.sent, fared.refused, fared.overflowed), (sent, refused, 0), "{status}");
    };
    check(200, Vec::new(), 3, 0).await;
    check(400, Vec::new(), 0, 3).await;
    let part = ExportTracePartialSuccess { rejected_spans: 2, error_message: String::new() };
    let part = ExportTraceServiceResponse { partial_success: Some(part) };
    check(200, part.encode_to_vec(), 1, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_keeps_nobody_waiting() {
    // It takes connections and never says a word.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (telemetry, _) = telemetry(&format!("http://{}", listener.local_addr().unwrap()), 0);
    let call = traced(&telemetry);
    let before = tokio::time::Instant::now();
    let calls = 2 * QUEUE_MAX as u64;
    for _ in 0..calls {
        // No await: there is nothing that it could wait for (I13).
        telemetry.ended(&call.ended());
    }
    assert_eq!(before.elapsed(), std::time::Duration::ZERO);
    let fared = telemetry.sends.as_ref().unwrap().otlp.spans.fared();
    assert_eq!(fared.overflowed + fared.queued as u64, 3 * calls);
    assert_eq!(fared.queued, QUEUE_MAX);
    let mut page = Page::default();
    telemetry.gather(&mut page, &Current::new());
    let text = page.text(metrics::Format::Prometheus);
    let dropped =
        format!("pinrail_telemetry_dropped_total{{signal=\"traces\",reason=\"queue\"}} {}", fared.overflowed);
    assert!(text.contains(&dropped), "{text}");
    // And it doesn't keep the process from stopping.
    telemetry.stop().await;
    assert!(before.elapsed() < std::time::Duration::from_secs(10));
    drop(listener);
}

#[test]
fn without_a_collector_nothing_is_traced() {
    let telemetry = Telemetry::default();
    assert!(!telemetry.traces() && telemetry.trace(None).is_none() && telemetry.content_bytes_max() == 0);
    let call = Call::of("support", 3);
    let answers = call.events.iter().filter(|(_, event)| matches!(event, Event::ModelResponse(_))).count();
    assert_eq!(answers, 1);
    telemetry.ended(&call.ended());
}

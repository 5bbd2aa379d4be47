//! Spans, as OpenTelemetry's conventions for generative AI name what is in them.
//!
//! A call is a span of kind *server*, each attempt at a provider one of kind *client* below it. Tokens are on the attempt that
//! answered and nowhere else, so that whoever adds them up counts them once. No message is in a span unless the settings say
//! so, and no key ever (I15).

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use pinrail_domain::journal::{Event, ModelResponse};
use pinrail_domain::ledger::{Actor, Entry};
use pinrail_domain::provider::{Format, ProviderSpec};
use pinrail_domain::time::{Ticks, Timestamp};
use pinrail_gateway::telemetry::{Attempted, Ended, Refusal, Seen, SpanId, Trace, Tried};

use super::{Tracer, content};
use crate::attributes::{number, text, texts, with};
use crate::metrics::How;

/// The bit that says that a parent lies in another process, and the one that says that it is known whether it does.
const REMOTE: u32 = 0x300;
const RECORDED: u32 = 1;
/// What of a reason in the ledger a span repeats.
const REASON_BYTES_MAX: usize = 256;
/// What is read of a ledger entry beside its kind, where it has it.
const OF_AN_ENTRY: [&str; 5] = ["deployment", "agent", "segment", "release", "position"];
const NS_PER_MS: u64 = 1_000_000;
const NANO: f64 = 1e9;

/// The spans of a call that ended; none of one that isn't traced.
pub fn of_call(call: &Ended<'_>, tracer: &Tracer) -> Vec<Span> {
    let Some(trace) = &call.seen.trace else { return Vec::new() };
    let mut spans = vec![server(call, trace)];
    let last = call.seen.tried.len().saturating_sub(1);
    for (place, tried) in call.seen.tried.iter().enumerate() {
        let answer = call.answer().filter(|_| place == last);
        spans.extend(client(call, trace, tried, answer, tracer));
    }
    spans
}

/// The span of a request that got no run.
pub fn of_refusal(refusal: &Refusal, tracer: &Tracer) -> Option<Span> {
    let began = refusal.began.as_ref()?;
    let trace = tracer.trace(began.parent.as_ref())?;
    let start = began.at.0 * NS_PER_MS;
    let end = start + tracer.clock.ticks().0.saturating_sub(began.ticks.0);
    let mut span = begin(&trace, trace.span, trace.parent, SpanKind::Server, (start, end));
    span.name = "chat".to_owned();
    span.attributes = vec![
        text("gen_ai.operation.name", "chat"),
        number("http.response.status_code", u64::from(refusal.status)),
        text("pinrail.fault", crate::metrics::fault_word(refusal.fault)),
    ];
    fail(&mut span, refusal.code);
    Some(span)
}

/// The span of a change in the ledger. Its ids come from the entry's digest: every replica that tells of it tells the same.
pub fn of_entry(entry: &Entry) -> Span {
    let digest = entry.hash.as_bytes();
    let (mut id, mut span) = ([0; 16], [0; 8]);
    id.copy_from_slice(&digest[..16]);
    span.copy_from_slice(&digest[16..24]);
    let at = entry.at.0 * NS_PER_MS;
    let actor = match &entry.actor {
        Actor::Key { id, .. } => id.to_string(),
        Actor::Open => "open".to_owned(),
        Actor::System => "system".to_owned(),
    };
    let reason = &entry.reason[..entry.reason.floor_char_boundary(REASON_BYTES_MAX)];
    let mut attributes = vec![
        number("pinrail.ledger.seq", entry.seq.0),
        text("pinrail.ledger.kind", entry.body.kind()),
        text("pinrail.actor", &actor),
        text("pinrail.reason", reason),
    ];
    let body = serde_json::to_value(&entry.body).unwrap_or_default();
    for name in OF_AN_ENTRY {
        let key = format!("pinrail.{name}");
        match body.get(name) {
            Some(serde_json::Value::String(value)) => attributes.push(text(&key, value)),
            Some(serde_json::Value::Number(value)) => {
                attributes.extend(value.as_u64().map(|it| number(&key, it)))
            }
            Some(_) | None => {}
        }
    }
    Span {
        trace_id: id.to_vec(),
        span_id: span.to_vec(),
        name: format!("ledger {}", entry.body.kind()),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: at,
        end_time_unix_nano: at,
        attributes,
        flags: RECORDED,
        ..Span::default()
    }
}

/// The call as the client sees it.
fn server(call: &Ended<'_>, trace: &Trace) -> Span {
    let stamp = &call.begun.stamp;
    let operation = operation(call.seen);
    let arrived = at(call.at, call.ticks, call.seen.arrived);
    let mut span = begin(trace, trace.span, trace.parent, SpanKind::Server, (arrived, call.at.0 * NS_PER_MS));
    span.name = format!("{operation} {}", stamp.agent);
    span.attributes = vec![
        text("gen_ai.operation.name", operation),
        text("gen_ai.provider.name", vendor(&call.begun.provider)),
        text("gen_ai.request.model", &stamp.snapshot),
        text("gen_ai.agent.name", stamp.agent.as_str()),
        text("pinrail.agent", stamp.agent.as_str()),
        text("pinrail.release", &stamp.release.to_string()),
        number("pinrail.deployment", stamp.deployment.0),
        text("pinrail.run", &stamp.run.to_string()),
        text("pinrail.segment", stamp.segment.as_str()),
        number("pinrail.epoch", stamp.epoch.0),
        number("pinrail.call", u64::from(call.begun.call)),
        text("pinrail.dialect", call.seen.dialect.word()),
        number("pinrail.retries", u64::from(call.retries)),
    ];
    let session = stamp.session.as_ref().map(|session| text("gen_ai.conversation.id", session.as_str()));
    let live = stamp.shadow.map(|live| text("pinrail.shadow_of", &live.to_string()));
    let overhead = call.seen.overhead_us.map(|us| number("pinrail.overhead_us", us));
    span.attributes.extend(session.into_iter().chain(live).chain(overhead));
    if let Some(answer) = call.answer() {
        span.attributes.extend(answered(answer, &stamp.snapshot));
        span.attributes.push(number("http.response.status_code", u64::from(answer.status)));
        span.attributes.push(number("pinrail.first_byte_us", answer.first_byte_us));
        #[expect(clippy::cast_precision_loss, reason = "a call costs far less than 2^53 nano-dollars")]
        let cost =
            answer.cost_nano_usd.map(|nano| with("pinrail.cost_usd", Value::DoubleValue(nano as f64 / NANO)));
        span.attributes.extend(cost);
    }
    let how = How::of(call);
    span.attributes.push(text("pinrail.outcome", how.word()));
    match how {
        How::Ok | How::Canned | How::Cancelled => {}
        How::Cut | How::ClientError | How::ProviderError | How::PinrailError => {
            fail(&mut span, code(call, how))
        }
    }
    span
}

/// An attempt at a provider.
fn client(
    call: &Ended<'_>,
    trace: &Trace,
    tried: &Tried,
    answer: Option<&ModelResponse>,
    tracer: &Tracer,
) -> Option<Span> {
    let traced = tried.traced.as_ref()?;
    let operation = operation(call.seen);
    let ended = tried.ended.unwrap_or(call.ticks);
    let during = (at(call.at, call.ticks, tried.began), at(call.at, call.ticks, ended));
    let mut span = begin(trace, traced.span, Some(trace.span), SpanKind::Client, during);
    span.flags = RECORDED;
    span.name = format!("{operation} {}", traced.snapshot);
    let (host, port) = match traced.address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port.parse().ok()),
        Some(_) | None => (traced.address.as_str(), None),
    };
    // A user and a password could stand before the host (I15).
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let stamp = &call.begun.stamp;
    span.attributes = vec![
        text("gen_ai.operation.name", operation),
        text("gen_ai.provider.name", vendor(&traced.spec)),
        text("gen_ai.request.model", &traced.snapshot),
        text("server.address", host),
        text("pinrail.provider", tried.provider.as_str()),
        text("pinrail.agent", stamp.agent.as_str()),
        number("pinrail.deployment", stamp.deployment.0),
        text("pinrail.run", &stamp.run.to_string()),
    ];
    span.attributes.extend(port.map(|port| number("server.port", port)));
    span.attributes.extend(tried.status.map(|status| number("http.response.status_code", u64::from(status))));
    if let Some(answer) = answer {
        span.attributes.extend(answered(answer, &traced.snapshot));
        if let Some(usage) = answer.usage {
            span.attributes.push(number("gen_ai.usage.input_tokens", usage.input_tokens));
            span.attributes.push(number("gen_ai.usage.output_tokens", usage.output_tokens));
            if usage.cached_input_tokens > 0 {
                span.attributes
                    .push(number("gen_ai.usage.cache_read.input_tokens", usage.cached_input_tokens));
            }
        }
        if tracer.content_bytes_max > 0 {
            let said = content::input(call.seen, tracer.content_bytes_max);
            let answered = content::output(call.seen, answer.finish_reason.as_deref());
            span.attributes.extend(said.map(|said| text("gen_ai.input.messages", &said)));
            span.attributes.extend(answered.map(|answered| text("gen_ai.output.messages", &answered)));
        }
    }
    match tried.how {
        Attempted::Ok | Attempted::Cancelled => {}
        how @ (Attempted::RateLimited
        | Attempted::ServerError
        | Attempted::ClientError
        | Attempted::Timeout
        | Attempted::Unreachable
        | Attempted::Closed
        | Attempted::ErrorEvent
        | Attempted::Other) => fail(&mut span, how.word()),
    }
    Some(span)
}

fn begin(
    trace: &Trace,
    id: SpanId,
    parent: Option<SpanId>,
    kind: SpanKind,
    (start, end): (u64, u64),
) -> Span {
    let state = trace.state.as_ref().and_then(|state| state.to_str().ok()).unwrap_or_default();
    Span {
        trace_id: trace.id.0.to_vec(),
        span_id: id.0.to_vec(),
        parent_span_id: parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
        trace_state: state.to_owned(),
        flags: RECORDED | REMOTE,
        kind: kind as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: end.max(start),
        ..Span::default()
    }
}

/// What an answer says of itself, tokens aside.
fn answered(answer: &ModelResponse, asked: &str) -> Vec<KeyValue> {
    // A provider that doesn't say is taken at its word: it was asked for this one.
    let model = answer.served_model.as_deref().unwrap_or(asked);
    let mut all = vec![text("gen_ai.response.model", model)];
    all.extend(answer.finish_reason.as_deref().map(|why| texts("gen_ai.response.finish_reasons", &[why])));
    all
}

fn fail(span: &mut Span, code: &str) {
    span.attributes.push(text("error.type", code));
    span.status = Some(Status { message: code.to_owned(), code: StatusCode::Error as i32 });
}

/// The code that the client was told, where it was told one.
fn code<'a>(call: &'a Ended<'_>, how: How) -> &'a str {
    let failed = call.events.iter().rev().find_map(|(_, event)| {
        if let Event::ModelFailed { code, .. } = event { Some(code.as_str()) } else { None }
    });
    failed.unwrap_or(how.word())
}

/// When something was, by the clock that can't jump.
fn at(now: Timestamp, ticks: Ticks, then: Ticks) -> u64 {
    (now.0 * NS_PER_MS).saturating_sub(ticks.0.saturating_sub(then.0))
}

fn operation(seen: &Seen) -> &'static str {
    if seen.embeds { "embeddings" } else { "chat" }
}

/// A provider as the conventions name it; one that they don't know has its own name.
fn vendor(spec: &ProviderSpec) -> &str {
    match spec.format {
        Format::Azure => "azure.ai.openai",
        Format::Bedrock => "aws.bedrock",
        Format::Vertex => "gcp.vertex_ai",
        Format::Openai | Format::Anthropic => match spec.catalogue.as_str() {
            "gemini" => "gcp.gemini",
            "mistral" => "mistral_ai",
            "xai" => "x_ai",
            other => other,
        },
    }
}

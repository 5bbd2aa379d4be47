//! What is told of calls, and how traces go through.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pinrail_domain::journal::{FaultOf, Outcome};
use pinrail_gateway::telemetry::{
    Attempted, Ended, Parent, Refusal, SpanId, Telemetry, Trace, TraceId, Tried,
};
use serde_json::json;

use crate::world::{
    Connection, KEY, SNAPSHOT, Setup, World, chat, completion, event, next, text, usage_event, whole, with,
};

/// Remembers what it is told, and traces every call.
#[derive(Default)]
struct Recorder {
    spans: AtomicU64,
    content: bool,
    untraced: bool,
    attempts: Mutex<Vec<Tried>>,
    ended: Mutex<Vec<Told>>,
    refused: Mutex<Vec<(FaultOf, &'static str, bool)>>,
}

/// What was told of a call.
#[derive(Clone, Debug)]
struct Told {
    outcome: Outcome,
    trace: Option<Trace>,
    attempts: usize,
    retries: u32,
    overhead_us: Option<u64>,
    waited_us: u64,
    streams: bool,
    content: (Option<String>, Option<String>),
}

impl Telemetry for Recorder {
    fn traces(&self) -> bool {
        true
    }

    fn trace(&self, parent: Option<&Parent>) -> Option<Trace> {
        let id = parent.map_or(TraceId([9; 16]), |parent| parent.id);
        let state = parent.and_then(|parent| parent.state.clone());
        let trace = Trace { id, span: self.span_id(), parent: parent.map(|parent| parent.span), state };
        (!self.untraced).then_some(trace)
    }

    fn span_id(&self) -> SpanId {
        SpanId((self.spans.fetch_add(1, Ordering::Relaxed) + 1).to_be_bytes())
    }

    fn content_bytes_max(&self) -> usize {
        if self.content { 1_000 } else { 0 }
    }

    fn refused(&self, refusal: &Refusal) {
        self.refused.lock().unwrap().push((refusal.fault, refusal.code, refusal.began.is_some()));
    }

    fn attempted(&self, tried: &Tried) {
        self.attempts.lock().unwrap().push(tried.clone());
    }

    fn ended(&self, call: &Ended<'_>) {
        let seen = call.seen;
        let request = seen.request.as_ref().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        self.ended.lock().unwrap().push(Told {
            outcome: call.outcome,
            trace: seen.trace.clone(),
            attempts: seen.tried.len(),
            retries: call.retries,
            overhead_us: seen.overhead_us,
            waited_us: seen.waited_us,
            streams: seen.streams,
            content: (request, seen.answer.clone()),
        });
    }
}

impl Recorder {
    fn words(&self) -> Vec<&'static str> {
        self.attempts.lock().unwrap().iter().map(|tried| tried.how.word()).collect()
    }

    fn only(&self) -> Told {
        let ended = self.ended.lock().unwrap();
        assert_eq!(ended.len(), 1, "{ended:?}");
        ended[0].clone()
    }
}

fn heard_by(recorder: Recorder) -> (World, Arc<Recorder>) {
    let recorder = Arc::new(recorder);
    let world = Setup { telemetry: recorder.clone(), ..Setup::default() }.build();
    (world, recorder)
}

fn header<'a>(connection: &'a Connection, name: &str) -> Option<&'a str> {
    connection.head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_span_below_the_calls_in_the_clients_trace() {
    let (mut world, recorder) = heard_by(Recorder::default());
    let request = with(with(chat(json!({})), "traceparent", PARENT), "tracestate", "a=1");
    let (response, sent) = world
        .call(request, async |mut provider| {
            let parent = |of: &Connection| header(of, "traceparent").unwrap().to_owned();
            let mut connection = provider.accept().await;
            let first = parent(&connection);
            connection.answer("503 Service Unavailable", &[], "{}").await;
            connection.next_request().await;
            assert_eq!(header(&connection, "tracestate"), Some("a=1"));
            connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
            [first, parent(&connection)]
        })
        .await;
    assert_eq!(whole(response).await.status(), 200);
    world.gateway.drained().await;
    let told = recorder.only();
    let trace = told.trace.clone().unwrap();
    assert_eq!(trace.parent, Some(SpanId(0x00f0_67aa_0ba9_02b7_u64.to_be_bytes())));
    assert_eq!((told.attempts, told.retries, told.outcome), (2, 1, Outcome::Ok));
    assert_eq!(recorder.words(), ["server_error", "ok"]);
    for (sent, tried) in sent.iter().zip(recorder.attempts.lock().unwrap().iter()) {
        let span = tried.traced.as_ref().unwrap().span;
        assert_eq!(*sent, format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01"));
        assert_ne!(span, trace.span);
    }
    assert_ne!(sent[0], sent[1]);
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_is_not_recorded_here_goes_through_as_it_came() {
    let check = async |parent: Option<&str>, expected: Option<&str>| {
        let (mut world, _recorder) = heard_by(Recorder { untraced: true, ..Recorder::default() });
        let request = match parent {
            Some(parent) => with(with(chat(json!({})), "traceparent", parent), "tracestate", "a=1"),
            None => chat(json!({})),
        };
        let (_, ()) = world
            .call(request, async |mut provider| {
                let mut connection = provider.accept().await;
                assert_eq!(header(&connection, "traceparent"), expected, "{parent:?}");
                assert_eq!(header(&connection, "tracestate"), expected.map(|_| "a=1"), "{parent:?}");
                connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
            })
            .await;
    };
    check(Some(PARENT), Some(PARENT)).await;
    check(Some("00-nonsense-1"), None).await;
    check(None, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_providers_time_is_not_counted_as_ours() {
    let (mut world, recorder) = heard_by(Recorder::default());
    let (response, ()) = world
        .call(chat(json!({})), async |mut provider| {
            let mut connection = provider.accept().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
        })
        .await;
    assert_eq!(whole(response).await.status(), 200);
    world.gateway.drained().await;
    let told = recorder.only();
    // Time stands still while nothing is waited for.
    assert_eq!(told.overhead_us, Some(0));
    assert!((3_000_000..3_010_000).contains(&told.waited_us), "{}", told.waited_us);
    let attempts = recorder.attempts.lock().unwrap();
    let (ended, began) = (attempts[0].ended.unwrap(), attempts[0].began);
    assert!(ended.us_since(began) >= 3_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_as_open_until_it_ends_or_its_client_leaves() {
    for leaves in [false, true] {
        let (mut world, recorder) = heard_by(Recorder::default());
        let (mut response, mut connection) = world
            .call(chat(json!({"stream": true})), async |mut provider| {
                let mut connection = provider.accept().await;
                connection.begin_stream().await;
                connection.chunk(&event("hel", None)).await;
                connection
            })
            .await;
        assert!(next(&mut response).await.is_some());
        assert_eq!(world.gateway.streams(), 1);
        assert!(recorder.ended.lock().unwrap().is_empty());
        if leaves {
            drop(response);
        } else {
            connection
                .chunk(&[event("lo", Some("stop")), usage_event(), "data: [DONE]\n\n".into()].concat())
                .await;
            connection.end_stream().await;
            text(response).await;
        }
        world.gateway.drained().await;
        assert_eq!(world.gateway.streams(), 0);
        let told = recorder.only();
        let expected = if leaves { (Outcome::Cancelled, "cancelled") } else { (Outcome::Ok, "ok") };
        assert_eq!((told.outcome, recorder.words()[0]), expected);
        assert!(told.streams && told.overhead_us.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn what_gets_no_run_is_told_as_refused() {
    let (mut world, recorder) = heard_by(Recorder::default());
    let (response, _) = world.refused(chat(json!({"model": "nobody"}))).await;
    assert_eq!(response.status(), 404);
    assert_eq!(*recorder.refused.lock().unwrap(), [(FaultOf::Client, "model_not_found", true)]);
    assert!(recorder.ended.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn content_is_kept_only_where_it_is_wanted_and_holds_no_key() {
    for wanted in [false, true] {
        let (mut world, recorder) = heard_by(Recorder { content: wanted, ..Recorder::default() });
        let messages = json!([{"role": "user", "content": format!("my key is {KEY}")}]);
        let (response, ()) = world
            .call(chat(json!({ "messages": messages })), async |mut provider| {
                let mut connection = provider.accept().await;
                connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
            })
            .await;
        whole(response).await;
        world.gateway.drained().await;
        let (request, answer) = recorder.only().content;
        assert_eq!(answer.as_deref(), wanted.then_some("hello"));
        assert_eq!(request.is_some(), wanted);
        assert!(!request.unwrap_or_default().contains(KEY)); // I15
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_end_under_the_name_of_what_went_wrong() {
    let check = async |status: &str, expected: Attempted| {
        let (mut world, recorder) = heard_by(Recorder::default());
        let (response, ()) = world
            .call(chat(json!({})), async |mut provider| {
                let mut connection = provider.accept().await;
                let no_retry = ["x-should-retry: false"];
                connection.answer(status, &no_retry, r#"{"error": {"message": "no"}}"#).await;
            })
            .await;
        whole(response).await;
        world.gateway.drained().await;
        assert_eq!(recorder.words(), [expected.word()], "{status}");
    };
    check("400 Bad Request", Attempted::ClientError).await;
    check("429 Too Many Requests", Attempted::RateLimited).await;
    check("500 Internal Server Error", Attempted::ServerError).await;
}

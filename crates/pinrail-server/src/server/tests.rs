//! The server over a loopback listener.

use std::time::Duration;

use pinrail_gateway::port::Secrets;
use pinrail_store::Memory;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::testing::{self, TestClock};

mod wire;

struct Nothing;

impl Secrets for Nothing {
    fn secret(&self, _: &str) -> Option<String> {
        None
    }
}

struct Running {
    control: Control,
    at: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<io::Result<Drained>>,
}

async fn start(limits: Limits) -> Running {
    start_before(limits, None).await
}

/// Starts in front of a provider, which `sim:` then leads to.
async fn start_before(limits: Limits, provider: Option<http::Uri>) -> Running {
    let (memory, clock) = (Arc::new(Memory::new()), Arc::new(TestClock::new()));
    let control = testing::control(&memory, &clock).await;
    let telemetry = pinrail_telemetry::Telemetry::default();
    let gateway = Gateway::new(pinrail_gateway::Options {
        runs: Arc::new(crate::Port { control: control.clone(), notices: None }),
        secrets: Arc::new(Nothing),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        catalogue: control.catalogue_handle(),
        sim_base: provider,
        limits: pinrail_gateway::Limits::default(),
        telemetry: Arc::new(telemetry.clone()),
    });
    let models = Arc::new(testing::Scripted::default());
    let mcp = crate::mcp::Mcp::new(testing::mcp_options(&control, &clock));
    let gates = crate::gates::Gates::new(testing::gate_options(&control, &clock, &models));
    let server = Server::new(Options {
        control: control.clone(),
        drift: crate::drift::Drift::new(testing::drift_options(&control, &clock)),
        gates,
        warm: testing::warm(&control, &clock, &Arc::default()),
        gateway,
        clock,
        limits,
        version: "0.0.0-test".to_owned(),
        missing_keys: Arc::new(Vec::new),
        outbound: Arc::new(crate::Webhooks::new(Arc::new(Nothing))),
        lists: Arc::new(crate::testing::Lists::default()),
        mcp,
        session_secret: None,
        metrics: crate::metrics::Metrics::new(telemetry),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(server.serve(listener, async {
        let _ = stopped.await;
    }));
    Running { control, at, stop, ended }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.unwrap()
    }

    async fn stop(self) -> Drained {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap().unwrap()
    }

    /// Agent, provider, release, deployment and one open run; returns the run.
    async fn set_up(&self) -> String {
        let mut stream = self.connect().await;
        ask(
            &mut stream,
            "PUT",
            "/api/v1/providers/sim",
            Some(json!({ "base_url": "sim:", "catalogue": "sim" })),
        )
        .await;
        ask(&mut stream, "PUT", "/api/v1/agents/support", Some(json!({}))).await;
        let wish = json!({ "agent": "support", "manifest": testing::manifest("sim-1-2026-06-01") });
        let release = ask(&mut stream, "POST", "/api/v1/releases", Some(wish)).await;
        let wish = json!({ "releases": { "support": release["release"] }, "now": true });
        ask(&mut stream, "POST", "/api/v1/deployments", Some(wish)).await;
        let run = ask(&mut stream, "POST", "/api/v1/runs", Some(json!({ "agent": "support" }))).await;
        run["run"].as_str().unwrap().to_owned()
    }
}

/// Asks over a connection that is kept.
async fn ask(stream: &mut TcpStream, method: &str, path: &str, body: Option<Value>) -> Value {
    send(stream, method, path, body).await;
    let (status, body) = receive(stream).await;
    assert!(status < 400, "{method} {path}: {status} {body}");
    body
}

async fn send(stream: &mut TcpStream, method: &str, path: &str, body: Option<Value>) {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
}

async fn receive(stream: &mut TcpStream) -> (u16, Value) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.trim().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// All that the server says until it closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A reset after the answer is a way to close, too.
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn one_connection_carries_several_requests_to_both_sides() {
    let server = start(Limits::default()).await;
    server.set_up().await;
    let mut stream = server.connect().await;
    assert_eq!(ask(&mut stream, "GET", "/healthz", None).await["status"], "ok");
    let models = ask(&mut stream, "GET", "/v1/models", None).await;
    assert_eq!(models["data"][0]["id"], "support");
    send(&mut stream, "GET", "/v1/nothing", None).await;
    let (status, body) = receive(&mut stream).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("unknown_path")));
    assert_eq!(server.stop().await, Drained::default());
}

#[tokio::test]
async fn the_gateway_refuses_who_has_no_key_in_its_own_format() {
    let server = start(Limits::default()).await;
    let new = pinrail_control::keys::NewKey {
        name: "admin".to_owned(),
        scopes: [pinrail_domain::key::Scope::Admin].into(),
        tenants: pinrail_domain::key::Tenants::All,
    };
    server.control.key_create(pinrail_control::By::system("test"), new).await.unwrap();
    let mut stream = server.connect().await;
    send(&mut stream, "GET", "/v1/models", None).await;
    let (status, body) = receive(&mut stream).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthenticated")));

    let new = pinrail_control::keys::NewKey {
        name: "reader".to_owned(),
        scopes: [pinrail_domain::key::Scope::Read].into(),
        tenants: pinrail_domain::key::Tenants::All,
    };
    let (_, token) = server.control.key_create(pinrail_control::By::system("test"), new).await.unwrap();
    let bearer = token.unwrap().reveal();
    let request = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (status, body) = receive(&mut stream).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("forbidden")));
}

#[tokio::test]
async fn heads_and_bodies_have_limits() {
    let server = start(Limits::default()).await;
    let check = async |request: String, expected: &str| {
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.starts_with(expected), "{said:.200}");
    };
    let long = "x".repeat(64 << 10);
    check(format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-long: {long}\r\n\r\n"), "HTTP/1.1 431")
        .await;
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    check(format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"), "HTTP/1.1 431").await;
    let body = "content-type: application/json\r\ncontent-length: 99999999\r\n\r\n";
    check(format!("PUT /api/v1/agents/a HTTP/1.1\r\nhost: localhost\r\n{body}"), "HTTP/1.1 413").await;
    check("nonsense\r\n\r\n".to_owned(), "HTTP/1.1 400").await;
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed() {
    let limits = Limits { head_wait: Duration::from_millis(1), ..Limits::default() };
    let server = start(limits).await;
    for beginning in ["", "P", "GET /healthz HTTP/1.1\r\nhost: local"] {
        let mut stream = server.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        // Ends only if the server closes it.
        rest(&mut stream).await;
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = start(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut first = server.connect().await;
    ask(&mut first, "GET", "/healthz", None).await;
    let mut second = server.connect().await;
    send(&mut second, "GET", "/healthz", None).await;
    drop(first);
    assert_eq!(receive(&mut second).await.0, 200);
}

/// Begins a request and waits until the server has it and asks for its body, `{}`.
async fn begin(stream: &mut TcpStream) {
    let head = "PUT /api/v1/agents/late HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                expect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut went_on = [0; 25];
    stream.read_exact(&mut went_on).await.unwrap();
    assert!(went_on.starts_with(b"HTTP/1.1 100"));
}

#[tokio::test]
async fn a_shutdown_answers_what_is_in_flight_and_takes_nothing_more() {
    let server = start(Limits::default()).await;
    let (mut idle, mut late) = (server.connect().await, server.connect().await);
    ask(&mut idle, "GET", "/healthz", None).await;
    begin(&mut late).await;
    let Running { control, at, stop, mut ended } = server;
    stop.send(()).unwrap();
    // The idle connection is closed, which shows that the drain has begun, and the listener is gone.
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(at).await.is_err());
    assert!(futures_util::FutureExt::now_or_never(&mut ended).is_none());
    late.write_all(b"{}").await.unwrap();
    assert_eq!(receive(&mut late).await, (200, json!({ "change": "created" })));
    assert_eq!(ended.await.unwrap().unwrap(), Drained::default());
    assert_eq!(control.snapshot().world.agents.len(), 1);
}

#[tokio::test]
async fn a_shutdown_ends_the_wait_for_events() {
    let server = start(Limits::default()).await;
    let run = server.set_up().await;
    let mut waiting = server.connect().await;
    ask(&mut waiting, "GET", "/healthz", None).await;
    send(&mut waiting, "GET", &format!("/api/v1/runs/{run}/events?from=1&wait_ms=30000"), None).await;
    let mut other = server.connect().await;
    ask(&mut other, "GET", "/healthz", None).await;
    assert_eq!(server.stop().await, Drained::default());
    // It got its answer, or, where the shutdown was faster than the request, a closed connection.
    let said = rest(&mut waiting).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 200"), "{said}");
}

#[tokio::test]
async fn a_shutdown_ends_the_streams_of_those_who_follow() {
    let server = start(Limits::default()).await;
    server.set_up().await;
    let mut watching = server.connect().await;
    send(&mut watching, "GET", "/api/v1/watch", None).await;
    let mut said = String::new();
    while !said.contains("\"epoch\":3") {
        said.push(char::from(watching.read_u8().await.unwrap()));
    }
    assert!(
        said.contains("content-type: text/event-stream") && said.contains("x-accel-buffering: no"),
        "{said}"
    );
    assert_eq!(server.stop().await, Drained::default());
    // Whole, and not cut: the last chunk is there.
    assert!(rest(&mut watching).await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn what_takes_too_long_is_cut_and_counted() {
    let server = start(Limits { drain_wait: Duration::from_millis(1), ..Limits::default() }).await;
    let mut stuck = server.connect().await;
    // A body that never comes keeps its request in flight.
    begin(&mut stuck).await;
    assert_eq!(server.stop().await, Drained { connections_cut: 1, requests_cut: 1 });
}

#[tokio::test]
async fn http2_without_tls_is_spoken_too() {
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let server = start(Limits::default()).await;
    let io = TokioIo::new(server.connect().await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://localhost/healthz").body(Empty::<Bytes>::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["status"], "ok");
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_its_body_late() {
    let running = start(Limits::default()).await;
    let mut stream = running.connect().await;
    let key = json!({ "name": "ops", "scopes": ["admin"] });
    ask(&mut stream, "POST", "/api/v1/keys", Some(key)).await;
    for (path, status) in [("/api/v1/keys", 401), ("/v1/chat/completions", 401), ("/api/v1/keys/x/y", 404)] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(&[b' '; 100_000]).await.unwrap();
        // The connection goes on: nothing of the body is taken for the next request.
        assert_eq!(receive(&mut stream).await.0, status, "{path}");
    }
    assert_eq!(running.stop().await, Drained::default());
}

/// Each vendor's clients show their key in their own way, and read errors in their own form.
#[tokio::test]
async fn a_key_counts_in_either_header_and_a_refusal_is_in_the_clients_form() {
    let running = start(Limits::default()).await;
    let mut stream = running.connect().await;
    let key = json!({ "name": "ops", "scopes": ["admin"] });
    let token =
        ask(&mut stream, "POST", "/api/v1/keys", Some(key)).await["token"].as_str().unwrap().to_owned();
    let call = async |path: &str, key: &str| {
        let mut stream = running.connect().await;
        let body = r#"{"model":"nobody","max_tokens":1,"messages":[],"input":"x"}"#;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\n{key}content-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        receive(&mut stream).await
    };
    for path in [
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/responses",
        "/v1/chat/completions",
        "/v1/embeddings",
    ] {
        let is_messages = path.starts_with("/v1/messages");
        // The key is good where the agent is what is missing.
        for (key, status) in [
            (format!("x-api-key: {token}\r\n"), 404),
            (format!("authorization: Bearer {token}\r\n"), 404),
            (format!("authorization: Bearer pr_no\r\nx-api-key: {token}\r\n"), 401),
            ("x-api-key: pr_no\r\n".to_owned(), 401),
            (String::new(), 401),
        ] {
            let (got, body) = call(path, &key).await;
            assert_eq!(got, status, "{path} {key}: {body}");
            assert_eq!(body["type"] == "error", is_messages, "{path}: {body}");
            assert!(body["error"]["message"].is_string() && !body.to_string().contains(&token), "{body}"); // I15
        }
    }
    drop(stream);
    assert_eq!(running.stop().await, Drained::default());
}

//! Requests over a limit: each is refused with a code, and the server goes on as before.

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::node::Node;
use crate::seen::Seen;
use crate::stage::{CHAT, STANDARD, Stage, chat};

const RUNS: &str = "/api/v1/runs";
const JSON: &str = "content-type: application/json\r\n";

#[test]
fn what_is_over_a_limit_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let client = &node.client;
    let stage = Stage::set(client, None);
    let mut seen = Seen::look(client, dir.path());
    let (runs, entries) = (seen.runs.len(), seen.ledger.len());
    bodies(client);
    heads(client);
    depths(client);
    names(client);
    events(client, &stage);
    pages(client);
    seen.look_again(client, dir.path());
    assert_eq!((seen.runs.len(), seen.ledger.len()), (runs, entries));
    client.send("POST", CHAT, &[], Some(&chat(STANDARD, false))).unwrap().ok();
    node.stop();
}

/// Refused by its status and code; the server answers the next request.
fn check(client: &Client, what: &str, answer: &Answer, status: u16, code: &str) {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, status, "{what}: {body}");
    assert_eq!(answer.code(), code, "{what}: {body}");
    client.get("/healthz");
}

fn bodies(client: &Client) {
    // Said to be large: refused before a byte of it is read.
    for (path, bytes, code) in [
        (CHAT, (10 << 20) + 1, "body_too_large"),
        (RUNS, (1 << 20) + 1, "too_large"),
        ("/api/v1/artifacts", 1 << 30, "too_large"),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{JSON}connection: close\r\n");
        let request = format!("{head}content-length: {bytes}\r\n\r\n");
        check(client, path, &client.raw(request.as_bytes()), 413, code);
    }
    // Not said to be large, but large.
    let part = format!("{:x}\r\n{}\r\n", 64 << 10, " ".repeat(64 << 10));
    for (path, parts, code) in [(CHAT, 161, "body_too_large"), (RUNS, 17, "too_large")] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{JSON}connection: close\r\n");
        let request = format!("{head}transfer-encoding: chunked\r\n\r\n{}", part.repeat(parts));
        check(client, path, &client.raw(request.as_bytes()), 413, code);
    }
}

/// These never reach an endpoint, so their answer is the status alone.
fn heads(client: &Client) {
    let many: String = (0..101).map(|n| format!("x-{n}: a\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(40 << 10));
    for (what, headers) in [("many headers", many), ("a long header", long)] {
        for path in ["/api/v1/status", "/v1/models"] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
            let answer = client.raw(request.as_bytes());
            assert_eq!(answer.status, 431, "{what}: {}", String::from_utf8_lossy(&answer.body));
            client.get("/healthz");
        }
    }
    let request =
        format!("GET /api/v1/runs?session={} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(70_000));
    let answer = client.raw(request.as_bytes());
    assert!([414, 431].contains(&answer.status), "a long address: {}", answer.status);
}

fn depths(client: &Client) {
    for levels in [100, 100_000] {
        let deep = "[".repeat(levels) + &"]".repeat(levels);
        let body =
            format!(r#"{{"model":"{STANDARD}","messages":[{{"role":"user","content":"a"}}],"x":{deep}}}"#);
        check(client, "depth", &post(client, CHAT, &body), 400, "json_too_deep");
        let body = format!(r#"{{"agent":"{STANDARD}","attributes":{deep}}}"#);
        check(client, "depth", &post(client, RUNS, &body), 400, "bad_request");
    }
}

fn names(client: &Client) {
    let long = "a".repeat(129);
    let attributes = |count: usize, bytes: usize| -> Value {
        (0..count)
            .map(|n| (format!("a{n}"), json!("x".repeat(bytes))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    for (what, body) in [
        ("session", json!({ "agent": STANDARD, "session": long })),
        ("tenant", json!({ "agent": STANDARD, "tenant": long })),
        ("agent", json!({ "agent": &long[..65] })),
        ("attributes", json!({ "agent": STANDARD, "attributes": attributes(33, 1) })),
        ("attribute", json!({ "agent": STANDARD, "attributes": attributes(1, 257) })),
    ] {
        let answer = client.send("POST", RUNS, &[], Some(&body)).unwrap();
        check(client, what, &answer, 400, "bad_request");
    }
    let body = json!({ "agent": STANDARD });
    for header in ["idempotency-key", "x-pinrail-tenant"] {
        let answer = client.send("POST", RUNS, &[(header, &long)], Some(&body)).unwrap();
        check(client, header, &answer, 400, "bad_name");
    }
    let put = client.send("PUT", &format!("/api/v1/agents/{}", &long[..65]), &[], Some(&json!({}))).unwrap();
    check(client, "agent", &put, 400, "bad_name");
    for header in ["x-pinrail-session", "x-pinrail-tenant", "x-pinrail-run", "x-pinrail-attributes"] {
        let value =
            if header == "x-pinrail-attributes" { format!("a={}", "x".repeat(257)) } else { long.clone() };
        let answer = client.send("POST", CHAT, &[(header, &value)], Some(&chat(STANDARD, false))).unwrap();
        assert_eq!((answer.status, answer.code().is_empty()), (400, false), "{header}");
    }
    let answer = client.send("POST", CHAT, &[], Some(&chat(&long, false))).unwrap();
    check(client, "model", &answer, 404, "model_not_found");
    let reason = json!({ "reason": "x".repeat(2_001) });
    let answer = client.send("POST", "/api/v1/deployments/1/rollback", &[], Some(&reason)).unwrap();
    check(client, "reason", &answer, 400, "bad_request");
}

fn events(client: &Client, stage: &Stage) {
    let path = format!("{RUNS}/{}/events", stage.running);
    let note = |data: &str| json!({ "type": "note", "name": "n", "data": data });
    for (what, events) in [
        ("no events", vec![]),
        ("events too many", vec![note(""); 1_001]),
        ("an event too large", vec![note("a"), note(&"x".repeat(256 << 10))]),
        ("an event of Pinrail's", vec![json!({ "type": "parked", "why": "x" })]),
    ] {
        let answer = client.send("POST", &path, &[], Some(&json!({ "events": events }))).unwrap();
        check(client, what, &answer, 400, "bad_events");
    }
}

fn pages(client: &Client) {
    for path in ["ledger", "runs", "deployments", "releases", "agents", "providers", "keys"] {
        for limit in [0, 1_001] {
            let answer = client.send("GET", &format!("/api/v1/{path}?limit={limit}"), &[], None).unwrap();
            check(client, path, &answer, 400, "bad_request");
        }
    }
    let answer = client.send("GET", "/api/v1/runs?limit=many", &[], None).unwrap();
    check(client, "limit", &answer, 400, "bad_request");
}

fn post(client: &Client, path: &str, body: &str) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{JSON}connection: close\r\n");
    client.raw(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

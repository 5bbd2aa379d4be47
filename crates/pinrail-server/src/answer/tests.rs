use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use axum::body::Body;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::testing::Bench;

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_a_problem() {
    let bench = Bench::open().await;
    bench.get("/nowhere").await.problem("no_route");
    bench.get("/api/v1").await.problem("no_route");
    bench.get("/api/v1/agents/").await.problem("no_route");
    bench.get("/api/v1/agents/%ff").await.problem("bad_name");
    let wrong = bench.send("PATCH", "/api/v1/agents/support", &[], None).await;
    wrong.problem("method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("GET, PUT, DELETE"));
    let head = bench.send("HEAD", "/api/v1/agents", &[], None).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn what_workers_send_all_the_time_is_too_frequent_for_the_log() {
    let frequent: Vec<_> = routes::ROUTES.iter().filter(|route| is_frequent(route)).collect();
    assert!(frequent.iter().all(|route| route.method == Method::POST));
    let paths: Vec<_> = frequent.iter().map(|route| route.path).collect();
    let expected = [
        "/api/v1/runs/{run}/events",
        "/api/v1/vectors/{space}/upsert",
        "/api/v1/vectors/{space}/search",
        "/api/v1/vectors/{space}/count",
        "/api/v1/vectors/{space}/delete",
        "/api/v1/members/{member}/ack",
        "/api/v1/memory/{agent}/{session}",
        "/mcp/{agent}",
    ];
    assert_eq!(paths, expected);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_refused_before_it_does_harm() {
    let bench = Bench::open().await;
    let check = async |headers: &[(&str, &str)], body: Vec<u8>, code: &str| {
        let request = bench.request("PUT", "/api/v1/agents/support", headers).body(Body::from(body)).unwrap();
        bench.raw(request).await.unwrap().problem(code)
    };
    let json = ("content-type", "application/json; charset=utf-8");
    check(&[json], b"{".to_vec(), "bad_request").await;
    check(&[json], b"".to_vec(), "bad_request").await;
    check(&[json], b"{\"tier\":\"standard\",\"tier\":\"critical\"}".to_vec(), "bad_request").await;
    check(&[json], b"\xff".to_vec(), "bad_request").await;
    check(&[], b"{}".to_vec(), "unsupported_content").await;
    check(&[("content-type", "text/plain")], b"{}".to_vec(), "unsupported_content").await;
    check(&[json, ("content-encoding", "gzip")], b"{}".to_vec(), "unsupported_content").await;
    let deep = format!("{{\"description\":{}{}}}", "[".repeat(64), "]".repeat(64));
    let problem = check(&[json], deep.into_bytes(), "bad_request").await;
    assert!(problem["detail"].as_str().unwrap().contains("64 levels"), "{problem}");
    let long = vec![b' '; (1 << 20) + 1];
    assert_eq!(check(&[json], long, "too_large").await["bytes_max"], 1 << 20);
    check(&[json, ("content-length", "99999999")], b"{}".to_vec(), "too_large").await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let bench = Bench::open().await;
    let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = bench.request("POST", "/api/v1/artifacts", &[]).body(body).unwrap();
    bench.raw(request).await.unwrap().problem("request_timeout");
}

#[tokio::test(start_paused = true)]
async fn hardly_a_body_is_read_for_somebody_who_may_not_send_it() {
    let bench = Bench::open().await;
    bench.key(&["admin"], None).await;
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let endless = futures_util::stream::repeat_with(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(Bytes::from_static(&[0; 1 << 10]))
    });
    let silent = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    for body in [Body::from_stream(endless), Body::from_stream(silent)] {
        let request = bench.request("POST", "/api/v1/artifacts", &[]).body(body).unwrap();
        bench.raw(request).await.unwrap().problem("unauthenticated");
    }
    assert_eq!(read.load(Ordering::SeqCst), (crate::unread::BYTES_MAX >> 10) + 1);
}

#[tokio::test(start_paused = true)]
async fn a_header_that_cannot_be_meant_is_refused() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let wish = json!({ "agent": "support" });
    for (name, value, code) in [
        ("idempotency-key", "two words", "bad_name"),
        ("idempotency-key", "", "bad_name"),
        ("x-pinrail-tenant", "two words", "bad_name"),
        ("host", "rebound.example", "forbidden"),
        ("origin", "https://evil.example", "forbidden"),
    ] {
        bench.send("POST", "/api/v1/runs", &[(name, value)], Some(&wish)).await.problem(code);
    }
    let twice = [("x-pinrail-tenant", "a"), ("x-pinrail-tenant", "b")];
    bench.send("POST", "/api/v1/runs", &twice, Some(&wish)).await.problem("bad_name");
}

/// A route of the test's own.
fn route(method: Method, handler: crate::routes::Handler) -> Arc<[&'static Route]> {
    let route = Route {
        method,
        path: "/test",
        access: Access::Public,
        takes: Takes::Nothing,
        query: &[],
        gives: "Test",
        summary: "Tests",
        handler,
    };
    Arc::from([&*Box::leak(Box::new(route))])
}

#[tokio::test(start_paused = true)]
async fn a_bug_of_ours_is_an_internal_problem_without_its_cause() {
    let bench = Bench::open().await;
    let routes = route(Method::GET, |_| Box::pin(async { panic!("the secret is pr_123") }));
    let ended = tokio::spawn((routes[0].handler)(call(&bench))).await;
    let problem = internal(routes[0], ended.unwrap_err());
    assert_eq!(problem.code, Code::Internal);
    assert!(!serde_json::to_string(&problem).unwrap().contains("pr_123")); // I15
}

fn call(bench: &Bench) -> Call {
    let (head, ()) = http::Request::new(()).into_parts();
    let state = Arc::clone(&bench.state);
    Call { state, caller: None, params: Vec::new(), head, body: Bytes::new() }
}

#[tokio::test(start_paused = true)]
async fn a_mutation_goes_on_when_its_client_leaves() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let before = bench.control.snapshot().world.epoch;
    let mut epochs = bench.control.epochs();
    let mut leaving = Box::pin(bench.roll_back(1));
    let (left, gone) = oneshot::channel::<()>();
    // One poll begins the work; then the client is gone.
    let mut context = Context::from_waker(Waker::noop());
    assert!(leaving.as_mut().poll(&mut context).is_pending());
    drop(leaving);
    left.send(()).unwrap();
    gone.await.unwrap();
    epochs.wait_for(|epoch| *epoch > before).await.unwrap();
    assert!(bench.control.snapshot().world.deployments.values().all(|d| d.is_rolled_back()));
}

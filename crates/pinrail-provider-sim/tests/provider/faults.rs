//! What goes wrong on purpose, how long things take, and clients that leave.

use axum::http::StatusCode;
use pinrail_provider_sim::{HANG_MAX, HANGING_MAX};
use serde_json::{Value, json};

use crate::support::{self, Client, chat};

#[tokio::test]
async fn a_retry_draws_its_fate_anew() {
    let script =
        "[[checkpoint]]\nid = \"m\"\nerror_rate = 0.5\nerror_statuses = [{ status = 503 }, { status = 500 }]";
    let statuses = async || {
        let client = Client::scripted(script, 3);
        let mut statuses = Vec::new();
        for _ in 0..30 {
            statuses.push(client.post("/v1/chat/completions", &chat("m", "same")).await.status.as_u16());
        }
        statuses
    };
    let first = statuses().await;
    for want in [200, 500, 503] {
        assert!(first.contains(&want), "{want} not in {first:?}");
    }
    assert_eq!(first, statuses().await, "the k-th sending always meets the same fate");
}

#[tokio::test]
async fn streams_are_cut_and_garbled_as_told() {
    let cut = Client::scripted("[[checkpoint]]\nid = \"m\"\ncut_stream_rate = 1", 1);
    let mut body = chat("m", "hello");
    body["stream"] = json!(true);
    let (text, whole) = cut.stream("/v1/chat/completions", &body).await.rest().await;
    assert!(!whole && text.contains("assistant") && !text.contains("[DONE]"), "{text}");
    assert_eq!((cut.sim.counters().models["m"].cut, cut.sim.counters().models["m"].cancelled), (1, 0));
    let garbled = Client::scripted("[[checkpoint]]\nid = \"m\"\ngarbage_rate = 1", 1);
    let (text, whole) = garbled.stream("/v1/chat/completions", &body).await.rest().await;
    assert!(whole && !text.contains("[DONE]"), "{text}");
    let last = text.trim_end().rsplit("data: ").next().unwrap().to_owned();
    assert!(serde_json::from_str::<Value>(&last).is_err(), "{last}");
    let page = garbled.post("/v1/chat/completions", &chat("m", "hello")).await;
    assert!(page.status.is_success() && page.text().starts_with("<html>"));
    assert_eq!(garbled.sim.counters().models["m"].garbage, 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_counted() {
    let script = "[[checkpoint]]\nid = \"m\"\nlatency = { first_ms = 50, per_token_ms = 10 }";
    let client = Client::scripted(script, 1);
    let mut body = chat("m", "hello");
    let asked = client.post("/v1/chat/completions", &body);
    tokio::select! { biased;
        _ = asked => panic!("the answer takes 50 ms at least"),
        () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
    }
    assert_eq!(client.sim.counters().models["m"].cancelled, 1, "left before the answer");
    body["stream"] = json!(true);
    let mut stream = client.stream("/v1/chat/completions", &body).await;
    assert!(stream.next().await.is_some());
    assert_eq!(client.sim.counters().in_flight, 1);
    drop(stream);
    let counters = client.sim.counters();
    assert_eq!(
        (counters.models["m"].cancelled, counters.models["m"].completed, counters.in_flight),
        (2, 0, 0)
    );
    let (_, whole) = client.stream("/v1/chat/completions", &body).await.rest().await;
    assert!(whole);
    assert_eq!(client.sim.counters().models["m"].completed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_answer_takes_as_long_as_a_whole_one() {
    let script = "[[checkpoint]]\nid = \"m\"\npolicy = { fixed = \"a b c\" }\nlatency = { first_ms = 50, per_token_ms = 10 }";
    let client = Client::scripted(script, 1);
    let mut body = chat("m", "hello");
    for stream in [false, true] {
        body["stream"] = json!(stream);
        let began = tokio::time::Instant::now();
        client.stream("/v1/chat/completions", &body).await.rest().await;
        // The clock is paused and moves only by the simulator's own waits.
        assert_eq!(began.elapsed().as_millis(), 80, "stream: {stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn hangs_and_stalls_end_and_are_bounded() {
    let client = Client::scripted("[[checkpoint]]\nid = \"m\"\nstall_rate = 1", 1);
    let mut body = chat("m", "hello");
    body["stream"] = json!(true);
    let (text, whole) = client.stream("/v1/chat/completions", &body).await.rest().await;
    assert!(!whole && !text.contains("[DONE]"), "{text}");
    let mut held = Vec::new();
    for _ in 0..HANGING_MAX {
        held.push(client.stream("/v1/chat/completions", &body).await);
    }
    let full = client.post("/v1/chat/completions", &body).await;
    assert_eq!((full.status, full.header("retry-after").as_str()), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    assert_eq!(client.sim.counters().hanging, HANGING_MAX);
    drop(held);
    assert_eq!((client.sim.counters().hanging, client.sim.counters().in_flight), (0, 0));
    client.post("/sim/faults", &json!({"rates": {"stall_rate": 0, "hang_rate": 1}})).await;
    let began = tokio::time::Instant::now();
    let hung = client.post("/v1/chat/completions", &body).await;
    assert_eq!((hung.status, began.elapsed().as_secs()), (StatusCode::GATEWAY_TIMEOUT, HANG_MAX.as_secs()));
}

#[tokio::test]
async fn over_a_real_socket_a_cut_stream_breaks_and_a_leaving_client_is_seen() {
    support::over_loopback().await;
}

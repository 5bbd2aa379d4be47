//! Answers that are no stream, and what the journal says of them.

use std::sync::Arc;

use pinrail_domain::agent::Bodies;
use pinrail_domain::journal::{Body, Ending, Event, ModelResponse, Outcome};
use pinrail_domain::key::Tenants;
use pinrail_domain::provider::ProviderSpec;
use serde_json::{Value, json};

use crate::world::{KEY, SNAPSHOT, Setup, World, chat, completion, raw, text, whole, with};

fn response(journal: &[Event]) -> &ModelResponse {
    let find = |event: &'_ Event| matches!(event, Event::ModelResponse(_));
    match journal.iter().find(|event| find(event)) {
        Some(Event::ModelResponse(response)) => response,
        other => panic!("no response in {journal:?}: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_passes_unchanged_and_is_journaled() {
    let mut world = World::new();
    let request = with(with(chat(json!({})), "authorization", "Bearer pr_client"), "cookie", "a=b");
    let (response_out, connection) = world
        .call(request, async |mut provider| {
            let mut connection = provider.accept().await;
            let headers =
                ["x-request-id: req_1", "set-cookie: a=b", "keep-alive: timeout=5", "x-pinrail-epoch: 1"];
            connection.answer("200 OK", &headers, &completion(SNAPSHOT)).await;
            connection
        })
        .await;
    let head = connection.head.to_lowercase();
    assert!(head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("authorization: bearer {KEY}\r\n")) && !head.contains("cookie"), "{head}");
    assert_eq!(connection.body["model"], SNAPSHOT);

    let answer = whole(response_out).await;
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let journal = world.journal().await;
    assert_eq!(answer.body(), completion(SNAPSHOT).as_bytes());
    assert_eq!(header("x-request-id").as_deref(), Some("req_1"));
    assert_eq!((header("set-cookie"), header("keep-alive"), header("x-pinrail-fault")), (None, None, None));
    assert!(header("x-pinrail-run").unwrap().starts_with("run_"));
    assert!(header("x-pinrail-release").unwrap().starts_with("sha256:"));
    assert_eq!(
        (header("x-pinrail-deployment").unwrap(), header("x-pinrail-epoch").unwrap()),
        ("3".into(), "9".into())
    );

    let said = response(&journal);
    assert_eq!((said.status, said.ending, said.call), (200, Ending::Complete, 1));
    assert_eq!(said.served_model.as_deref(), Some(SNAPSHOT));
    assert_eq!((said.fingerprint.as_deref(), said.finish_reason.as_deref()), (Some("fp_1"), Some("stop")));
    // $2.50 and $10 per million tokens.
    assert_eq!(said.cost_nano_usd, Some(10 * 2_500 + 2 * 10_000));
    assert_eq!(said.body, Some(Body::Text { text: completion(SNAPSHOT), truncated: false }));
    assert_eq!(world.kinds().await, ["model_request", "model_response", "finished"]);
    assert_eq!(*world.runs.recorded.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_several_calls_stays_open_and_shows_its_request_at_once() {
    let mut world = World::new();
    let run = "run_00000000zz0000000000000007";
    let runs = world.runs.clone();
    let (answer, ()) = world
        .call(with(chat(json!({})), "x-pinrail-run", run), async |mut provider| {
            let mut connection = provider.accept().await;
            assert_eq!(runs.journal.lock().unwrap()[0].kind(), "model_request");
            connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
        })
        .await;
    assert_eq!(answer.headers()["x-pinrail-run"], run);
    assert_eq!(world.kinds().await, ["model_request", "model_response"]);
}

#[tokio::test(start_paused = true)]
async fn drift_is_an_event_and_priced_as_what_was_served() {
    let mut world = World::new();
    let (answer, ()) = world
        .call(chat(json!({})), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.answer("200 OK", &[], &completion("gpt-4o-mini-2024-07-18")).await;
        })
        .await;
    assert_eq!(answer.status(), 200);
    let journal = world.journal().await;
    let drift = Event::Drift {
        call: 1,
        pinned: SNAPSHOT.into(),
        served: "gpt-4o-mini-2024-07-18".into(),
        provider: None,
    };
    assert_eq!(journal[2], drift);
    // $0.15 and $0.60 per million tokens.
    assert_eq!(response(&journal).cost_nano_usd, Some(10 * 150 + 2 * 600));
    assert_eq!(journal[3], Event::Finished { outcome: Outcome::Ok, why: None });
}

#[tokio::test(start_paused = true)]
async fn bodies_are_kept_as_the_policy_says() {
    async fn kept(bodies: Bodies) -> (Option<Body>, Option<Body>) {
        let mut world = Setup { bodies, ..Setup::default() }.build();
        world
            .call(chat(json!({})), async |mut provider| {
                let mut connection = provider.accept().await;
                connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
            })
            .await;
        let journal = world.journal().await;
        let Event::ModelRequest { body, .. } = &journal[0] else { panic!("{journal:?}") };
        (body.clone(), response(&journal).body.clone())
    }
    assert_eq!(kept(Bodies::Off).await, (None, None));
    let (request, answer) = kept(Bodies::Digest).await;
    assert!(matches!(request, Some(Body::Digest { .. })));
    let digest = pinrail_domain::digest::Digest::of(completion(SNAPSHOT).as_bytes());
    assert_eq!(answer, Some(Body::Digest { digest, bytes: completion(SNAPSHOT).len() as u64 }));
    let Some(Body::Text { text, truncated: false }) = kept(Bodies::Full).await.0 else {
        panic!("text is kept")
    };
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["model"], SNAPSHOT);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_kept_in_full_is_bounded() {
    let limits = pinrail_gateway::Limits { journal_body_bytes_max: 10, ..Default::default() };
    let mut world = Setup { limits, ..Setup::default() }.build();
    world
        .call(chat(json!({})), async |mut provider| {
            provider.accept().await.answer("200 OK", &[], &completion(SNAPSHOT)).await;
        })
        .await;
    let kept = response(&world.journal().await).body.clone();
    assert_eq!(kept, Some(Body::Text { text: completion(SNAPSHOT)[..10].into(), truncated: true }));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again() {
    let mut world = World::new();
    let (first, (mut connection, mut provider)) = world
        .call(chat(json!({})), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
            (connection, provider)
        })
        .await;
    assert_eq!(first.status(), 200);
    let again = async {
        connection.next_request().await;
        connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
    };
    let (second, ()) = tokio::join!(world.gateway.handle(chat(json!({})), &world.tenants), again);
    assert_eq!(text(second).await, completion(SNAPSHOT));
    assert!(!provider.was_asked());

    // The same settings in another place are the same settings; others get connections of their own.
    let spec = Setup::default().spec;
    for (retries_max, connects) in [(spec.retries_max, false), (0, true)] {
        *world.runs.provider.lock().unwrap() = Arc::new(ProviderSpec { retries_max, ..spec.clone() });
        let gateway = world.gateway.clone();
        let waiting =
            tokio::spawn(async move { gateway.handle(chat(json!({})), &Tenants::All).await.status() });
        if connects {
            connection = provider.accept().await;
        } else {
            connection.next_request().await;
        }
        connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
        assert_eq!(waiting.await.unwrap(), 200);
        assert!(!provider.was_asked());
    }
}

#[tokio::test(start_paused = true)]
async fn nonsense_with_status_200_is_an_error_that_says_so() {
    async fn check(status: &str, headers: &[&str], body: &str, says: &str) {
        let mut world = World::new();
        let (answer, ()) = world
            .call(chat(json!({})), async |mut provider| {
                provider.accept().await.answer(status, headers, body).await;
            })
            .await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-pinrail-fault"]),
            (502, &"provider".parse().unwrap())
        );
        assert!(answer.headers().contains_key("x-pinrail-run"));
        let error: Value = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(error["error"]["code"], "provider_nonsense");
        assert!(error["error"]["message"].as_str().unwrap().contains(says), "{error}");
        assert_eq!(world.kinds().await, ["model_request", "model_failed", "finished"]);
    }
    check("200 OK", &[], "<html>hello</html>", "begins `<html>").await;
    check("200 OK", &[], "{\"id\": \"x\", ", "none in the dialect `chat`").await;
    check("200 OK", &[], "{}", "no choices").await;
    check("200 OK", &["x: 1"], &format!("not json {KEY}"), "[redacted]").await; // I15
}

#[tokio::test(start_paused = true)]
async fn an_error_with_status_200_passes_and_is_journaled_as_an_error() {
    let mut world = World::new();
    let body = r#"{"error":{"message":"overloaded","code":"busy"}}"#;
    let (answer, ()) = world
        .call(chat(json!({})), async |mut provider| provider.accept().await.answer("200 OK", &[], body).await)
        .await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-pinrail-fault"]),
        (200, &"provider".parse().unwrap())
    );
    assert_eq!(text(answer).await, body);
    let journal = world.journal().await;
    assert_eq!(response(&journal).ending, Ending::Error);
    let finished = Event::Finished { outcome: Outcome::Error, why: Some("overloaded".into()) };
    assert_eq!(journal.last(), Some(&finished));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_run_begins_leaves_no_open_run() {
    let world = World::new();
    let closed = world.runs.beginning.acquire_many(1_000).await.unwrap();
    let gateway = world.gateway.clone();
    let waiting = tokio::spawn(async move {
        gateway.handle(chat(json!({})), &Tenants::All).await;
    });
    while world.gateway.calls() == 0 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(world.gateway.calls(), 1);
    drop(closed);
    assert_eq!(world.kinds().await, ["model_failed", "finished"]);
    assert_eq!(world.gateway.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_journal_may_not_keep_is_not_quoted_there_either() {
    let mut world = Setup { bodies: Bodies::Off, ..Setup::default() }.build();
    let (answer, ()) = world
        .call(chat(json!({})), async |mut provider| {
            provider.accept().await.answer("200 OK", &[], "private words").await;
        })
        .await;
    assert!(text(answer).await.contains("private words"));
    let journal = serde_json::to_string(&world.journal().await).unwrap();
    assert!(journal.contains("provider_nonsense") && !journal.contains("private"), "{journal}");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_leaves_keeps_its_place_in_the_journal() {
    let mut world = World::new();
    let runs = world.runs.clone();
    let closed = runs.open.acquire_many(1_000).await.unwrap();
    let gateway = world.gateway.clone();
    let request = with(chat(json!({})), "x-pinrail-run", "run_00000000zz0000000000000007");
    let waiting = tokio::spawn(async move {
        gateway.handle(request, &Tenants::All).await;
    });
    while world.runs.calls.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    drop(closed);
    assert_eq!(world.kinds().await, ["model_request", "model_failed"]);
    let (answer, ()) = world.call(raw("{}"), async |_| ()).await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_the_answer_is_journaled() {
    let mut world = World::new();
    let gateway = world.gateway.clone();
    let waiting = tokio::spawn(async move {
        gateway.handle(chat(json!({})), &Tenants::All).await;
    });
    let (_, mut connection) = world.call(raw("{}"), async |mut provider| provider.accept().await).await;
    waiting.abort();
    connection.closed().await;
    assert_eq!(world.kinds().await, ["model_request", "model_failed", "finished"]);
    let journal = world.journal().await;
    assert!(matches!(&journal[1], Event::ModelFailed { code, .. } if code == "cancelled"));
    assert!(matches!(&journal[2], Event::Finished { outcome: Outcome::Cancelled, .. }));
}

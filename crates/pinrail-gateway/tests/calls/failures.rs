//! Providers that fail, and how often they are asked again.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use pinrail_gateway::connect::{Connect, Link};

use pinrail_domain::journal::{Event, FaultOf, Outcome};
use pinrail_domain::provider::{ProviderSpec, Timeouts};
use pinrail_gateway::Limits;
use serde_json::{Value, json};

use crate::world::{KEY, SNAPSHOT, Setup, World, chat, completion, event, text, whole};

fn retrying(retries_max: u8) -> World {
    let spec = ProviderSpec { retries_max, ..Setup::default().spec };
    Setup { spec, ..Setup::default() }.build()
}

const OVERLOADED: &str = r#"{"error":{"message":"overloaded","type":"server_error","code":null}}"#;

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_byte_is_tried_again() {
    let mut world = retrying(3);
    let (answer, ()) = world
        .call(chat(json!({})), async |mut provider| {
            provider.refuse().await;
            provider.accept().await.answer("503 Busy", &["connection: close"], OVERLOADED).await;
            drop(provider.accept().await);
            provider.accept().await.answer("200 OK", &[], &completion(SNAPSHOT)).await;
        })
        .await;
    assert_eq!((answer.status().as_u16(), text(answer).await), (200, completion(SNAPSHOT)));
    let journal = world.journal().await;
    let retries: Vec<_> = journal
        .iter()
        .filter_map(|event| {
            let Event::ModelRetry { attempt, why, .. } = event else { return None };
            Some((*attempt, why.as_str()))
        })
        .collect();
    assert_eq!(retries.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(retries[0].1.contains("closed the connection"), "{retries:?}");
    assert_eq!(retries[1].1, "status 503: overloaded");
    assert_eq!(world.kinds().await[4..], ["model_response", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn when_attempts_are_used_up_the_providers_own_error_arrives() {
    let mut world = retrying(1);
    let (answer, ()) = world
        .call(chat(json!({})), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.answer("503 Busy", &["retry-after: 1"], OVERLOADED).await;
            connection.next_request().await;
            connection.answer("503 Busy", &["retry-after: 7", "x-request-id: req_2"], OVERLOADED).await;
        })
        .await;
    let answer = whole(answer).await;
    assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (503, OVERLOADED.as_bytes()));
    for (name, value) in [("retry-after", "7"), ("x-request-id", "req_2"), ("x-pinrail-fault", "provider")] {
        assert_eq!(answer.headers()[name], value);
    }
    assert_eq!(world.kinds().await, ["model_request", "model_retry", "model_response", "finished"]);
    let finished = Event::Finished { outcome: Outcome::Error, why: Some("overloaded".into()) };
    assert_eq!(world.journal().await.last(), Some(&finished));
}

#[tokio::test(start_paused = true)]
async fn errors_that_another_attempt_cannot_help_pass_at_once() {
    async fn check(status: &str, headers: &[&str], body: &str, fault: &str) {
        let mut world = retrying(2);
        let (answer, asked_again) = world
            .call(chat(json!({})), async |mut provider| {
                let mut connection = provider.accept().await;
                connection.answer(status, headers, body).await;
                provider.was_asked()
            })
            .await;
        assert!(!asked_again && answer.status().to_string().starts_with(&status[..3]), "{status}");
        assert_eq!(answer.headers()["x-pinrail-fault"], fault, "{status}");
        assert!(answer.headers().contains_key("x-pinrail-release"), "{status}");
        assert_eq!(text(answer).await, body);
        assert_eq!(world.kinds().await, ["model_request", "model_response", "finished"], "{status}");
    }
    let quota =
        r#"{"error":{"message":"no credit","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    check("400 Bad Request", &[], r#"{"error":{"message":"bad","param":"messages"}}"#, "client").await;
    check("401 Unauthorized", &[], r#"{"error":{"message":"wrong key"}}"#, "pinrail").await;
    check("404 Not Found", &[], "no such model", "pinrail").await;
    check("429 Too Many", &[], quota, "provider").await;
    check("429 Too Many", &["retry-after: 60"], "{}", "provider").await;
    check("503 Busy", &["x-should-retry: false"], "", "provider").await;
}

#[tokio::test(start_paused = true)]
async fn a_redirect_does_not_reach_the_client() {
    let mut world = World::new();
    let (answer, ()) = world
        .call(chat(json!({})), async |mut provider| {
            let headers = ["location: https://elsewhere.test/v1/chat/completions"];
            provider.accept().await.answer("307 Elsewhere", &headers, "").await;
        })
        .await;
    assert_eq!((answer.status().as_u16(), answer.headers().get("location")), (502, None));
    assert_eq!(answer.headers()["x-pinrail-fault"], "pinrail");
    assert!(text(answer).await.contains("provider_redirects"));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_repeats_the_key_does_not_get_it_through() {
    let mut world = World::new();
    let body = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}."}}}}"#);
    let leak = format!("x-echo: {KEY}");
    let (answer, ()) = world
        .call(chat(json!({})), async |mut provider| {
            provider.accept().await.answer("401 Unauthorized", &[&leak], &body).await;
        })
        .await;
    let answer = whole(answer).await;
    assert!(!format!("{:?}", answer.headers()).contains(KEY));
    assert!(!String::from_utf8_lossy(answer.body()).contains(KEY)); // I15
    let journal = serde_json::to_string(&world.journal().await).unwrap();
    assert!(!journal.contains(KEY) && journal.contains("[redacted]"), "{journal}"); // I15
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_nothing_is_given_up() {
    async fn check(stream: bool, begin: bool) {
        let timeouts = Timeouts { first_byte_ms: 2_000, ..Timeouts::default() };
        let spec = ProviderSpec { retries_max: 1, timeouts, ..Setup::default().spec };
        let mut world = Setup { spec, ..Setup::default() }.build();
        let (answer, ()) = world
            .call(chat(json!({"stream": stream})), async |mut provider| {
                for _ in 0..2 {
                    let mut connection = provider.accept().await;
                    if begin {
                        connection.begin_stream().await;
                    }
                    connection.closed().await;
                }
            })
            .await;
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (504, "1"));
        let error: Value = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(error["error"]["code"], "provider_first_byte_timeout");
        assert!(error["error"]["message"].as_str().unwrap().contains("2000 ms"));
        let journal = world.journal().await;
        assert!(matches!(&journal[2], Event::ModelFailed { fault: FaultOf::Provider, .. }), "{journal:?}");
    }
    check(false, false).await;
    check(true, false).await;
    check(true, true).await;
}

/// Never connects: says so, or says nothing.
struct Nowhere {
    silent: bool,
}

#[async_trait]
impl Connect for Nowhere {
    async fn connect(&self, _: Uri) -> Result<Link, Box<dyn Error + Send + Sync>> {
        if self.silent {
            std::future::pending::<()>().await;
        }
        Err(format!("no route for {KEY}").into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_cannot_be_reached() {
    for (silent, status, code) in
        [(true, 504, "provider_connect_timeout"), (false, 502, "provider_unreachable")]
    {
        let mut world = Setup { connect: Some(Arc::new(Nowhere { silent })), ..Setup::default() }.build();
        let (answer, body) = world.refused(chat(json!({}))).await;
        assert_eq!((answer.status().as_u16(), &body["error"]["code"]), (status, &json!(code)));
        assert!(!body.to_string().contains(KEY)); // I15
        assert_eq!(answer.headers()["x-should-retry"], "true");
        assert_eq!(world.kinds().await, ["model_request", "model_retry", "model_failed", "finished"]);
        let journal = serde_json::to_string(&world.journal().await).unwrap();
        assert!(!journal.contains(KEY), "{journal}"); // I15
    }
    let mut world = Setup { spec: ProviderSpec::simulated(), ..Setup::default() }.build();
    let (answer, body) = world.refused(chat(json!({}))).await;
    assert_eq!((answer.status().as_u16(), &body["error"]["code"]), (503, &json!("provider_unavailable")));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_its_first_byte_is_tried_again() {
    let mut world = retrying(1);
    let (answer, _connection) = world
        .call(chat(json!({"stream": true})), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.begin_stream().await;
            connection.end_stream().await;
            drop(connection);
            let mut connection = provider.accept().await;
            connection.begin_stream().await;
            connection.chunk(&[&event("a", Some("stop")), "data: [DONE]\n\n"].concat()).await;
            connection.end_stream().await;
            connection
        })
        .await;
    assert!(text(answer).await.contains("[DONE]"));
    assert_eq!(world.kinds().await, ["model_request", "model_retry", "model_response", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_bounded_and_must_not_stop() {
    let limits = Limits { answer_bytes_max: 1_000, ..Limits::default() };
    let mut world = Setup { limits, ..Setup::default() }.build();
    let (answer, ()) = world
        .call(chat(json!({})), async |mut provider| {
            provider.accept().await.answer("200 OK", &[], &"x".repeat(1_001)).await;
        })
        .await;
    assert_eq!(answer.status(), 502);
    let said = text(answer).await;
    assert!(said.contains("provider_answer_too_large") && said.contains("1000 bytes"), "{said}");

    let mut world = retrying(0);
    let (answer, _connection) = world
        .call(chat(json!({})), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\"").await;
            connection
        })
        .await;
    assert_eq!(answer.status(), 504);
    assert!(text(answer).await.contains("provider_idle_timeout"));
}

#[tokio::test(start_paused = true)]
async fn waits_between_attempts_are_the_providers_or_ours() {
    async fn waited(headers: &[&str]) -> Duration {
        let mut world = retrying(1);
        let (answer, waited) = world
            .call(chat(json!({})), async |mut provider| {
                let mut connection = provider.accept().await;
                connection.answer("429 Slow", headers, "{}").await;
                let answered = tokio::time::Instant::now();
                connection.next_request().await;
                let waited = answered.elapsed();
                connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
                waited
            })
            .await;
        assert_eq!(answer.status(), 200);
        waited
    }
    let about = |got: Duration, ms: u64| (ms..=ms + 2).contains(&u64::try_from(got.as_millis()).unwrap());
    assert!(about(waited(&["retry-after: 2"]).await, 2_000));
    assert!(about(waited(&["retry-after-ms: 30"]).await, 30));
    let ours = waited(&[]).await;
    assert!(ours > Duration::from_millis(120) && ours < Duration::from_millis(253), "{ours:?}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_key_names_its_variable_and_is_our_fault() {
    for secret in [None, Some(""), Some("two\nlines")] {
        let mut world = Setup { secret, ..Setup::default() }.build();
        let (answer, body) = world.refused(chat(json!({}))).await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["x-pinrail-fault"].to_str().unwrap()),
            (503, "pinrail")
        );
        assert!(body["error"]["message"].as_str().unwrap().contains("OPENAI_API_KEY"), "{body}");
        assert!(body["error"]["code"].as_str().unwrap().starts_with("provider_key_"), "{body}");
        assert!(answer.headers().contains_key("x-pinrail-run"));
        assert_eq!(world.kinds().await, ["model_failed", "finished"]);
    }
}

//! Providers in trouble: when they are left alone, and who notices that they are back.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use pinrail_domain::provider::{Breaker, ProviderSpec, RetryBudget};
use pinrail_domain::share::Share;
use pinrail_gateway::{Body, ModelHealth, Standing};
use serde_json::{Value, json};

use crate::world::{
    Provider, SNAPSHOT, Setup, World, chat, completion, event, next, text, usage_event, whole,
};

const BROKEN: &str = r#"{"error":{"message":"boom","type":"server_error","code":null}}"#;

/// A gateway, and its provider over several calls.
struct Scene {
    world: World,
    provider: Provider,
}

impl Scene {
    fn of(spec: ProviderSpec) -> Scene {
        let mut world = Setup { spec, ..Setup::default() }.build();
        let provider = world.provider();
        Scene { world, provider }
    }

    /// Opens after two failures in a row, for four seconds at first; without retries.
    fn cautious() -> Scene {
        let breaker = Breaker { failures: 2, open_ms: 4_000, ..Breaker::default() };
        Scene::of(ProviderSpec { retries_max: 0, breaker, ..Setup::default().spec })
    }

    async fn call<T>(
        &mut self,
        fields: Value,
        play: impl AsyncFnOnce(&mut Provider) -> T,
    ) -> (Response<Body>, T) {
        let World { gateway, tenants, .. } = &self.world;
        tokio::join!(gateway.handle(chat(fields), tenants), play(&mut self.provider))
    }

    /// A call that is answered so; the status that the client gets.
    async fn answered(&mut self, status: &str, body: &str) -> u16 {
        let (answer, ()) = self
            .call(json!({}), async |provider| {
                provider.accept().await.answer(status, &["connection: close"], body).await;
            })
            .await;
        whole(answer).await.status().as_u16()
    }

    /// A call that must not reach the provider.
    async fn refused(&mut self) -> (Response<Bytes>, Value) {
        let (answer, asked) = self.call(json!({}), async |provider| provider.was_asked()).await;
        let answer = whole(answer).await;
        assert!(!asked && !self.provider.was_asked(), "the provider was asked");
        let body = serde_json::from_slice(answer.body()).unwrap();
        (answer, body)
    }

    async fn streamed(&mut self, complete: bool) {
        let (mut answer, ()) = self
            .call(json!({"stream": true}), async |provider| {
                let mut connection = provider.accept().await;
                connection.begin_stream().await;
                connection.chunk(&event("hel", None)).await;
                if complete {
                    connection.chunk(&event("lo", Some("stop"))).await;
                    connection.chunk(&usage_event()).await;
                    connection.chunk("data: [DONE]\n\n").await;
                    connection.end_stream().await;
                }
            })
            .await;
        while next(&mut answer).await.is_some() {}
        self.world.journal().await;
    }

    /// How the pinned model does.
    fn health(&self) -> ModelHealth {
        let mut all = self.world.gateway.health();
        assert_eq!((all.len(), all[0].provider.as_str(), all[0].models.len()), (1, "openai", 1));
        all.remove(0).models.remove(0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_keeps_failing_is_left_alone_and_comes_back_by_a_probe() {
    let mut scene = Scene::cautious();
    assert!(scene.world.gateway.health().is_empty(), "nobody was called");
    for _ in 0..2 {
        assert_eq!(scene.answered("500 Oops", BROKEN).await, 500);
    }
    let (refused, said) = scene.refused().await;
    assert_eq!((refused.status().as_u16(), &said["error"]["code"]), (503, &json!("provider_circuit_open")));
    assert_eq!(refused.headers()["x-pinrail-fault"], "provider");
    assert!(refused.headers().contains_key("x-pinrail-run"));
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3..=4).contains(&wait), "{wait}");
    assert!(said["error"]["message"].as_str().unwrap().contains("status 500: boom"), "{said}");
    let shown = scene.health();
    assert_eq!((shown.standing, shown.snapshot.as_str(), shown.failed), (Standing::Open, SNAPSHOT, 2));
    assert_eq!(shown.last_failure.unwrap().why, "status 500: boom");
    assert!(shown.next_in_ms.unwrap() <= 4_000);

    tokio::time::advance(Duration::from_secs(wait)).await;
    // The probe fails: it is left alone for longer.
    assert_eq!(scene.answered("500 Oops", BROKEN).await, 500);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(scene.refused().await.0.status().as_u16(), 503);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(scene.answered("200 OK", &completion(SNAPSHOT)).await, 200);
    assert_eq!(scene.health().standing, Standing::Closed);
    assert_eq!(scene.answered("200 OK", &completion(SNAPSHOT)).await, 200);
    assert!(scene.health().first_byte_us.is_some());
}

#[tokio::test(start_paused = true)]
async fn refusals_and_quotas_are_answers() {
    let mut scene = Scene::cautious();
    for status in ["400 Bad", "401 Who", "404 What", "429 Slow Down", "501 Never", "429 Slow Down", "422 No"]
    {
        scene.answered(status, BROKEN).await;
    }
    let shown = scene.health();
    assert_eq!((shown.standing, shown.calls, shown.failed), (Standing::Closed, 7, 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reached_or_says_nothing_is_in_trouble() {
    let mut scene = Scene::cautious();
    let (answer, ()) = scene.call(json!({}), async |provider| provider.refuse().await).await;
    assert_eq!(answer.status().as_u16(), 502);
    let (answer, _) = scene
        .call(json!({}), async |provider| {
            let silent = provider.accept().await;
            tokio::time::sleep(Duration::from_secs(301)).await;
            silent
        })
        .await;
    assert_eq!(answer.status().as_u16(), 504);
    assert_eq!(scene.health().standing, Standing::Open);
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_by_its_end() {
    let mut scene = Scene::cautious();
    for complete in [false, true, false] {
        scene.streamed(complete).await;
    }
    let shown = scene.health();
    assert_eq!((shown.standing, shown.calls, shown.failed), (Standing::Closed, 3, 2));
    scene.streamed(false).await;
    assert_eq!(scene.health().standing, Standing::Open);
    // The first byte of a probe closes it, though the stream is cut later.
    tokio::time::advance(Duration::from_secs(4)).await;
    scene.streamed(false).await;
    assert_eq!(scene.health().standing, Standing::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_says_nothing_of_the_provider() {
    let mut scene = Scene::cautious();
    for _ in 0..5 {
        let (gateway, tenants) = (scene.world.gateway.clone(), scene.world.tenants.clone());
        let call = tokio::spawn(async move { gateway.handle(chat(json!({})), &tenants).await.status() });
        let _connection = scene.provider.accept().await;
        call.abort();
        let _aborted = call.await;
    }
    scene.world.journal().await;
    let shown = scene.health();
    assert_eq!((shown.standing, shown.calls, shown.failed), (Standing::Closed, 5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_budget_bounds_the_retries_of_all_calls() {
    let retry_budget = RetryBudget { share: Share::FIFTH, per_second: 0 };
    let breaker = Breaker { failures: 0, share: Share::NONE, ..Breaker::default() };
    let mut scene =
        Scene::of(ProviderSpec { retries_max: 1, breaker, retry_budget, ..Setup::default().spec });
    let mut asked = 0;
    for _ in 0..20 {
        let (answer, times) = scene
            .call(json!({}), async |provider| {
                provider.accept().await.answer("500 Oops", &["connection: close"], BROKEN).await;
                let again = tokio::time::timeout(Duration::from_secs(2), provider.accept()).await;
                let Ok(mut again) = again else { return 1 };
                again.answer("500 Oops", &["connection: close"], BROKEN).await;
                2
            })
            .await;
        assert_eq!((answer.status().as_u16(), text(answer).await), (500, BROKEN.to_owned()));
        asked += times;
    }
    // One that is there from the beginning, and a fifth of twenty.
    assert!((24..=25).contains(&asked), "{asked}");
    let retries = &scene.world.gateway.health()[0];
    assert_eq!((retries.retries, retries.retries + retries.retries_refused), (asked - 20, 20));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_the_breaker_keeps_away_leaves_the_answer_that_was() {
    let breaker = Breaker { failures: 1, ..Breaker::default() };
    let mut scene = Scene::of(ProviderSpec { retries_max: 3, breaker, ..Setup::default().spec });
    assert_eq!(scene.answered("502 Oops", BROKEN).await, 502);
    assert_eq!(scene.world.kinds().await, ["model_request", "model_response", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn settings_that_change_hold_from_the_next_call_on() {
    let mut scene = Scene::cautious();
    for _ in 0..2 {
        scene.answered("500 Oops", BROKEN).await;
    }
    scene.refused().await;
    let spec = ProviderSpec::clone(&scene.world.runs.provider.lock().unwrap());
    let off = Breaker { failures: 0, share: Share::NONE, ..spec.breaker };
    *scene.world.runs.provider.lock().unwrap() = ProviderSpec { breaker: off, ..spec }.into();
    assert_eq!(scene.answered("200 OK", &completion(SNAPSHOT)).await, 200);
}

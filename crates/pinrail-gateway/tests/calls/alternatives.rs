//! Who answers where the pinned endpoint can't, and that it is said.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use pinrail_domain::begin::Alternatives;
use pinrail_domain::id::ProviderName;
use pinrail_domain::journal::{Ending, Event, ModelResponse};
use pinrail_domain::model::Catalogue;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::ModelPin;
use pinrail_gateway::Body;
use pinrail_wire::Dialect;
use serde_json::{Value, json};

use crate::said::{Said, api, ask, error, events, hello, streaming};
use crate::world::{Provider, SNAPSHOT, Setup, World, text};

const CLAUDE: &str = "claude-sonnet-4-5-20250929";

/// What a release lists, and what its provider's settings say.
struct Others {
    failover: Vec<&'static str>,
    fallbacks: Value,
    /// What `backup` speaks, and whether its key is there.
    speaks: Dialect,
    has_key: bool,
}

impl Default for Others {
    fn default() -> Others {
        Others { failover: Vec::new(), fallbacks: json!([]), speaks: Dialect::Chat, has_key: true }
    }
}

impl Others {
    fn build(self, setup: Setup) -> World {
        let names = self.failover.iter().map(|name| name.parse().unwrap());
        let spec = ProviderSpec { retries_max: 0, failover: names.collect(), ..setup.spec };
        let setup = Setup { spec: spec.clone(), ..setup };
        let setup = match self.fallbacks.as_array().unwrap().is_empty() {
            true => setup,
            false => setup.pin("model", "fallbacks", self.fallbacks),
        };
        let model: ModelPin = serde_json::from_value(setup.manifest["model"].clone()).unwrap();
        let vendor = if self.speaks == Dialect::Messages { "anthropic" } else { "openai" };
        let backup = ProviderSpec {
            base_url: "http://candidate.test/v1".to_owned(),
            key_env: Some(if self.has_key { "OPENAI_API_KEY" } else { "NOT_SET" }.to_owned()),
            apis: vec![api(self.speaks)],
            catalogue: vendor.to_owned(),
            failover: Vec::new(),
            ..spec.clone()
        };
        let backup = Arc::new(backup);
        let find = |name: &ProviderName| match name.as_str() {
            "backup" => Some(Arc::clone(&backup)),
            "keyless" => Some(Arc::new(ProviderSpec {
                key_env: Some("NOT_SET".into()),
                ..ProviderSpec::clone(&backup)
            })),
            _ => None,
        };
        let alternatives = Alternatives::of(&model, &spec, true, find);
        let world = setup.build();
        *world.runs.alternatives.lock().unwrap() = alternatives;
        world
    }
}

/// Sends a request, and plays both providers.
async fn call<T>(
    world: &mut World,
    request: Request<Full<Bytes>>,
    play: impl AsyncFnOnce(&mut Provider, &mut Provider) -> T,
) -> (Response<Body>, T) {
    let mut pinned = world.provider();
    let World { gateway, candidate, tenants, .. } = world;
    tokio::join!(gateway.handle(request, tenants), play(&mut pinned, candidate))
}

async fn down(provider: &mut Provider) {
    let body = error(Dialect::Chat, "server_error", "down").to_string();
    provider.accept().await.answer("503 Down", &["connection: close"], &body).await;
}

/// Who answered by the journal, and why somebody else was asked.
async fn journaled(world: &World) -> (ModelResponse, Vec<String>) {
    let journal = world.journal().await;
    let retries = journal.iter().filter_map(|event| {
        let Event::ModelRetry { why, .. } = event else { return None };
        Some(why.clone())
    });
    let response = journal.iter().find_map(|event| {
        let Event::ModelResponse(response) = event else { return None };
        Some(ModelResponse::clone(response))
    });
    (response.unwrap_or_else(|| panic!("{journal:?}")), retries.collect())
}

#[tokio::test(start_paused = true)]
async fn the_same_snapshot_answers_elsewhere_whatever_the_trouble_was() {
    async fn check(stream: bool, trouble: impl AsyncFnOnce(&mut Provider)) {
        let mut world = Others { failover: vec!["backup"], ..Others::default() }.build(Setup::default());
        let fields = if stream { streaming(Dialect::Chat) } else { json!({}) };
        let (got, sent) = call(&mut world, ask(Dialect::Chat, "hi", fields), async |pinned, backup| {
            trouble(pinned).await;
            let mut connection = backup.accept().await;
            if stream {
                connection.begin_stream().await;
                connection.chunk(&events(Dialect::Chat, &hello(Dialect::Chat)).concat()).await;
                connection.end_stream().await;
            } else {
                connection.answer("200 OK", &[], &hello(Dialect::Chat).to_string()).await;
            }
            connection.body.clone()
        })
        .await;
        assert_eq!((got.status().as_u16(), &sent["model"]), (200, &json!(SNAPSHOT)));
        assert!(text(got).await.contains(if stream { "[DONE]" } else { "hello" }));
        let (response, retries) = journaled(&world).await;
        assert_eq!((response.ending, response.snapshot), (Ending::Complete, None));
        assert_eq!(response.provider.unwrap().as_str(), "backup");
        assert_eq!(response.cost_nano_usd, Some(10 * 2_500 + 2 * 10_000));
        assert_eq!(retries.len(), 1, "{retries:?}");
        assert!(
            retries[0].starts_with("openai cannot answer") && retries[0].contains("backup"),
            "{retries:?}"
        );
    }
    for stream in [false, true] {
        check(stream, async |pinned: &mut Provider| down(pinned).await).await;
        check(stream, async |pinned: &mut Provider| pinned.refuse().await).await;
        check(stream, async |pinned: &mut Provider| drop(pinned.accept().await)).await;
        check(stream, async |pinned: &mut Provider| {
            let body = error(Dialect::Chat, "rate_limit_exceeded", "slow down").to_string();
            pinned.accept().await.answer("429 Slow", &["retry-after: 60"], &body).await;
        })
        .await;
        check(stream, async |pinned: &mut Provider| {
            let body = error(Dialect::Chat, "invalid_request_error", "bad key").to_string();
            pinned.accept().await.answer("401 Who", &[], &body).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_listed_model_of_another_vendor_answers_in_the_clients_dialect() {
    async fn check(client: Dialect, stream: bool) {
        let case = format!("{} {stream}", client.word());
        let fallbacks = json!([{"provider": "backup", "snapshot": CLAUDE, "params": {"max_tokens": 77}}]);
        let others = Others { fallbacks, speaks: Dialect::Messages, ..Others::default() };
        let setup = Setup { system: Some("Be kind."), ..Setup::default() };
        let params = json!({"max_completion_tokens": 5});
        let mut world = others.build(setup.pin("model", "params", params));
        let fields = if stream { streaming(client) } else { json!({}) };
        let mut answer = hello(Dialect::Messages);
        answer["model"] = json!(CLAUDE);
        let (got, sent) = call(&mut world, ask(client, "hi", fields), async |pinned, backup| {
            down(pinned).await;
            let mut connection = backup.accept().await;
            if stream {
                connection.begin_stream().await;
                connection.chunk(&events(Dialect::Messages, &answer).concat()).await;
                connection.end_stream().await;
            } else {
                connection.answer("200 OK", &[], &answer.to_string()).await;
            }
            assert!(connection.head.starts_with("POST /v1/messages "), "{}", connection.head);
            connection.body.clone()
        })
        .await;
        assert_eq!(got.status().as_u16(), 200, "{case}");
        assert_eq!((&sent["model"], &sent["max_tokens"]), (&json!(CLAUDE), &json!(77)), "{case}: {sent}");
        assert!(sent["system"].to_string().contains("Be kind."), "{case}: {sent}");
        let got = text(got).await;
        let said = match stream {
            true => Said::streamed(client, &got),
            false => Said::whole(client, &serde_json::from_str(&got).unwrap()),
        };
        assert_eq!((said.text.as_str(), said.model.as_str()), ("hello", CLAUDE), "{case}");
        let (response, retries) = journaled(&world).await;
        assert_eq!(response.snapshot.as_deref(), Some(CLAUDE), "{case}");
        assert_eq!(response.provider.unwrap().as_str(), "backup", "{case}");
        let price = Catalogue::embedded().price("anthropic", CLAUDE).expect("it is known");
        let tokens = pinrail_domain::model::Tokens { input: 10, cached_input: 0, output: 2 };
        assert_eq!(response.cost_nano_usd, Some(price.cost(tokens).0), "{case}");
        assert!(retries[0].contains("as the release says"), "{case}: {retries:?}");
        assert!(!world.kinds().await.contains(&"drift"), "{case}");
    }
    for stream in [false, true] {
        check(Dialect::Chat, stream).await;
        check(Dialect::Responses, stream).await;
        check(Dialect::Messages, stream).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_the_clients_own_fault_asks_nobody_else() {
    let mut world = Others { failover: vec!["backup"], ..Others::default() }.build(Setup::default());
    let (got, asked) = call(&mut world, ask(Dialect::Chat, "hi", json!({})), async |pinned, backup| {
        let body = error(Dialect::Chat, "invalid_request_error", "bad").to_string();
        pinned.accept().await.answer("400 Bad", &[], &body).await;
        backup.was_asked()
    })
    .await;
    assert_eq!((got.status().as_u16(), asked), (400, false));
    // Nor does a stream that is cut: the client has got a part of it.
    let mut world = Others { failover: vec!["backup"], ..Others::default() }.build(Setup::default());
    let request = ask(Dialect::Chat, "hi", streaming(Dialect::Chat));
    let (got, ()) = call(&mut world, request, async |pinned, _| {
        let mut connection = pinned.accept().await;
        connection.begin_stream().await;
        connection.chunk(&events(Dialect::Chat, &hello(Dialect::Chat))[..2].concat()).await;
    })
    .await;
    assert!(text(got).await.contains("provider_stream_cut"));
    assert!(!world.candidate.was_asked());
}

#[tokio::test(start_paused = true)]
async fn those_who_cannot_be_asked_are_passed_over() {
    async fn check(others: Others, setup: Setup, fields: Value, pinned_asked: bool, want: u16) {
        let mut world = others.build(setup);
        let (got, ()) = call(&mut world, ask(Dialect::Chat, "hi", fields), async |pinned, backup| {
            if pinned_asked {
                down(pinned).await;
            }
            if want == 200 {
                backup.accept().await.answer("200 OK", &[], &hello(Dialect::Chat).to_string()).await;
            }
        })
        .await;
        let status = got.status().as_u16();
        assert_eq!(status, want, "{}", text(got).await);
        assert!(!world.candidate.was_asked());
    }
    let failover = |names: &[&'static str]| Others { failover: names.to_vec(), ..Others::default() };
    check(failover(&["keyless", "backup"]), Setup::default(), json!({}), true, 200).await;
    check(failover(&["keyless"]), Setup::default(), json!({}), true, 503).await;
    check(failover(&["unknown", "backup"]), Setup::default(), json!({}), true, 200).await;
    check(failover(&[]), Setup::default(), json!({}), true, 503).await;
    // The pinned endpoint's own key is missing.
    let keyless = || {
        let setup = Setup::default();
        Setup { spec: ProviderSpec { key_env: Some("NOT_SET".into()), ..setup.spec }, ..setup }
    };
    check(failover(&["backup"]), keyless(), json!({}), false, 200).await;
    check(failover(&[]), keyless(), json!({}), false, 503).await;
    // The other vendor has no words for it.
    let fallbacks = json!([{"provider": "backup", "snapshot": CLAUDE}]);
    let foreign = Others { fallbacks, speaks: Dialect::Messages, ..Others::default() };
    check(foreign, Setup::default(), json!({"seed": 7}), true, 503).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_asks_nobody_else() {
    let setup = Setup { shadow: true, ..Setup::default() };
    let mut world = Others { failover: vec!["backup"], ..Others::default() }.build(setup);
    let mut pinned = world.provider();
    let request = ask(Dialect::Chat, "hi", json!({}));
    let play = async {
        pinned.accept().await.answer("200 OK", &[], &hello(Dialect::Chat).to_string()).await;
    };
    let (got, ()) = tokio::join!(world.gateway.handle(request, &world.tenants), play);
    assert!(text(got).await.contains("hello"));
    // The candidate's provider and the one that could answer in its place listen at one address.
    let body = error(Dialect::Chat, "server_error", "down").to_string();
    world.candidate.accept().await.answer("503 Down", &["connection: close"], &body).await;
    world.fates(2).await;
    assert_eq!(world.copied().await, ["model_request", "model_response", "finished"]);
    assert!(!world.candidate.was_asked() && !pinned.was_asked());
}

//! Embeddings: the release's embedder and no other answers, and no vector of another width gets through (I12).

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use pinrail_domain::journal::{Ending, Event, ModelResponse, Outcome};
use pinrail_domain::provider::ProviderSpec;
use pinrail_wire::Dialect;
use serde_json::{Value, json};

use crate::said::speaking;
use crate::world::{Setup, text, whole, with};

const EMBEDDER: &str = "text-embedding-3-small";

fn embedder(dims: u32) -> Value {
    json!({"embedder": EMBEDDER, "dims": dims, "metric": "cosine"})
}

fn pinning(vectors: Value) -> Setup {
    Setup::default().pin("state", "vectors", vectors)
}

fn embed(fields: Value) -> Request<Full<Bytes>> {
    let mut body = json!({"model": "support", "input": ["a", "b"]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    Request::post("/v1/embeddings").body(Full::new(body.to_string().into())).unwrap()
}

fn vectors(model: &str, count: usize, embedding: &Value) -> String {
    let data: Vec<_> =
        (0..count).map(|at| json!({"object": "embedding", "index": at, "embedding": embedding})).collect();
    let usage = json!({"prompt_tokens": 1_000, "total_tokens": 1_000});
    json!({"object": "list", "model": model, "data": data, "usage": usage}).to_string()
}

/// What the provider was asked, each time, and what the client got; the provider gives these vectors in turn.
async fn asked(setup: Setup, request: Request<Full<Bytes>>, answers: &[String]) -> Asked {
    let mut world = setup.build();
    let (got, sent) = world
        .call(request, async |mut provider| {
            let mut sent = Vec::new();
            let mut connection = provider.accept().await;
            for (at, answer) in answers.iter().enumerate() {
                if at > 0 {
                    connection.next_request().await;
                }
                assert!(connection.head.starts_with("POST /v1/embeddings "), "{}", connection.head);
                sent.push(connection.body.clone());
                connection.answer("200 OK", &[], answer).await;
            }
            sent
        })
        .await;
    let got = whole(got).await;
    assert!(got.headers().contains_key("x-pinrail-release"));
    let body = String::from_utf8(got.body().to_vec()).unwrap();
    Asked { status: got.status(), body, sent, journal: world.journal().await }
}

struct Asked {
    status: StatusCode,
    body: String,
    sent: Vec<Value>,
    journal: Vec<Event>,
}

impl Asked {
    fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    fn response(&self) -> &ModelResponse {
        let found = self.journal.iter().find_map(|event| {
            let Event::ModelResponse(response) = event else { return None };
            Some(&**response)
        });
        found.unwrap_or_else(|| panic!("{:?}", self.journal))
    }
}

#[tokio::test(start_paused = true)]
async fn the_releases_embedder_answers_whatever_is_asked() {
    let three = vectors(EMBEDDER, 2, &json!([0.1, 0.2, 0.3]));
    let request = with(embed(json!({"from_the_future": 1.50, "user": "ann"})), "x-pinrail-tenant", "acme");
    let asked = asked(pinning(json!({"kb": embedder(3)})), request, std::slice::from_ref(&three)).await;
    assert_eq!((asked.status, &asked.body), (StatusCode::OK, &three));
    let want = json!({"model": EMBEDDER, "input": ["a", "b"], "from_the_future": 1.50, "user": "ann"});
    assert_eq!(asked.sent, [want]);
    let kinds: Vec<_> = asked.journal.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["model_request", "model_response", "finished"]);
    let response = asked.response();
    assert_eq!((response.vectors, response.ending), (Some(2), Ending::Complete));
    assert_eq!(response.snapshot.as_deref(), Some(EMBEDDER));
    assert_eq!(response.usage.unwrap().input_tokens, 1_000);
    // 0.02 dollars for a million.
    assert_eq!(response.cost_nano_usd, Some(20_000));
    assert_eq!(asked.journal.last(), Some(&Event::Finished { outcome: Outcome::Ok, why: None }));
}

#[tokio::test(start_paused = true)]
async fn a_space_is_named_where_it_matters() {
    async fn check(spaces: Value, model: &str, want: Result<&str, (u16, &str)>) {
        match want {
            Ok(name) => {
                let answer = vectors(name, 2, &json!([1, 2, 3]));
                let asked = asked(pinning(spaces), embed(json!({"model": model})), &[answer]).await;
                assert_eq!(
                    (asked.status, &asked.sent[0]["model"]),
                    (StatusCode::OK, &json!(name)),
                    "{model}"
                );
            }
            Err((status, code)) => {
                let (got, body) = pinning(spaces).build().refused(embed(json!({"model": model}))).await;
                assert_eq!(
                    (got.status().as_u16(), &body["error"]["code"]),
                    (status, &json!(code)),
                    "{model}"
                );
                assert_eq!(body["error"]["param"], "model", "{body}");
            }
        }
    }
    let other = json!({"embedder": "text-embedding-3-large", "dims": 3, "metric": "cosine"});
    let dot = json!({"embedder": EMBEDDER, "dims": 3, "metric": "dot"});
    let two = || json!({"kb": embedder(3), "faq": other});
    check(json!({"kb": embedder(3)}), "support", Ok(EMBEDDER)).await;
    check(json!({"kb": embedder(3)}), "support/kb", Ok(EMBEDDER)).await;
    check(json!({"kb": embedder(3)}), "support/faq", Err((404, "model_not_found"))).await;
    check(two(), "support/faq", Ok("text-embedding-3-large")).await;
    check(two(), "support/kb", Ok(EMBEDDER)).await;
    check(two(), "support", Err((400, "space_missing"))).await;
    // How vectors are measured doesn't change them.
    check(json!({"kb": embedder(3), "faq": dot}), "support", Ok(EMBEDDER)).await;
    check(json!({}), "support", Err((404, "model_not_found"))).await;
    check(json!({"kb": embedder(3)}), "nobody", Err((404, "model_not_found"))).await;
}

#[tokio::test(start_paused = true)]
async fn no_vector_of_another_width_gets_through() {
    let wide = |wide: usize| vectors(EMBEDDER, 2, &json!(vec![0.5; wide]));
    let setup = || pinning(json!({"kb": embedder(3)}));
    // The client may ask for what is pinned, and for nothing else.
    let same = asked(setup(), embed(json!({"dimensions": 3})), &[wide(3)]).await;
    assert_eq!((same.status, &same.sent[0]["dimensions"]), (StatusCode::OK, &json!(3)));
    let (got, body) = setup().build().refused(embed(json!({"dimensions": 4}))).await;
    assert_eq!((got.status().as_u16(), &body["error"]["param"]), (409, &json!("dimensions")));
    // A model that gives more than that is asked for that.
    let again = asked(setup(), embed(json!({})), &[wide(8), wide(3)]).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &wide(3)));
    assert_eq!((again.sent[0].get("dimensions"), &again.sent[1]["dimensions"]), (None, &json!(3)));
    assert_eq!(again.response().usage.unwrap().input_tokens, 2_000, "both were paid");
    // One that gives something else all the same doesn't reach the client (I12).
    let uneven = || {
        let mut answer: Value = serde_json::from_str(&wide(3)).unwrap();
        answer["data"][1]["embedding"] = json!([1, 2]);
        answer.to_string()
    };
    for answers in [vec![wide(8), wide(8)], vec![wide(2), uneven()]] {
        let wrong = asked(setup(), embed(json!({})), &answers).await;
        assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (502, "embedder_differs"));
        assert!(!wrong.body.contains("embedding\":"), "{}", wrong.body);
        assert!(matches!(wrong.journal.last(), Some(Event::Finished { outcome: Outcome::Error, .. })));
    }
    let wrong = asked(setup(), embed(json!({"dimensions": 3})), &[wide(4)]).await;
    assert_eq!(wrong.code(), "embedder_differs");
}

#[tokio::test(start_paused = true)]
async fn what_must_be_asked_for_is_remembered() {
    let wide = |wide: usize| vectors(EMBEDDER, 2, &json!(vec![0.5; wide]));
    let world = &mut pinning(json!({"kb": embedder(3)})).build();
    let mut provider = world.provider();
    let play = async {
        let mut connection = provider.accept().await;
        let mut sent = vec![connection.body["dimensions"].clone()];
        connection.answer("200 OK", &[], &wide(8)).await;
        for _ in 0..2 {
            connection.next_request().await;
            sent.push(connection.body["dimensions"].clone());
            connection.answer("200 OK", &[], &wide(3)).await;
        }
        sent
    };
    let calls = async {
        for _ in 0..2 {
            let got = world.gateway.handle(embed(json!({})), &world.tenants).await;
            assert_eq!(text(got).await, wide(3));
        }
    };
    let (sent, ()) = tokio::join!(play, calls);
    assert_eq!(sent, [Value::Null, json!(3), json!(3)]);
}

#[tokio::test(start_paused = true)]
async fn texts_get_their_prefix_and_vectors_may_be_base64() {
    let mut prefixed = embedder(3);
    prefixed["prefix"] = json!("query: ");
    let setup = || pinning(json!({"kb": prefixed}));
    // Three floats of four bytes.
    let packed = vectors(EMBEDDER, 1, &json!("AAAAAAAAAAAAAAAA"));
    let fields = json!({"input": "a", "encoding_format": "base64"});
    let base64 = asked(setup(), embed(fields), std::slice::from_ref(&packed)).await;
    assert_eq!((base64.status, &base64.body, base64.response().vectors), (StatusCode::OK, &packed, Some(1)));
    assert_eq!(base64.sent[0], json!({"model": EMBEDDER, "input": "query: a", "encoding_format": "base64"}));
    let (got, body) = setup().build().refused(embed(json!({"input": [[1, 2]]}))).await;
    assert_eq!((got.status().as_u16(), &body["error"]["param"]), (400, &json!("input")), "{body}");
    let (got, body) = setup().build().refused(embed(json!({"input": null}))).await;
    assert_eq!((got.status().as_u16(), &body["error"]["param"]), (400, &json!("input")), "{body}");
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_of_itself_is_judged_and_passed_on() {
    let setup = || {
        let setup = pinning(json!({"kb": embedder(3)}));
        Setup { spec: ProviderSpec { retries_max: 0, ..setup.spec }, ..setup }
    };
    // Another model under the pinned name.
    let drifted =
        asked(setup(), embed(json!({})), &[vectors("text-embedding-ada-002", 2, &json!([1, 2, 3]))]).await;
    let drift = drifted.journal.iter().find(|event| event.kind() == "drift");
    let Some(Event::Drift { pinned, served, .. }) = drift else { panic!("{:?}", drifted.journal) };
    assert_eq!((pinned.as_str(), served.as_str()), (EMBEDDER, "text-embedding-ada-002"));
    // Errors, and what is no answer.
    async fn check(setup: Setup, status: &str, answer: &str, want: (u16, &str)) {
        let mut world = setup.build();
        let (got, ()) = world
            .call(embed(json!({})), async |mut provider| {
                provider.accept().await.answer(status, &[], answer).await;
            })
            .await;
        let got = (got.status().as_u16(), text(got).await);
        assert!(got.0 == want.0 && got.1.contains(want.1), "{status}: {got:?}");
        let journal = world.journal().await;
        assert!(
            matches!(journal.last(), Some(Event::Finished { outcome: Outcome::Error, .. })),
            "{journal:?}"
        );
    }
    let error = r#"{"error":{"message":"too long","type":"invalid_request_error"}}"#;
    check(setup(), "400 Bad Request", error, (400, "too long")).await;
    check(setup(), "500 Oops", error, (500, "too long")).await;
    check(setup(), "200 OK", r#"{"object":"list","data":[]}"#, (502, "provider_nonsense")).await;
    check(setup(), "200 OK", "<html>", (502, "provider_nonsense")).await;
    // A provider of messages has none.
    let (got, body) = Setup { manifest: setup().manifest, ..speaking(Dialect::Messages) }
        .build()
        .refused(embed(json!({})))
        .await;
    assert_eq!((got.status().as_u16(), &body["error"]["code"]), (503, &json!("provider_unavailable")));
}

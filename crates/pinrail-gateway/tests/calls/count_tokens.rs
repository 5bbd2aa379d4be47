//! Counts of tokens: the release is applied, and nothing is left behind.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use pinrail_domain::provider::ProviderSpec;
use pinrail_gateway::Body;
use pinrail_wire::Dialect;
use serde_json::{Value, json};

use crate::said::{ALL, error, speaking};
use crate::world::{SNAPSHOT, Setup, World, text};

const TOOLS: &str = r#"[{"type":"function","function":{"name":"refund"}}]"#;

fn count(fields: Value) -> Request<Full<Bytes>> {
    let mut body = json!({"model": "support", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    Request::post("/v1/messages/count_tokens").body(Full::new(body.to_string().into())).unwrap()
}

async fn answered(
    setup: Setup,
    request: Request<Full<Bytes>>,
    status: &str,
    body: &str,
) -> (Response<Body>, Value, World) {
    let mut world = setup.build();
    let (got, sent) = world
        .call(request, async |mut provider| {
            let mut connection = provider.accept().await;
            assert!(connection.head.starts_with("POST /v1/messages/count_tokens "), "{}", connection.head);
            connection.answer(status, &[], body).await;
            connection.body.clone()
        })
        .await;
    (got, sent, world)
}

#[tokio::test(start_paused = true)]
async fn a_count_is_of_the_request_that_would_be_sent() {
    let setup =
        Setup { system: Some("Hello {{ name }}."), tools: Some(TOOLS), ..speaking(Dialect::Messages) };
    let params = json!({"max_tokens": 9, "temperature": 0.5, "thinking": {"type": "disabled"}});
    let setup = setup.pin("model", "params", params);
    let request = count(json!({"pinrail": {"variables": {"name": "Ada"}}, "system": "theirs"}));
    let (got, sent, world) = answered(setup, request, "200 OK", r#"{"input_tokens":42}"#).await;
    assert_eq!(got.status().as_u16(), 200);
    assert!(got.headers().contains_key("x-pinrail-release") && !got.headers().contains_key("x-pinrail-run"));
    assert_eq!(text(got).await, r#"{"input_tokens":42}"#);
    assert_eq!((&sent["model"], &sent["thinking"]["type"]), (&json!(SNAPSHOT), &json!("disabled")));
    assert_eq!(sent["tools"][0]["name"], "refund");
    assert!(sent["system"].to_string().contains("Hello Ada."), "{sent}");
    for left_out in ["max_tokens", "temperature", "pinrail", "stream"] {
        assert!(sent.get(left_out).is_none(), "{left_out}: {sent}");
    }
    // No run, no journal.
    assert!(world.kinds().await.is_empty());
    assert_eq!(*world.runs.recorded.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_count_says_so() {
    for provider in ALL.into_iter().filter(|provider| *provider != Dialect::Messages) {
        let (got, body) = speaking(provider).build().refused(count(json!({}))).await;
        assert_eq!((got.status().as_u16(), &body["type"]), (501, &json!("error")), "{body}");
        assert_eq!(body["error"]["code"], "tokens_not_counted");
        assert_eq!(got.headers()["x-should-retry"], "false");
    }
    let setup = speaking(Dialect::Messages);
    let setup = Setup { spec: ProviderSpec { retries_max: 0, ..setup.spec }, ..setup };
    let limited = error(Dialect::Messages, "rate_limit_error", "slow down").to_string();
    let (got, _, world) = answered(setup, count(json!({})), "429 Slow", &limited).await;
    assert_eq!(
        (got.status().as_u16(), &got.headers()["x-pinrail-fault"]),
        (429, &"provider".parse().unwrap())
    );
    assert_eq!(text(got).await, limited);
    assert!(world.kinds().await.is_empty());
    let mut world = speaking(Dialect::Messages).build();
    let (got, body) = world.refused(count(json!({"model": "nobody"}))).await;
    assert_eq!((got.status().as_u16(), &body["error"]["type"]), (404, &json!("not_found_error")), "{body}");
}

//! Events through the real sender, to a receiver on loopback.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use pinrail_domain::digest::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::testing::{Answered, Bench};

/// A receiver that answers as it is told, and 204 afterwards.
#[derive(Clone, Default)]
struct Receiver(Arc<Inner>);

#[derive(Default)]
struct Inner {
    answers: Mutex<VecDeque<StatusCode>>,
    taken: Mutex<Vec<(HeaderMap, Bytes)>>,
    arrived: Notify,
}

impl Receiver {
    async fn open(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let inner = Arc::clone(&self.0);
        let take = move |headers: HeaderMap, body: Bytes| {
            inner.taken.lock().unwrap().push((headers, body));
            let status = inner.answers.lock().unwrap().pop_front().unwrap_or(StatusCode::NO_CONTENT);
            inner.arrived.notify_one();
            async move { (status, if status.is_success() { "" } else { "no room\n" }) }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(take))).await });
        url
    }

    fn answer(&self, statuses: impl IntoIterator<Item = u16>) {
        let statuses = statuses.into_iter().map(|status| StatusCode::from_u16(status).unwrap());
        self.0.answers.lock().unwrap().extend(statuses);
    }

    /// What came, at least so many.
    async fn taken(&self, count: usize) -> Vec<(HeaderMap, Bytes)> {
        loop {
            let taken = self.0.taken.lock().unwrap().clone();
            if taken.len() >= count {
                return taken;
            }
            self.0.arrived.notified().await;
        }
    }
}

/// HMAC as RFC 2104 writes it down, on SHA-256 alone: not what the sender uses.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers[name].to_str().unwrap()
}

/// Waits until a webhook is done with what the ledger has.
async fn caught_up(bench: &Bench, hook: &str) -> Value {
    loop {
        let shown = bench.get(&format!("/api/v1/webhooks/{hook}")).await.ok();
        if shown["lag"] == 0 {
            return shown;
        }
        tokio::task::yield_now().await;
    }
}

async fn put(bench: &Bench, settings: Value) -> Answered {
    bench.put("/api/v1/webhooks/chat", settings).await
}

#[tokio::test]
async fn a_rollback_reaches_a_receiver_signed_and_whoever_has_the_secret_can_tell() {
    let bench = Bench::open().await;
    let receiver = Receiver::default();
    let url = receiver.open().await;
    let deployment = bench.deploy_now().await;
    put(&bench, json!({ "url": url, "secret_env": "HOOK_SECRET", "events": ["deployment_rolled_back"] }))
        .await
        .ok();
    let deliverer = bench.control.deliver_webhooks(Arc::clone(&bench.state.outbound));
    bench.roll_back(deployment).await.ok();
    let (headers, body) = receiver.taken(1).await.remove(0);

    assert_eq!(header(&headers, "content-type"), "application/cloudevents+json; charset=utf-8");
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&event["type"], &event["subject"]),
        (&json!("pinrail.deployment_rolled_back"), &json!("deployments/1"))
    );
    assert_eq!(header(&headers, "webhook-id"), event["id"].as_str().unwrap());
    assert_eq!(
        (&event["data"]["reason"], &event["data"]["deployment"]["state"]),
        (&json!("worse"), &json!("rolled back"))
    );
    let (id, at) = (header(&headers, "webhook-id"), header(&headers, "webhook-timestamp"));
    let signed = [id.as_bytes(), b".", at.as_bytes(), b".", &body].concat();
    let expected = format!("v1,{}", STANDARD.encode(hmac(b"a planted secret", &signed)));
    assert_eq!(header(&headers, "webhook-signature"), expected);
    // The entry can be checked against the ledger by its hash alone.
    let seq = event["data"]["seq"].as_u64().unwrap();
    let page = bench.get(&format!("/api/v1/ledger?after={}&limit=1", seq - 1)).await.ok();
    assert_eq!(page["items"][0]["hash"], event["data"]["hash"]);
    assert!(event["data"]["hash"].as_str().unwrap().parse::<Digest>().is_ok());

    // I15: the secret is nowhere but in the signature.
    let shown = caught_up(&bench, "chat").await;
    let seen = format!("{headers:?}{}{shown}", String::from_utf8_lossy(&body));
    assert!(!seen.contains("planted"), "{seen}");
    assert_eq!(shown["delivered"]["seq"], seq);
    deliverer.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_listed_and_sent_again_by_hand() {
    let bench = Bench::open().await;
    let receiver = Receiver::default();
    let url = receiver.open().await;
    put(&bench, json!({ "url": url })).await.ok();
    let _deliverer = bench.control.deliver_webhooks(Arc::clone(&bench.state.outbound));
    receiver.answer([410, 422, 400]);
    for name in ["a", "b", "c", "sim"] {
        bench.provider(name).await;
    }
    assert_eq!(caught_up(&bench, "chat").await["dead_letters"], 3);
    let letters = bench.get("/api/v1/webhooks/chat/dead-letters?limit=2").await.ok();
    let first = &letters["items"][0];
    assert_eq!((&first["seq"], &first["attempts"]), (&json!(2), &json!(1)));
    assert_eq!((&first["why"], &letters["next"]), (&json!("the receiver answered 410"), &json!("3")));
    let rest = bench.get("/api/v1/webhooks/chat/dead-letters?after=3").await.ok();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);

    let nothing = json!({});
    let one = bench.post("/api/v1/webhooks/chat/dead-letters/2/retry", nothing.clone()).await.ok();
    assert_eq!(
        (&one["delivered"], &one["left"], &one["letters"][0]["seq"]),
        (&json!(1), &json!(2), &json!(2))
    );
    bench.post("/api/v1/webhooks/chat/dead-letters/2/retry", nothing.clone()).await.problem("not_found");
    bench.post("/api/v1/webhooks/chat/dead-letters/x/retry", nothing.clone()).await.problem("bad_name");
    receiver.answer([503]);
    let all = bench.post("/api/v1/webhooks/chat/dead-letters/retry", nothing.clone()).await.ok();
    assert_eq!((&all["delivered"], &all["failed"], &all["left"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(all["letters"][0]["why"], "the receiver answered 503");
    let ids: Vec<String> = receiver
        .taken(7)
        .await
        .iter()
        .map(|(headers, _)| header(headers, "webhook-id").trim_start_matches("ledger-").to_owned())
        .collect();
    assert_eq!(ids, ["2", "3", "4", "5", "2", "3", "4"]);
    bench.post("/api/v1/webhooks/other/dead-letters/retry", nothing.clone()).await.problem("not_found");
    bench.post("/api/v1/webhooks/other/dead-letters/1/retry", nothing).await.problem("not_found");
    bench.get("/api/v1/webhooks/other/dead-letters").await.problem("not_found");
}

#[tokio::test]
async fn a_test_says_what_the_receiver_said() {
    let bench = Bench::open().await;
    let receiver = Receiver::default();
    let url = receiver.open().await;
    put(&bench, json!({ "url": url })).await.ok();
    let test = async || bench.post("/api/v1/webhooks/chat/test", json!({})).await.ok();
    let good = test().await;
    assert_eq!(
        (&good["delivered"], &good["status"], &good["why"]),
        (&json!(true), &json!(204), &Value::Null)
    );
    let (headers, body) = receiver.taken(1).await.remove(0);
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&json!("pinrail.webhook.test"), &good["id"]));
    assert!(!headers.contains_key("webhook-signature"), "without a secret there is no signature");
    receiver.answer([507]);
    let bad = test().await;
    assert_eq!(
        (&bad["delivered"], &bad["status"], &bad["said"]),
        (&json!(false), &json!(507), &json!("no room"))
    );
    put(&bench, json!({ "url": url, "secret_env": "NOT_SET" })).await.ok();
    let unset = test().await;
    assert_eq!(unset["why"], "the environment variable NOT_SET is not set");
    put(&bench, json!({ "url": "http://127.0.0.1:1/x" })).await.ok();
    assert!(test().await["why"].as_str().unwrap().contains("cannot be reached"));
    bench.post("/api/v1/webhooks/other/test", json!({})).await.problem("not_found");
}

//! The gateway, the proxy and `tools/authorize` say the same of a tool.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::any;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use pinrail_domain::dial::Position;
use pinrail_domain::key::Tenants;
use pinrail_domain::time::Clock;
use pinrail_gateway::Gateway;
use serde_json::{Value, json};

use super::{Stage, reading, tool};
use crate::testing::NoSecrets;

/// What a model was offered.
type Offered = Arc<Mutex<BTreeSet<String>>>;

const ALL: [&str; 3] = ["look", "pay", "plain"];

/// A model that calls every tool, whatever it is offered.
async fn eager(State(offered): State<Offered>, body: Bytes) -> axum::Json<Value> {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let tools = request["tools"].as_array().cloned().unwrap_or_default();
    let names = tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned());
    *offered.lock().unwrap() = names.collect();
    let calls = ALL.into_iter().chain(["unknown"]).map(
        |name| json!({ "id": name, "type": "function", "function": { "name": name, "arguments": "{}" } }),
    );
    let message = json!({ "role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>() });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "tool_calls" });
    axum::Json(json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": request["model"], "choices": [choice],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
    }))
}

impl Stage {
    /// A gateway on this stage, with the eager model behind it.
    async fn gateway(&self) -> (Gateway, Offered) {
        let offered = Offered::default();
        let router = Router::new().fallback(any(eager)).with_state(Arc::clone(&offered));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let spec = json!({ "base_url": base_url, "catalogue": "sim" });
        self.bench.put("/api/v1/providers/sim", spec).await.ok();
        let gateway = Gateway::new(pinrail_gateway::Options {
            runs: Arc::new(crate::Port { control: self.bench.control.clone(), notices: None }),
            secrets: Arc::new(NoSecrets),
            clock: Arc::clone(&self.bench.clock) as Arc<dyn Clock>,
            catalogue: self.bench.control.catalogue_handle(),
            sim_base: None,
            limits: pinrail_gateway::Limits::default(),
            telemetry: Arc::new(pinrail_gateway::telemetry::Silent),
        });
        (gateway, offered)
    }
}

/// The calls that a client of the gateway gets to see.
async fn passed(gateway: &Gateway) -> BTreeSet<String> {
    let body = json!({ "model": "support", "messages": [{ "role": "user", "content": "hello" }] });
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let response = gateway.handle(request, &Tenants::All).await;
    let answer = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let calls = answer["choices"][0]["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
    calls.iter().map(|call| call["function"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_gateway_the_proxy_and_authorize_agree_on_what_has_side_effects() {
    let check = async |own: Value, expected: &[&str]| {
        let mut pays = tool("pay", "Pays");
        pays["annotations"] = json!({ "readOnlyHint": false });
        let stage = Stage::with(vec![reading("look"), pays, tool("plain", "Does")], own.clone()).await;
        let (gateway, offered) = stage.gateway().await;
        let (session, run) = stage.begin(&[]).await;
        stage.turn_dial(Position::ReadOnly).await;
        let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(passed(&gateway).await, expected, "{own}: the gateway's answer");
        assert_eq!(*offered.lock().unwrap(), expected, "{own}: the gateway's request");
        assert_eq!(
            stage.listed(&session).await.into_iter().collect::<BTreeSet<_>>(),
            expected,
            "{own}: the proxy"
        );
        let path = format!("/api/v1/runs/{run}/tools/authorize");
        let mut allowed = BTreeSet::new();
        for name in ALL.into_iter().chain(["unknown"]) {
            let ruled = stage.bench.post(&path, json!({ "tool": name })).await.ok();
            let is_allowed = ruled["decision"] == "allowed";
            assert!(is_allowed || ruled["decision"] == "withheld", "{ruled}");
            if is_allowed {
                allowed.insert(name.to_owned());
            }
        }
        assert_eq!(allowed, expected, "{own}: authorize");
    };
    // The server's annotations, where nobody sorted its tools; else what the release says, alone.
    check(json!({}), &["look"]).await;
    check(json!({ "side_effects": ["look"] }), &["pay", "plain"]).await;
    check(json!({ "side_effects": ["look", "pay", "plain"] }), &[]).await;
}

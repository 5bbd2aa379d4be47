//! The rest of the surface: refusals, the model list, aliases, keys, control, and the documentation.

use axum::http::StatusCode;
use pinrail_provider_sim::{BODY_BYTES_MAX, Script};
use serde_json::json;

use crate::support::{Client, GOOD, WORSE, chat};

#[tokio::test]
async fn refusals_have_openais_error_form() {
    let client = Client::builtin(1);
    let mut two = chat(GOOD, "hi");
    two["n"] = json!(2);
    let refused = client.post("/v1/chat/completions", &two).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        (&refused.json()["error"]["param"], &refused.json()["error"]["type"]),
        (&json!("n"), &json!("invalid_request_error"))
    );
    for reply in [
        client.post("/v1/chat/completions", &chat("gpt-4o", "hi")).await,
        client.get("/v1/models/gpt-4o").await,
    ] {
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (StatusCode::NOT_FOUND, &json!("model_not_found"))
        );
        assert_eq!(reply.header("x-pinrail-sim"), "1");
    }
    assert_eq!(client.get("/v1/images").await.status, StatusCode::NOT_FOUND);
    let wrong_method = client.get("/v1/chat/completions").await;
    assert_eq!(
        (wrong_method.status, wrong_method.json()["error"].is_object()),
        (StatusCode::METHOD_NOT_ALLOWED, true)
    );
    let large = client.send("POST", "/v1/chat/completions", vec![b' '; BODY_BYTES_MAX + 1]).await;
    assert_eq!((large.status, large.json()["error"].is_object()), (StatusCode::PAYLOAD_TOO_LARGE, true));
    assert_eq!(client.sim.counters().model_not_found, 1);
}

#[tokio::test]
async fn the_page_and_the_model_list_say_what_there_is() {
    let client = Client::builtin(1);
    let page = client.get("/").await.text();
    assert!(page.contains("simulated") && page.contains(GOOD) && page.contains("POST /sim/rotate"), "{page}");
    let list = client.get("/v1/models").await.json();
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["sim-1", GOOD, WORSE, "sim-1-latest", "sim-2-2026-09-01"]);
    let one = client.get("/v1/models/sim-1-latest").await.json();
    assert_eq!((&one["object"], &one["created"]), (&json!("model"), &json!(1_768_435_200)));
}

#[tokio::test]
async fn the_builtin_alias_moves_at_its_hundredth_request() {
    let client = Client::builtin(1);
    let mut models = Vec::new();
    for case in 0..101 {
        models.push(
            client.ask("sim-1-latest", &format!("hello {case}")).await["model"].as_str().unwrap().to_owned(),
        );
    }
    assert_eq!((models[98].as_str(), models[99].as_str(), models[100].as_str()), (GOOD, WORSE, WORSE));
}

#[tokio::test]
async fn a_key_in_the_script_is_asked_for() {
    let client = Client::scripted("api_key = \"secret-one\"\n[[checkpoint]]\nid = \"m\"", 1);
    let refused = client.get("/v1/models").await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (StatusCode::UNAUTHORIZED, &json!("invalid_api_key"))
    );
    assert!(!refused.text().contains("secret-one"), "I15");
    assert_eq!(client.get("/").await.status, StatusCode::OK);
    let let_in = client.with_key("secret-one");
    assert_eq!(let_in.get("/v1/models").await.status, StatusCode::OK);
    assert_eq!(let_in.post("/v1/chat/completions", &chat("m", "hi")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_control_surface_moves_breaks_and_resets() {
    let client = Client::builtin(1);
    let state = client.post("/sim/rotate", &json!({"alias": "sim-1", "to": WORSE})).await.json();
    assert_eq!(state["aliases"]["sim-1"]["target"], WORSE);
    assert_eq!(client.ask("sim-1", "hi").await["system_fingerprint"], "fp_sim1jun01");
    let change = json!({"checkpoint": WORSE, "rates": {"error_rate": 1.0},
        "error_statuses": [{"status": 429, "retry_after_seconds": 7}]});
    assert_eq!(
        client.post("/sim/faults", &change).await.json()["checkpoints"][WORSE]["rates"]["error_rate"],
        1.0
    );
    let limited = client.post("/v1/chat/completions", &chat("sim-1", "hi")).await;
    assert_eq!(
        (limited.status, limited.header("retry-after").as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "7")
    );
    assert_eq!(limited.json()["error"]["code"], "rate_limit_exceeded");
    for (path, wrong) in [
        ("/sim/rotate", json!({"alias": "nobody", "to": WORSE})),
        ("/sim/rotate", json!({"alias": "sim-1", "to": "sim-1-latest"})),
        ("/sim/rotate", json!({"alais": "sim-1"})),
        ("/sim/faults", json!({"rates": {"error_rate": 2}})),
        ("/sim/faults", json!({"rates": {"nonsense": 0.2}})),
        ("/sim/faults", json!({"error_statuses": [{"status": 200}]})),
    ] {
        assert_eq!(client.post(path, &wrong).await.status, StatusCode::BAD_REQUEST, "{path} {wrong}");
    }
    assert_eq!(client.sim.counters().models["sim-1"].errors, 1);
    let state = client.post("/sim/reset", &json!({})).await.json();
    assert_eq!((&state["aliases"]["sim-1"]["target"], &state["models"]), (&json!(GOOD), &json!({})));
    assert_eq!(client.ask("sim-1", "hi").await["system_fingerprint"], "fp_sim1jan15");
}

#[tokio::test]
async fn the_documented_example_script_is_a_script() {
    let page = include_str!("../../../../docs/simulated-provider.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        Script::from_toml(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
}

//! Findings are shown, cleared once, and models are looked at when asked for.

use pinrail_domain::drift::{Sign, Subject};
use serde_json::json;

use crate::testing::Bench;

async fn found(bench: &Bench) -> u64 {
    let subject =
        Subject::Model { provider: "sim".parse().unwrap(), snapshot: "sim-1-2026-01-15".to_owned() };
    let sign = Sign::Served { served: "sim-1-2026-06-01".to_owned() };
    let found = bench.control.find_drift(&subject, &sign, "another model answers", None).await.unwrap();
    found.value.unwrap().0
}

#[tokio::test(start_paused = true)]
async fn a_finding_is_shown_and_cleared_once() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let seq = found(&bench).await;
    let listed = bench.get("/api/v1/drift").await.ok();
    assert_eq!(listed["findings"][0]["finding"], seq);
    assert_eq!(listed["findings"][0]["sign"]["served"], "sim-1-2026-06-01");
    assert_eq!(listed["settings"]["tokens_per_day"], 400);
    assert_eq!(listed["models"][0]["state"], "looking");
    assert_eq!(bench.get(&format!("/api/v1/drift/{seq}")).await.ok()["what"], "another model answers");
    let cleared =
        bench.post(&format!("/api/v1/drift/{seq}/clear"), json!({ "reason": "it was us" })).await.ok();
    assert_eq!(cleared["finding"], seq);
    assert_eq!(bench.get("/api/v1/drift").await.ok()["findings"], json!([]));
    bench.post(&format!("/api/v1/drift/{seq}/clear"), json!({})).await.problem("not_found");
    bench.get(&format!("/api/v1/drift/{seq}")).await.problem("not_found");
    bench.get("/api/v1/drift/nothing").await.problem("bad_name");
}

#[tokio::test(start_paused = true)]
async fn a_model_is_looked_at_now() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let listed = bench.get("/api/v1/drift").await.ok();
    let snapshot = listed["models"][0]["snapshot"].as_str().unwrap().to_owned();
    let run = bench.post("/api/v1/drift/run", json!({})).await.ok();
    // Nobody answers in these tests: five failures end the look.
    assert_eq!((&run["looked"][0]["snapshot"], &run["looked"][0]["calls"]), (&json!(snapshot), &json!(5)));
    let shown = bench.get(&format!("/api/v1/drift/models/sim/{snapshot}")).await.ok();
    assert_eq!((&shown["failed_today"], &shown["tokens_today"]), (&json!(5), &json!(0)));
    bench.get("/api/v1/drift/models/sim/unheard-of").await.problem("not_found");
    bench.post("/api/v1/drift/run", json!({ "provider": "sim" })).await.problem("bad_request");
    let other = json!({ "provider": "sim", "snapshot": "unheard-of" });
    bench.post("/api/v1/drift/run", other).await.problem("not_found");
}

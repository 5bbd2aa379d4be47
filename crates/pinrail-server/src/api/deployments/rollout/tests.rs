use serde_json::json;

use crate::testing::Bench;

#[tokio::test(start_paused = true)]
async fn a_rollout_says_where_it_stands_and_how_it_ended() {
    let bench = Bench::open().await;
    let plan = json!({
        "steps": [{ "canary": { "percent": 5, "min_runs": 7 } }, { "approve": {} }],
        "guardrails": [{ "metric": "error_rate", "margin": "2%" }]
    });
    let id = bench.roll_out(plan).await;
    let path = format!("/api/v1/deployments/{id}/rollout");
    let stands = bench.get(&path).await.ok();
    assert_eq!(
        (&stands["state"], &stands["generation"], &stands["step"]),
        (&json!("candidate"), &json!(0), &json!(1))
    );
    assert_eq!(
        (&stands["steps"][0]["standing"], &stands["steps"][1]["standing"], &stands["steps"][1]["what"]),
        (&json!("now"), &json!("to_come"), &json!("approval"))
    );
    let waits = stands["waits"].as_array().unwrap();
    assert!(
        waits.iter().any(|wait| wait.as_str().unwrap().contains("more runs of the candidate (0 of 7)")),
        "{stands}"
    );
    assert_eq!((&stands["next"], stands["at"].is_u64()), (&json!("approval"), true));
    let guardrail = &stands["guardrails"][0];
    assert_eq!((&guardrail["name"], &guardrail["margin"]), (&json!("error_rate"), &json!("2%")));
    assert_eq!(guardrail["proves"], "at most 2.00 points worse");
    assert!(stands["sentence"].as_str().unwrap().contains("Then: approval."), "{stands}");

    bench.roll_back(id).await.ok();
    let ended = bench.get(&path).await.ok();
    assert_eq!((&ended["ended"]["how"], &ended["ended"]["why"]), (&json!("rolled back"), &json!("worse")));
    assert_eq!(
        (&ended["steps"][0]["standing"], &ended["steps"][1]["standing"]),
        (&json!("ended"), &json!("skipped"))
    );
    assert!(ended["sentence"].as_str().unwrap().ends_with("in step 1 of 2, canary 5%: worse."), "{ended}");
    assert_eq!((ended.get("next"), &ended["weights"]["everywhere"]), (None, &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn a_promotion_before_the_end_needs_a_reason_and_is_shown_as_one() {
    let bench = Bench::open().await;
    let id = bench.roll_out(json!({ "steps": [{ "pause": {} }, { "pause": {} }] })).await;
    let promote = format!("/api/v1/deployments/{id}/promote");
    let problem = bench.post(&promote, json!({})).await.problem("unproven");
    assert!(problem["next_step"].as_str().unwrap().contains("--override"), "{problem}");
    bench.post(&promote, json!({ "override": " " })).await.problem("bad_request");
    bench.post(&promote, json!({ "override": "seen enough" })).await.ok();
    let ended = bench.get(&format!("/api/v1/deployments/{id}/rollout")).await.ok();
    assert_eq!((&ended["state"], &ended["ended"]["how"]), (&json!("active"), &json!("promoted")));
    assert_eq!(ended["steps"][1]["standing"], "skipped");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_rollout_says_how_it_moves() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let problem = bench.get("/api/v1/deployments/1/rollout").await.problem("rollout_state");
    assert!(problem["detail"].as_str().unwrap().contains("without a rollout"), "{problem}");
    bench.get("/api/v1/deployments/9/rollout").await.problem("not_found");
    assert_eq!(bench.get("/api/v1/deployments/1").await.ok().get("rollout"), None);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_answered_when_the_rollout_moves() {
    let bench = Bench::open().await;
    let id = bench.roll_out(json!({ "steps": [{ "pause": {} }] })).await;
    let path = format!("/api/v1/deployments/{id}/rollout?seen=0&wait_ms=30000");
    let waiting = tokio::spawn({
        let (bench, path) = (bench.clone(), path.clone());
        async move { bench.get(&path).await.ok() }
    });
    tokio::task::yield_now().await;
    bench.post(&format!("/api/v1/deployments/{id}/freeze"), json!({})).await.ok();
    assert_eq!(waiting.await.unwrap()["generation"], 1);
    // What is newer than what was seen, and what is over, is told at once; what is not, when the time is over.
    assert_eq!(bench.get(&path).await.ok()["generation"], 1);
    let path = format!("/api/v1/deployments/{id}/rollout?seen=1&wait_ms=20000");
    assert_eq!(bench.get(&path).await.ok()["generation"], 1);
    bench.roll_back(id).await.ok();
    assert_eq!(bench.get(&path).await.ok()["ended"]["how"], "rolled back");
    bench.get(&format!("{path}0")).await.problem("bad_request");
}

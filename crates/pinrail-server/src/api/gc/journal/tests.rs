use serde_json::{Value, json};

use crate::testing::Bench;

const DAY_MS: u64 = 86_400_000;

async fn dropped(bench: &Bench) {
    let mut dropping = bench.control.dropping();
    dropping.wait_for(|dropping| !dropping.running).await.unwrap();
}

/// A finished run of five days ago, and one of then that is open; a day later another finished one.
async fn aged() -> (Bench, String, String, String) {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let (old, open) = (bench.run("acme").await, bench.run("acme").await);
    bench.post(&format!("/api/v1/runs/{old}/finish"), json!({ "outcome": "ok" })).await.ok();
    bench.clock.pass(DAY_MS);
    let next = bench.run("acme").await;
    bench.post(&format!("/api/v1/runs/{next}/finish"), json!({ "outcome": "ok" })).await.ok();
    bench.clock.pass(4 * DAY_MS);
    (bench, old, open, next)
}

#[tokio::test(start_paused = true)]
async fn old_journals_go_by_whole_days_and_the_ledger_says_so() {
    let (bench, old, open, next) = aged().await;
    let wish = json!({ "older_than_ms": 2 * DAY_MS, "dry_run": true });
    let plan = bench.post("/api/v1/gc/journal", wish).await.ok();
    assert_eq!((&plan["seq"], &plan["runs"], &plan["by_itself"]), (&Value::Null, &json!(1), &json!(false)));
    assert_eq!((&plan["keep"][0]["why"], &plan["keep"][0]["open"]), (&json!("runs_open"), &json!(1)));
    assert_eq!(plan["keep"][0]["because"], "1 of its runs are open");
    let path = format!("/api/v1/gc/journal?older_than_ms={}", 2 * DAY_MS);
    assert_eq!(bench.get(&path).await.ok()["collect"], plan["collect"]);

    let done =
        bench.post("/api/v1/gc/journal", json!({ "older_than_ms": 2 * DAY_MS, "reason": "tidy" })).await;
    let done = done.ok();
    dropped(&bench).await;
    let entries = bench.get("/api/v1/ledger?limit=1000").await.ok();
    let entry = entries["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&entry["seq"], &entry["reason"]), (&done["seq"], &json!("tidy")));
    assert_eq!((&entry["body"]["type"], &entry["body"]["runs"]), (&json!("journal_collected"), &json!(1)));
    let gone = bench.get(&format!("/api/v1/runs/{next}")).await.problem("collected");
    assert_eq!(gone["ledger"], done["seq"]);
    bench.get(&format!("/api/v1/runs/{next}/events")).await.problem("collected");
    bench.get(&format!("/api/v1/runs/{old}")).await.ok();
    let after = bench.get(&path).await.ok();
    assert_eq!((&after["runs"], &after["dropping"]["runs"]), (&json!(0), &json!(1)));

    // The other day goes once nothing of it is open.
    bench.post(&format!("/api/v1/runs/{open}/finish"), json!({ "outcome": "ok" })).await.ok();
    let done = bench.post("/api/v1/gc/journal", json!({ "older_than_ms": 2 * DAY_MS })).await.ok();
    assert_eq!((&done["runs"], &done["keep"]), (&json!(2), &json!([])));
    dropped(&bench).await;
    for run in [&old, &open] {
        bench.get(&format!("/api/v1/runs/{run}")).await.problem("collected");
    }
    assert_eq!(bench.get("/api/v1/runs").await.ok()["items"], json!([]));
    bench.get("/api/v1/runs/run_00000000000000000000000000").await.problem("not_found");
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_unless_somebody_says_how_long_it_is_kept() {
    let (bench, _, _, next) = aged().await;
    let refused = bench.post("/api/v1/gc/journal", json!({})).await.problem("bad_request");
    assert!(refused["next_step"].as_str().unwrap().contains("--older-than"), "{refused}");
    bench.get("/api/v1/gc/journal").await.problem("bad_request");
    bench.get(&format!("/api/v1/runs/{next}")).await.ok();
    bench.key(&["admin"], None).await;
    let reader = bench.key(&["read"], None).await;
    bench
        .as_key(&reader)
        .post("/api/v1/gc/journal", json!({ "older_than_ms": 0 }))
        .await
        .problem("forbidden");
}

#[tokio::test(start_paused = true)]
async fn what_is_old_goes_by_itself_where_that_is_set() {
    let (bench, old, _, next) = aged().await;
    bench.control.keep_journals_for(2 * DAY_MS);
    let mut heads = bench.control.heads();
    heads.changed().await.unwrap();
    dropped(&bench).await;
    bench.get(&format!("/api/v1/runs/{next}")).await.problem("collected");
    bench.get(&format!("/api/v1/runs/{old}")).await.ok();
    let plan = bench.get("/api/v1/gc/journal").await.ok();
    assert_eq!((&plan["by_itself"], &plan["older_than_ms"]), (&json!(true), &json!(2 * DAY_MS)));
    let entries = bench.get("/api/v1/ledger?limit=1000").await.ok();
    let entry = entries["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&entry["actor"], &entry["reason"]),
        (&json!({ "kind": "system" }), &json!("journals are kept for 2 d"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_candidate_is_judged_by_stays() {
    let (bench, deployment, run, _) = Bench::with_canary(json!({})).await;
    let runs = bench.get("/api/v1/runs").await.ok();
    for run in runs["items"].as_array().unwrap() {
        let path = format!("/api/v1/runs/{}/finish", run["run"].as_str().unwrap());
        bench.post(&path, json!({ "outcome": "ok" })).await.ok();
    }
    bench.clock.pass(9 * DAY_MS);
    let wish = json!({ "older_than_ms": 2 * DAY_MS });
    let kept = bench.post("/api/v1/gc/journal", wish.clone()).await.ok();
    assert_eq!((&kept["seq"], &kept["keep"][0]["why"]), (&Value::Null, &json!("undecided")));
    assert_eq!(kept["keep"][0]["deployment"], deployment);
    bench.roll_back(deployment).await.ok();
    let gone = bench.post("/api/v1/gc/journal", wish).await.ok();
    assert_eq!((&gone["runs"], &gone["keep"]), (&kept["keep"][0]["runs"], &json!([])));
    dropped(&bench).await;
    bench.get(&format!("/api/v1/runs/{run}")).await.problem("collected");
}

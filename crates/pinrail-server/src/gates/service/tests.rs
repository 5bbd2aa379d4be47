//! Gates of several servers over one store.

use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::id::GateId;
use pinrail_store::memory::Strike;
use pinrail_store::{Replicas as _, StoreError};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::gates::tests::{over, suite};
use crate::testing::Bench;

/// Two servers, of which the first leads, and candidate 2 of an agent that is held to a suite.
async fn two() -> (Bench, Bench) {
    let one = Bench::leading().await;
    let two = one.beside().await;
    one.deploy_now().await;
    let suite = suite(&one, "basics", 100).await;
    let spec = json!({ "gate": { "suites": [suite], "repeats": 1 } });
    one.put("/api/v1/agents/support", spec).await.ok();
    let new = one.release("sim-large-2026-04-01").await;
    one.open_deployment(json!({ "releases": { "support": new }, "weight": 500 })).await.ok();
    (one, two)
}

/// Starts a gate; returns its id and address.
async fn start(at: &Bench) -> (GateId, String) {
    let started = at.post("/api/v1/gates", json!({ "deployment": 2 })).await.ok();
    let id = started["gates"][0]["gate"].as_str().unwrap();
    (id.parse().unwrap(), format!("/api/v1/gates/{id}"))
}

/// Waits until a gate runs at a server no more.
async fn gone(at: &Bench, id: GateId) {
    while let Some((_, mut over)) = at.state.gates.follow(id) {
        let _ = over.wait_for(|over| *over).await;
        tokio::task::yield_now().await;
    }
}

/// Has the second lead, without a word to the first.
async fn taken_over(one: &Bench, two: &Bench) {
    one.memory.depose();
    two.memory.lead().await.unwrap().expect("nobody leads");
}

async fn verdicts(at: &Bench) -> usize {
    let entries = at.get("/api/v1/ledger?limit=1000").await.ok();
    let judged = |entry: &&Value| entry["body"]["type"] == "gate_judged";
    entries["items"].as_array().unwrap().iter().filter(judged).count()
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_slept_ends_no_gate() {
    let (one, two) = two().await;
    let held = one.models.gate.lock().await;
    let (id, gate) = start(&one).await;
    taken_over(&one, &two).await;
    drop(held);
    gone(&one, id).await;
    assert_eq!(two.get(&gate).await.ok()["status"], "running", "the next leader ends it");
    assert_eq!(verdicts(&two).await, 0);
    two.control.until_leading().await;
    two.state.gates.conduct_by_itself();
    assert_eq!(over(&two, &gate).await["ended"]["verdict"], "pass");
    assert_eq!((verdicts(&two).await, two.models.count()), (1, 0), "nothing is asked again");
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_fails_at_a_leader_that_slept_goes_on_at_the_next() {
    let (one, two) = two().await;
    let held = one.models.gate.lock().await;
    let (id, gate) = start(&one).await;
    taken_over(&one, &two).await;
    let full = StoreError::Full(Arc::new(std::io::Error::other("disk")));
    one.memory.fail_next(1, Strike::BeforeEffect, &full);
    drop(held);
    gone(&one, id).await;
    assert_eq!(two.get(&gate).await.ok()["status"], "running", "the next leader ends it");
    two.control.until_leading().await;
    two.state.gates.conduct_by_itself();
    assert_eq!(over(&two, &gate).await["ended"]["verdict"], "pass");
    assert!(two.models.count() > 0, "what could not be kept is asked again");
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_somebody_stopped_elsewhere_gets_no_verdict() {
    let (one, two) = two().await;
    let held = one.models.gate.lock().await;
    let (id, gate) = start(&one).await;
    let stopped = two.post(&format!("{gate}/cancel"), json!({})).await.ok();
    assert_eq!(stopped["status"], "cancelled");
    drop(held);
    gone(&one, id).await;
    let shown = one.get(&gate).await.ok();
    assert_eq!(
        (&shown["status"], &shown["ended"]["why"]),
        (&json!("cancelled"), &json!("somebody stopped it"))
    );
    assert_eq!(verdicts(&one).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_has_not_begun_is_stopped_at_the_leader() {
    let (one, two) = two().await;
    let (_, gate) = start(&two).await;
    // The leader hasn't found it yet.
    let stopped = one.post(&format!("{gate}/cancel"), json!({})).await.ok();
    assert_eq!(stopped["status"], "cancelled");
    one.state.gates.conduct_by_itself();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(one.get(&gate).await.ok()["status"], "cancelled");
    assert_eq!((one.models.count(), verdicts(&one).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_gate_is_followed_at_any_replica() {
    let (one, two) = two().await;
    let held = one.models.gate.lock().await;
    let (id, gate) = start(&one).await;
    let waits = |ms: u64| format!("{gate}/watch?done=0&wait_ms={ms}");
    let start = Instant::now();
    assert_eq!(two.get(&waits(5_000)).await.ok()["status"], "running");
    assert!(start.elapsed() >= Duration::from_secs(5), "it waited");
    let watching = {
        let (two, path) = (two.clone(), waits(30_000));
        tokio::spawn(async move { two.get(&path).await.ok() })
    };
    drop(held);
    gone(&one, id).await;
    assert_eq!(watching.await.unwrap()["status"], "finished");
    assert!(start.elapsed() < Duration::from_secs(15), "it was told");
}

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::testing::Bench;

const GONE: &str = r#"{"error":{"message":"The model `sim-large-2026-03-01` does not exist","type":"invalid_request_error","code":"model_not_found"}}"#;

/// Releases 1 and 2 of `support`, the second one active.
async fn two() -> Bench {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let second = bench.release("sim-large-2026-04-01").await;
    bench.open_deployment(json!({ "releases": { "support": second }, "now": true })).await.ok();
    bench
}

fn states(set: &Value) -> Vec<(u64, &str)> {
    let items = set["items"].as_array().unwrap();
    items.iter().map(|item| (item["deployment"].as_u64().unwrap(), item["state"].as_str().unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_one_small_call_and_no_run() {
    let bench = two().await;
    let unknown = bench.get("/api/v1/warm").await.ok();
    assert_eq!(states(&unknown), [(2, "unknown"), (1, "unknown")]);
    let probed = bench.post("/api/v1/warm/probe", json!({})).await.ok();
    assert_eq!((states(&probed), &probed["probed"]), (vec![(2, "yes"), (1, "yes")], &json!(2)));
    let first = &probed["items"][0];
    assert_eq!((&first["steps_back"], &first["served"]), (&json!(0), &json!("sim-large-2026-04-01")));
    assert!(first["latency_ms"].is_u64() && first["probed_at"].is_u64(), "{first}");
    assert_eq!(bench.calls.asked()[0]["max_tokens"], 1);
    assert_eq!(bench.get("/api/v1/runs").await.ok()["items"], json!([]));
    // Releases that would ask the same share a probe.
    bench.put("/api/v1/agents/other", json!({})).await.ok();
    let wish = json!({ "agent": "other", "manifest": crate::testing::manifest("sim-large-2026-04-01") });
    let same = bench.post("/api/v1/releases", wish).await.ok()["release"].clone();
    bench.open_deployment(json!({ "releases": { "other": same }, "weight": 100 })).await.ok();
    let all = bench.post("/api/v1/warm/probe", json!({})).await.ok();
    assert_eq!((all["items"].as_array().unwrap().len(), &all["probed"]), (3, &json!(2)));
    let one = bench.post("/api/v1/warm/probe", json!({ "agent": "other" })).await.ok();
    assert_eq!((states(&one), &one["probed"]), (vec![(3, "yes")], &json!(1)));
    bench.post("/api/v1/warm/probe", json!({ "agent": "nobody" })).await.problem("not_found");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_gone_is_an_alarm_and_passed_over() {
    let bench = two().await;
    let third = bench.release("sim-large-2026-05-01").await;
    bench.open_deployment(json!({ "releases": { "support": third }, "now": true })).await.ok();
    bench.calls.says("sim-large-2026-04-01", 404, GONE);
    bench.post("/api/v1/warm/probe", json!({})).await.ok();
    let findings = || bench.control.snapshot().world.findings.len();
    assert_eq!(findings(), 0, "once may be a deploy at the provider");
    let set = bench.post("/api/v1/warm/probe", json!({})).await.ok();
    assert_eq!(states(&set), [(3, "yes"), (2, "gone"), (1, "yes")]);
    assert!(set["items"][1]["why"].as_str().unwrap().contains("failed with 404, 2 times in a row"), "{set}");
    assert_eq!(findings(), 1);
    bench.post("/api/v1/warm/probe", json!({})).await.ok();
    assert_eq!(findings(), 1, "it is said once");
    let readiness = bench.get("/api/v1/readiness").await.ok();
    assert_eq!((&readiness["ready"], readiness["warm"].as_array().unwrap().len()), (&json!(false), 3));
    let target = &readiness["indicators"][0];
    assert!(target["why"][0].as_str().unwrap().contains("deployment 2, behind 3: a probe"), "{target}");

    // Nothing changes unless it is asked for.
    let plan = json!({ "dry_run": true });
    let path = "/api/v1/deployments/3/rollback";
    assert_eq!(bench.post(path, plan).await.ok()["pointers"]["support"], 2);
    let plan = bench.post(path, json!({ "dry_run": true, "callable": true })).await.ok();
    assert_eq!(plan["pointers"]["support"], 1);
    let flip = bench.post(path, json!({ "reason": "bad", "callable": true })).await.ok();
    assert_eq!(flip["active"]["support"], 1);
    let over = &flip["passed_over"][0];
    assert_eq!((&over["deployment"], &over["agent"]), (&json!(2), &json!("support")), "{flip}");
    assert_eq!(flip.get("uncallable"), None);
    let ledger = bench.get("/api/v1/ledger").await.ok();
    let last = ledger["items"].as_array().unwrap().last().unwrap();
    assert_eq!(last["body"]["to"], json!({ "support": 1 }));
}

/// I7: where nothing can be called, a rollback leads where it always does.
#[tokio::test(start_paused = true)]
async fn nothing_callable_blocks_nothing() {
    let bench = two().await;
    bench.calls.says("sim-large-2026-03-01", 404, GONE);
    bench.post("/api/v1/warm/probe", json!({})).await.ok();
    let flip =
        bench.post("/api/v1/deployments/2/rollback", json!({ "reason": "bad", "callable": true })).await.ok();
    assert_eq!((&flip["active"]["support"], &flip["uncallable"]), (&json!(1), &json!(["support"])));
    // An outage is no reason to pass anything over.
    let bench = two().await;
    bench.calls.says("sim-large-2026-03-01", 503, "busy");
    bench.post("/api/v1/warm/probe", json!({})).await.ok();
    let flip =
        bench.post("/api/v1/deployments/2/rollback", json!({ "reason": "bad", "callable": true })).await.ok();
    assert_eq!((&flip["active"]["support"], flip.get("passed_over")), (&json!(1), None));
}

#[tokio::test(start_paused = true)]
async fn the_schedule_probes_once_an_hour_and_failures_sooner() {
    let bench = two().await;
    bench.state.warm.probe_by_itself();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let pass = async |ms: u64| {
        bench.clock.pass(ms);
        tokio::time::sleep(Duration::from_secs(61)).await;
    };
    pass(pinrail_domain::warm::RETRY_MS).await;
    assert_eq!(bench.calls.asked().len(), 2, "the first ones come soon after the start");
    pass(40 * 60_000).await;
    assert_eq!(bench.calls.asked().len(), 2);
    bench.calls.says("sim-large-2026-03-01", 503, "busy");
    pass(25 * 60_000).await;
    assert_eq!(bench.calls.asked().len(), 4);
    pass(pinrail_domain::warm::RETRY_MS).await;
    assert_eq!(bench.calls.asked().len(), 5, "what failed is asked again");
    bench.state.warm.stop().await;
    pass(4 * 3_600_000).await;
    assert_eq!(bench.calls.asked().len(), 5);
}

#[test]
fn answers_are_judged() {
    let check = |status, body: &str, fault: Option<Fault>, why: &str| {
        let probe = judged(&Answered { status, body: body.as_bytes().to_vec() }, Timestamp(5), 7);
        assert_eq!(probe.failed.as_ref().map(|failed| failed.fault), fault, "{body}");
        let said = probe.failed.map(|failed| failed.why).unwrap_or_default();
        assert!(said.contains(why), "{said}");
    };
    check(404, GONE, Some(Fault::Gone), "does not exist");
    check(500, "", Some(Fault::Outage), "status 500, without a reason");
    check(200, "<html>", Some(Fault::Outage), "no chat completion");
    let leak = r#"{"error":{"message":"Incorrect API key provided: sk-proj-abcdefghijklmnop"}}"#;
    check(401, leak, Some(Fault::Refused), "Incorrect API key provided: [redacted]");
    let full = r#"{"error":{"message":"Could not finish the message because max_tokens or model output limit was reached."}}"#;
    check(400, full, None, "");
}

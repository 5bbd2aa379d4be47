use serde_json::json;

use crate::limits::Limits;
use crate::testing::{Bench, id_of};

const WATCH: &str = "/api/v1/watch";

#[tokio::test(start_paused = true)]
async fn whoever_comes_late_is_right_at_once_and_then_follows() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let mut events = bench.follow_epochs(WATCH, &[]).await;
    let first = events.event().await;
    assert_eq!((&first["epoch"], first.get("changes")), (&json!(3), None));
    bench.roll_back(1).await.ok();
    let rolled_back = events.event().await;
    assert_eq!(
        (&rolled_back["epoch"], &rolled_back["changed"]),
        (&json!(4), &json!(["pointers", "commits"]))
    );
    let change = &rolled_back["changes"][0];
    assert_eq!((&change["kind"], &change["deployment"]), (&json!("deployment_rolled_back"), &json!(1)));
    assert_eq!((&rolled_back["seq"], &rolled_back["at"]), (&change["seq"], &change["at"]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_gets_the_newest_epoch_and_all_that_changed() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let mut events = bench.follow_epochs(WATCH, &[]).await;
    events.event().await;
    for description in ["a", "b", "c"] {
        bench.put("/api/v1/agents/support", json!({ "description": description })).await.ok();
    }
    let event = events.event().await;
    assert_eq!((&event["epoch"], event["changes"].as_array().unwrap().len()), (&json!(6), 3));
    // Nothing is left over: what comes next is a sign of life.
    assert_eq!(events.next().await.unwrap(), ": still here\n\n");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_comes_back_is_told_what_it_missed() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let check = async |path: &str, headers: &[(&str, &str)], epochs: &[u64], more: bool| {
        let event = bench.follow_epochs(path, headers).await.event().await;
        let told = event["changes"].as_array().cloned().unwrap_or_default();
        let told: Vec<_> = told.iter().map(|change| change["epoch"].as_u64().unwrap()).collect();
        assert_eq!(
            (&event["epoch"], &told[..], event.get("more").is_some()),
            (&json!(3), epochs, more),
            "{path}"
        );
    };
    check("/api/v1/watch?after=1", &[], &[2, 3], false).await;
    check("/api/v1/watch?after=1", &[("last-event-id", "2")], &[3], false).await;
    check(WATCH, &[("last-event-id", "3")], &[], false).await;
    // Of a server that was restored from a backup since.
    check(WATCH, &[("last-event-id", "9")], &[], true).await;
    bench.get("/api/v1/watch?after=x").await.problem("bad_request");
    bench.send("GET", WATCH, &[("last-event-id", "x")], None).await.problem("bad_name");
}

#[tokio::test(start_paused = true)]
async fn watchers_are_bounded_and_end_with_the_server() {
    let bench = Bench::with(Limits { epoch_watchers_max: 2, ..Limits::default() }).await;
    let (mut first, second) = (bench.follow_epochs(WATCH, &[]).await, bench.follow_epochs(WATCH, &[]).await);
    first.event().await;
    let full = bench.get(WATCH).await;
    assert_eq!((full.status, full.header("retry-after")), (429, Some("1")));
    full.problem("limit_reached");
    drop(second);
    bench.follow_epochs(WATCH, &[]).await.event().await;
    bench.state.draining.send_replace(true);
    assert_eq!(first.next().await, None);
    bench.get(WATCH).await.problem("not_ready");
}

/// I11: what changed belongs to no tenant.
#[tokio::test(start_paused = true)]
async fn a_tenants_key_learns_that_something_changed_and_not_what() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    bench.key(&["admin"], None).await;
    let token = bench.key(&["run"], Some(&["acme"])).await;
    let mut events = bench.as_key(&token).follow_epochs("/api/v1/watch?after=0", &[]).await;
    let event = events.event().await;
    assert_eq!((&event["epoch"], event.get("changes"), event.get("more")), (&json!(3), None, None));
    assert!(event["changed"].as_array().is_some());
    // A key that is revoked follows nothing any more.
    let by = pinrail_control::By::system("test");
    bench.control.key_revoke(by, &id_of(&token).parse().unwrap()).await.unwrap();
    assert_eq!(events.next().await, None);
}

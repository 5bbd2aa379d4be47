use serde_json::{Value, json};

use crate::testing::Bench;

const HERE: &str = "/api/v1/context/orders";

async fn put(bench: &Bench, run: &str, key: &str, value: Value) -> Value {
    bench.put(&format!("{HERE}/{key}"), json!({ "run": run, "value": value })).await.ok()
}

async fn get(bench: &Bench, query: &str) -> Value {
    bench.get(&format!("{HERE}/{query}")).await.ok()["value"].clone()
}

fn column(page: &Value, name: &str) -> Vec<Value> {
    page["items"].as_array().unwrap().iter().map(|item| item[name].clone()).collect()
}

/// I4, I5: a canary's value is its own, then everybody's, then nobody else's; the one before comes back.
#[tokio::test(start_paused = true)]
async fn a_key_shows_what_its_reader_may_see() {
    let (bench, two, good, bad) = Bench::with_canary(json!({})).await;
    let acme = bench.for_tenant("acme");
    put(&bench, &good, "address", json!({ "city": "Lyon" })).await;
    let theirs = put(&bench, &bad, "address", json!("?")).await;
    assert_eq!((&theirs["deployment"], &theirs["protocol"]), (&json!(two), &json!(1)));
    assert_eq!(get(&bench, &format!("address?run={good}")).await, json!({ "city": "Lyon" }));
    assert_eq!(get(&bench, &format!("address?run={bad}")).await, "?");
    bench.post(&format!("/api/v1/deployments/{two}/promote"), json!({})).await.ok();
    let promoted = acme.get(&format!("{HERE}/address")).await.ok();
    assert_eq!(promoted["value"], "?");
    bench.roll_back(two).await.ok();
    assert_eq!(get(&acme, "address").await, json!({ "city": "Lyon" }));
    let then = promoted["moment"].as_str().unwrap();
    assert_eq!(get(&acme, &format!("address?as_of={then}")).await, "?");
    let history = acme.get(&format!("{HERE}/address?history=true")).await.ok();
    assert_eq!(column(&history, "hidden"), [Value::Null, json!({ "why": "retracted", "deployment": two })]);
    let page = acme.get(&format!("{HERE}/address?history=true&limit=1")).await.ok();
    let rest =
        acme.get(&format!("{HERE}/address?history=true&after={}", page["next"].as_str().unwrap())).await.ok();
    assert_eq!(column(&rest, "version"), [theirs["version"].clone()]);
    bench.for_tenant("globex").get(&format!("{HERE}/address")).await.problem("not_found"); // I11
}

#[tokio::test(start_paused = true)]
async fn a_writer_says_which_version_it_saw() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let run = bench.run("default").await;
    let path = format!("{HERE}/k");
    let set = async |value: u64, headers: &[(&str, &str)], expected: Option<u64>| {
        let body = json!({ "run": run, "value": value, "expected": expected });
        bench.send("PUT", &path, headers, Some(&body)).await
    };
    let first = set(1, &[("if-none-match", "*")], None).await;
    assert_eq!(first.header("etag"), Some("\"1\""));
    let moved = set(2, &[("if-none-match", "*")], None).await.problem("version_moved");
    assert_eq!((&moved["expected"], &moved["current"]), (&json!(0), &json!(1)));
    set(2, &[], Some(7)).await.problem("version_moved");
    set(2, &[("if-match", "\"1\"")], Some(1)).await.ok();
    set(3, &[("if-match", "\"1\"")], None).await.problem("version_moved");
    for headers in [[("if-match", "1")], [("if-match", "*")], [("if-none-match", "\"1\"")]] {
        set(3, &headers, None).await.problem("bad_request");
    }
    set(3, &[("if-match", "\"2\"")], Some(1)).await.problem("bad_request");
    let fresh = bench.send("GET", &path, &[("if-none-match", "\"2\"")], None).await;
    assert_eq!((fresh.status, fresh.body.len(), fresh.header("etag")), (304, 0, Some("\"2\"")));
    assert_eq!(bench.send("GET", &path, &[("if-none-match", "\"1\"")], None).await.ok()["value"], 2);
    bench.delete(&format!("{path}?run={run}&expected=1")).await.problem("version_moved");
    assert_eq!(bench.delete(&format!("{path}?run={run}&expected=2")).await.ok()["version"], 3);
    bench.delete(&format!("{path}?run={run}")).await.problem("not_found");
    bench.get(&path).await.problem("not_found");
    set(4, &[], Some(0)).await.ok();
    let wish = json!({ "run": run, "value": "x".repeat(256 * 1024) });
    bench.put(&path, wish).await.problem("too_large");
    bench.put(&format!("{HERE}/~msg%2Fx"), json!({ "run": run, "value": 1 })).await.problem("bad_name");
    bench.put(&path, json!({ "run": run, "value": 1, "parents": [99] })).await.problem("bad_parents");
    bench.put(&path, json!({ "run": run })).await.problem("bad_request");
}

#[tokio::test(start_paused = true)]
async fn keys_are_listed_in_their_order() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let run = bench.run("default").await;
    for key in ["b", "a%2F2", "c", "a%2F1"] {
        put(&bench, &run, key, json!(1)).await;
    }
    let message = json!({ "run": run, "kind": "hello", "body": null });
    bench.post(&format!("{HERE}/messages"), message).await.ok();
    let check = async |query: &str, expected: &[&str]| {
        let page = bench.get(&format!("{HERE}?{query}")).await.ok();
        assert_eq!(column(&page, "key"), expected, "{query}");
        page["next"].clone()
    };
    check("", &["a/1", "a/2", "b", "c"]).await;
    check("prefix=a/", &["a/1", "a/2"]).await;
    assert_eq!(check("limit=3", &["a/1", "a/2", "b"]).await, "b");
    assert_eq!(check("limit=3&after=b", &["c"]).await, Value::Null);
    check("as_of=state:2", &["a/2", "b"]).await;
    let page = bench.get(HERE).await.ok();
    assert!(page["items"][0].get("value").is_none(), "{page}");
}

/// What a reader doesn't accept is named, never handed over; it can read an earlier version, and ask for another.
#[tokio::test(start_paused = true)]
async fn a_protocol_that_is_not_accepted_is_never_handed_over() {
    let contract = json!({ "context": { "protocol": 2, "accepts": [1, 2] } });
    let (bench, _, good, _) = Bench::with_canary(contract).await;
    let acme = bench.for_tenant("acme");
    let wish = |protocol: Value| json!({ "run": good, "value": "secret", "protocol": protocol });
    let path = format!("{HERE}/k");
    bench.put(&path, wish(json!(1))).await.ok();
    assert_eq!(bench.put(&path, wish(Value::Null)).await.ok()["protocol"], 2);
    for bad in [0, 3] {
        bench.put(&path, wish(json!(bad))).await.problem("bad_request");
    }
    acme.put(&path, json!({ "external": true, "value": "secret", "protocol": 3 })).await.ok();
    let refused = bench.get(&format!("{path}?run={good}")).await;
    let problem = refused.problem("protocol_mismatch");
    assert!(!String::from_utf8_lossy(&refused.body).contains("secret"));
    assert_eq!(
        (&problem["protocol"], &problem["version"], &problem["accepts"], &problem["last_accepted"]),
        (&json!(3), &json!(3), &json!([1, 2]), &json!(2))
    );
    assert_eq!(get(&bench, &format!("k?run={good}&version=2")).await, "secret");
    bench.get(&format!("{path}?run={good}&version=3")).await.problem("protocol_mismatch");
    bench.get(&format!("{path}?run={good}&version=9")).await.problem("not_found");
    assert_eq!(get(&bench, &format!("k?run={good}&accepts=3")).await, "secret");
    assert_eq!(get(&acme, "k").await, "secret");
    assert_eq!(
        acme.get(&format!("{path}?accepts=7")).await.problem("protocol_mismatch")["last_accepted"],
        Value::Null
    );
    acme.get(&format!("{path}?accepts=x")).await.problem("bad_request");
    let listed = bench.get(&format!("{HERE}?run={good}")).await.ok();
    assert_eq!(
        (&listed["items"][0]["unaccepted"], &listed["items"][0]["protocol"]),
        (&json!(true), &json!(3))
    );

    // The request to resync reaches everybody, whatever they accept.
    let asked = bench.post(&format!("{HERE}/resync"), json!({ "run": good, "key": "k" })).await.ok();
    assert_eq!(asked["protocol"], 0);
    let messages = acme.get(&format!("{HERE}/messages?accepts=9")).await.ok();
    assert_eq!(column(&messages, "kind"), ["resync_requested"]);
    assert_eq!(messages["items"][0]["body"], json!({ "key": "k", "accepts": [1, 2] }));
    acme.post(&format!("{HERE}/resync"), json!({ "external": true })).await.problem("bad_request");
}

#[tokio::test(start_paused = true)]
async fn messages_reach_whom_they_are_for() {
    let (bench, two, good, bad) = Bench::with_canary(json!({})).await;
    let acme = bench.for_tenant("acme");
    bench.put("/api/v1/agents/planner", json!({})).await.ok();
    let send = async |run: &str, kind: &str, to: Option<&str>, protocol: u32| {
        let body = json!({ "run": run, "kind": kind, "to": to, "body": { "n": 1 }, "protocol": protocol });
        bench.post(&format!("{HERE}/messages"), body).await
    };
    send(&good, "done", None, 1).await.ok();
    send(&good, "done", Some("planner"), 1).await.ok();
    send(&good, "help", Some("support"), 2).await.ok();
    assert_eq!(send(&bad, "done", None, 1).await.ok()["deployment"], two);
    let check = async |query: &str, expected: &[u64]| {
        let page = acme.get(&format!("{HERE}/messages?{query}")).await.ok();
        assert_eq!(
            column(&page, "seq"),
            expected.iter().map(|seq| json!(seq)).collect::<Vec<_>>(),
            "{query}"
        );
        page
    };
    check("", &[1, 2, 3]).await; // I4
    check(&format!("run={good}"), &[1, 3]).await;
    check(&format!("run={bad}&to=all"), &[1, 2, 3, 4]).await;
    check("to=planner", &[1, 2]).await;
    check("kinds=help,x", &[3]).await;
    let page = check("limit=2", &[1, 2]).await;
    assert_eq!((&page["next"], &page["more"], &page["resync"]), (&json!(2), &json!(true), &Value::Null));
    let page = check("after=2", &[3]).await;
    assert_eq!((&page["next"], &page["more"]), (&json!(3), &json!(false)));
    let page = check("accepts=1", &[1, 2, 3]).await;
    assert_eq!(
        page["items"][2],
        json!({ "seq": 3, "at": page["items"][2]["at"], "protocol": 2, "unaccepted": true })
    );
    assert_eq!(page["resync"]["path"], "/api/v1/context/orders/resync");
    assert_eq!(
        (&page["items"][0]["from"], &page["items"][0]["body"]),
        (&json!("support"), &json!({ "n": 1 }))
    );
    bench.roll_back(two).await.ok();
    check(&format!("run={bad}&to=all"), &[1, 2, 3, 4]).await;
    acme.get(&format!("{HERE}/messages?to=me")).await.problem("bad_request");
    acme.get(&format!("{HERE}/messages?to=NO")).await.problem("bad_name");
    send(&good, "", None, 1).await.problem("bad_name");
    send(&good, "a,b", None, 1).await.problem("bad_name");
    send(&good, "own", None, 0).await.problem("bad_request");
}

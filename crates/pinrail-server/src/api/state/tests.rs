use serde_json::{Value, json};

use crate::testing::{Answered, Bench};

/// Opens a data job.
pub async fn job(bench: &Bench, name: &str) -> u64 {
    let by = pinrail_control::By::system("test");
    let opened = bench.control.open_ingest(by, &name.parse().unwrap()).await.unwrap();
    opened.value.deployment.0
}

/// Takes values into `context/orders`.
pub async fn import(bench: &Bench, job: u64, values: &[(&str, Value)]) -> Answered {
    let records: Vec<Value> =
        values.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let wish = json!({ "space": "context/orders", "deployment": job, "records": records });
    bench.post("/api/v1/state/import", wish).await
}

fn value(n: u64) -> Value {
    json!({ "protocol": 1, "value": n })
}

#[tokio::test(start_paused = true)]
async fn records_are_shown_with_the_reason_why_they_are_hidden() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let first = job(&bench, "one").await;
    import(&bench, first, &[("k", value(1)), ("l", value(2))]).await.ok();
    let of = "/api/v1/state/records?space=context/orders";
    assert_eq!(bench.get(of).await.ok()["items"], json!([]));
    let own = bench.get(&format!("{of}&deployment={first}")).await.ok();
    assert_eq!(own["items"].as_array().unwrap().len(), 2);
    bench.post(&format!("/api/v1/deployments/{first}/commit"), json!({})).await.ok();
    let then = bench.get(of).await.ok();
    let second = job(&bench, "two").await;
    import(&bench, second, &[("k", value(3))]).await.ok();
    bench.roll_back(second).await.ok();
    let history = bench.get(&format!("{of}&key=k&history=true")).await.ok();
    let why: Vec<&Value> =
        history["items"].as_array().unwrap().iter().map(|it| &it["hidden"]["why"]).collect();
    assert_eq!(why, [&json!(null), &json!("aborted")]);
    assert_eq!(history["items"][1]["value"], value(3));
    let as_of = bench.get(&format!("{of}&as_of={}", then["moment"].as_str().unwrap())).await.ok();
    assert_eq!(as_of["items"], then["items"]);
    let page = bench.get(&format!("{of}&limit=1")).await.ok();
    let next = bench.get(&format!("{of}&limit=1&after={}", page["next"].as_str().unwrap())).await.ok();
    assert_eq!((&next["items"][0]["key"], next.get("next")), (&json!("l"), None));
    let spaces = bench.get("/api/v1/state/spaces?layer=context&prefix=or").await.ok();
    let expected = json!([{
        "tenant": "default", "space": "context/orders", "puts": 3, "deletes": 0, "visible": 2, "newest": 3,
        "deployments": [first, second]
    }]);
    assert_eq!(spaces["items"], expected);
    for bad in ["orders", "memory/support", "vectors/kb", "cache/x", "context/"] {
        bench.get(&format!("/api/v1/state/records?space={bad}")).await.problem("bad_name");
    }
}

#[tokio::test(start_paused = true)]
async fn an_export_taken_in_again_says_the_same() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let first = job(&bench, "one").await;
    let values: Vec<(String, Value)> = (0..450).map(|n| (format!("k-{n:03}"), value(n))).collect();
    let values: Vec<(&str, Value)> =
        values.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    assert_eq!(import(&bench, first, &values).await.ok()["written"], 450);
    // Sent again, it leaves each once.
    assert_eq!(import(&bench, first, &values).await.ok()["there"], 450);
    bench.post(&format!("/api/v1/deployments/{first}/commit"), json!({})).await.ok();
    import(&bench, first, &values).await.problem("deployment_closed");
    let export = bench.get("/api/v1/state/export?space=context/orders").await;
    let text = String::from_utf8(export.body.to_vec()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["records"], &lines[451]["lines"]), (452, &json!(450), &json!(450)));
    assert_eq!(lines[1]["value"], value(0));
    let before = text.rfind("{\"lines\"").unwrap();
    let sha256 = pinrail_domain::digest::Digest::of(&text.as_bytes()[..before]);
    assert_eq!(lines[451]["sha256"], json!(sha256));
}

/// I12
#[tokio::test(start_paused = true)]
async fn vectors_are_taken_in_only_into_the_index_of_their_embedder() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let job = job(&bench, "one").await;
    let embedder = json!({ "embedder": "mini", "dims": 2, "metric": "cosine" });
    let wish = |space: &str, vector: Value, embedder: &Value| {
        json!({
            "space": space, "deployment": job, "embedder": embedder,
            "records": [{ "key": "k", "value": { "text": "hello" }, "vector": vector }]
        })
    };
    let import = async |wish: Value| bench.post("/api/v1/state/import", wish).await;
    let done = import(wish("vectors/kb", json!([1.0, 0.5]), &embedder)).await.ok();
    let space = done["space"].as_str().unwrap().to_owned();
    assert!(space.starts_with("vectors/kb@"), "{space}");
    assert_eq!(import(wish(&space, json!([1.0, 0.5]), &embedder)).await.ok()["there"], 1);
    let other = json!({ "embedder": "maxi", "dims": 2, "metric": "cosine" });
    import(wish(&space, json!([1.0, 0.5]), &other)).await.problem("bad_request");
    import(wish("vectors/kb", json!([1.0]), &embedder)).await.problem("bad_request");
    import(wish("vectors/kb", json!(null), &embedder)).await.problem("bad_request");
    import(wish("context/kb", json!(null), &embedder)).await.problem("bad_request");
    bench.post(&format!("/api/v1/deployments/{job}/commit"), json!({})).await.ok();
    let export = bench.get(&format!("/api/v1/state/export?space={space}")).await;
    let text = String::from_utf8(export.body.to_vec()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["embedder"], &lines[1]["vector"]), (&embedder, &json!([1.0, 0.5])));
}

#[tokio::test(start_paused = true)]
async fn the_map_shows_who_reads_what_others_write() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let run = bench.run("acme").await;
    let turns = json!({ "run": run, "turns": [{ "role": "user", "content": "hello" }] });
    bench.post("/api/v1/memory/support/s-1", turns).await.ok();
    let map = bench.get("/api/v1/state/map").await.ok();
    assert_eq!(map["uses"][0]["place"], "memory/support/*");
    assert_eq!((&map["agents"], &map["depends"]), (&json!(["support"]), &json!([])));
    let each = bench.get("/api/v1/state/map?spaces=true&tenant=acme").await.ok();
    assert_eq!(each["spaces"][0]["id"], "acme:memory/support/s-1");
}

#[tokio::test(start_paused = true)]
async fn what_was_tampered_with_is_named() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let job = job(&bench, "one").await;
    import(&bench, job, &[("k", value(1))]).await.ok();
    let of = "/api/v1/state/verify?space=context/orders";
    assert_eq!(bench.get(of).await.ok()["whole"], true);
    bench.memory.damage_record(pinrail_domain::id::StateSeq(1));
    let broken = bench.get(of).await.ok();
    assert_eq!((&broken["whole"], &broken["named"][0]["key"]), (&json!(false), &json!("k")));
}

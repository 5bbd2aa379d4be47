use serde_json::{Value, json};

use crate::api::state::tests::{import, job};
use crate::testing::Bench;

async fn html(bench: &Bench, path: &str) -> String {
    let answered = bench.send("GET", path, &[("accept", "text/html")], None).await;
    assert_eq!(answered.status, 200, "{path}: {}", String::from_utf8_lossy(&answered.body));
    String::from_utf8(answered.body.to_vec()).unwrap()
}

fn value(text: &str) -> Value {
    json!({ "protocol": 1, "value": text })
}

/// Job 2 wrote two keys and was committed; job 3 wrote over one and was committed and rolled back.
async fn two_jobs(bench: &Bench) -> (u64, u64) {
    bench.deploy_now().await;
    let first = job(bench, "one").await;
    import(bench, first, &[("k", value("good")), ("<script>", value("</pre><script>\u{202e}\0"))]).await.ok();
    bench.post(&format!("/api/v1/deployments/{first}/commit"), json!({})).await.ok();
    let second = job(bench, "two").await;
    import(bench, second, &[("k", value("bad"))]).await.ok();
    bench.post(&format!("/api/v1/deployments/{second}/commit"), json!({})).await.ok();
    bench.roll_back(second).await.ok();
    (first, second)
}

#[tokio::test(start_paused = true)]
async fn spaces_are_listed_with_their_writers_and_their_last_write() {
    let bench = Bench::open().await;
    assert!(html(&bench, "/state").await.contains("pinrail context put"));
    two_jobs(&bench).await;
    let page = bench.get("/state.json?layer=&prefix=or").await.ok();
    let row = &page["items"][0];
    assert_eq!(
        (&row["space"], &row["visible"], &row["puts"]),
        (&json!("context/orders"), &json!(2), &json!(3))
    );
    assert!(row["last_at"].is_u64(), "{page}");
    let shown = html(&bench, "/state").await;
    assert!(
        shown.contains("/state/space?tenant=default") && shown.contains("space=context%2Forders"),
        "{shown}"
    );
    bench.get("/state.json?layer=cache").await.problem("bad_request");
}

#[tokio::test(start_paused = true)]
async fn a_space_is_looked_at_as_of_any_moment_and_says_why_the_rest_is_hidden() {
    let bench = Bench::open().await;
    let (_, second) = two_jobs(&bench).await;
    let of = "/state/space.json?space=context/orders";
    let now = bench.get(of).await.ok();
    assert_eq!((&now["visible"], &now["kept"], &now["is_now"]), (&json!(2), &json!(3), &json!(true)));
    let marks = now["marks"].as_array().unwrap();
    let said: Vec<&str> = marks.iter().map(|mark| mark["what"].as_str().unwrap()).collect();
    assert_eq!(said, ["opened", "promoted", "opened", "promoted", "rolled back"]);
    // The slider: its right end is now, every other place is right after that record.
    let then = bench.get(&format!("{of}&seq=1&as_of=")).await.ok();
    assert_eq!((&then["visible"], &then["asked"]["as_of"]), (&json!(0), &json!("state:1")));
    assert_eq!(bench.get(&format!("{of}&seq={}", now["last"])).await.ok()["is_now"], true);
    // As of its promotion, what job 3 wrote is what everybody saw.
    let promoted = format!("{of}&as_of=ledger:{}&key=k", marks[3]["ledger"]);
    assert_eq!(bench.get(&promoted).await.ok()["items"][0]["value"], value("bad"));
    let history = bench.get(&format!("{of}&history=true&key=k")).await.ok();
    assert_eq!(history["items"][1]["hidden"], json!({ "why": "retracted", "deployment": second }));
    let compared = bench.get(&format!("{of}&compare=ledger:{}", marks[3]["ledger"])).await.ok();
    let compared = &compared["compared"];
    assert_eq!((&compared["changed"], &compared["same"]), (&json!(1), &json!(1)));
    assert_eq!(compared["keys"][0]["after"]["value"], value("good"));
    let verified = bench.get(&format!("{of}&verify=true")).await.ok();
    assert_eq!((&verified["verified"]["whole"], &verified["verified"]["records"]), (&json!(true), &json!(3)));

    let shown = html(&bench, "/state/space?space=context/orders&history=true&verify=true").await;
    assert!(shown.contains("hidden: rolled back") && shown.contains("type=\"range\""), "{shown}");
    assert!(!shown.contains("<script>\u{202e}") && !shown.contains('\u{202e}') && !shown.contains('\0'));
    assert!(shown.contains("U+202E") && shown.contains("<b>Whole.</b>"), "{shown}");
    bench.get("/state/space.json?space=context/nowhere").await.problem("not_found");
    bench.get(&format!("{of}&deployment=99")).await.problem("not_found");
    bench.get(&format!("{of}&as_of=state:99")).await.problem("future_moment");
    bench.get(&format!("{of}&as_of=state:1&compare=now")).await.problem("bad_request");
    bench.get(&format!("{of}&as_of=yesterday")).await.problem("bad_request");
}

#[tokio::test(start_paused = true)]
async fn a_vector_is_told_by_its_size_and_norm() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let embedder = json!({ "embedder": "e", "dims": 2, "metric": "cosine", "provider": "local" });
    let records = json!([{ "key": "d", "vector": [3.0, 4.0], "payload": { "lang": "en" } }]);
    let wish = json!({ "external": true, "embedder": embedder, "records": records });
    bench.post("/api/v1/vectors/kb/upsert", wish).await.ok();
    let spaces = bench.get("/state.json?layer=vectors").await.ok();
    let space = spaces["items"][0]["space"].as_str().unwrap().to_owned();
    let page = bench.get(&format!("/state/space.json?space={space}")).await.ok();
    let seq = page["items"][0]["seq"].to_string();
    assert_eq!((&page["items"][0]["dims"], &page["norms"][seq]), (&json!(2), &json!(5.0)));
    assert!(html(&bench, &format!("/state/space?space={space}")).await.contains("5.0000"));
}

#[tokio::test(start_paused = true)]
async fn the_map_draws_who_wrote_and_who_read() {
    let (bench, _, good, _) = Bench::with_canary(json!({})).await;
    let turns = json!({ "run": good, "turns": [{ "role": "assistant", "content": "hi" }] });
    bench.post("/api/v1/memory/support/s-1", turns).await.ok();
    bench.get(&format!("/api/v1/memory/support/s-1?run={good}")).await.ok();
    let map = bench.get("/state/map.json?spaces=true").await.ok();
    assert_eq!((&map["uses"][0]["writes"], &map["each"]), (&json!(1), &json!(true)));
    let shown = html(&bench, "/state/map?tenant=acme").await;
    assert!(shown.contains("<svg class=\"graph\"") && shown.contains("memory/support/*"), "{shown}");
}

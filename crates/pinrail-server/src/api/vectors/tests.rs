use serde_json::{Value, json};

use crate::testing::Bench;

const KB: &str = "/api/v1/vectors/kb";

fn embedder() -> Value {
    json!({ "embedder": "small", "dims": 2, "metric": "cosine" })
}

fn record(key: &str, x: f32, y: f32) -> Value {
    json!({ "key": key, "vector": [x, y], "payload": { "name": key } })
}

async fn load(bench: &Bench, records: Value) -> Value {
    let wish = json!({ "external": true, "embedder": embedder(), "records": records });
    bench.post(&format!("{KB}/upsert"), wish).await.ok()
}

#[tokio::test(start_paused = true)]
async fn vectors_are_kept_found_counted_and_deleted() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    bench.post(&format!("{KB}/search"), json!({ "vector": [1, 0] })).await.problem("which_embedder");
    let wrote = load(&bench, json!([record("east", 1.0, 0.0), record("north", 0.0, 1.0)])).await;
    let kept = (&wrote["space"], &wrote["records"], &wrote["deployment"]);
    assert_eq!(kept, (&json!("kb"), &json!(2), &json!(0)));
    let run = bench.run("default").await;
    let ask =
        json!({ "run": run, "vector": [2, 1], "top": 1, "filter": { "name": { "in": ["east", "west"] } } });
    let found = bench.post(&format!("{KB}/search"), ask).await.ok();
    assert_eq!(
        (&found["results"][0]["key"], &found["visible"], &found["matching"], &found["exact"]),
        (&json!("east"), &json!(2), &json!(1), &json!(true))
    );
    assert_eq!(found["results"][0]["payload"], json!({ "name": "east" }));
    // The same bits as base64, as embedding APIs give them.
    let same = json!({ "vector": "AACAPwAAAAA=", "with_vectors": true, "embedder": found["embedder"] });
    let found = bench.post(&format!("{KB}/search"), same).await.ok();
    assert_eq!(
        (&found["results"][0]["score"], &found["results"][0]["vector"]),
        (&json!(1.0), &json!([1.0, 0.0]))
    );
    assert_eq!(bench.post(&format!("{KB}/count"), json!({})).await.ok()["count"], 2);
    let gone = json!({ "run": run, "keys": ["east", "nowhere"] });
    assert_eq!(bench.post(&format!("{KB}/delete"), gone).await.ok()["ended"], 1);
    assert_eq!(bench.post(&format!("{KB}/count"), json!({})).await.ok()["count"], 1);
    // Asked again as of then, the answer is what it was.
    let then = json!({ "as_of": found["moment"] });
    assert_eq!(bench.post(&format!("{KB}/count"), then).await.ok()["count"], 2);
    let shown = bench.get(KB).await.ok();
    assert_eq!((&shown["keys"], &shown["embedders"][0]["coverage"]), (&json!(1), &json!(1.0)));
}

#[tokio::test(start_paused = true)]
async fn bad_vectors_are_named_and_nothing_of_their_request_is_kept() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let upsert = format!("{KB}/upsert");
    let check = async |records: Value, code: &str| {
        let wish = json!({ "external": true, "embedder": embedder(), "records": records });
        bench.post(&upsert, wish).await.problem(code)
    };
    check(json!([]), "bad_request").await;
    let refused =
        check(json!([record("good", 1.0, 0.0), { "key": "wide", "vector": [1, 2, 3] }]), "bad_vector").await;
    assert_eq!(refused["key"], "wide");
    check(json!([{ "key": "zero", "vector": [0, 0] }]), "bad_vector").await;
    check(json!([{ "key": "b", "vector": "###" }]), "bad_vector").await;
    check(json!([{ "key": "p", "vector": [1, 0], "payload": [1] }]), "bad_request").await;
    check(json!([{ "key": "p", "vector": [1, 0], "parents": [99] }]), "bad_parents").await;
    bench.get(KB).await.problem("not_found");
    let nobody = json!({ "embedder": embedder(), "records": [record("a", 1.0, 0.0)] });
    bench.post(&upsert, nobody).await.problem("bad_request");
    load(&bench, json!([record("a", 1.0, 0.0)])).await;
    for (wish, code) in [
        (json!({ "vector": [1, 0, 0] }), "bad_vector"),
        (json!({ "vector": [1, 0], "top": 0 }), "bad_request"),
        (json!({ "vector": [1, 0], "filter": { "a": { "like": "b" } } }), "bad_request"),
        (json!({ "vector": [1, 0], "embedder": "0123456789ab" }), "not_found"),
        (json!({ "vector": [1, 0], "as_of": "state:9999" }), "future_moment"),
    ] {
        bench.post(&format!("{KB}/search"), wish).await.problem(code);
    }
}

/// I11.
#[tokio::test(start_paused = true)]
async fn a_tenants_vectors_are_its_own() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let headers = [("x-pinrail-tenant", "acme")];
    let wish = json!({ "external": true, "embedder": embedder(), "records": [record("a", 1.0, 0.0)] });
    bench.send("POST", &format!("{KB}/upsert"), &headers, Some(&wish)).await.ok();
    bench.send("POST", &format!("{KB}/count"), &headers, None).await.ok();
    bench.get(KB).await.problem("not_found");
    let admin = bench.key(&["admin"], None).await;
    let other = bench.key(&["run", "read"], Some(&["umbrella"])).await;
    bench.as_key(&admin).send("GET", KB, &headers, None).await.ok();
    let other = bench.as_key(&other);
    other.get(KB).await.problem("not_found");
    other.send("GET", KB, &headers, None).await.problem("forbidden");
}

/// The same name and dimensions, another model: its vectors say so.
#[tokio::test(start_paused = true)]
async fn canary_texts_show_a_silent_swap() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    load(&bench, json!([record("a", 1.0, 0.0)])).await;
    let canaries = format!("{KB}/canaries");
    let texts = |x: f32| json!({ "canaries": [{ "text": "one", "vector": [1, 0] }, { "text": "two", "vector": [x, 1] }] });
    bench.post(&format!("{canaries}/check"), texts(0.0)).await.problem("not_found");
    assert_eq!(bench.put(&canaries, texts(0.0)).await.ok()["texts"], json!(["one", "two"]));
    assert_eq!(bench.get(&canaries).await.ok()["texts"].as_array().unwrap().len(), 2);
    let same = bench.post(&format!("{canaries}/check"), texts(0.001)).await.ok();
    assert_eq!(same["verdict"], "same");
    let swapped = bench.post(&format!("{canaries}/check"), texts(0.5)).await.ok();
    assert_eq!((&swapped["verdict"], &swapped["worst_text"]), (&json!("swapped"), &json!("two")));
    let missing = json!({ "canaries": [{ "text": "one", "vector": [1, 0] }] });
    bench.post(&format!("{canaries}/check"), missing).await.problem("bad_request");
    let shown = bench.get(KB).await.ok();
    assert_eq!(shown["embedders"][0]["canaries"]["last_check"]["verdict"], "swapped");
    assert_eq!(shown["embedders"][0]["canaries"]["texts"], 2);
}

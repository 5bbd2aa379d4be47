use serde_json::json;

use crate::testing::{Answered, Bench};

const HTML: (&str, &str) = ("accept", "text/html");

fn text(answered: &Answered) -> String {
    String::from_utf8(answered.body.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_rail_shows_every_line_and_finds_those_that_need_a_look() {
    let bench = Bench::open().await;
    let id = bench.roll_out(json!({ "steps": [{ "canary": { "percent": 5 } }] })).await;
    let rail = bench.get("/index.json").await.ok();
    let line = &rail["lines"][0];
    assert_eq!((&line["agent"], &line["segment"]), (&json!("support"), &json!("default")));
    assert_eq!((&line["active"]["deployment"], &line["candidate"]["deployment"]), (&json!(1), &json!(id)));
    assert_eq!(
        (&line["candidate"]["weight"], &line["candidate"]["step"]),
        (&json!(500), &json!("canary 5%, step 1 of 1"))
    );
    assert_eq!((&rail["totals"]["candidates"], &rail["totals"]["warned"]), (&json!(1), &json!(0)));
    bench
        .put(
            "/api/v1/dial",
            json!({ "place": { "agent": "support" }, "position": "read_only", "reason": "odd" }),
        )
        .await
        .ok();
    bench.roll_back(id).await.ok();
    let rail = bench.get("/index.json?warn=true").await.ok();
    let line = &rail["lines"][0];
    assert_eq!((&line["dial"]["position"], &line["hold"]["deployment"]), (&json!("read_only"), &json!(id)));
    assert_eq!(
        (&rail["totals"]["warned"], &rail["totals"]["first_warned"]),
        (&json!(1), &json!([["support", "default"]]))
    );
    assert_eq!(bench.get("/index.json?q=SIM-LARGE").await.ok()["lines"].as_array().unwrap().len(), 1);
    assert_eq!(bench.get("/index.json?q=nobody").await.ok()["lines"], json!([]));
    let page = text(&bench.send("GET", "/", &[HTML], None).await);
    assert!(page.contains("dial: read_only") || page.contains("dial: read only"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn many_lines_come_in_pages_by_name_and_traffic_is_counted() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    for n in 0..100 {
        bench.put(&format!("/api/v1/agents/agent-{n:03}"), json!({})).await.ok();
    }
    let mut changed = bench.control.traffic_changed();
    bench.run("acme").await;
    changed.changed().await.unwrap();
    let first = bench.get("/index.json").await.ok();
    assert_eq!((&first["totals"]["lines"], first["lines"].as_array().unwrap().len()), (&json!(101), 70));
    let next = first["next"].as_str().unwrap();
    let second = bench.get(&format!("/index.json?after={next}")).await.ok();
    assert_eq!((second["lines"].as_array().unwrap().len(), second.get("next")), (31, None));
    let support = second["lines"].as_array().unwrap().last().unwrap();
    assert_eq!((&support["agent"], &support["minutes"][59]), (&json!("support"), &json!(1)));
    let page = text(&bench.send("GET", "/", &[HTML], None).await);
    assert!(page.len() < 100_000 && page.contains("rel=\"next\""), "{}", page.len());
}

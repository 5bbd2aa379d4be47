use serde_json::json;

use crate::testing::Bench;

#[tokio::test(start_paused = true)]
async fn a_drill_is_held_from_the_page_and_its_entry_is_shown() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let page = bench.get("/readiness.json").await.ok();
    assert_eq!((&page["ready"], page.get("drill")), (&json!(false), None));
    assert_eq!(page["indicators"], bench.get("/api/v1/readiness").await.ok()["indicators"]);
    assert_eq!(page["providers"][0]["provider"], "sim");
    let held = bench.send_form("/readiness/drill", &[], &[("reason", "weekly")]).await;
    let to = held.header("location").unwrap().to_owned();
    assert!(held.status == 303 && to.starts_with("/readiness?entry="), "{to}");
    let shown = bench.send("GET", &to, &[("accept", "text/html")], None).await;
    let shown = String::from_utf8(shown.body.to_vec()).unwrap();
    assert!(
        shown.contains("went well") && shown.contains("Rolled back deployment 2, data job drill-"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_without_its_key_is_named_with_the_variable() {
    let bench = Bench::open().await;
    let spec = json!({ "base_url": "https://api.openai.com/v1", "catalogue": "openai", "key_env": "OPENAI_API_KEY" });
    bench.put("/api/v1/providers/openai", spec).await.ok();
    let page = bench.get("/readiness.json").await.ok();
    assert_eq!(page["providers"][0]["missing"], json!(["OPENAI_API_KEY"]));
}

use serde_json::json;

use crate::testing::Bench;

/// The address at which the page that a browser got is followed.
async fn followed(bench: &Bench, path: &str) -> String {
    let page = bench.get(path).await;
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let at = html.split("hx-sse:connect=\"").nth(1).unwrap().split('"').next().unwrap();
    at.replace("&amp;", "&").replace("&#38;", "&")
}

#[tokio::test(start_paused = true)]
async fn a_page_hears_of_what_changed_and_of_nothing_else() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let mut events = bench.follow_epochs(&followed(&bench, "/").await, &[]).await;
    assert_eq!(events.next().await.unwrap(), ": followed\n\n", "it shows what there is");
    bench.roll_back(1).await.ok();
    let told = events.next().await.unwrap();
    assert!(told.starts_with("data: <hx-partial hx-target=\"#"), "{told}");
    assert!(told.contains("hx-swap=\"outerMorph\"") && told.ends_with("\n\n"), "{told}");
    assert!(told.lines().all(|line| line.is_empty() || line.starts_with("data: ")), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_shows_other_parts_loads_itself_anew() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let at = followed(&bench, "/").await;
    let mut events = bench.follow_epochs(&at, &[]).await;
    events.next().await.unwrap();
    bench.put("/api/v1/agents/second", json!({})).await.ok();
    assert_eq!(events.next().await.unwrap(), "event: reload\ndata: \n\n");
    // And so does one that comes back after it.
    let mut late = bench.follow_epochs(&at, &[]).await;
    assert!(late.next().await.unwrap().ends_with("event: reload\ndata: \n\n"));
}

#[tokio::test(start_paused = true)]
async fn a_page_is_followed_no_longer_than_its_key_works() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let admin = bench.key(&["admin"], None).await;
    let reader = bench.key(&["read"], None).await;
    let (as_admin, as_reader) = (bench.as_key(&admin), bench.as_key(&reader));
    let mut events = as_reader.follow_epochs("/index.live", &[]).await;
    events.next().await.unwrap();
    as_admin.delete(&format!("/api/v1/keys/{}", crate::testing::id_of(&reader))).await.ok();
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_live_is_not_followed() {
    let bench = Bench::open().await;
    for path in ["/keys.live", "/ledger.live?verify=true", "/ledger.live?text=x"] {
        let mut events = bench.follow_epochs(path, &[]).await;
        assert_eq!(events.next().await.unwrap(), "event: reload\ndata: \n\n", "{path}");
        assert_eq!(events.next().await, None, "{path}");
    }
}

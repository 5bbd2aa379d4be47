use serde_json::json;

use crate::testing::{Answered, Bench};

fn text(answered: &Answered) -> String {
    String::from_utf8(answered.body.to_vec()).unwrap()
}

/// An address at which nobody listens, whatever the machine does.
const NOBODY: &str = "http://127.0.0.1:1/hook";

#[tokio::test]
async fn a_webhook_is_tested_and_removed_from_its_page() {
    let bench = Bench::open().await;
    bench.put("/api/v1/webhooks/chat", json!({ "url": NOBODY, "secret_env": "NOT_SET" })).await.ok();
    let page = bench.get("/webhooks/chat.json").await.ok();
    assert_eq!((&page["spec"]["secret_env"], &page["letters"]), (&json!("NOT_SET"), &json!([])));
    let tested = bench.send_form("/webhooks/chat/test", &[], &[]).await;
    let html = text(&tested);
    assert!(tested.status == 200 && html.contains("The test wasn’t taken"), "{html}");
    assert!(html.contains("the environment variable NOT_SET is not set"), "{html}");
    assert!(html.contains("href=\"/webhooks/chat.json\""), "its twin is the webhook's own: {html}");
    let all = bench.send_form("/webhooks/chat/retry", &[], &[]).await;
    assert!(text(&all).contains("0 dead letters are left"), "{}", text(&all));
    assert_eq!(bench.send_form("/webhooks/chat/dead-letters/1/retry", &[], &[]).await.status, 404);
    let removed = bench.send_form("/webhooks/chat/remove", &[], &[("reason", "enough")]).await;
    let to = removed.header("location").unwrap().to_owned();
    let listed = text(&bench.send("GET", &to, &[("accept", "text/html")], None).await);
    assert!(listed.contains("Removed webhook chat") && listed.contains("pinrail webhook put"), "{listed}");
    bench.get("/webhooks/chat.json").await.problem("not_found");
}

use http::header::LOCATION;
use serde_json::json;

use crate::testing::Bench;

const HOSTILE: &str = "<script>alert(1)</script>\u{202e}";

#[tokio::test(start_paused = true)]
async fn the_dial_is_turned_from_its_page_and_says_so() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let html = [("accept", "text/html")];
    let shown = async |path: &str| {
        String::from_utf8(bench.send("GET", path, &html, None).await.body.to_vec()).unwrap()
    };
    let confirm = shown("/dial/turn?agent=support&position=read_only").await;
    assert!(confirm.contains("Turn the dial of agent support") && confirm.contains("Reason, kept on record"));
    let fields = [("agent", "support"), ("tool", ""), ("position", "read_only"), ("reason", HOSTILE)];
    let turned = bench.send_form("/dial/turn", &[], &fields).await;
    assert_eq!(turned.status, 303, "{}", String::from_utf8_lossy(&turned.body));
    let to = turned.header(LOCATION.as_str()).unwrap().to_owned();
    let page = shown(&to).await;
    assert!(page.contains("Turned the dial of agent support to read_only"), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains('\u{202e}'), "{page}");
    let value = bench.get("/dial.json?agent=support&tool=mail").await.ok();
    assert_eq!(
        (&value["rows"][0]["position"], &value["rows"][0]["by"]["recorded"]),
        (&json!("read_only"), &json!(true))
    );
    assert_eq!(value["in_force"]["tools"][0]["rule_with_side_effects"], "withheld");
    bench.get("/dial.json?agent=nobody").await.problem("not_found");
    let wrong =
        bench.send_form("/dial/turn", &[], &[("tool", "x"), ("position", "canned"), ("reason", "try")]).await;
    assert_eq!(wrong.status, 409, "{}", String::from_utf8_lossy(&wrong.body));
}

#[tokio::test(start_paused = true)]
async fn a_call_is_approved_once_from_its_page() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let down = json!({ "place": { "tool": "refund" }, "position": "supervised", "reason": "look" });
    bench.put("/api/v1/dial", down).await.ok();
    let run = bench.run("acme").await;
    let asked = bench
        .post(
            &format!("/api/v1/runs/{run}/tools/authorize"),
            json!({ "tool": "refund", "arguments": { "to": HOSTILE } }),
        )
        .await
        .ok();
    let Some(id) = asked["approval"].as_str() else { panic!("{asked}") };
    let waiting = bench.get("/dial.json").await.ok();
    assert_eq!(waiting["waiting"][0]["approval"], id);
    let page = bench.send("GET", &format!("/approvals/{id}"), &[("accept", "text/html")], None).await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
    let path = format!("/approvals/{id}/approve");
    let done = bench.send_form(&path, &[], &[("reason", "checked")]).await;
    assert_eq!((done.status, done.header("location")), (303, Some(format!("/approvals/{id}").as_str())));
    assert_eq!(bench.get(&format!("/approvals/{id}.json")).await.ok()["state"], "approved");
    assert_eq!(bench.send_form(&path, &[], &[("reason", "again")]).await.status, 409);
    assert_eq!(bench.get("/dial.json").await.ok()["decided"][0]["decision"]["reason"], "checked");
}

use pinrail_domain::journal::Event;
use pinrail_domain::key::Tenants;
use serde_json::json;

use crate::testing::{Bench, manifest};

/// A canary's run writes a turn and refunds; a run of the same deployment reads it; a run of another that was promoted
/// before its rollback reads it, writes and refunds in turn.
async fn story() -> (Bench, String) {
    let bench = Bench::open().await;
    bench.provider("sim").await;
    bench.put("/api/v1/agents/support", json!({})).await.ok();
    let tools = json!([{ "type": "function", "function": { "name": "refund" } }]).to_string();
    let schema = bench.post_bytes("/api/v1/artifacts", tools.as_bytes()).await.ok()["digest"].clone();
    for snapshot in ["sim-large-2026-03-01", "sim-large-2026-04-01"] {
        let mut manifest = manifest(snapshot);
        manifest["tools"] = json!({ "schema": schema, "side_effects": ["refund"] });
        let wish = json!({ "agent": "support", "manifest": manifest });
        let release = bench.post("/api/v1/releases", wish).await.ok()["release"].clone();
        bench.open_deployment(json!({ "releases": { "support": release }, "now": true })).await.ok();
        if snapshot == "sim-large-2026-03-01" {
            let run = bench.run("acme").await;
            remember(&bench, &run, "all of it!").await;
            call(&bench, &run, "</code><script>\u{202e}").await;
        }
    }
    let misled = bench.run("acme").await;
    bench.get(&format!("/api/v1/memory/support/s-1?run={misled}")).await.ok();
    remember(&bench, &misled, "as I said").await;
    call(&bench, &misled, "=1").await;
    (bench, misled)
}

async fn remember(bench: &Bench, run: &str, text: &str) {
    let turns = json!({ "run": run, "turns": [{ "role": "assistant", "content": text }] });
    bench.post("/api/v1/memory/support/s-1", turns).await.ok();
}

async fn call(bench: &Bench, run: &str, order: &str) {
    let event = Event::ToolCall { name: "refund".into(), id: None, arguments: json!({ "order": order }) };
    let run = run.parse().unwrap();
    bench.control.runs().append(run, &Tenants::All, None, vec![event], None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_blast_radius_is_drawn_from_cause_to_effect() {
    let (bench, misled) = story().await;
    let value = bench.get("/deployments/1/blast-radius.json").await.ok();
    let nodes = value["graph"]["nodes"].as_array().unwrap();
    let drawn: Vec<_> =
        nodes.iter().map(|node| (node["column"].as_u64().unwrap(), node["kind"].as_str().unwrap())).collect();
    let expected = [(0, "deployment"), (1, "space"), (1, "tool"), (2, "run"), (3, "space"), (3, "tool")];
    assert_eq!(drawn, expected, "{value}");
    assert_eq!(value["graph"]["edges"].as_array().unwrap().len(), 5);
    assert_eq!((&value["effects"]["calls"], &value["beyond"]), (&json!(2), &json!(0)));
    let page = bench.send("GET", "/deployments/1/blast-radius", &[("accept", "text/html")], None).await;
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("<svg") && html.contains(&format!("/runs/{misled}")), "{html}");
    assert!(!html.contains("<script>") && !html.contains('\u{202e}'), "{html}");
    let csv = bench.get("/deployments/1/blast-radius.csv").await;
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"blast-radius-1.csv\""));
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    assert_eq!((csv.status, text.lines().count()), (200, 3), "{text}");
    bench.get("/deployments/9/blast-radius.json").await.problem("not_found");
}

#[tokio::test(start_paused = true)]
async fn calls_are_reported_from_the_page_with_a_reason() {
    let (bench, _) = story().await;
    let confirm = bench.send("GET", "/deployments/1/compensate", &[("accept", "text/html")], None).await;
    let html = String::from_utf8(confirm.body.to_vec()).unwrap();
    assert!(html.contains("name=\"reason\"") && html.contains("no address"), "{html}");
    let done = bench.send_form("/deployments/1/compensate", &[], &[("reason", "worse")]).await;
    let html = String::from_utf8(done.body.to_vec()).unwrap();
    assert!(done.status == 200 && html.contains("2 without an address"), "{html}");
    bench.key(&["admin"], None).await;
    let key = bench.key(&["read"], None).await;
    let cookie = bench.sign_in(&key).await;
    let headers = [("cookie", cookie.as_str())];
    assert_eq!(bench.send_form("/deployments/1/compensate", &headers, &[("reason", "r")]).await.status, 403);
}

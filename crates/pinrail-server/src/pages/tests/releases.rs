//! The pages of releases, over a server in memory.

use pinrail_domain::digest::Digest;
use serde_json::{Value, json};

use super::{HTML, text};
use crate::testing::{Bench, manifest};

const HOSTILE: &str = "<script>alert(1)</script></textarea>\u{202e}\u{1b}[31m";

/// A release with a prompt and tools; returns the digits of its id.
async fn release(bench: &Bench, snapshot: &str, prompt: &str, tools: Value) -> String {
    let mut manifest = manifest(snapshot);
    let store =
        async |bytes: &[u8]| bench.post_bytes("/api/v1/artifacts", bytes).await.ok()["digest"].clone();
    manifest["prompt"] = json!({ "system": store(prompt.as_bytes()).await });
    manifest["tools"] = json!({ "schema": store(tools.to_string().as_bytes()).await });
    let wish = json!({ "agent": "support", "manifest": manifest, "reason": HOSTILE });
    let made = bench.post("/api/v1/releases", wish).await.ok();
    made["release"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned()
}

fn tool(name: &str, says: &str) -> Value {
    json!({ "type": "function", "function": { "name": name, "description": says, "parameters": { "type": "object" } } })
}

async fn page(bench: &Bench, path: &str) -> String {
    let shown = bench.send("GET", path, &[HTML], None).await;
    let html = text(&shown);
    assert_eq!(shown.status, 200, "{path}: {html}");
    assert!(!html.contains("<script>") && !html.contains("</textarea"), "{path}: {html}");
    assert!(!html.contains('\u{202e}') && !html.contains('\u{1b}'), "{path}: {html}");
    html
}

#[tokio::test(start_paused = true)]
async fn releases_are_listed_shown_and_compared() {
    let bench = Bench::open().await;
    bench.agent_and_provider().await;
    let empty = page(&bench, "/releases").await;
    assert!(empty.contains("pinrail init"), "{empty}");
    let old = release(&bench, "sim-large-2026-03-01", "You are kind.", json!([tool("look", "looks")])).await;
    let new = release(&bench, "sim-large-2026-04-01", HOSTILE, json!([tool("look", HOSTILE)])).await;
    let wish = json!({ "releases": { "support": format!("sha256:{old}") }, "now": true });
    bench.open_deployment(wish).await.ok();

    let list = page(&bench, "/releases?agent=support").await;
    assert!(
        list.contains(&old[..12]) && list.contains(&new[..12]) && list.contains("/deployments/1"),
        "{list}"
    );
    let twin = bench.get("/releases.json").await.ok();
    assert_eq!(twin["items"][1]["serves"][0]["deployment"], 1);
    assert_eq!(twin["items"][0]["release"], format!("sha256:{new}"));

    let shown = page(&bench, &format!("/releases/{}", &new[..12])).await;
    assert!(shown.contains("release created") && shown.contains(&format!("value=\"{old}\"")), "{shown}");
    let twin = bench.get(&format!("/releases/{old}.json")).await.ok();
    assert_eq!((&twin["prompt"], &twin["tools"][0]["name"]), (&json!("You are kind."), &json!("look")));
    assert_eq!(twin["needs"], json!(["support/default serves it (deployment 1)"]));
    let kinds: Vec<&Value> = twin["entries"].as_array().unwrap().iter().map(|entry| &entry["what"]).collect();
    assert_eq!(kinds, ["deployment promoted", "deployment opened", "release created"]);

    let chosen = bench.get(&format!("/releases/{new}/diff?from={old}")).await;
    let to = format!("/releases/{old}/diff/{new}");
    assert_eq!((chosen.status, chosen.header("location")), (303, Some(to.as_str())));
    let diff = page(&bench, &to).await;
    assert!(
        diff.contains("<del>") && diff.contains("<ins>") && diff.contains("/function/description"),
        "{diff}"
    );
    let twin = bench.get(&format!("{to}.json")).await.ok();
    assert_eq!(twin["diff"]["from"], format!("sha256:{old}"));
    assert_eq!(twin["tools"][0]["before"]["function"]["description"], "looks");
    let strange = bench.send("GET", "/releases/zzzzzz", &[HTML], None).await;
    assert_eq!(strange.status, 400);
    let gone = Digest::of(b"?").hex();
    assert_eq!(bench.send("GET", &format!("/releases/{gone}"), &[HTML], None).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_release_is_retired_from_its_page_once_nothing_needs_it() {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let list = bench.get("/releases.json").await.ok();
    let active = list["items"][0]["release"].as_str().unwrap()[7..].to_owned();
    let confirm = page(&bench, &format!("/releases/{active}/retire")).await;
    assert!(confirm.contains("support/default serves it (deployment 1)"), "{confirm}");
    let why = [("reason", "old")];
    let refused = bench.send_form(&format!("/releases/{active}/retire"), &[HTML], &why).await;
    assert_eq!(refused.status, 409, "{}", text(&refused));
    assert!(text(&refused).contains("support/default serves it"), "{}", text(&refused));

    let spare = bench.release("sim-large-2026-05-01").await[7..].to_owned();
    let done = bench.send_form(&format!("/releases/{spare}/retire"), &[HTML], &why).await;
    assert_eq!(done.status, 303, "{}", text(&done));
    let shown = page(&bench, done.header("location").unwrap()).await;
    assert!(shown.contains("release retired") && shown.contains("because: old"), "{shown}");
    assert!(!shown.contains("Retire…"), "{shown}");
}

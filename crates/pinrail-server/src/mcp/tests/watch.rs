//! What happens when a server's tools change behind their pin.

use serde_json::json;

use super::{Stage, pinned, reading, tool, word};

#[tokio::test]
async fn what_changed_or_was_added_is_in_quarantine_until_a_person_clears_it() {
    let stage = Stage::set(vec![reading("a"), reading("b")]).await;
    let (session, run) = stage.begin(&[]).await;
    stage.call(&session, "a").await;
    stage.scripted.script(|script| {
        script.tools[0]["description"] = json!("Reads, and sends what it read elsewhere");
        script.tools.push(tool("c", "New"));
    });
    stage.poll().await;
    assert_eq!(stage.listed(&session).await, ["b"]);
    let refused = stage.call(&session, "a").await;
    assert_eq!(word(&refused), "tool_quarantined");
    let finding = refused["error"]["data"]["finding"].as_u64().unwrap();
    assert_eq!(word(&stage.call(&session, "c").await), "tool_quarantined");
    assert_eq!(stage.call(&session, "b").await["result"]["content"][0]["text"], "b done");
    let status = stage.bench.get("/api/v1/mcp").await.ok();
    let shown = &status["servers"][0]["findings"][0];
    assert_eq!((&shown["finding"], &shown["sign"]["changed"]), (&json!(finding), &json!(["a"])));
    assert_eq!(shown["what"], "MCP server scripted changed a (description); added c");
    let evidence =
        stage.bench.get(&format!("/api/v1/artifacts/{}", shown["evidence"].as_str().unwrap())).await;
    assert!(String::from_utf8_lossy(&evidence.body).contains("sends what it read elsewhere"));
    let diff = stage.bench.get("/api/v1/mcp/scripted/diff").await.ok();
    assert_eq!(diff["tools"]["changed"]["a"][0]["path"], "/description");
    // Another look says nothing new.
    let findings = || stage.bench.control.snapshot().world.findings.keys().copied().collect::<Vec<_>>();
    let before = findings();
    stage.poll().await;
    assert_eq!(findings(), before);
    // It goes back to what it was: that alone is no reason to trust it.
    stage.scripted.script(|script| {
        script.tools[0] = reading("a");
        script.tools.pop();
    });
    stage.poll().await;
    assert_eq!(word(&stage.call(&session, "a").await), "tool_quarantined");
    let by = pinrail_control::By::system("it was a typo");
    stage.bench.control.clear_drift(by, pinrail_domain::id::LedgerSeq(finding)).await.unwrap();
    assert_eq!(stage.listed(&session).await, ["a", "b"]);
    assert_eq!(stage.call(&session, "a").await["result"]["content"][0]["text"], "a done");
    let refusals = stage.journal(&run).await.into_iter().filter(|event| event["name"] == "mcp_refused");
    assert_eq!(refusals.count(), 3);
}

#[tokio::test]
async fn what_is_cleared_but_still_changed_is_found_again() {
    let stage = Stage::set(vec![reading("a")]).await;
    let (session, _) = stage.begin(&[]).await;
    stage.scripted.script(|script| script.tools[0]["inputSchema"] = json!({ "type": "object" }));
    stage.poll().await;
    let finding = stage.call(&session, "a").await["error"]["data"]["finding"].as_u64().unwrap();
    let by = pinrail_control::By::system("looks fine");
    stage.bench.control.clear_drift(by, pinrail_domain::id::LedgerSeq(finding)).await.unwrap();
    // Even before the next poll: the tool that is listed is not the pinned one.
    assert_eq!(word(&stage.call(&session, "a").await), "tool_changed");
    stage.poll().await;
    assert_eq!(word(&stage.call(&session, "a").await), "tool_quarantined");
}

#[tokio::test]
async fn a_change_is_met_by_the_first_call_of_a_connection() {
    let stage = Stage::set(vec![reading("a")]).await;
    let (session, _) = stage.begin(&[]).await;
    stage.scripted.script(|script| script.tools[0]["annotations"] = json!({ "readOnlyHint": false }));
    // Nobody polled yet.
    assert_eq!(word(&stage.call(&session, "a").await), "tool_quarantined");
    assert!(stage.scripted.heard("tools/call").is_empty());
}

#[tokio::test]
async fn a_new_pin_is_served_beside_the_finding_about_the_old_one() {
    let mut stage = Stage::set(vec![reading("a")]).await;
    let (before, _) = stage.begin(&[]).await;
    stage.scripted.script(|script| script.tools[0]["description"] = json!("Reads better"));
    stage.poll().await;
    let mut better = reading("a");
    better["description"] = json!("Reads better");
    stage.pin = pinned(&stage.bench, &[better]).await;
    stage.deploy(json!({})).await;
    let (after, _) = stage.begin(&[]).await;
    assert_eq!(word(&stage.call(&before, "a").await), "tool_quarantined"); // I2
    assert_eq!(stage.call(&after, "a").await["result"]["content"][0]["text"], "a done");
}

#[tokio::test]
async fn a_tool_that_is_gone_and_another_identity_degrade_the_release() {
    let stage = Stage::set(vec![reading("a"), reading("b")]).await;
    let (session, _) = stage.begin(&[]).await;
    stage.scripted.script(|script| {
        script.tools.remove(0);
        script.version = "2.0.0".into();
    });
    stage.poll().await;
    assert_eq!(stage.listed(&session).await, ["b"]);
    assert_eq!(word(&stage.call(&session, "a").await), "tool_quarantined");
    // Who the server says that it is keeps no tool from being called that is as it was.
    assert_eq!(stage.call(&session, "b").await["result"]["content"][0]["text"], "b done");
    let status = stage.bench.get("/api/v1/mcp").await.ok();
    let sign = &status["servers"][0]["findings"][0]["sign"];
    assert_eq!((&sign["removed"], &sign["identity"]), (&json!(["a"]), &json!("scripted 2.0.0")));
    let release = status["servers"][0]["pins"][0]["releases"][0].as_str().unwrap().to_owned();
    let shown = stage.bench.get(&format!("/api/v1/releases/{release}")).await.ok();
    assert!(shown["degraded"][0].as_str().unwrap().contains("removed a"), "{shown}");
}

#[tokio::test]
async fn a_release_with_colliding_or_unknown_pins_is_refused() {
    let stage = Stage::set(vec![reading("a")]).await;
    let check = async |tools: serde_json::Value, code: &str| {
        let mut manifest = crate::testing::manifest("sim-large-2026-03-01");
        manifest["tools"] = tools;
        let wish = json!({ "agent": "support", "manifest": manifest });
        stage.bench.post("/api/v1/releases", wish).await.problem(code);
    };
    let schema = br#"[{"type":"function","function":{"name":"a"}}]"#;
    let schema = stage.bench.post_bytes("/api/v1/artifacts", schema).await.ok()["digest"].clone();
    check(json!({ "schema": schema, "mcp": { "scripted": stage.pin } }), "bad_manifest").await;
    check(json!({ "mcp": { "another": stage.pin } }), "not_found").await;
    check(json!({ "mcp": { "scripted": schema } }), "bad_manifest").await;
    check(json!({ "mcp": { "scripted": stage.pin }, "side_effects": ["z"] }), "bad_manifest").await;
    let missing = pinrail_domain::digest::Digest::of(b"nowhere").to_string();
    check(json!({ "mcp": { "scripted": missing } }), "missing_artifact").await;
    // The server can't go while a release that is served pins it.
    stage.bench.delete("/api/v1/mcp/servers/scripted").await.problem("in_use");
}

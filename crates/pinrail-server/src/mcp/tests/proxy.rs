//! What a client sees: the handshake, pins, calls, runs, tenants, the dial.

use pinrail_domain::dial::Position;
use serde_json::{Value, json};

use super::{Mood, Stage, pinned, reading, tool, word};

#[tokio::test]
async fn a_client_is_served_the_pins_and_its_calls_are_forwarded_and_journaled() {
    let mut noted = tool("echo", "Says it again");
    noted["icons"] = json!([{ "src": "e.png" }]);
    let stage = Stage::set(vec![noted, tool("fails", "Fails"), tool("refuses", "Refuses")]).await;
    let (session, run) = stage.begin(&[]).await;
    let listed = stage.ask(&session, "tools/list", json!({})).await;
    // What isn't pinned isn't served.
    assert_eq!(listed["result"]["tools"][0], tool("echo", "Says it again"));
    let called = stage.call(&session, "echo").await;
    assert_eq!(
        called["result"],
        json!({ "content": [{ "type": "text", "text": "echo done" }], "_meta": { "kept": 1 } })
    );
    // The tool's own failure is a result, the server's refusal is an error: both as they came.
    assert_eq!(stage.call(&session, "fails").await["result"]["isError"], true);
    let refused = stage.call(&session, "refuses").await;
    assert_eq!(
        refused["error"],
        json!({ "code": -32050, "message": "not today", "data": { "why": "rain" } })
    );
    assert_eq!(stage.call(&session, "other").await["error"]["code"], -32602);
    assert_eq!(stage.ask(&session, "ping", json!({})).await["result"], json!({}));
    assert_eq!(stage.ask(&session, "resources/list", json!({})).await["error"]["code"], -32601);
    let kinds: Vec<(Value, Value, bool)> = stage
        .journal(&run)
        .await
        .into_iter()
        .map(|event| (event["type"].clone(), event["name"].clone(), event["error"] == true))
        .collect();
    let expected = [
        ("tool_call", "echo", false),
        ("tool_result", "echo", false),
        ("tool_call", "fails", false),
        ("tool_result", "fails", true),
        ("tool_call", "refuses", false),
        ("tool_result", "refuses", true),
        ("note", "mcp_refused", false),
    ];
    assert_eq!(kinds, expected.map(|(kind, name, error)| (json!(kind), json!(name), error)));
    assert_eq!(stage.journal(&run).await[0]["arguments"], json!({ "text": "hello" }));
    // The session's own run ends with it.
    let headers = [("mcp-session-id", session.as_str())];
    assert_eq!(stage.bench.send("DELETE", "/mcp/support", &headers, None).await.status, 204);
    assert_eq!(stage.bench.get(&format!("/api/v1/runs/{run}")).await.ok()["summary"]["status"], "finished");
    stage.ask_as(&session, json!(1), "ping", json!({})).await.problem("not_found");
}

#[tokio::test]
async fn what_is_kept_of_a_call_is_what_the_agent_says() {
    let stage = Stage::set(vec![tool("echo", "Says it again")]).await;
    let check = async |bodies: &str, kept: Value| {
        stage.bench.put("/api/v1/agents/support", json!({ "journal": { "bodies": bodies } })).await.ok();
        let (session, run) = stage.begin(&[]).await;
        stage.call(&session, "echo").await;
        assert_eq!(stage.journal(&run).await[0]["arguments"], kept, "{bodies}");
    };
    check("full", json!({ "text": "hello" })).await;
    let digest = pinrail_domain::digest::Digest::of(br#"{"text":"hello"}"#);
    check("digest", json!({ "digest": digest, "bytes": 16 })).await;
    check("off", Value::Null).await;
}

#[tokio::test]
async fn a_run_keeps_its_releases_pins_whatever_is_deployed() {
    let mut stage = Stage::set(vec![reading("a"), reading("b")]).await;
    let run = stage.bench.run("acme").await;
    let headers = [("x-pinrail-run", run.as_str()), ("x-pinrail-tenant", "acme")];
    let (before, _) = stage.begin(&headers).await;
    stage.pin = pinned(&stage.bench, &[reading("b")]).await;
    stage.deploy(json!({})).await;
    let (after, _) = stage.begin(&[]).await;
    assert_eq!(stage.listed(&before).await, ["a", "b"]); // I2
    assert_eq!(stage.listed(&after).await, ["b"]);
    // Without a session, each request names its run.
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let answered = stage.bench.send("POST", "/mcp/support", &headers, Some(&message)).await.ok();
    assert_eq!(answered["result"]["tools"].as_array().unwrap().len(), 2);
    stage.bench.post("/mcp/support", message).await.problem("bad_request");
}

#[tokio::test]
async fn nobody_uses_another_tenants_run_or_session() {
    let stage = Stage::set(vec![reading("a")]).await;
    let run = stage.bench.run("acme").await;
    stage.bench.key(&["admin"], None).await;
    let own = stage.bench.as_key(&stage.bench.key(&["run"], Some(&["acme"])).await);
    let other = stage.bench.as_key(&stage.bench.key(&["run"], Some(&["umbrella"])).await);
    let params = json!({ "protocolVersion": "2025-11-25" });
    let message = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    let headers = [("x-pinrail-run", run.as_str())];
    let begun = own.send("POST", "/mcp/support", &headers, Some(&message)).await;
    begun.ok();
    let session = begun.header("mcp-session-id").unwrap().to_owned();
    other.send("POST", "/mcp/support", &headers, Some(&message)).await.problem("not_found"); // I11
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let named = [("mcp-session-id", session.as_str())];
    own.send("POST", "/mcp/support", &named, Some(&list)).await.ok();
    other.send("POST", "/mcp/support", &named, Some(&list)).await.problem("not_found"); // I11
    other.send("GET", "/mcp/support", &named, None).await.problem("not_found");
    other.send("DELETE", "/mcp/support", &named, None).await.problem("not_found");
    own.send("POST", "/mcp/another", &named, Some(&list)).await.problem("not_found");
}

#[tokio::test]
async fn pages_of_other_origins_and_unknown_protocols_are_refused() {
    let stage = Stage::set(vec![reading("a")]).await;
    let (session, _) = stage.begin(&[]).await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let check = async |header: (&str, &str), code: &str| {
        let headers = [("mcp-session-id", session.as_str()), ("host", "localhost:7070"), header];
        stage.bench.send("POST", "/mcp/support", &headers, Some(&list)).await.problem(code);
    };
    check(("origin", "https://evil.example"), "forbidden").await;
    check(("origin", "null"), "forbidden").await;
    check(("mcp-protocol-version", "1999-01-01"), "bad_request").await;
    let own = [
        ("mcp-session-id", session.as_str()),
        ("host", "localhost:7070"),
        ("origin", "http://localhost:7070"),
    ];
    stage.bench.send("POST", "/mcp/support", &own, Some(&list)).await.ok();
}

#[tokio::test]
async fn the_dial_takes_tools_from_the_list_and_refuses_their_calls() {
    let stage = Stage::set(vec![reading("look"), tool("pay", "Pays")]).await;
    let (session, _) = stage.begin(&[]).await;
    assert_eq!(stage.listed(&session).await, ["look", "pay"]);
    stage.turn_dial(Position::ReadOnly).await;
    assert_eq!(stage.listed(&session).await, ["look"]);
    assert_eq!(word(&stage.call(&session, "pay").await), "tool_withheld");
    assert_eq!(stage.call(&session, "look").await["result"]["content"][0]["text"], "look done");
    stage.turn_dial(Position::Off).await;
    assert!(stage.listed(&session).await.is_empty());
    assert_eq!(word(&stage.call(&session, "look").await), "tool_withheld");
    assert!(stage.scripted.heard("tools/call").len() == 1, "what is refused isn't forwarded");
}

#[tokio::test]
async fn a_call_that_needs_a_person_waits_for_one() {
    let stage = Stage::set(vec![tool("pay", "Pays")]).await;
    let (session, _) = stage.begin(&[]).await;
    stage.turn_dial(Position::Supervised).await;
    assert_eq!(stage.listed(&session).await, ["pay"]);
    let mut asked = stage.bench.control.approval_changes();
    let decide = async {
        asked.changed().await.unwrap();
        let filter = pinrail_store::approvals::ApprovalFilter::default();
        let all = pinrail_domain::key::Tenants::All;
        let waiting = stage.bench.control.approvals(&all, filter, None, 1).await.unwrap().remove(0);
        let by = pinrail_control::By::system("looked at it");
        stage.bench.control.decide_approval(by, waiting.id, &all, true).await.unwrap();
    };
    let (called, ()) = tokio::join!(stage.call(&session, "pay"), decide);
    assert_eq!(called["result"]["content"][0]["text"], "pay done");
    assert_eq!(stage.scripted.heard("tools/call").len(), 1);
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_upstream() {
    let stage = Stage::set(vec![tool("echo", "Says it again")]).await;
    let (session, run) = stage.begin(&[]).await;
    stage.scripted.script(|script| script.mood = Mood::Hangs);
    let cancel = async {
        stage.scripted.came.notified().await;
        let message =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "c1" } });
        let headers = [("mcp-session-id", session.as_str())];
        assert_eq!(stage.bench.send("POST", "/mcp/support", &headers, Some(&message)).await.status, 202);
    };
    let params = json!({ "name": "echo" });
    let (called, ()) = tokio::join!(stage.ask_as(&session, json!("c1"), "tools/call", params), cancel);
    assert_eq!(word(&called.ok()), "cancelled");
    assert_eq!(stage.journal(&run).await[1]["error"], true);
    let told = stage.scripted.heard("notifications/cancelled");
    let asked = stage.scripted.heard("tools/call");
    assert_eq!(told[0]["params"]["requestId"], asked[0]["id"]);
}

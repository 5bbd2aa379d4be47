//! Servers that fail, and what can't be told: nothing is called then.

use serde_json::json;

use super::{Mood, Stage, reading, tool, word};

#[tokio::test]
async fn a_server_that_cannot_be_listed_is_not_called() {
    let check = async |mood: Mood, says: &str| {
        let stage = Stage::set(vec![reading("a")]).await;
        let (session, _) = stage.begin(&[]).await;
        stage.scripted.script(|script| script.mood = mood);
        // What is pinned is shown; what can't be checked isn't called.
        assert_eq!(stage.listed(&session).await, ["a"]);
        let refused = stage.call(&session, "a").await;
        assert_eq!(word(&refused), "upstream_unchecked");
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
        assert!(stage.scripted.heard("tools/call").is_empty());
        let status = stage.bench.get("/api/v1/mcp").await.ok();
        assert!(status["servers"][0]["error"].as_str().unwrap().contains(says), "{status}");
        // It comes back, once the pause after the failure is over.
        stage.scripted.script(|script| script.mood = Mood::Well);
        stage.bench.clock.pass(60_000);
        assert_eq!(stage.call(&session, "a").await["result"]["content"][0]["text"], "a done");
    };
    check(Mood::Away, "503").await;
    check(Mood::Garbage, "not a list of tools").await;
    check(Mood::Endless, "more than 100 pages").await;
}

#[tokio::test]
async fn a_list_without_end_is_refused() {
    let stage = Stage::set(vec![reading("a")]).await;
    let (session, _) = stage.begin(&[]).await;
    stage.scripted.script(|script| script.tools = (0..=1_000).map(|n| reading(&format!("t{n}"))).collect());
    assert_eq!(word(&stage.call(&session, "a").await), "upstream_unchecked");
    assert_eq!(stage.listed(&session).await, ["a"], "never the live list");
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_leaves_a_truthful_error() {
    let stage = Stage::set(vec![tool("pay", "Pays")]).await;
    let (session, run) = stage.begin(&[]).await;
    stage.scripted.script(|script| script.mood = Mood::Dies);
    let broken = stage.call(&session, "pay").await;
    assert_eq!(word(&broken), "upstream_broken");
    assert!(broken["error"]["data"]["next_step"].as_str().unwrap().contains("not known"), "{broken}");
    let journal = stage.journal(&run).await;
    assert_eq!((&journal[0]["type"], &journal[1]["error"]), (&json!("tool_call"), &json!(true)));
    stage.scripted.script(|script| script.mood = Mood::Well);
    assert_eq!(stage.call(&session, "pay").await["result"]["content"][0]["text"], "pay done");
}

#[tokio::test]
async fn a_slow_server_is_given_up_and_told_so() {
    let stage = Stage::set(vec![tool("echo", "Says it again")]).await;
    let spec = stage.bench.get("/api/v1/mcp/servers/scripted").await.ok()["spec"].clone();
    let spec = json!({ "url": spec["url"], "timeout": "1s" });
    stage.bench.put("/api/v1/mcp/servers/scripted", spec).await.ok();
    let (session, _) = stage.begin(&[]).await;
    stage.call(&session, "echo").await;
    stage.scripted.script(|script| script.mood = Mood::Hangs);
    assert_eq!(word(&stage.call(&session, "echo").await), "upstream_timeout");
}

#[tokio::test]
async fn without_its_pin_a_run_is_served_nothing() {
    let stage = Stage::set(vec![reading("a")]).await;
    // The release names a pin whose bytes are no pin: as if the store were damaged.
    let (session, run) = stage.begin(&[]).await;
    let stamp =
        stage.bench.control.runs().stamp(run.parse().unwrap(), &pinrail_domain::key::Tenants::All).await;
    let mut stamp = (*stamp.unwrap().unwrap()).clone();
    stamp.release = pinrail_domain::id::ReleaseId(pinrail_domain::digest::Digest::of(b"another"));
    let fault = stage.bench.state.mcp.allowed(&stamp).await.err().unwrap();
    assert_eq!(fault.word(), Some("pin_unreadable"));
    assert_eq!(stage.listed(&session).await, ["a"]);
}

#[tokio::test]
async fn a_finished_run_calls_nothing() {
    let stage = Stage::set(vec![reading("a")]).await;
    let (session, run) = stage.begin(&[]).await;
    stage.bench.post(&format!("/api/v1/runs/{run}/finish"), json!({ "outcome": "ok" })).await.ok();
    assert_eq!(word(&stage.call(&session, "a").await), "run_state");
    assert!(stage.scripted.heard("tools/call").is_empty());
}

#[tokio::test]
async fn programs_are_started_only_where_this_machine_says_so() {
    let stage = Stage::set(vec![reading("a")]).await;
    stage.bench.put("/api/v1/mcp/servers/scripted", json!({ "command": ["/bin/true"] })).await.ok();
    let (session, _) = stage.begin(&[]).await;
    let refused = stage.call(&session, "a").await;
    assert_eq!(word(&refused), "upstream_unchecked");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("may not start `/bin/true`"), "{message}");
}

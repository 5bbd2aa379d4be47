//! Sessions at several replicas: any goes on with one, and it ends once.

use serde_json::{Value, json};

use super::{Stage, reading, tool, word};

const MINUTE_MS: u64 = 60_000;

async fn delete(stage: &Stage, session: &str) -> u16 {
    stage.bench.send("DELETE", "/mcp/support", &[("mcp-session-id", session)], None).await.status
}

async fn is_gone(stage: &Stage, session: &str) {
    stage.ask_as(session, json!(1), "ping", json!({})).await.problem("not_found");
}

async fn status(stage: &Stage, run: &str) -> Value {
    stage.bench.get(&format!("/api/v1/runs/{run}")).await.ok()["summary"]["status"].clone()
}

/// How often the run's journal says that it ended.
async fn ends(stage: &Stage, run: &str) -> usize {
    stage.journal(run).await.iter().filter(|event| event["type"] == "finished").count()
}

#[tokio::test]
async fn a_session_goes_on_at_any_replica_and_ends_at_any() {
    let crew = Stage::crew(3, vec![reading("a"), reading("b")]).await;
    let (session, run) = crew[0].begin(&[]).await;
    for stage in &crew {
        assert_eq!(stage.listed(&session).await, ["a", "b"]);
        assert_eq!(stage.call(&session, "a").await["result"]["content"][0]["text"], "a done");
    }
    let called = crew[0].journal(&run).await;
    assert_eq!(called.iter().filter(|event| event["type"] == "tool_result").count(), 3);
    assert_eq!(delete(&crew[1], &session).await, 204);
    assert_eq!(status(&crew[2], &run).await, "finished");
    for stage in &crew {
        is_gone(stage, &session).await;
    }
    assert_eq!(ends(&crew[0], &run).await, 1);
}

#[tokio::test]
async fn a_session_in_its_clients_run_ends_at_any_replica_and_leaves_the_run() {
    let crew = Stage::crew(2, vec![reading("a")]).await;
    let run = crew[0].bench.run("acme").await;
    let (session, of) = crew[0].begin(&[("x-pinrail-run", &run)]).await;
    assert_eq!(of, run);
    let (other, _) = crew[0].begin(&[("x-pinrail-run", &run)]).await;
    assert_eq!(crew[1].listed(&session).await, ["a"]);
    assert_eq!(delete(&crew[1], &session).await, 204);
    for stage in &crew {
        is_gone(stage, &session).await;
        assert_eq!(stage.listed(&other).await, ["a"]);
    }
    assert_eq!(status(&crew[0], &run).await, "running");
}

#[tokio::test]
async fn nobody_uses_anothers_session_at_another_replica() {
    let crew = Stage::crew(2, vec![reading("a")]).await;
    let [first, second] = &crew[..] else { panic!("two") };
    first.bench.key(&["admin"], None).await;
    let own = first.bench.key(&["run"], Some(&["acme"])).await;
    let colleague = first.bench.key(&["run"], Some(&["acme"])).await;
    let other = first.bench.key(&["run"], Some(&["umbrella"])).await;
    second.bench.caught_up().await;
    let params = json!({ "protocolVersion": "2025-11-25" });
    let message = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    let begun = first.bench.as_key(&own).send("POST", "/mcp/support", &[], Some(&message)).await;
    begun.ok();
    let session = begun.header("mcp-session-id").unwrap().to_owned();
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let ask = async |key: &str, agent: &str, session: &str| {
        let path = format!("/mcp/{agent}");
        let headers = [("mcp-session-id", session)];
        second.bench.as_key(key).send("POST", &path, &headers, Some(&list)).await
    };
    for key in [&other, &colleague] {
        ask(key, "support", &session).await.problem("not_found"); // I11
        for method in ["GET", "DELETE"] {
            let headers = [("mcp-session-id", session.as_str())];
            let asked = second.bench.as_key(key).send(method, "/mcp/support", &headers, None).await;
            asked.problem("not_found");
        }
    }
    // Who writes their own name into it is asked for the run, as if they had named that.
    let (rest, _) = session.rsplit_once('.').unwrap();
    let who = pinrail_domain::digest::Digest::of(crate::testing::id_of(&other).as_bytes()).short();
    ask(&other, "support", &format!("{rest}.{who}")).await.problem("not_found"); // I11
    ask(&own, "another", &session).await.problem("not_found");
    ask(&own, "support", "mcp_0123").await.problem("not_found");
    ask(&own, "support", &session).await.ok();
}

#[tokio::test]
async fn a_session_ends_once_when_nobody_used_it_anywhere() {
    let crew = Stage::crew(2, vec![reading("a")]).await;
    let [first, second] = &crew[..] else { panic!("two") };
    let look = async || {
        for stage in &crew {
            stage.bench.state.mcp.look().await;
        }
    };
    let (session, run) = first.begin(&[]).await;
    first.bench.clock.pass(50 * MINUTE_MS);
    assert_eq!(second.listed(&session).await, ["a"]);
    first.bench.clock.pass(50 * MINUTE_MS);
    look().await;
    assert_eq!(status(first, &run).await, "running", "another replica used it");
    assert_eq!(first.listed(&session).await, ["a"]);
    first.bench.clock.pass(66 * MINUTE_MS);
    look().await;
    look().await;
    assert_eq!(status(first, &run).await, "finished");
    assert_eq!(ends(first, &run).await, 1);
    is_gone(first, &session).await;
    is_gone(second, &session).await;
}

#[tokio::test]
async fn a_session_outlives_the_replica_that_began_it() {
    let crew = Stage::crew(2, vec![reading("a")]).await;
    let (session, run) = crew[0].begin(&[]).await;
    crew[0].bench.state.mcp.stop().await;
    assert_eq!(crew[1].listed(&session).await, ["a"]);
    assert_eq!(status(&crew[1], &run).await, "running");
}

#[tokio::test]
async fn whoever_follows_a_session_is_told_its_end_at_another_replica() {
    let crew = Stage::crew(2, vec![reading("a")]).await;
    let (session, _) = crew[0].begin(&[]).await;
    let mut events = crew[1].bench.follow_epochs("/mcp/support", &[("mcp-session-id", &session)]).await;
    assert_eq!(delete(&crew[0], &session).await, 204);
    crew[0].turn_dial(pinrail_domain::dial::Position::ReadOnly).await;
    assert_eq!(events.next().await, None);
}

/// I7: somebody may have turned the dial at another replica, and no call of the proxy goes by old news of it.
#[tokio::test]
async fn a_replica_that_hears_nothing_passes_on_no_call_of_a_critical_agent() {
    for tier in ["standard", "critical"] {
        let crew = Stage::crew(2, vec![reading("a"), tool("b", "Writes")]).await;
        let [first, second] = &crew[..] else { panic!("two") };
        first.bench.put("/api/v1/agents/support", json!({ "tier": tier })).await.ok();
        second.bench.caught_up().await;
        let (session, _) = second.begin(&[]).await;
        let refused = async || {
            let mut refused = Vec::new();
            for tool in ["a", "b"] {
                let answered = second.call(&session, tool).await;
                refused.extend(answered.get("error").map(|_| word(&answered).to_owned()));
            }
            refused
        };
        let passed_on = || second.scripted.heard("tools/call").len();
        assert_eq!((refused().await.len(), passed_on()), (0, 2));
        second.bench.memory.fail_reads(true);
        second.bench.clock.pass(20_000);
        match (refused().await.as_slice(), tier) {
            ([], "standard") => assert_eq!(passed_on(), 4),
            ([a, b], "critical") => assert_eq!((&**a, &**b, passed_on()), ("stale", "stale", 2)),
            other => panic!("{other:?}"),
        }
        // It hears first what the others were told.
        second.bench.memory.fail_reads(false);
        first.turn_dial(pinrail_domain::dial::Position::ReadOnly).await;
        second.bench.clock.pass(20_000);
        assert_eq!(refused().await, ["tool_withheld"], "only what writes is withheld");
    }
}

//! `PUT /api/v1/agents/{agent}?reason=`: the body is the agent's settings.

use pinrail_api::agents::Changed;
use pinrail_control::agents::Change;
use pinrail_domain::agent::AgentSpec;
use pinrail_domain::id::AgentName;

use super::{Reason, refused, word};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn put(call: Call) -> Answer {
    let agent: AgentName = call.param("agent")?;
    let Reason { reason } = call.query()?;
    let spec: AgentSpec = call.json()?;
    let before = call.control().snapshot().world.agents.get(&agent).cloned();
    let done = call.control().agent_put(call.by(reason)?, &agent, &spec).await.map_err(refused)?;
    let doubts = match done.value {
        Change::Created | Change::Updated => doubts(&call, &agent, before.as_deref()).await,
        Change::Unchanged | Change::Removed => Vec::new(),
    };
    reply::changed(done.replayed, &Changed { change: word(done.value), doubts })
}

/// What looks wrong about the new plan. The settings are put, so a look that fails doesn't fail the answer.
async fn doubts(call: &Call, agent: &AgentName, before: Option<&AgentSpec>) -> Vec<String> {
    match call.control().doubts(agent, before).await {
        Ok(doubts) => doubts,
        Err(error) => {
            tracing::warn!(error = %problem::chain(&error), %agent, "the agent's plan cannot be outlined");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_put_says_what_it_changed_and_what_it_refuses() {
        let bench = Bench::open().await;
        let standard = json!({ "tier": "standard" });
        for (spec, change) in
            [(&standard, "created"), (&standard, "unchanged"), (&json!({ "tier": "critical" }), "updated")]
        {
            assert_eq!(bench.put("/api/v1/agents/support", spec.clone()).await.ok()["change"], change);
        }
        let bad = json!({ "segments": [{ "name": "default", "tenants": ["a"] }] });
        bench.put("/api/v1/agents/support", bad).await.problem("bad_agent");
        let unknown =
            bench.put("/api/v1/agents/support", json!({ "teir": "critical" })).await.problem("bad_request");
        assert!(unknown["detail"].as_str().unwrap().contains("unknown field `teir`"), "{unknown}");
        let entries = bench.get("/api/v1/ledger").await.ok();
        assert_eq!(entries["items"].as_array().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn doubts_about_a_new_plan_are_told_and_stop_nothing() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let plan = json!({ "rollout": { "steps": [{ "approve": { "by": ["ana"] } }] } });
        let put = bench.put("/api/v1/agents/support", plan.clone()).await.ok();
        let doubts: Vec<&str> =
            put["doubts"].as_array().unwrap().iter().map(|doubt| doubt.as_str().unwrap()).collect();
        for expected in ["no run in the last", "nobody can approve as `ana`", "no step is a canary"] {
            assert!(doubts.iter().any(|doubt| doubt.contains(expected)), "{doubts:?}");
        }
        assert_eq!(bench.put("/api/v1/agents/support", plan).await.ok().get("doubts"), None, "told once");
        // An agent that says nothing of rollouts is told nothing of them.
        assert_eq!(bench.put("/api/v1/agents/other", json!({})).await.ok().get("doubts"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reason_reaches_the_ledger() {
        let bench = Bench::open().await;
        bench.put("/api/v1/agents/support?reason=new%20bot", json!({})).await.ok();
        assert_eq!(bench.get("/api/v1/ledger").await.ok()["items"][0]["reason"], "new bot");
        let long = "x".repeat(5_000);
        bench.put(&format!("/api/v1/agents/other?reason={long}"), json!({})).await.problem("bad_request");
    }
}

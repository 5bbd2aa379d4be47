//! `GET /api/v1/agents/{agent}`.

use pinrail_api::agents::Agent;
use pinrail_domain::id::AgentName;

use super::no_agent;
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let agent: AgentName = call.param("agent")?;
    let snapshot = call.control().snapshot();
    let spec = snapshot.world.agents.get(&agent).ok_or_else(|| no_agent(&agent))?;
    reply::json(&Agent { agent, spec: (**spec).clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn an_agent_is_shown_as_it_was_put() {
        let bench = Bench::open().await;
        bench.put("/api/v1/agents/support", json!({ "tier": "critical" })).await.ok();
        let shown = bench.get("/api/v1/agents/support").await.ok();
        assert_eq!((&shown["agent"], &shown["spec"]["tier"]), (&json!("support"), &json!("critical")));
        bench.get("/api/v1/agents/other").await.problem("not_found");
        bench.get("/api/v1/agents/Support").await.problem("bad_name");
    }
}

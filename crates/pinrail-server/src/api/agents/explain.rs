//! `GET /api/v1/agents/{agent}/explain`: what the agent's tier demands, what of that is met, and what is missing.

use pinrail_api::agents::Explained;
use pinrail_domain::explain::State;
use pinrail_domain::id::AgentName;

use super::no_agent;
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn explain(call: Call) -> Answer {
    let agent: AgentName = call.param("agent")?;
    let snapshot = call.control().snapshot();
    let demands = call.control().explain(&agent, &call.surroundings());
    let (Some(demands), Some(spec)) = (demands, snapshot.world.agents.get(&agent)) else {
        return Err(no_agent(&agent));
    };
    let met = demands.iter().all(|demand| demand.state != State::Missing);
    reply::json(&Explained { agent, tier: spec.tier, met, demands })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn an_agent_hears_what_is_missing_and_what_to_do() {
        let bench = Bench::open().await;
        bench.get("/api/v1/agents/support/explain").await.problem("not_found");
        bench.deploy_now().await;
        let told = bench.get("/api/v1/agents/support/explain").await.ok();
        assert_eq!((&told["tier"], &told["met"]), (&json!("standard"), &json!(false)));
        let of = |what: &str| {
            let all = told["demands"].as_array().unwrap();
            all.iter().find(|demand| demand["what"] == what).unwrap().clone()
        };
        assert_eq!(of("models")["state"], "met");
        let warm = of("warm");
        assert_eq!(warm["state"], "missing");
        assert!(warm["why"].as_str().unwrap().contains("nothing served support/default before"), "{warm}");
        assert!(warm["next_step"].as_str().unwrap().contains("pinrail"), "{warm}");
    }
}

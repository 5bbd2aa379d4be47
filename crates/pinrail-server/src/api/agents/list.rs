//! `GET /api/v1/agents?after=&limit=`.

use pinrail_api::Page;
use pinrail_api::agents::Agent;

use super::After;
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn list(call: Call) -> Answer {
    let After { after, limit } = call.query()?;
    let limit = call.page(limit)?;
    let snapshot = call.control().snapshot();
    let agents = snapshot.world.agents.iter();
    let agents = agents.filter(|(agent, _)| after.as_deref().is_none_or(|after| agent.as_str() > after));
    let agents =
        agents.take(limit + 1).map(|(agent, spec)| Agent { agent: agent.clone(), spec: (**spec).clone() });
    reply::json(&Page::cut(agents.collect(), limit, |agent| agent.agent.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_list_is_read_page_by_page() {
        let bench = Bench::open().await;
        for name in ["c", "a", "b"] {
            bench.put(&format!("/api/v1/agents/{name}"), json!({})).await.ok();
        }
        let names = |page: &serde_json::Value| {
            page["items"].as_array().unwrap().iter().map(|item| item["agent"].clone()).collect::<Vec<_>>()
        };
        let first = bench.get("/api/v1/agents?limit=2").await.ok();
        assert_eq!((names(&first), &first["next"]), (vec![json!("a"), json!("b")], &json!("b")));
        let second = bench.get("/api/v1/agents?limit=2&after=b").await.ok();
        assert_eq!((names(&second), second.get("next")), (vec![json!("c")], None));
        for bad in ["limit=0", "limit=1001", "limit=x", "page=2"] {
            bench.get(&format!("/api/v1/agents?{bad}")).await.problem("bad_request");
        }
    }
}

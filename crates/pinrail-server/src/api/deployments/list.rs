//! `GET /api/v1/deployments?agent=&before=&limit=`: newest first.

use std::ops::Bound::{Excluded, Unbounded};

use pinrail_api::Page;
use pinrail_api::deployments::Deployment;
use pinrail_domain::id::{AgentName, DeploymentId};
use pinrail_domain::world::World;
use serde::Deserialize;

use super::shown;
use crate::call::Call;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<AgentName>,
    before: Option<DeploymentId>,
    limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let Query { agent, before, limit } = call.query()?;
    let limit = call.page(limit)?;
    reply::json(&page(&call.control().snapshot().world, agent.as_ref(), before, limit))
}

/// A page of the deployments, newest first.
pub fn page(
    world: &World,
    agent: Option<&AgentName>,
    before: Option<DeploymentId>,
    limit: usize,
) -> Page<Deployment> {
    let newest_first = world.deployments.range((Unbounded, before.map_or(Unbounded, Excluded))).rev();
    let wanted = newest_first
        .map(|(_, deployment)| deployment)
        .filter(|deployment| agent.is_none_or(|agent| deployment.releases.contains_key(agent)));
    let items = wanted.take(limit + 1).map(|deployment| shown(world, deployment)).collect();
    Page::cut(items, limit, |deployment: &Deployment| deployment.deployment.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn the_newest_comes_first() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let id = bench.release("sim-large-2026-04-01").await;
        bench.open_deployment(json!({ "releases": { "support": id }, "weight": 500 })).await.ok();
        let page = bench.get("/api/v1/deployments?limit=1").await.ok();
        assert_eq!((&page["items"][0]["deployment"], &page["next"]), (&json!(2), &json!("2")));
        assert_eq!(page["items"][0]["weight"], 500);
        let page = bench.get("/api/v1/deployments?before=2&agent=support").await.ok();
        assert_eq!((&page["items"][0]["state"], page.get("next")), (&json!("active"), None));
        assert_eq!(bench.get("/api/v1/deployments?agent=other").await.ok()["items"], json!([]));
    }
}

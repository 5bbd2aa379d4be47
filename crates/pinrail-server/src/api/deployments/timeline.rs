//! `GET /api/v1/deployments/{deployment}/timeline?after=&limit=`: what happened to a deployment, with its numbers.

use pinrail_api::Page;
use pinrail_api::deployments::rollout::Happened;
use pinrail_api::problem::Problem;
use pinrail_domain::id::{DeploymentId, LedgerSeq};
use pinrail_domain::ledger::Entry;
use pinrail_domain::rollout::told::tell;
use serde::Deserialize;

use super::{id, no_deployment};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    after: LedgerSeq,
    limit: Option<usize>,
}

pub async fn show(call: Call) -> Answer {
    let Query { after, limit } = call.query()?;
    reply::json(&timeline(&call, id(&call)?, after, call.page(limit)?).await?)
}

/// A page of what happened to a deployment, oldest first.
pub async fn timeline(
    call: &Call,
    id: DeploymentId,
    after: LedgerSeq,
    limit: usize,
) -> Result<Page<Happened>, Problem> {
    let found = call.control().timeline(id, after, limit).await.map_err(|error| problem::store(&error))?;
    let (entries, next) = found.ok_or_else(|| no_deployment(id))?;
    let snapshot = call.control().snapshot();
    let deployment = snapshot.world.deployments.get(&id).ok_or_else(|| no_deployment(id))?;
    let happened = |entry: Entry| {
        let told = tell(&entry, deployment, deployment.rollout.as_deref())?;
        let (what, evidence) = (told.what, told.evidence.cloned());
        let Entry { seq, at, actor, reason, .. } = entry;
        Some(Happened { at, seq, actor, what, reason, evidence })
    };
    let items = entries.into_iter().filter_map(happened).collect();
    Ok(Page { items, next: next.map(|next| next.to_string()) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_timeline_tells_what_happened_to_one_deployment_page_by_page() {
        let bench = Bench::open().await;
        let id = bench.roll_out(json!({ "steps": [{ "pause": {} }] })).await;
        let path = format!("/api/v1/deployments/{id}");
        bench.post(&format!("{path}/freeze"), json!({ "reason": "lunch" })).await.ok();
        bench.post(&format!("{path}/resume"), json!({})).await.ok();
        bench.post(&format!("{path}/promote"), json!({ "override": "it is fine" })).await.ok();
        let whole = bench.get(&format!("{path}/timeline")).await.ok();
        let told: Vec<&str> =
            whole["items"].as_array().unwrap().iter().map(|item| item["what"].as_str().unwrap()).collect();
        let told: Vec<&str> = told.into_iter().filter(|what| !what.starts_with("the state")).collect();
        assert_eq!(
            told,
            [
                "opened; step 1 of 1: pause",
                "stopped: frozen by a person: lunch",
                "resumed, with the whole time of its step before it",
                "promoted, overriding its rollout: it is fine",
            ]
        );
        let first = bench.get(&format!("{path}/timeline?limit=1")).await.ok();
        let next = first["next"].as_str().unwrap();
        let second = bench.get(&format!("{path}/timeline?limit=1&after={next}")).await.ok();
        assert_eq!(second["items"][0], whole["items"][1]);
        bench.get("/api/v1/deployments/9/timeline").await.problem("not_found");
    }
}

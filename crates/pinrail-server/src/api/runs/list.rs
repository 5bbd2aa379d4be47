//! `GET /api/v1/runs`: newest first.

use pinrail_api::Page;
use pinrail_domain::id::{AgentName, DeploymentId, RunId, SessionId, TenantId};
use pinrail_domain::journal::RunStatus;
use pinrail_domain::time::Timestamp;
use pinrail_store::journal::RunFilter;
use serde::Deserialize;

use super::shown;
use crate::api::releases::named;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<AgentName>,
    release: Option<String>,
    deployment: Option<DeploymentId>,
    status: Option<RunStatus>,
    session: Option<SessionId>,
    tenant: Option<TenantId>,
    single: Option<bool>,
    #[serde(default)]
    shadow: bool,
    #[serde(default)]
    gate: bool,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    before: Option<RunId>,
    limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let query: Query = call.query()?;
    let limit = call.page(query.limit)?;
    let release = match &query.release {
        Some(text) => Some(named(&call.control().snapshot().world, text, None)?),
        None => None,
    };
    let filter = RunFilter {
        agent: query.agent,
        release,
        deployment: query.deployment,
        status: query.status,
        session: query.session,
        tenants: query.tenant.map(|tenant| vec![tenant]),
        single: query.single,
        shadow: Some(query.shadow),
        gate: Some(query.gate),
        since: query.since,
        until: query.until,
    };
    let runs = call.control().runs().list(&call.tenants()?, filter, query.before, limit + 1).await;
    let runs = runs.map_err(|error| problem::store(&error))?;
    reply::json(&Page::cut(runs.into_iter().map(shown).collect(), limit, |run| run.run.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn runs_are_filtered_and_paged() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let runs = [bench.run("a").await, bench.run("b").await, bench.run("a").await];
        bench.post(&format!("/api/v1/runs/{}/finish", runs[0]), json!({ "outcome": "ok" })).await.ok();
        let check = async |query: &str, expected: &[&str]| {
            let page = bench.get(&format!("/api/v1/runs?{query}")).await.ok();
            let found: Vec<_> =
                page["items"].as_array().unwrap().iter().map(|run| run["run"].clone()).collect();
            assert_eq!(json!(found), json!(expected), "{query}");
            page
        };
        check("", &[&runs[2], &runs[1], &runs[0]]).await;
        check("tenant=a", &[&runs[2], &runs[0]]).await;
        check("tenant=c", &[]).await;
        check("status=finished", &[&runs[0]]).await;
        check("agent=support&deployment=1&single=false&since=0", &[&runs[2], &runs[1], &runs[0]]).await;
        check("single=true", &[]).await;
        check("until=0", &[]).await;
        let page = check("limit=2", &[&runs[2], &runs[1]]).await;
        assert_eq!(page["next"], runs[1]);
        check(&format!("limit=2&before={}", runs[1]), &[&runs[0]]).await;
        for bad in ["status=done", "before=run_1", "colour=red", "deployment=x"] {
            bench.get(&format!("/api/v1/runs?{bad}")).await.problem("bad_request");
        }
        bench.get("/api/v1/runs?release=xyz").await.problem("bad_name");
    }
}

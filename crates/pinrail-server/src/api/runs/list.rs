//! `GET /api/v1/runs`: newest first; with `text`, those that say it, as far as a page looks.

use pinrail_api::Page;
use pinrail_api::problem::{Code, Problem};
use pinrail_api::runs::{Runs, Searched};
use pinrail_domain::id::{AgentName, DeploymentId, RunId, SessionId, TenantId};
use pinrail_domain::journal::text::BadNeedle;
use pinrail_domain::journal::{Needle, Outcome, RunStatus};
use pinrail_domain::time::Timestamp;
use pinrail_store::journal::RunFilter;
use serde::Deserialize;

use super::shown;
use crate::api::releases::named;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

/// What `GET /api/v1/runs` takes.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub agent: Option<AgentName>,
    pub release: Option<String>,
    pub deployment: Option<DeploymentId>,
    pub status: Option<RunStatus>,
    pub outcome: Option<Outcome>,
    pub session: Option<SessionId>,
    pub tenant: Option<TenantId>,
    pub text: Option<String>,
    pub single: Option<bool>,
    #[serde(default)]
    pub shadow: bool,
    #[serde(default)]
    pub gate: bool,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub before: Option<RunId>,
    pub limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let query = call.query()?;
    reply::json(&gather(&call, query).await?)
}

/// The page of runs that the query asks for.
pub async fn gather(call: &Call, query: Query) -> Result<Runs, Problem> {
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
        outcome: query.outcome,
        session: query.session,
        tenants: query.tenant.map(|tenant| vec![tenant]),
        single: query.single,
        shadow: Some(query.shadow),
        gate: Some(query.gate),
        replica: None,
        since: query.since,
        until: query.until,
    };
    let tenants = call.tenants()?;
    let runs = call.control().runs();
    if let Some(text) = query.text {
        let text: Needle = text.parse().map_err(bad_text)?;
        let found = runs.search(&tenants, filter, text, query.before, limit).await;
        let found = found.map_err(|error| problem::store(&error))?;
        let next = found.last.filter(|_| found.more).map(|(run, _)| run.to_string());
        let back_to = found.last.map(|(_, began)| began);
        let searched = Searched { runs: found.looked_at, back_to, in_part: found.in_part };
        let items = found.runs.into_iter().map(shown).collect();
        return Ok(Runs { items, next, searched: Some(searched) });
    }
    let runs = runs.list(&tenants, filter, query.before, limit + 1).await;
    let runs = runs.map_err(|error| problem::store(&error))?;
    let Page { items, next } =
        Page::cut(runs.into_iter().map(shown).collect(), limit, |run: &pinrail_api::runs::Run| {
            run.run.to_string()
        });
    Ok(Runs { items, next, searched: None })
}

fn bad_text(bad: BadNeedle) -> Problem {
    Problem::new(Code::BadRequest, bad.to_string())
        .next_step("look for a word or a short sentence: `pinrail run list --text` (GET /api/v1/runs?text=)")
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
        check("outcome=ok", &[&runs[0]]).await;
        check("outcome=error", &[]).await;
        check("single=true", &[]).await;
        check("until=0", &[]).await;
        let page = check("limit=2", &[&runs[2], &runs[1]]).await;
        assert_eq!(page["next"], runs[1]);
        check(&format!("limit=2&before={}", runs[1]), &[&runs[0]]).await;
        for bad in
            ["status=done", "outcome=fine", "text=", "text=%20", "before=run_1", "colour=red", "deployment=x"]
        {
            bench.get(&format!("/api/v1/runs?{bad}")).await.problem("bad_request");
        }
        bench.get("/api/v1/runs?release=xyz").await.problem("bad_name");
    }

    #[tokio::test(start_paused = true)]
    async fn runs_are_found_by_what_they_say() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let runs = [bench.run("acme").await, bench.run("umbrella").await, bench.run("acme").await];
        for (run, said) in runs.iter().zip(["the \"Ü\" is\nlost", "LOST again", "found"]) {
            let note = json!({ "events": [{ "type": "note", "name": "n", "data": { "said": said } }] });
            bench.post(&format!("/api/v1/runs/{run}/events"), note).await.ok();
        }
        let check = async |query: &str, expected: &[&str], looked_at: u64| {
            let page = bench.get(&format!("/api/v1/runs?{query}")).await.ok();
            let found: Vec<_> =
                page["items"].as_array().unwrap().iter().map(|run| run["run"].clone()).collect();
            assert_eq!(json!(found), json!(expected), "{query}");
            assert_eq!(page["searched"]["runs"], looked_at, "{query}");
            page
        };
        let page = check("text=lost", &[&runs[1], &runs[0]], 3).await;
        assert_eq!((&page["next"], page["searched"]["back_to"].is_u64()), (&json!(null), true));
        check("text=%22%C3%BC%22%20is%20lost", &[&runs[0]], 3).await;
        check("text=nlost", &[], 3).await;
        check("text=lost&tenant=umbrella", &[&runs[1]], 1).await; // I11
        let page = check("text=lost&limit=1", &[&runs[1]], 2).await;
        assert_eq!(page["next"], runs[1]);
        let page = check(&format!("text=lost&before={}", runs[1]), &[&runs[0]], 1).await;
        assert_eq!(page["next"], json!(null));
        let nothing = check(&format!("text=lost&before={}", runs[0]), &[], 0).await;
        assert_eq!(nothing["searched"], json!({ "runs": 0 }));
        bench.get(&format!("/api/v1/runs?text={}", "x".repeat(501))).await.problem("bad_request");
        assert_eq!(bench.get("/api/v1/runs").await.ok().get("searched"), None);
    }
}

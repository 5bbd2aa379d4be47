//! `/search?q=`: the box in the header. What names one thing leads there; else everything that the caller may see is looked
//! through for it.

use pinrail_api::problem::Problem;
use pinrail_dashboard::page::Nav;
use pinrail_dashboard::search::{Hit, Search, Session};
use pinrail_domain::id::{AgentName, ApprovalId, DeploymentId, GateId, RunId};
use pinrail_domain::journal::Needle;
use serde::Deserialize;

use super::answer::see_other;
use super::form;
use super::links::opens;
use super::runs::with_scores;
use super::serve::{self, View};
use crate::api::releases::named;
use crate::api::runs::list;
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    q: String,
}

/// Runs and agents that are shown.
const SHOWN: usize = 20;
/// Sessions that are shown: they stand before the runs.
const SESSIONS: usize = 8;

pub async fn search(call: Call) -> Answer {
    let Query { q } = form::query(&call)?;
    let hits = exact(&call, q.trim()).await?;
    match &hits[..] {
        [one] if serve::view(&call.head) == View::Html => Ok(see_other(&one.address)),
        _ => serve::show(call, gather).await,
    }
}

async fn gather(call: Call) -> Result<Search, Problem> {
    let Query { q } = form::query(&call)?;
    let q = q.trim().to_owned();
    let exact = exact(&call, &q).await?;
    let Ok(needle) = q.parse::<Needle>() else { return Ok(Search { q, exact, ..Search::default() }) };
    let snapshot = call.control().snapshot();
    let agents = match opens(&call, Nav::Rail) {
        true => snapshot
            .world
            .agents
            .keys()
            .filter(|name| needle.is_in_text(name.as_str()))
            .take(SHOWN)
            .cloned()
            .collect(),
        false => Vec::new(),
    };
    let sessions = call.control().runs().sessions_named(&call.tenants()?, &needle, SESSIONS).await;
    let sessions = sessions.map_err(|error| problem::store(&error))?.into_iter();
    let sessions = sessions.map(|key| Session { agent: key.agent, tenant: key.tenant, session: key.session });
    let query = list::Query { text: Some(q.clone()), limit: Some(SHOWN), ..list::Query::default() };
    let found = list::gather(&call, query).await?;
    let runs = with_scores(&call, found.items).await?;
    Ok(Search {
        q,
        exact,
        agents,
        sessions: sessions.collect(),
        runs,
        searched: found.searched,
        more: found.next.is_some(),
    })
}

/// The things that the text names, of those that the caller may see.
async fn exact(call: &Call, q: &str) -> Result<Vec<Hit>, Problem> {
    let hit = |what: String, address: String| Hit { what, address };
    if let Ok(run) = q.parse::<RunId>() {
        let found = call.control().runs().get(run, &call.tenants()?).await;
        let found = found.map_err(|error| problem::store(&error))?;
        return Ok(found.map(|_| hit(format!("run {run}"), format!("/runs/{run}"))).into_iter().collect());
    }
    let world = &call.control().snapshot().world;
    let mut hits = Vec::new();
    if let Ok(id) = q.parse::<GateId>()
        && opens(call, Nav::Gates)
    {
        let found = call.state.gates.look(id).await.map_err(|error| problem::store(&error))?;
        hits.extend(found.map(|_| hit(format!("gate {id}"), format!("/gates/{id}"))));
    }
    if let Ok(id) = q.parse::<ApprovalId>() {
        let found = call.control().approval(id, &call.tenants()?).await;
        let found = found.map_err(|error| problem::store(&error))?;
        hits.extend(found.map(|_| hit(format!("approval {id}"), format!("/approvals/{id}"))));
    }
    if let Some(seq) = q.strip_prefix("ledger ").and_then(|seq| seq.trim().parse::<u64>().ok())
        && opens(call, Nav::Ledger)
        && seq <= call.control().heads().borrow().0
    {
        hits.push(hit(format!("ledger entry {seq}"), format!("/ledger/{seq}")));
    }
    if let Ok(id) = q.trim_start_matches('#').parse::<u64>()
        && opens(call, Nav::Deployments)
        && world.deployments.contains_key(&DeploymentId(id))
    {
        hits.push(hit(format!("deployment {id}"), format!("/deployments/{id}")));
    }
    if let Ok(id) = named(world, q, None)
        && opens(call, Nav::Releases)
    {
        hits.push(hit(format!("release {}", id.short()), format!("/releases/{id}")));
    }
    if let Ok(name) = q.parse::<AgentName>()
        && opens(call, Nav::Rail)
        && world.agents.contains_key(&name)
    {
        hits.push(hit(format!("agent {name}"), format!("/?q={name}")));
    }
    Ok(hits)
}

//! The warm set: what serves and what a rollback may return to, and whether it can be called.

use pinrail_api::warm::{ProbeNow, WarmRelease, WarmSet};
use pinrail_control::warm;
use pinrail_domain::id::AgentName;
use serde::Deserialize;

use crate::api::agents::no_agent;
use crate::call::Call;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<AgentName>,
}

/// `GET /api/v1/warm?agent=`.
pub async fn list(call: Call) -> Answer {
    let Query { agent } = call.query()?;
    reply::json(&WarmSet { items: items(&call, agent.as_ref())?, probed: None })
}

/// `POST /api/v1/warm/probe`: calls each model once, now.
pub async fn probe(call: Call) -> Answer {
    let ProbeNow { agent } = call.json_or_default()?;
    items(&call, agent.as_ref())?;
    let probed = call.state.warm.probe_now(agent.as_ref()).await;
    reply::json(&WarmSet { items: items(&call, agent.as_ref())?, probed: Some(probed) })
}

fn items(call: &Call, agent: Option<&AgentName>) -> Result<Vec<WarmRelease>, pinrail_api::problem::Problem> {
    if let Some(agent) = agent.filter(|agent| !call.control().snapshot().world.agents.contains_key(*agent)) {
        return Err(no_agent(agent));
    }
    Ok(call.control().warm_set(&call.surroundings(), agent).into_iter().map(shown).collect())
}

/// A release of the warm set as the API shows it.
pub fn shown(release: warm::WarmRelease) -> WarmRelease {
    let warm::WarmRelease {
        agent,
        segment,
        release,
        deployment,
        steps_back,
        provider,
        snapshot,
        callable,
        why,
        probed,
        retires,
    } = release;
    let last = probed.as_ref().map(|probed| &probed.last);
    WarmRelease {
        agent,
        segment,
        release,
        deployment,
        steps_back,
        provider,
        snapshot,
        state: callable,
        why,
        latency_ms: last.filter(|last| last.failed.is_none()).and_then(|last| last.latency_ms),
        probed_at: last.map(|last| last.at),
        since: probed.as_ref().map(|probed| probed.since),
        served: last.and_then(|last| last.served.clone()),
        retires,
    }
}

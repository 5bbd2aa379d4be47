//! `GET /api/v1/gates?agent=&deployment=&status=&before=&limit=`: newest first.

use pinrail_api::Page;
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::id::{AgentName, DeploymentId, GateId};
use pinrail_store::gates::{GateFilter, GateStatus};
use serde::Deserialize;

use super::shown;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<AgentName>,
    deployment: Option<DeploymentId>,
    status: Option<String>,
    before: Option<GateId>,
    limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let Query { agent, deployment, status, before, limit } = call.query()?;
    let limit = call.page(limit)?;
    let filter = GateFilter { agent, deployment, status: status.as_deref().map(status_of).transpose()? };
    let gates = call.state.gates.list(&filter, before, limit + 1).await;
    let gates = gates.map_err(|error| problem::store(&error))?;
    let items = gates.into_iter().map(shown).collect();
    reply::json(&Page::cut(items, limit, |gate| gate.gate.to_string()))
}

/// A status by its name.
pub fn status_of(text: &str) -> Result<GateStatus, Problem> {
    let named = GateStatus::ALL.into_iter().find(|status| status.as_str() == text);
    named.ok_or_else(|| {
        Problem::new(Code::BadRequest, format!("`{text:.32}` is no status of a gate"))
            .next_step("name running, finished, failed or cancelled")
    })
}

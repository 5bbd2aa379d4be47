//! `GET /api/v1/approvals?state=&agent=&tool=&run=&tenant=&before=&limit=`: newest first.

use pinrail_api::Page;
use pinrail_api::approvals::Approval;
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::approval::ApprovalState;
use pinrail_domain::id::{AgentName, ApprovalId, RunId, TenantId, ToolName};
use pinrail_store::approvals::ApprovalFilter;
use serde::Deserialize;

use super::shown;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

/// Which calls.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub state: Option<String>,
    pub agent: Option<AgentName>,
    pub tool: Option<ToolName>,
    pub run: Option<RunId>,
    pub tenant: Option<TenantId>,
    pub before: Option<ApprovalId>,
    pub limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let query = call.query()?;
    reply::json(&value(&call, query).await?)
}

/// The calls that are asked for, newest first.
pub async fn value(call: &Call, query: Query) -> Result<Page<Approval>, Problem> {
    let Query { state, agent, tool, run, tenant, before, limit } = query;
    let (limit, now) = (call.page(limit)?, call.state.clock.now());
    let state = state.map(|word| word.parse::<ApprovalState>()).transpose().map_err(|error| {
        Problem::new(Code::BadRequest, error.to_string())
            .next_step("name one of these states, or none for all of them")
    })?;
    let filter = ApprovalFilter {
        agent,
        tool,
        run,
        tenants: tenant.map(|tenant| vec![tenant]),
        state: state.map(|state| (state, now)),
    };
    let found = call.control().approvals(&call.tenants()?, filter, before, limit + 1).await;
    let found = found.map_err(|error| problem::store(&error))?;
    let items = found.into_iter().map(|approval| shown(approval, now)).collect();
    Ok(Page::cut(items, limit, |approval: &Approval| approval.approval.to_string()))
}

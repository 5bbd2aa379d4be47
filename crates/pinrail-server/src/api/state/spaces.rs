//! `GET /api/v1/state/spaces`: by tenant, layer and name.

use pinrail_api::Page;
use pinrail_api::problem::Problem;
use pinrail_api::spaces::Space as Shown;
use pinrail_control::state::inspect::SpaceSeen;
use pinrail_domain::id::TenantId;
use pinrail_domain::state::{Layer, Space};
use pinrail_store::state::SpaceFilter;
use serde::Deserialize;

use crate::call::{Call, bad_name};
use crate::problem;
use crate::reply::{self, Answer};

/// Which spaces.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub layer: Option<Layer>,
    pub tenant: Option<TenantId>,
    pub prefix: Option<String>,
    /// `TENANT memory/AGENT/SESSION`, as `next` gives it.
    pub after: Option<String>,
    pub limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let query = call.query()?;
    reply::json(&gather(&call, query).await?)
}

/// A page of them.
pub async fn gather(call: &Call, query: Query) -> Result<Page<Shown>, Problem> {
    let Query { layer, tenant, prefix, after, limit } = query;
    let limit = call.page(limit)?;
    let tenant = match tenant {
        Some(tenant) => Some(call.tenant(Some(tenant))?),
        None => None,
    };
    let after = match after {
        Some(text) => {
            let (tenant, space) = text
                .split_once(' ')
                .ok_or_else(|| bad_name("after: it is no `next` of this list".to_owned()))?;
            let tenant = tenant.parse().map_err(|error| bad_name(format!("after: {error}")))?;
            Some(super::space(tenant, space)?)
        }
        None => None,
    };
    let filter = SpaceFilter { layer, tenants: tenant.map(|tenant| vec![tenant]), prefix };
    let spaces = call.control().states().spaces(&filter, after.as_ref(), limit + 1).await;
    let spaces = spaces.map_err(|error| problem::store(&error))?;
    let cursor = |space: &Shown| format!("{} {}", space.tenant, space.space);
    Ok(Page::cut(spaces.into_iter().map(shown).collect(), limit, cursor))
}

fn shown(seen: SpaceSeen) -> Shown {
    let SpaceSeen { facts, visible, deployments } = seen;
    let space: &Space = &facts.space;
    Shown {
        tenant: space.tenant.clone(),
        space: space.to_string(),
        puts: facts.puts,
        deletes: facts.deletes,
        visible,
        newest: facts.newest,
        deployments,
    }
}

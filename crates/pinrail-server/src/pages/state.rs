//! `/state`, `/state/space`, `/state/map`: what agents remember, tell each other and find.

use std::collections::BTreeMap;

use pinrail_api::problem::Problem;
use pinrail_dashboard::map::Uses;
use pinrail_dashboard::spaces::{Row, Spaces};
use pinrail_domain::time::Timestamp;

use super::form;
use crate::api;
use crate::call::Call;
use crate::problem;

pub mod space;

#[cfg(test)]
mod tests;

/// The spaces, each with when it was last written to.
pub async fn list(call: Call) -> Result<Spaces, Problem> {
    let query: api::state::spaces::Query = form::query(&call)?;
    let page = api::state::spaces::gather(&call, query.clone()).await?;
    let newest: Vec<_> = page.items.iter().map(|space| space.newest).collect();
    let records = call.control().states().records(&newest).await.map_err(|error| problem::store(&error))?;
    let at: BTreeMap<_, Timestamp> =
        records.into_iter().map(|record| (record.operation.seq, record.at)).collect();
    let row = |space: pinrail_api::spaces::Space| Row { last_at: at.get(&space.newest).copied(), space };
    let api::state::spaces::Query { layer, tenant, prefix, .. } = query;
    Ok(Spaces { items: page.items.into_iter().map(row).collect(), next: page.next, layer, tenant, prefix })
}

/// The map of agents and spaces.
pub async fn map(call: Call) -> Result<Uses, Problem> {
    let query: api::state::map::Query = form::query(&call)?;
    let map = api::state::map::gather(&call, query.clone()).await?;
    Ok(Uses { map, tenant: query.tenant, each: query.spaces })
}

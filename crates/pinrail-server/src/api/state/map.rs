//! `GET /api/v1/state/map`: which agents read and write which spaces, from what their runs did.

use pinrail_api::problem::Problem;
use pinrail_api::spaces::{Depends, Map, Place as Shown, Used};
use pinrail_control::state::map::Place;
use pinrail_domain::id::TenantId;
use serde::Deserialize;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

/// Which map.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub tenant: Option<TenantId>,
    /// Every space by itself.
    #[serde(default)]
    pub spaces: bool,
}

pub async fn show(call: Call) -> Answer {
    let query = call.query()?;
    reply::json(&gather(&call, query).await?)
}

/// The map.
pub async fn gather(call: &Call, query: Query) -> Result<Map, Problem> {
    let Query { tenant, spaces } = query;
    let tenants = match tenant {
        Some(tenant) => Some(vec![call.tenant(Some(tenant))?]),
        None => None,
    };
    let map = call.control().states().map(tenants.as_deref(), spaces).await;
    let map = map.map_err(|error| problem::store(&error))?;
    let place = |(place, behind): (&Place, &pinrail_control::state::map::Behind)| Shown {
        id: id(place),
        space: format!("{}/{}", place.layer, place.name),
        tenant: place.tenant.clone(),
        spaces: behind.spaces,
        tenants: behind.tenants,
    };
    Ok(Map {
        agents: map.agents.iter().cloned().collect(),
        spaces: map.spaces.iter().map(place).collect(),
        uses: map
            .uses
            .into_iter()
            .map(|used| Used {
                place: id(&used.place),
                agent: used.agent,
                reads: used.reads,
                writes: used.writes,
                last_at: used.last_at,
            })
            .collect(),
        depends: map
            .depends
            .into_iter()
            .map(|depends| Depends {
                through: depends.through.iter().map(id).collect(),
                reader: depends.reader,
                writer: depends.writer,
                reads: depends.reads,
                last_at: depends.last_at,
            })
            .collect(),
    })
}

fn id(place: &Place) -> String {
    let Place { layer, name, tenant } = place;
    match tenant {
        Some(tenant) => format!("{tenant}:{layer}/{name}"),
        None => format!("{layer}/{name}"),
    }
}

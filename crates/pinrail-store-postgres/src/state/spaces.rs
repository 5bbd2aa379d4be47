//! Spaces: their numbers and their counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use pinrail_domain::id::{DeploymentId, StateSeq, TenantId};
use pinrail_domain::state::{Layer, Space, SpaceName};
use pinrail_store::state::{SpaceFacts, SpaceFilter, Written};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::Postgres;
use crate::db::{Lane, Param};
use crate::failure::{Failure, column, integer, limit as sql_limit, number};

/// The numbers of spaces met lately. A space keeps its number for good, so none of them is ever wrong.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<Space, i64>>);

/// Sessions make spaces by the million; these take some ten megabytes.
const KNOWN_MAX: usize = 50_000;

const FIND: &str = "SELECT number FROM pinrail.spaces WHERE tenant = $1 AND layer = $2 AND name = $3";
/// By itself, so that nobody waits at a new space for another's append; a space without records is in no list.
const MAKE: &str =
    "INSERT INTO pinrail.spaces (tenant, layer, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const WRITTEN: &str = "SELECT tenant, layer, name, w.puts, w.deletes FROM pinrail.state_written w \
     JOIN pinrail.spaces s ON s.number = w.space WHERE w.deployment = $1 ORDER BY tenant, layer, name";
const LIST: &str = "SELECT tenant, layer, name, puts, deletes, newest FROM pinrail.spaces WHERE puts + deletes > 0 \
     AND ($1::text IS NULL OR (tenant, layer, name) > ($1, $2, $3)) AND ($4::smallint IS NULL OR layer = $4) \
     AND ($5::text[] IS NULL OR tenant = ANY ($5)) AND ($6::text IS NULL OR starts_with(name, $6)) \
     ORDER BY tenant, layer, name LIMIT $7";

impl Known {
    fn get(&self, space: &Space) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(space).copied()
    }

    fn keep(&self, space: &Space, number: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(space.clone(), number);
    }
}

/// The number of a space; none where nothing was ever written or read.
pub(super) async fn find(store: &Postgres, space: &Space) -> Result<Option<i64>, Failure> {
    if let Some(number) = store.inner.spaces.get(space) {
        return Ok(Some(number));
    }
    let row = store.maybe(Lane::Work, FIND, &named(space).params()).await?;
    let found: Option<i64> = row.map(|row| column(&row, 0, "a space")).transpose()?;
    if let Some(number) = found {
        store.inner.spaces.keep(space, number);
    }
    Ok(found)
}

/// The numbers of spaces, each of which gets one if it has none.
pub(super) async fn make<'a>(
    store: &Postgres,
    spaces: impl Iterator<Item = &'a Space>,
) -> Result<HashMap<&'a Space, i64>, Failure> {
    let mut numbers = HashMap::new();
    for space in spaces.collect::<BTreeSet<_>>() {
        let mut found = find(store, space).await?;
        if found.is_none() {
            // Done twice is done once, so it may be tried again like a question.
            store.rows(Lane::Work, MAKE, &named(space).params()).await?;
            found = find(store, space).await?;
        }
        let number = found.ok_or_else(|| Failure::damaged(space, "it has no number"))?;
        numbers.insert(space, number);
    }
    Ok(numbers)
}

pub(super) async fn list(
    store: &Postgres,
    filter: &SpaceFilter,
    after: Option<&Space>,
    limit: usize,
) -> Result<Vec<SpaceFacts>, Failure> {
    let SpaceFilter { layer, tenants, prefix } = filter;
    let after_tenant = after.map(|space| space.tenant.as_str());
    let after_layer = after.map(|space| space.layer as i16);
    let after_name = after.map(|space| space.name.as_str());
    let layer = layer.map(|layer| layer as i16);
    let tenants: Option<Vec<&str>> =
        tenants.as_ref().map(|tenants| tenants.iter().map(|tenant| tenant.as_str()).collect());
    let params: [Param<'_>; 7] = [
        (&after_tenant, Type::TEXT),
        (&after_layer, Type::INT2),
        (&after_name, Type::TEXT),
        (&layer, Type::INT2),
        (&tenants, Type::TEXT_ARRAY),
        (prefix, Type::TEXT),
        (&sql_limit(limit), Type::INT8),
    ];
    let rows = store.rows(Lane::Work, LIST, &params).await?;
    let facts = |row: &Row| {
        Ok(SpaceFacts {
            space: space_of(row, 0)?,
            puts: number(row, 3, "a space")?,
            deletes: number(row, 4, "a space")?,
            newest: StateSeq(number(row, 5, "a space")?),
        })
    };
    rows.iter().map(facts).collect()
}

pub(super) async fn written(store: &Postgres, deployment: DeploymentId) -> Result<Vec<Written>, Failure> {
    let rows = store.rows(Lane::Work, WRITTEN, &[(&integer(deployment.0), Type::INT8)]).await?;
    let written = |row: &Row| {
        let what = "what a deployment wrote";
        Ok(Written { space: space_of(row, 0)?, puts: number(row, 3, what)?, deletes: number(row, 4, what)? })
    };
    rows.iter().map(written).collect()
}

/// The space whose tenant, layer and name begin at this column.
pub(super) fn space_of(row: &Row, first: usize) -> Result<Space, Failure> {
    let damaged = |why: &dyn std::fmt::Display| Failure::damaged("a space", why);
    let tenant: &str = column(row, first, "a space")?;
    let layer: i16 = column(row, first + 1, "a space")?;
    let name: &str = column(row, first + 2, "a space")?;
    Ok(Space {
        tenant: tenant.parse::<TenantId>().map_err(|why| damaged(&why))?,
        layer: Layer::ALL
            .into_iter()
            .find(|known| *known as i16 == layer)
            .ok_or_else(|| damaged(&"its layer"))?,
        name: name.parse::<SpaceName>().map_err(|why| damaged(&why))?,
    })
}

/// A space's name as parameters are made of it.
pub(super) struct Named<'a> {
    tenant: &'a str,
    layer: i16,
    name: &'a str,
}

pub(super) fn named(space: &Space) -> Named<'_> {
    Named { tenant: space.tenant.as_str(), layer: space.layer as i16, name: space.name.as_str() }
}

impl Named<'_> {
    pub(super) fn params(&self) -> [Param<'_>; 3] {
        [(&self.tenant, Type::TEXT), (&self.layer, Type::INT2), (&self.name, Type::TEXT)]
    }
}

//! Spaces: their numbers, their counts and who uses them.

use std::collections::HashMap;

use pinrail_domain::id::{AgentName, DeploymentId, StateSeq, TenantId};
use pinrail_domain::state::{Layer, Space, SpaceName};
use pinrail_store::state::{SpaceFacts, SpaceFilter, Written};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::failure::{Failure, integer, limit as sql_limit, natural};

/// The spaces that a question has met, by number.
pub(super) struct Spaces<'a> {
    db: &'a Connection,
    met: HashMap<i64, Space>,
}

impl<'a> Spaces<'a> {
    pub(super) fn new(db: &'a Connection) -> Spaces<'a> {
        Spaces { db, met: HashMap::new() }
    }

    /// The space with this number.
    pub(super) fn get(&mut self, number: i64) -> Result<Space, Failure> {
        if let Some(space) = self.met.get(&number) {
            return Ok(space.clone());
        }
        let mut select =
            self.db.prepare_cached("SELECT tenant, layer, name FROM spaces WHERE number = ?1")?;
        let mut rows = select.query([number])?;
        let row = rows.next()?.ok_or_else(|| Failure::damaged("a space", "it is missing"))?;
        let space = space_of(row, 0)?;
        self.met.insert(number, space.clone());
        Ok(space)
    }
}

/// The number of a space; none where nothing was ever written or read.
pub(super) fn find(db: &Connection, space: &Space) -> Result<Option<i64>, Failure> {
    let sql = "SELECT number FROM spaces WHERE tenant = ?1 AND layer = ?2 AND name = ?3";
    let mut select = db.prepare_cached(sql)?;
    let values = (space.tenant.as_str(), space.layer as i64, space.name.as_str());
    Ok(select.query_row(values, |row| row.get(0)).optional()?)
}

/// The number of a space, which gets one if it has none.
pub(super) fn make(db: &Connection, space: &Space) -> Result<i64, Failure> {
    if let Some(number) = find(db, space)? {
        return Ok(number);
    }
    let mut insert = db.prepare_cached("INSERT INTO spaces (tenant, layer, name) VALUES (?1, ?2, ?3)")?;
    Ok(insert.insert((space.tenant.as_str(), space.layer as i64, space.name.as_str()))?)
}

/// Notes that an agent used a space.
pub(super) fn used(
    db: &Connection,
    space: i64,
    agent: &AgentName,
    reads: i64,
    writes: i64,
    at: i64,
) -> Result<(), Failure> {
    let sql = "INSERT INTO state_uses (space, agent, reads, writes, last_at) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET reads = reads + excluded.reads, writes = writes + excluded.writes, \
         last_at = max(last_at, excluded.last_at)";
    db.prepare_cached(sql)?.execute((space, agent.as_str(), reads, writes, at))?;
    Ok(())
}

pub(super) fn list(
    db: &Connection,
    filter: &SpaceFilter,
    after: Option<&Space>,
    limit: usize,
) -> Result<Vec<SpaceFacts>, Failure> {
    let (sql, mut values) = list_query(filter, after);
    values.push(Value::Integer(sql_limit(limit)));
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut spaces = Vec::new();
    while let Some(row) = rows.next()? {
        spaces.push(SpaceFacts {
            space: space_of(row, 0)?,
            puts: natural(row.get(3)?),
            deletes: natural(row.get(4)?),
            newest: StateSeq(natural(row.get(5)?)),
        });
    }
    Ok(spaces)
}

pub(super) fn written(db: &Connection, deployment: DeploymentId) -> Result<Vec<Written>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT tenant, layer, name, written.puts, written.deletes FROM state_written AS written \
         JOIN spaces ON number = space WHERE deployment = ?1 ORDER BY tenant, layer, name",
    )?;
    let mut rows = select.query([integer(deployment.0)])?;
    let mut written = Vec::new();
    while let Some(row) = rows.next()? {
        let (puts, deletes) = (natural(row.get(3)?), natural(row.get(4)?));
        written.push(Written { space: space_of(row, 0)?, puts, deletes });
    }
    Ok(written)
}

/// Adds "only these tenants" (I11) to a query, with one parameter for any number of them.
pub(super) fn only_tenants(sql: &mut String, values: &mut Vec<Value>, tenants: &[TenantId]) {
    let value = if let [tenant] = tenants {
        sql.push_str(" AND tenant = ?");
        tenant.as_str().to_owned()
    } else {
        sql.push_str(" AND +tenant IN (SELECT value FROM json_each(?))");
        let names: Vec<&str> = tenants.iter().map(|tenant| tenant.as_str()).collect();
        serde_json::to_string(&names).expect("names are plain text")
    };
    values.push(Value::Text(value));
}

/// The space whose tenant, layer and name begin at this column.
pub(super) fn space_of(row: &Row<'_>, column: usize) -> Result<Space, Failure> {
    let damaged = |why: &dyn std::fmt::Display| Failure::damaged("a space", why);
    let tenant: String = row.get(column)?;
    let layer: i64 = row.get(column + 1)?;
    let name: String = row.get(column + 2)?;
    Ok(Space {
        tenant: tenant.parse::<TenantId>().map_err(|why| damaged(&why))?,
        layer: Layer::ALL
            .into_iter()
            .find(|known| *known as i64 == layer)
            .ok_or_else(|| damaged(&"its layer"))?,
        name: name.parse::<SpaceName>().map_err(|why| damaged(&why))?,
    })
}

/// The filter as SQL, with a value for every `?` but the last, which is the limit. Walks the index of names.
pub(super) fn list_query(filter: &SpaceFilter, after: Option<&Space>) -> (String, Vec<Value>) {
    let SpaceFilter { layer, tenants, prefix } = filter;
    let text = |text: &str| Value::Text(text.to_owned());
    let mut sql = "SELECT tenant, layer, name, puts, deletes, newest FROM spaces INDEXED BY spaces_by_name \
         WHERE puts + deletes > 0"
        .to_owned();
    let mut values = Vec::new();
    if let Some(after) = after {
        sql.push_str(" AND (tenant, layer, name) > (?, ?, ?)");
        let layer = Value::Integer(after.layer as i64);
        values.extend([text(after.tenant.as_str()), layer, text(after.name.as_str())]);
    }
    if let Some(layer) = layer {
        // The index finds a layer of one tenant. Of several, the plus keeps SQLite from sorting what is in order.
        let is_one = tenants.as_ref().is_some_and(|tenants| tenants.len() == 1);
        sql.push_str(if is_one { " AND layer = ?" } else { " AND +layer = ?" });
        values.push(Value::Integer(*layer as i64));
    }
    if let Some(tenants) = tenants {
        only_tenants(&mut sql, &mut values, tenants);
    }
    if let Some(prefix) = prefix {
        // Names are ASCII, so the last character that there is comes after whatever follows the prefix.
        sql.push_str(" AND name >= ? AND name < ?");
        values.extend([text(prefix), Value::Text(format!("{prefix}{}", char::MAX))]);
    }
    sql.push_str(" ORDER BY tenant, layer, name LIMIT ?");
    (sql, values)
}

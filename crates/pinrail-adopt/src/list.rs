//! What is adopted, and what each deployment wrote there.

use serde::Serialize;
use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Row};

use crate::error::Error;
use crate::plan::Places;
use crate::shape::{Shape, Unique};
use crate::text::qualified;
use crate::trigger;

/// An adopted table.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    pub table: String,
    pub id: i64,
    pub at: String,
    pub by: String,
    pub reason: String,
    /// What each deployment wrote since.
    pub deployments: Vec<Wrote>,
}

/// What a deployment wrote to an adopted table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrote {
    pub deployment: i64,
    /// `ground`, `open`, `committed`, `aborted` (taken back before it was committed) or `retracted` (after).
    pub status: String,
    /// Versions of rows.
    pub written: i64,
    /// Those of them that everybody sees now.
    pub visible: i64,
    /// Versions, its own among them, that it replaced or deleted.
    pub ended: i64,
}

/// What is known of an adoption.
pub(crate) struct Entry {
    pub shape: Shape,
    pub places: Places,
    /// False: it was prepared, and never came to its switch.
    pub adopted: bool,
}

/// All that is adopted, or one table; with what one deployment wrote, or each.
pub async fn adopted(
    client: &impl GenericClient,
    table: Option<&str>,
    deployment: Option<i64>,
) -> Result<Vec<Listed>, Error> {
    let failed = |error| Error::sql("list adopted tables", error);
    let one = match table {
        Some(table) => Some(Shape::find(client, table).await?),
        None => None,
    };
    if !is_there(client).await? {
        return one.map_or(Ok(Vec::new()), |shape| Err(Error::NotAdopted(shape.table())));
    }
    let tables = "SELECT t.id, t.schema_name, t.table_name, to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), t.by_role, t.reason \
                  FROM pinrail_adopted.tables t WHERE t.state = 'adopted' AND ($1::text IS NULL OR (t.schema_name = $1 AND t.table_name = $2)) ORDER BY t.id";
    let (schema, name) = (one.as_ref().map(|shape| &shape.schema), one.as_ref().map(|shape| &shape.name));
    let rows = client.query(tables, &[&schema, &name]).await.map_err(failed)?;
    if let (Some(shape), true) = (&one, rows.is_empty()) {
        return Err(Error::NotAdopted(shape.table()));
    }
    let mut listed = Vec::new();
    for row in rows {
        let id: i64 = row.get(0);
        let deployments = wrote(client, id, deployment).await?;
        let table = qualified(row.get(1), row.get(2));
        listed.push(Listed { table, id, at: row.get(3), by: row.get(4), reason: row.get(5), deployments });
    }
    Ok(listed)
}

/// What deployments wrote to the table of an adoption.
pub(crate) async fn wrote(
    client: &impl GenericClient,
    id: i64,
    deployment: Option<i64>,
) -> Result<Vec<Wrote>, Error> {
    let by = format!("pinrail_adopted_{id}.wrote($1)");
    wrote_in(client, &by, &[&deployment]).await
}

/// What each deployment wrote to the table of an adoption, and what was known of it at a ledger entry.
pub(crate) async fn wrote_as_of(
    client: &impl GenericClient,
    places: &Places,
    primary: &Unique,
    at: &str,
) -> Result<Vec<Wrote>, Error> {
    let by = format!("({})", trigger::wrote_by_each(places, primary, Some(at)));
    wrote_in(client, &by, &[]).await
}

async fn wrote_in(
    client: &impl GenericClient,
    by: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Wrote>, Error> {
    let sql = format!(
        "SELECT w.deployment, w.status, w.written, w.visible, w.ended FROM {by} w ORDER BY w.deployment"
    );
    let rows = client.query(&sql, parameters).await;
    let one = |row: &Row| Wrote {
        deployment: row.get(0),
        status: row.get(1),
        written: row.get(2),
        visible: row.get(3),
        ended: row.get(4),
    };
    Ok(rows.map_err(|error| Error::sql("count what deployments wrote", error))?.iter().map(one).collect())
}

/// What is known of the adoption of a table.
pub(crate) async fn entry(
    client: &impl GenericClient,
    schema: &str,
    name: &str,
) -> Result<Option<Entry>, Error> {
    if !is_there(client).await? {
        return Ok(None);
    }
    let sql = "SELECT shape, places, state = 'adopted' FROM pinrail_adopted.tables WHERE schema_name = $1 AND table_name = $2";
    let row = client.query_opt(sql, &[&schema, &name]).await;
    let Some(row) = row.map_err(|error| Error::sql("look the adoption up", error))? else { return Ok(None) };
    let shape = serde_json::from_str(row.get(0)).map_err(Error::Unreadable)?;
    let places = serde_json::from_str(row.get(1)).map_err(Error::Unreadable)?;
    Ok(Some(Entry { shape, places, adopted: row.get(2) }))
}

/// Whether anything was ever adopted here.
pub(crate) async fn is_there(client: &impl GenericClient) -> Result<bool, Error> {
    let sql = "SELECT to_regclass('pinrail_adopted.tables') IS NOT NULL";
    let row =
        client.query_one(sql, &[]).await.map_err(|error| Error::sql("look for adopted tables", error))?;
    Ok(row.get(0))
}

//! What not everybody sees in an adopted table, row by row: to keep it before it is let go.

use std::pin::pin;

use futures_util::StreamExt as _;
use tokio_postgres::Client;

use crate::error::Error;
use crate::list;
use crate::shape::Shape;
use crate::text::{ident, literal};
use crate::trigger::{self, Eyes};

/// Hands each hidden row, and each replacement or deletion that doesn't count, to `each` as one line of JSON. Gives how
/// many there were.
pub async fn export<E>(
    client: &Client,
    table: &str,
    mut each: impl FnMut(&str) -> Result<(), E>,
) -> Result<Result<u64, E>, Error> {
    let found = Shape::find(client, table).await?;
    let entry = list::entry(client, &found.schema, &found.name).await?.filter(|entry| entry.adopted);
    let entry = entry.ok_or_else(|| Error::NotAdopted(found.table()))?;
    let primary = entry.shape.primary().expect("a table without a primary key is never adopted");
    let as_text = as_text(client, &entry.places.ground()).await?;
    let of = |row: &str, names: &mut dyn Iterator<Item = &str>| {
        let pair = |name: &str| {
            let (told, value) = (literal(name), format!("{row}.{}", ident(name)));
            if as_text.iter().any(|column| column == name) {
                return format!("{told}, CASE WHEN {value} IS NOT NULL THEN format('%s', {value}) END");
            }
            format!("{told}, {value}")
        };
        format!("json_build_object({})", names.map(pair).collect::<Vec<_>>().join(", "))
    };
    let whole = of("t", &mut entry.shape.columns.iter().map(|column| column.name.as_str()));
    let key = of("e", &mut primary.columns.iter().map(|column| column.name.as_str()));
    let uncounted = |row: &str| format!("NOT ({})", trigger::counts(row, &Eyes::default()));
    let sql = format!(
        "SELECT json_build_object('deployment', t.pinrail_deployment, 'version', t.pinrail_version, 'row', {whole})::text FROM {} t WHERE {}
         UNION ALL
         SELECT json_build_object('deployment', e.pinrail_deployment, 'version', e.pinrail_version, 'ended', {key})::text FROM {} e WHERE {}",
        entry.places.written(),
        uncounted("t"),
        entry.places.ends(),
        uncounted("e"),
    );
    let failed = |error| Error::sql("read hidden rows", error);
    let none: [&str; 0] = [];
    let mut rows = pin!(client.query_raw(&sql, none).await.map_err(failed)?);
    let mut count = 0;
    while let Some(row) = rows.next().await {
        if let Err(error) = each(row.map_err(failed)?.get(0)) {
            return Ok(Err(error));
        }
        count += 1;
    }
    Ok(Ok(count))
}

/// The columns whose types PostgreSQL didn't bring along: to make JSON of them it would run a cast of their owner's, with
/// the rights of whoever exports.
async fn as_text(client: &Client, table: &str) -> Result<Vec<String>, Error> {
    let sql = "WITH RECURSIVE kinds AS (
            SELECT a.attname, a.atttypid AS kind FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
            UNION
            SELECT k.attname, CASE y.typbasetype WHEN 0 THEN y.typelem ELSE y.typbasetype END FROM kinds k JOIN pg_type y ON y.oid = k.kind
                WHERE y.typbasetype <> 0 OR y.typelem <> 0
        )
        SELECT DISTINCT k.attname::text FROM kinds k JOIN pg_type y ON y.oid = k.kind
        WHERE y.typtype <> 'd' AND y.typcategory <> 'A' AND y.typnamespace <> 'pg_catalog'::regnamespace";
    let rows = client.query(sql, &[&table]).await;
    let rows = rows.map_err(|error| Error::sql("look its columns' types up", error))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

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
    let of = |row: &str, names: &mut dyn Iterator<Item = &str>| {
        let pairs: Vec<String> =
            names.map(|name| format!("{}, {row}.{}", literal(name), ident(name))).collect();
        format!("json_build_object({})", pairs.join(", "))
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

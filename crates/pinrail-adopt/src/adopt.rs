//! Adopting a table: prepare, then switch, each in one transaction.
//!
//! Dies it after the first, the table is as it was; adopting again throws the preparations away and starts anew,
//! unadopting throws them away. Dies it in the second, PostgreSQL takes it back whole.

use serde::Serialize;
use tokio_postgres::{Client, GenericClient, Transaction};

use crate::error::Error;
use crate::list::{self, Entry};
use crate::moment;
use crate::plan::{Places, Plan};
use crate::shape::Shape;
use crate::text::{ident, literal};

/// A table that was adopted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adopted {
    pub table: String,
    pub places: Places,
    /// What the application will notice.
    pub changes: Vec<String>,
    /// How often the table was asked for until it was free for a moment.
    pub tries: u32,
}

/// What the tables that all adopted ones share are at: raised whenever `schema.sql` changes.
const VERSION: &str = "pinrail adopted tables 1";

/// What adopting the table would do. Changes nothing.
pub async fn plan_for(client: &impl GenericClient, table: &str) -> Result<Plan, Error> {
    store_there(client).await?;
    let shape = Shape::find(client, table).await?;
    let known = list::entry(client, &shape.schema, &shape.name).await?;
    if known.as_ref().is_some_and(|entry| entry.adopted) {
        return Err(Error::Already(shape.table()));
    }
    let next = if list::is_there(client).await? {
        "SELECT coalesce(max(id), 0) + 1, current_user::text FROM pinrail_adopted.tables"
    } else {
        "SELECT 1::bigint, current_user::text"
    };
    let row = client.query_one(next, &[]).await.map_err(|error| Error::sql("number the adoption", error))?;
    let by: String = row.get(1);
    Ok(Plan::of(shape, row.get(0), &by))
}

/// Adopts the table, for a reason.
pub async fn adopt(client: &mut Client, table: &str, reason: &str) -> Result<Adopted, Error> {
    let plan = plan_for(client, table).await?;
    let Plan { table, refused, .. } = plan;
    if !refused.is_empty() {
        return Err(Error::Refused { table, refused });
    }
    shared(client).await?;
    if let Some(left) = list::entry(client, &plan.shape.schema, &plan.shape.name).await? {
        abandon(client, &left).await?;
    }
    let plan = plan_for(client, &table).await?;
    prepare(client, &plan, reason).await?;
    let tries = switch(client, &plan, reason).await?;
    Ok(Adopted { table, places: plan.places, changes: plan.changes, tries })
}

/// Throws the preparations of an adoption away that never came to its switch.
pub(crate) async fn abandon(client: &mut Client, left: &Entry) -> Result<(), Error> {
    let failed = |error| Error::sql("throw unfinished preparations away", error);
    let transaction = client.transaction().await.map_err(failed)?;
    let mine = "DELETE FROM pinrail_adopted.tables WHERE id = $1 AND state = 'prepared'";
    if transaction.execute(mine, &[&left.places.id]).await.map_err(failed)? == 1 {
        // Only what was made for it, all of it empty, is in there.
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", ident(&left.places.inner));
        transaction.batch_execute(&drop).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// Makes what all adopted tables share, unless it is there.
async fn shared(client: &mut Client) -> Result<(), Error> {
    let failed = |error| Error::sql("make the schema pinrail_adopted", error);
    let transaction = client.transaction().await.map_err(failed)?;
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('pinrail_adopted', 0))";
    transaction.execute(lock, &[]).await.map_err(failed)?;
    let at = "SELECT obj_description(to_regnamespace('pinrail_adopted'), 'pg_namespace')";
    let row = transaction.query_one(at, &[]).await.map_err(failed)?;
    let version: Option<String> = row.get(0);
    if version.as_deref() != Some(VERSION) {
        transaction.batch_execute(include_str!("../sql/schema.sql")).await.map_err(failed)?;
        let comment = format!("COMMENT ON SCHEMA pinrail_adopted IS {}", literal(VERSION));
        transaction.batch_execute(&comment).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

async fn prepare(client: &mut Client, plan: &Plan, reason: &str) -> Result<(), Error> {
    let stored = |value: serde_json::Result<String>| value.expect("a value of ours is JSON");
    let shape = stored(serde_json::to_string(&plan.shape));
    let places = stored(serde_json::to_string(&plan.places));
    for _ in 0..moment::TRIES {
        match try_prepare(client, plan, &shape, &places, reason).await {
            Err(error) if moment::is_busy(&error) => moment::pause().await,
            Err(error) => return Err(Error::sql("prepare the adoption", error)),
            Ok(()) => return Ok(()),
        }
    }
    Err(busy(plan))
}

async fn try_prepare(
    client: &mut Client,
    plan: &Plan,
    shape: &str,
    places: &str,
    reason: &str,
) -> Result<(), tokio_postgres::Error> {
    let Shape { schema, name, .. } = &plan.shape;
    let transaction = client.transaction().await?;
    transaction.batch_execute(&moment::limit()).await?;
    let note = "INSERT INTO pinrail_adopted.tables (id, schema_name, table_name, state, shape, places, reason) \
                VALUES ($1, $2, $3, 'prepared', $4, $5, $6)";
    transaction.execute(note, &[&plan.places.id, schema, name, &shape, &places, &reason]).await?;
    run(&transaction, plan, 0).await?;
    transaction.commit().await
}

/// Puts the view in the table's place; gives how many tries it took.
async fn switch(client: &mut Client, plan: &Plan, reason: &str) -> Result<u32, Error> {
    for n in 1..=moment::TRIES {
        match try_switch(client, plan, reason).await {
            Err(Error::Sql { source, .. }) if moment::is_busy(&source) => moment::pause().await,
            Err(error) => return Err(error),
            Ok(()) => return Ok(n),
        }
    }
    Err(busy(plan))
}

async fn try_switch(client: &mut Client, plan: &Plan, reason: &str) -> Result<(), Error> {
    let failed = |error| Error::sql("put the view in the table's place", error);
    let transaction = client.transaction().await.map_err(failed)?;
    let lock = format!("{}; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", moment::limit(), plan.table);
    transaction.batch_execute(&lock).await.map_err(failed)?;
    let mine = "UPDATE pinrail_adopted.tables SET state = 'adopted', at = clock_timestamp() WHERE id = $1 AND state = 'prepared'";
    let mine = transaction.execute(mine, &[&plan.places.id]).await.map_err(failed)?;
    if mine != 1 || !Shape::find(&transaction, &plan.table).await?.is_same(&plan.shape) {
        return Err(Error::Changed(plan.table.clone()));
    }
    run(&transaction, plan, 1).await.map_err(failed)?;
    note(&transaction, "adopted", &plan.shape, reason, None).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// Runs a step's statements, sent together: the table is held for no round trip more than it takes.
async fn run(transaction: &Transaction<'_>, plan: &Plan, step: usize) -> Result<(), tokio_postgres::Error> {
    transaction.batch_execute(&plan.steps[step].statements.join(";\n")).await
}

/// Keeps who did it and why, as of a ledger entry or the last.
pub(crate) async fn note(
    transaction: &Transaction<'_>,
    act: &str,
    shape: &Shape,
    reason: &str,
    ledger: Option<i64>,
) -> Result<(), tokio_postgres::Error> {
    let history = "INSERT INTO pinrail_adopted.history (act, schema_name, table_name, reason, ledger) \
                   VALUES ($1, $2, $3, $4, coalesce($5::bigint, pinrail_adopted.ledger()))";
    transaction.execute(history, &[&act, &shape.schema, &shape.name, &reason, &ledger]).await?;
    Ok(())
}

async fn store_there(client: &impl GenericClient) -> Result<(), Error> {
    let failed = |error| Error::sql("look for the store", error);
    for table in ["spans", "heads", "runs", "ledger"] {
        let there = "SELECT to_regclass('pinrail.' || quote_ident($1)) IS NOT NULL";
        if !client.query_one(there, &[&table]).await.map_err(failed)?.get::<_, bool>(0) {
            return Err(Error::NoStore(table));
        }
    }
    Ok(())
}

fn busy(plan: &Plan) -> Error {
    Error::Busy { table: plan.table.clone(), tries: moment::TRIES, wait_ms: moment::WAIT_MS }
}

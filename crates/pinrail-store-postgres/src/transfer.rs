//! The database as the place that everything is moved to, and as what is verified then.
//!
//! Rows come in by COPY, places and all: nothing that was written is ever updated but what may change anyway, and the triggers
//! that hold history together stay in force (I8). It is work for the schema's owner: sequences and partitions are its own, and the
//! role of replicas has no right to them. While a copy goes on there is a table `pinrail.transfer`, and no replica opens the database.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use pinrail_domain::ledger::Head;
use pinrail_store::StoreError;
use pinrail_store::transfer::{Cell, Kind, Page, Part, Row, Sink, Source};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::failure::{Failure, number};
use crate::ledger::head_of;
use crate::open::{self, OpenError};
use crate::options::Options;
use crate::url::Address;

mod put;
mod read;
mod settle;

/// A connection of its own, which nobody else copies over meanwhile. Drop it after a call that was given up in its middle.
pub struct Transfer {
    client: Client,
    place: String,
    /// Whose partitions were asked for.
    days: Mutex<BTreeSet<i64>>,
    connection: JoinHandle<()>,
}

/// Held while somebody copies into the database. Shared by all versions: never change.
const LOCK: i64 = 0x7069_6e72_6169_6c04;

/// How long it is waited for.
const LOCK_WAIT: &str = "5s";

/// The table that is there while a copy goes on.
pub(crate) const UNFINISHED: &str = "SELECT pg_catalog.to_regclass('pinrail.transfer') IS NOT NULL";

impl Transfer {
    /// Connects as the schema's owner, past any pooler: the session holds a lock.
    ///
    /// `writes`: brings the schema up, or makes it, and lets nobody else copy into the database.
    pub async fn connect(options: &Options, writes: bool) -> Result<Transfer, OpenError> {
        let url = options.direct_url.as_ref().unwrap_or(&options.url);
        let address = Address::parse(url, options)?;
        if writes {
            crate::Postgres::migrate(url).await?;
        }
        let explain = |error| open::explain(&address, error);
        let (client, connection) = address.config.connect(address.secure.clone()).await.map_err(explain)?;
        let connection = tokio::spawn(async move { drop(connection.await) });
        open::examine(&client, &address, options).await?;
        // What isn't synced yet when the machine stops is copied again; the last step is synced, and all before it with it.
        let settings = "SET statement_timeout = 0; SET lock_timeout = '10s'; SET synchronous_commit = off; \
                        SET idle_in_transaction_session_timeout = 0; SET search_path = pg_catalog, pg_temp";
        client.batch_execute(settings).await.map_err(explain)?;
        if writes {
            // Waited for: a copy that was just killed holds it until the server notices.
            let sql = format!("SET lock_timeout = '{LOCK_WAIT}'; SELECT pg_catalog.pg_advisory_lock({LOCK})");
            match client.batch_execute(&sql).await {
                Ok(()) => {}
                Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                    return Err(OpenError::Copying { place: address.place });
                }
                Err(error) => return Err(open::explain(&address, error)),
            }
            client.batch_execute("SET lock_timeout = '10s'").await.map_err(explain)?;
        }
        Ok(Transfer { client, place: address.place, days: Mutex::default(), connection })
    }

    /// Where it is, for people: never holds a password (I15).
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    async fn number(&self, sql: &str) -> Result<u64, Failure> {
        let rows = self.client.query_typed(sql, &[]).await?;
        let row =
            rows.first().ok_or_else(|| Failure::damaged("the store", format_args!("no row for `{sql}`")))?;
        number(row, 0, "a number")
    }

    async fn is(&self, sql: &str) -> Result<bool, Failure> {
        let rows = self.client.query_typed(sql, &[]).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// Carries out writes as one transaction.
    async fn transaction(&self, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
        self.client.batch_execute("BEGIN").await?;
        match work.await {
            Ok(()) => Ok(self.client.batch_execute("COMMIT").await?),
            Err(failure) => {
                // Where the connection is gone, so is the transaction.
                let _ = self.client.batch_execute("ROLLBACK").await;
                Err(failure)
            }
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

#[async_trait]
impl Source for Transfer {
    async fn rows(&self, page: &Page<'_>) -> Result<Vec<Row>, StoreError> {
        Ok(self.read(page).await?)
    }

    async fn count(&self, part: Part) -> Result<u64, StoreError> {
        Ok(self.number(&format!("SELECT count(*) FROM pinrail.{}", table(part))).await?)
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        Ok(self.number("SELECT pg_catalog.pg_database_size(current_database())").await?)
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let sql = "SELECT ledger_seq, ledger_hash FROM pinrail.heads";
        let rows = self.client.query_typed(sql, &[]).await.map_err(Failure::from)?;
        let row = rows.first().ok_or_else(|| Failure::damaged("the ledger's head", "its row is missing"))?;
        Ok(head_of(row)?)
    }
}

#[async_trait]
impl Sink for Transfer {
    async fn is_empty(&self) -> Result<bool, StoreError> {
        for part in Part::ALL {
            if self.is(&format!("SELECT EXISTS (SELECT 1 FROM pinrail.{})", table(part))).await? {
                return Ok(false);
            }
        }
        let sql = "SELECT ledger_seq = 0 AND state_seq = 0 AND term = 0 FROM pinrail.heads";
        Ok(self.is(sql).await?)
    }

    async fn is_unfinished(&self) -> Result<bool, StoreError> {
        Ok(self.is(UNFINISHED).await?)
    }

    async fn begin(&self) -> Result<(), StoreError> {
        let sql = "CREATE TABLE pinrail.transfer (begun timestamptz NOT NULL DEFAULT pg_catalog.now()); \
                   COMMENT ON TABLE pinrail.transfer IS 'there while a copy goes on: no replica opens the database'; \
                   INSERT INTO pinrail.transfer DEFAULT VALUES";
        Ok(self.transaction(async { Ok(self.client.batch_execute(sql).await?) }).await?)
    }

    async fn add(&self, part: Part, rows: Vec<Row>) -> Result<(), StoreError> {
        self.make_days(part, &rows).await?;
        Ok(self.transaction(self.add_rows(part, &rows)).await?)
    }

    async fn change(&self, part: Part, rows: Vec<Row>) -> Result<(), StoreError> {
        Ok(self.transaction(self.change_rows(part, &rows)).await?)
    }

    async fn remove(&self, part: Part, rows: Vec<Row>) -> Result<(), StoreError> {
        Ok(self.transaction(self.remove_rows(part, &rows)).await?)
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.client.batch_execute("SET synchronous_commit = on").await.map_err(Failure::from)?;
        self.transaction(self.settle_all()).await?;
        self.client.batch_execute("SET synchronous_commit = off").await.map_err(Failure::from)?;
        Ok(())
    }

    async fn finish(&self) -> Result<(), StoreError> {
        self.analyze().await?;
        self.client.batch_execute("SET synchronous_commit = on").await.map_err(Failure::from)?;
        let sql = "DROP TABLE pinrail.transfer";
        Ok(self.transaction(async { Ok(self.client.batch_execute(sql).await?) }).await?)
    }
}

/// A part's table, in the schema.
fn table(part: Part) -> &'static str {
    match part {
        Part::Artifacts => "artifacts",
        Part::Ledger => "ledger",
        Part::Records => "state",
        Part::Spaces => "spaces",
        Part::Written => "state_written",
        Part::Marks => "state_marks",
        Part::Times => "state_times",
        Part::Reads => "state_reads",
        Part::Uses => "state_uses",
        Part::Runs => "runs",
        Part::Events => "run_events",
        Part::Sessions => "sessions",
        Part::Gates => "gates",
        Part::GateRows => "gate_rows",
        Part::Approvals => "approvals",
        Part::Deliveries => "deliveries",
        Part::DeadLetters => "dead_letters",
        Part::Sightings => "sightings",
        Part::Watches => "watches",
        Part::WatchDays => "watch_days",
        Part::Answers => "answers",
    }
}

/// The server's type for what a column holds.
fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Number => Type::INT8,
        Kind::Short => Type::INT4,
        Kind::Small => Type::INT2,
        Kind::Flag => Type::BOOL,
        Kind::Text => Type::TEXT,
        Kind::Bytes => Type::BYTEA,
        Kind::Id => Type::UUID,
        Kind::Places => Type::INT8_ARRAY,
        Kind::Vector => Type::FLOAT4_ARRAY,
    }
}

/// The cell of a column that every row has as a number.
fn number_in(part: Part, row: &Row, name: &str) -> Result<i64, Failure> {
    match &row[part.place(name)] {
        Cell::Number(number) => Ok(*number),
        other @ (Cell::Null | Cell::Text(_) | Cell::Bytes(_) | Cell::Places(_)) => {
            Err(Failure::damaged(format_args!("{}, {name}", part.as_str()), format_args!("{other:?}")))
        }
    }
}

impl Transfer {
    /// Makes the partitions that runs belong to, days of the source's journal.
    async fn make_days(&self, part: Part, rows: &[Row]) -> Result<(), Failure> {
        if part != Part::Runs && part != Part::Events {
            return Ok(());
        }
        for row in rows {
            let Cell::Bytes(id) = &row[0] else { continue };
            let ms = id.iter().take(6).fold(0_u64, |ms, byte| ms << 8 | u64::from(*byte));
            let day = i64::try_from(ms / 86_400_000).unwrap_or(i64::MAX);
            if !self.days.lock().unwrap_or_else(PoisonError::into_inner).insert(day) {
                continue;
            }
            let day = i32::try_from(day).unwrap_or(i32::MAX);
            // What gets no partition goes to the rest, which refuses nothing.
            self.client.query_typed("SELECT pinrail.runs_partition($1)", &[(&day, Type::INT4)]).await?;
        }
        Ok(())
    }
}

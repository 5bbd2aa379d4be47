//! The file as a source of rows to be moved elsewhere, whoever serves it meanwhile.
//!
//! The connection can't write. Each page is one statement, so it reads one moment and keeps the log from being tidied up no longer than
//! that. A copy of the whole file first (`VACUUM INTO`, the backup API) would need its room a second time and hold one read all along, or begin
//! anew with every write of the server's.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::Head;
use pinrail_store::StoreError;
use pinrail_store::transfer::{Cell, Kind, Page, Part, Row, Source};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params_from_iter};

use crate::failure::{Failure, limit as sql_limit, natural};
use crate::open::{self, OpenError};

/// A store's file, for reading alone.
#[derive(Clone)]
pub struct File {
    path: PathBuf,
    db: Arc<Mutex<Connection>>,
}

impl File {
    /// Opens the file of a store whose schema is this Pinrail's. Changes nothing of it.
    ///
    /// Blocks.
    pub fn open(path: &Path) -> Result<File, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let explain = |error| open::explain(path, error);
        let db = Connection::open_with_flags(path, flags).map_err(explain)?;
        db.busy_timeout(std::time::Duration::from_secs(5)).map_err(explain)?;
        db.pragma_update(None, "query_only", true).map_err(explain)?;
        db.pragma_update(None, "trusted_schema", false).map_err(explain)?;
        db.pragma_update(None, "temp_store", "memory").map_err(explain)?;
        open::check(&db, path)?;
        open::check_is_current(&db, path)?;
        Ok(File { path: path.to_owned(), db: Arc::new(Mutex::new(db)) })
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let db = Arc::clone(&self.db);
        let asked =
            tokio::task::spawn_blocking(move || question(&db.lock().unwrap_or_else(PoisonError::into_inner)));
        match asked.await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::closed().into()),
        }
    }
}

#[async_trait]
impl Source for File {
    async fn rows(&self, page: &Page<'_>) -> Result<Vec<Row>, StoreError> {
        let (sql, params) = select(page);
        let Page { part, depth, .. } = *page;
        self.ask(move |db| {
            let mut select = db.prepare_cached(&sql)?;
            let mut rows = select.query(params_from_iter(params))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let columns = part.columns().iter().enumerate();
                let read = columns.map(|(place, column)| {
                    if depth == pinrail_store::transfer::Depth::Telling && !part.tells(place) {
                        return Ok(Cell::Null);
                    }
                    cell(row.get_ref(place)?, column.kind).map_err(|why| {
                        Failure::damaged(format_args!("{}, {}", part.as_str(), column.name), why)
                    })
                });
                found.push(read.collect::<Result<Row, Failure>>()?);
            }
            Ok(found)
        })
        .await
    }

    async fn count(&self, part: Part) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {}", table(part));
        self.ask(move |db| Ok(natural(db.query_row(&sql, (), |row| row.get(0))?))).await
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        Ok(std::fs::metadata(&self.path).map_or(0, |file| file.len()))
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.ask(|db| {
            let sql = "SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1";
            let head = db.query_row(sql, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?)));
            let head = head.optional()?;
            Ok(head.map_or(Head::START, |(seq, hash)| Head {
                seq: LedgerSeq(natural(seq)),
                hash: Digest::from_bytes(hash),
            }))
        })
        .await
    }
}

/// The statement that reads a page, and its parameters.
fn select(page: &Page<'_>) -> (String, Vec<Value>) {
    let (part, key) = (page.part, page.part.key());
    let columns = columns(part);
    assert_eq!(columns.len(), part.columns().len(), "{}", part.as_str());
    let read = columns.iter().enumerate().map(|(place, column)| {
        let is_read = page.depth == pinrail_store::transfer::Depth::Whole || part.tells(place);
        if is_read { *column } else { "NULL" }
    });
    let mut sql = format!("SELECT {} FROM {} WHERE TRUE", read.collect::<Vec<_>>().join(", "), table(part));
    let mut params = Vec::new();
    for (bound, first, all) in [(page.after, ">=", ">"), (page.until, "<=", "<=")] {
        let Some(bound) = bound else { continue };
        let base = params.len();
        params.extend(bound.iter().map(value));
        let places =
            |count: usize| (1..=count).map(|n| format!("?{}", base + n)).collect::<Vec<_>>().join(", ");
        // The first column alone finds the place in the index; the whole key says where exactly.
        let _ = write!(sql, " AND {} {first} {}", columns[0], places(1));
        let _ = write!(sql, " AND ({}) {all} ({})", columns[..key].join(", "), places(key));
    }
    params.push(Value::Integer(sql_limit(page.limit)));
    let _ = write!(sql, " ORDER BY {} LIMIT ?{}", columns[..key].join(", "), params.len());
    (sql, params)
}

/// Where a part's rows are.
fn table(part: Part) -> &'static str {
    match part {
        Part::Artifacts => "artifacts",
        Part::Ledger => "ledger",
        Part::Records => "state AS s LEFT JOIN state_content AS c ON c.seq = s.seq",
        Part::Spaces => "spaces",
        Part::Written => "state_written",
        Part::Marks => "state_marks",
        Part::Times => "state_times",
        Part::Reads => "state_reads",
        Part::Uses => {
            "(SELECT space, agent, 0 AS what, reads AS times, last_at FROM state_uses WHERE reads > 0 \
             UNION ALL SELECT space, agent, 1, writes, last_at FROM state_uses WHERE writes > 0)"
        }
        Part::Runs => "runs",
        Part::Events => {
            "runs AS r CROSS JOIN run_events AS e ON e.place >= r.number * 131072 AND e.place < (r.number + 1) * 131072"
        }
        Part::Sessions => "sessions",
        Part::Gates => "gates",
        Part::GateRows => "gates AS g CROSS JOIN gate_rows AS a ON a.gate = g.number",
        Part::Approvals => "approvals",
        Part::Deliveries => "deliveries",
        Part::DeadLetters => "dead_letters",
        Part::Sightings => "sightings",
        Part::Watches => "watches",
        Part::WatchDays => "watch_days",
        Part::Answers => "answers",
    }
}

/// The expressions of a part's columns.
fn columns(part: Part) -> Vec<&'static str> {
    match part {
        Part::Records => vec![
            "s.seq",
            "s.space",
            "s.key",
            "s.op",
            "s.deployment",
            "s.run",
            "s.origin",
            "s.ledger",
            "s.at",
            "s.parents",
            "s.content_digest",
            "s.digest",
            "CASE WHEN c.seq IS NULL THEN NULL ELSE c.salt IS NOT NULL END",
            "c.salt",
            "c.json",
            "c.vector",
        ],
        Part::Events => vec!["r.id", "e.place - r.number * 131072", "e.events"],
        Part::GateRows => vec!["g.id", "a.case_digest", "a.repeat", "a.release", "a.settled", "a.body"],
        Part::Approvals => {
            let named = |column: &pinrail_store::transfer::Column| match column.name {
                "approved" => "verdict",
                name => name,
            };
            part.columns().iter().map(named).collect()
        }
        Part::Artifacts
        | Part::Ledger
        | Part::Spaces
        | Part::Written
        | Part::Marks
        | Part::Times
        | Part::Reads
        | Part::Uses
        | Part::Runs
        | Part::Sessions
        | Part::Gates
        | Part::Deliveries
        | Part::DeadLetters
        | Part::Sightings
        | Part::Watches
        | Part::WatchDays
        | Part::Answers => part.columns().iter().map(|column| column.name).collect(),
    }
}

fn cell(value: ValueRef<'_>, kind: Kind) -> Result<Cell, String> {
    let other = || Err(format!("{:?} where {kind:?} belongs", value.data_type()));
    Ok(match (value, kind) {
        (ValueRef::Null, _) => Cell::Null,
        (ValueRef::Integer(number), Kind::Number | Kind::Short | Kind::Small | Kind::Flag) => {
            Cell::Number(number)
        }
        (ValueRef::Text(text), Kind::Text) => {
            Cell::Text(std::str::from_utf8(text).map_err(|why| why.to_string())?.to_owned())
        }
        (ValueRef::Text(text), Kind::Places) => {
            Cell::Places(serde_json::from_slice(text).map_err(|why| why.to_string())?)
        }
        (ValueRef::Blob(bytes), Kind::Bytes | Kind::Vector) => Cell::Bytes(bytes.to_vec()),
        (ValueRef::Blob(bytes), Kind::Id) if bytes.len() == 16 => Cell::Bytes(bytes.to_vec()),
        _ => return other(),
    })
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Number(number) => Value::Integer(*number),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Bytes(bytes) => Value::Blob(bytes.clone()),
        Cell::Places(_) => unreachable!("no key holds places"),
    }
}

#[cfg(test)]
mod tests;

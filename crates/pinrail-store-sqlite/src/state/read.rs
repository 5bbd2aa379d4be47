//! Records, operations and moments.

use std::fmt::Display;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, LedgerSeq, RunId, StateSeq};
use pinrail_domain::state::{
    Content, Moment, Op, Operation, Origin, Record, Space, StateKey, Value, vector_from,
};
use pinrail_domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::{PLACES_PER_CHUNK, spaces};
use crate::failure::{Failure, integer, limit as sql_limit, natural};

pub(super) const OPERATIONS: &str = "SELECT seq, ledger, deployment, key, op \
     FROM state INDEXED BY state_by_space WHERE space = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
pub(super) const OF_DEPLOYMENT: &str = "SELECT seq, ledger, deployment, key, op, space \
     FROM state INDEXED BY state_by_deployment WHERE deployment = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
pub(super) const OF_RUN: &str = "SELECT seq, ledger, deployment, key, op, space \
     FROM state INDEXED BY state_by_run WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
pub(super) const SCAN: &str = "SELECT state.seq, ledger, deployment, key, op, space, at, origin, run, parents, \
     content_digest, digest, salt, json, vector FROM state INDEXED BY state_by_space \
     LEFT JOIN state_content AS content ON content.seq = state.seq \
     WHERE space = ?1 AND state.seq > ?2 ORDER BY state.seq LIMIT ?3";
/// From the newest chunk that holds so early a record (or did, before it was removed) back to one that does.
pub(super) const MOMENT: &str = "SELECT \
     (SELECT (SELECT max(seq) FROM state WHERE seq >= chunk * ?2 AND seq < (chunk + 1) * ?2 AND at <= ?1) AS found \
     FROM state_times WHERE earliest <= ?1 AND found IS NOT NULL ORDER BY chunk DESC LIMIT 1), \
     (SELECT seq FROM ledger_times WHERE at <= ?1 ORDER BY seq DESC LIMIT 1)";

pub(super) fn head(db: &Connection) -> Result<Moment, Failure> {
    let sql =
        "SELECT (SELECT last FROM state_marks ORDER BY ledger DESC LIMIT 1), (SELECT max(seq) FROM ledger)";
    moment_of(db, sql, ())
}

/// The order is by sequence: where a clock jumped, the last one by sequence whose time isn't later counts.
pub(super) fn moment(db: &Connection, at: Timestamp) -> Result<Moment, Failure> {
    moment_of(db, MOMENT, [integer(at.0), PLACES_PER_CHUNK])
}

pub(super) fn until(db: &Connection, ledger: LedgerSeq) -> Result<StateSeq, Failure> {
    let sql = "SELECT last FROM state_marks WHERE ledger <= ?1 ORDER BY ledger DESC LIMIT 1";
    let last = db.prepare_cached(sql)?.query_row([integer(ledger.0)], |row| row.get(0)).optional()?;
    Ok(StateSeq(natural(last.unwrap_or(0))))
}

pub(super) fn operations(
    db: &Connection,
    space: &Space,
    after: StateSeq,
    limit: usize,
) -> Result<Vec<Operation>, Failure> {
    let Some(space) = spaces::find(db, space)? else { return Ok(Vec::new()) };
    let mut select = db.prepare_cached(OPERATIONS)?;
    let mut rows = select.query((space, integer(after.0), sql_limit(limit)))?;
    let mut operations = Vec::new();
    while let Some(row) = rows.next()? {
        operations.push(operation_of(row)?);
    }
    Ok(operations)
}

pub(super) fn of_deployment(
    db: &Connection,
    deployment: DeploymentId,
    after: StateSeq,
    limit: usize,
) -> Result<Vec<(Space, Operation)>, Failure> {
    placed(db, OF_DEPLOYMENT, (integer(deployment.0), integer(after.0), sql_limit(limit)))
}

pub(super) fn of_run(
    db: &Connection,
    run: RunId,
    after: StateSeq,
    limit: usize,
) -> Result<Vec<(Space, Operation)>, Failure> {
    placed(db, OF_RUN, (run.0.to_be_bytes(), integer(after.0), sql_limit(limit)))
}

pub(super) fn records(db: &Connection, seqs: &[StateSeq]) -> Result<Vec<Record>, Failure> {
    let mut spaces = spaces::Spaces::new(db);
    let mut select = db.prepare_cached(
        "SELECT state.seq, ledger, deployment, key, op, space, at, origin, run, parents, content_digest, digest, \
         salt, json, vector FROM state LEFT JOIN state_content AS content ON content.seq = state.seq \
         WHERE state.seq = ?1",
    )?;
    let mut records = Vec::with_capacity(seqs.len());
    for seq in seqs {
        let mut rows = select.query([integer(seq.0)])?;
        if let Some(row) = rows.next()? {
            records.push(record_of(row, spaces.get(row.get(5)?)?)?);
        }
    }
    Ok(records)
}

pub(super) fn digests(db: &Connection, seqs: &[StateSeq]) -> Result<Vec<(StateSeq, Digest)>, Failure> {
    let mut select = db.prepare_cached("SELECT digest FROM state WHERE seq = ?1")?;
    let mut digests = Vec::with_capacity(seqs.len());
    for seq in seqs {
        let mut rows = select.query([integer(seq.0)])?;
        if let Some(row) = rows.next()? {
            let digest = row.get(0);
            let digest =
                digest.map_err(|_| Failure::damaged(format_args!("state record {seq}"), "its digest"))?;
            digests.push((*seq, Digest::from_bytes(digest)));
        }
    }
    Ok(digests)
}

pub(super) fn scan(
    db: &Connection,
    space: &Space,
    after: StateSeq,
    limit: usize,
) -> Result<Vec<Record>, Failure> {
    let Some(number) = spaces::find(db, space)? else { return Ok(Vec::new()) };
    let mut select = db.prepare_cached(SCAN)?;
    let mut rows = select.query((number, integer(after.0), sql_limit(limit)))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record_of(row, space.clone())?);
    }
    Ok(records)
}

pub(super) fn children(db: &Connection, parents: &[StateSeq]) -> Result<Vec<StateSeq>, Failure> {
    let mut select = db.prepare_cached("SELECT child FROM state_parents WHERE parent = ?1")?;
    let mut children = Vec::new();
    for parent in parents {
        let mut rows = select.query([integer(parent.0)])?;
        while let Some(row) = rows.next()? {
            children.push(StateSeq(natural(row.get(0)?)));
        }
    }
    children.sort_unstable();
    children.dedup();
    Ok(children)
}

/// A list of places as it is stored; none is an empty one.
pub(super) fn places_of(row: &Row<'_>, column: usize, what: impl Display) -> Result<Vec<StateSeq>, Failure> {
    let value = row.get_ref(column)?;
    match value.as_bytes_or_null().map_err(|why| Failure::damaged(&what, why))? {
        None => Ok(Vec::new()),
        Some(json) => serde_json::from_slice(json).map_err(|why| Failure::damaged(&what, why)),
    }
}

fn moment_of(db: &Connection, sql: &str, values: impl Params) -> Result<Moment, Failure> {
    let places: (Option<i64>, Option<i64>) =
        db.prepare_cached(sql)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let place = |place: Option<i64>| natural(place.unwrap_or(0));
    Ok(Moment { state: StateSeq(place(places.0)), ledger: LedgerSeq(place(places.1)) })
}

fn placed(db: &Connection, sql: &str, values: impl Params) -> Result<Vec<(Space, Operation)>, Failure> {
    let mut spaces = spaces::Spaces::new(db);
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(values)?;
    let mut operations = Vec::new();
    while let Some(row) = rows.next()? {
        operations.push((spaces.get(row.get(5)?)?, operation_of(row)?));
    }
    Ok(operations)
}

/// From the columns seq, ledger, deployment, key and op.
fn operation_of(row: &Row<'_>) -> Result<Operation, Failure> {
    let seq = natural(row.get(0)?);
    let damaged = |why: &dyn Display| Failure::damaged(format_args!("state record {seq}"), why);
    let key = row.get_ref(3)?.as_str().map_err(|why| damaged(&why))?;
    Ok(Operation {
        seq: StateSeq(seq),
        ledger: LedgerSeq(natural(row.get(1)?)),
        deployment: DeploymentId(natural(row.get(2)?)),
        key: StateKey::new(key).map_err(|why| damaged(&why))?,
        op: match row.get(4)? {
            0_i64 => Op::Put,
            1 => Op::Delete,
            _ => return Err(damaged(&"its operation")),
        },
    })
}

fn record_of(row: &Row<'_>, space: Space) -> Result<Record, Failure> {
    let operation = operation_of(row)?;
    let what = format!("state record {}", operation.seq);
    let damaged = |why: &str| Failure::damaged(&what, why);
    let run: Option<[u8; 16]> = row.get(8).map_err(|_| damaged("its run"))?;
    let content_digest = Digest::from_bytes(row.get(10).map_err(|_| damaged("its content's digest"))?);
    Ok(Record {
        space,
        at: Timestamp(natural(row.get(6)?)),
        origin: match row.get(7)? {
            0_i64 => Origin::Run,
            1 => Origin::External,
            2 => Origin::Ingest,
            _ => return Err(damaged("its origin")),
        },
        run: run.map(|id| RunId(u128::from_be_bytes(id))),
        parents: places_of(row, 9, &what)?,
        content: match content_of(row).map_err(|why| damaged(&why))? {
            Some(value) => Content::Value(value),
            None if content_digest == Digest::ZERO => Content::Nothing,
            None => Content::Erased,
        },
        content_digest,
        digest: Digest::from_bytes(row.get(11).map_err(|_| damaged("its digest"))?),
        operation,
    })
}

/// From the columns salt, json and vector, or why they can't be read; none where there is no content.
fn content_of(row: &Row<'_>) -> Result<Option<Value>, String> {
    let unreadable = |why: rusqlite::Error| why.to_string();
    let Some(salt) = row.get(12).map_err(unreadable)? else { return Ok(None) };
    let vector = row.get_ref(14).map_err(unreadable)?;
    let vector = match vector.as_blob_or_null().map_err(|why| why.to_string())? {
        None => None,
        Some(bytes) => Some(vector_from(bytes).ok_or("its vector's length")?),
    };
    Ok(Some(Value { salt, json: row.get(13).map_err(unreadable)?, vector }))
}

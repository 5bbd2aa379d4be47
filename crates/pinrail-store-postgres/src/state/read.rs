//! Records, operations and moments.

use std::collections::HashMap;
use std::fmt::Display;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, LedgerSeq, RunId, StateSeq};
use pinrail_domain::state::{Content, Moment, Op, Operation, Origin, Record, Space, StateKey, Value};
use pinrail_domain::time::Timestamp;
use pinrail_store::state::KeyHistory;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{PLACES_PER_CHUNK, RECORDS_QUICK, spaces};
use crate::Postgres;
use crate::db::{Lane, Param};
use crate::failure::{Failure, column, integer, limit as sql_limit, natural, number};

const HEAD: &str = "SELECT state_seq, ledger_seq FROM pinrail.heads";
/// From the newest chunk that holds so early a record (or did, before it was removed) back to one that does. The order is by
/// sequence: where a clock jumped, the last one by sequence whose time isn't later counts.
const MOMENT: &str = "SELECT \
     (SELECT found.seq FROM pinrail.state_times t, LATERAL (SELECT max(s.seq) AS seq FROM pinrail.state s \
      WHERE s.seq >= t.chunk * $2 AND s.seq < (t.chunk + 1) * $2 AND s.at <= $1) AS found \
      WHERE t.earliest <= $1 AND found.seq IS NOT NULL ORDER BY t.chunk DESC LIMIT 1), \
     (SELECT max(seq) FROM pinrail.ledger WHERE at <= $1)";
const UNTIL: &str = "SELECT last FROM pinrail.state_marks WHERE ledger <= $1 ORDER BY ledger DESC LIMIT 1";
const OPERATIONS: &str = "SELECT seq, ledger, deployment, key, op FROM pinrail.state \
     WHERE space = (SELECT number FROM pinrail.spaces WHERE tenant = $1 AND layer = $2 AND name = $3) AND seq > $4 \
     ORDER BY seq LIMIT $5";
/// One statement, so that there is no more up to the heads that it tells. Without a row the space is small; one without a place is a key
/// that was never written.
const OF_KEY: &str = "SELECT o.seq, o.ledger, o.deployment, $4, o.op, h.state_seq, h.ledger_seq \
     FROM pinrail.heads h CROSS JOIN pinrail.spaces p \
     LEFT JOIN LATERAL (SELECT s.seq, s.ledger, s.deployment, s.op FROM pinrail.state s \
      WHERE s.space = p.number AND s.key = $4 ORDER BY s.seq LIMIT $6) AS o ON true \
     WHERE p.tenant = $1 AND p.layer = $2 AND p.name = $3 AND p.puts + p.deletes >= greatest($5, 1) ORDER BY o.seq";
const OF_DEPLOYMENT: &str = "SELECT seq, ledger, deployment, key, op, tenant, layer, name \
     FROM pinrail.state JOIN pinrail.spaces ON number = space WHERE deployment = $1 AND seq > $2 ORDER BY seq LIMIT $3";
const OF_RUN: &str = "SELECT seq, ledger, deployment, key, op, tenant, layer, name \
     FROM pinrail.state JOIN pinrail.spaces ON number = space WHERE run = $1 AND seq > $2 ORDER BY seq LIMIT $3";
const RECORDS: &str = "SELECT s.seq, s.ledger, s.deployment, s.key, s.op, p.tenant, p.layer, p.name, s.at, s.origin, s.run, \
     s.parents, s.content_digest, s.digest, c.salt, c.json, c.vector \
     FROM pinrail.state s JOIN pinrail.spaces p ON p.number = s.space LEFT JOIN pinrail.state_content c ON c.number = s.content \
     WHERE s.seq = ANY ($1)";
const SCAN: &str = "SELECT s.seq, s.ledger, s.deployment, s.key, s.op, p.tenant, p.layer, p.name, s.at, s.origin, s.run, \
     s.parents, s.content_digest, s.digest, c.salt, c.json, c.vector \
     FROM pinrail.spaces p JOIN pinrail.state s ON s.space = p.number LEFT JOIN pinrail.state_content c ON c.number = s.content \
     WHERE p.tenant = $1 AND p.layer = $2 AND p.name = $3 AND s.seq > $4 ORDER BY s.seq LIMIT $5";
const DIGESTS: &str = "SELECT seq, digest FROM pinrail.state WHERE seq = ANY ($1)";
const CHILDREN: &str =
    "SELECT DISTINCT child FROM pinrail.state_parents WHERE parent = ANY ($1) ORDER BY child";

pub(super) async fn head(store: &Postgres) -> Result<Moment, Failure> {
    let row = store.maybe(Lane::Quick, HEAD, &[]).await?;
    moment_of(&row.ok_or_else(|| Failure::damaged("the heads", "their row is missing"))?)
}

pub(super) async fn moment(store: &Postgres, at: Timestamp) -> Result<Moment, Failure> {
    let params: [Param<'_>; 2] = [(&integer(at.0), Type::INT8), (&PLACES_PER_CHUNK, Type::INT8)];
    let row = store.maybe(Lane::Quick, MOMENT, &params).await?;
    moment_of(&row.ok_or_else(|| Failure::damaged("a moment", "no row"))?)
}

pub(super) async fn until(store: &Postgres, ledger: LedgerSeq) -> Result<StateSeq, Failure> {
    let row = store.maybe(Lane::Quick, UNTIL, &[(&integer(ledger.0), Type::INT8)]).await?;
    Ok(StateSeq(row.map_or(Ok(0), |row| number(&row, 0, "the last place at an entry"))?))
}

pub(super) async fn operations(
    store: &Postgres,
    space: &Space,
    after: StateSeq,
    limit: usize,
) -> Result<Vec<Operation>, Failure> {
    // What is asked before every look takes microseconds; a space that is loaded whole is a list.
    let lane = if after == StateSeq(0) { Lane::Work } else { Lane::Quick };
    let named = spaces::named(space);
    let [tenant, layer, name] = named.params();
    let params: [Param<'_>; 5] =
        [tenant, layer, name, (&integer(after.0), Type::INT8), (&sql_limit(limit), Type::INT8)];
    store.rows(lane, OPERATIONS, &params).await?.iter().map(operation_of).collect()
}

pub(super) async fn of_key(
    store: &Postgres,
    space: &Space,
    key: &StateKey,
    (operations_min, limit): (u64, usize),
) -> Result<Option<KeyHistory>, Failure> {
    let named = spaces::named(space);
    let [tenant, layer, name] = named.params();
    let params: [Param<'_>; 6] = [
        tenant,
        layer,
        name,
        (&key.as_str(), Type::TEXT),
        (&integer(operations_min), Type::INT8),
        (&sql_limit(limit.saturating_add(1)), Type::INT8),
    ];
    let rows = store.rows(Lane::Quick, OF_KEY, &params).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let what = "a key's history";
    let at = Moment { state: StateSeq(number(first, 5, what)?), ledger: LedgerSeq(number(first, 6, what)?) };
    let was_written = column::<Option<i64>>(first, 0, what)?.is_some();
    let operations: Vec<Operation> = match was_written {
        true => rows.iter().map(operation_of).collect::<Result<_, _>>()?,
        false => Vec::new(),
    };
    Ok((operations.len() <= limit).then_some(KeyHistory { at, operations }))
}

pub(super) async fn of_deployment(
    store: &Postgres,
    deployment: DeploymentId,
    after: StateSeq,
    limit: usize,
) -> Result<Vec<(Space, Operation)>, Failure> {
    let params: [Param<'_>; 3] = [
        (&integer(deployment.0), Type::INT8),
        (&integer(after.0), Type::INT8),
        (&sql_limit(limit), Type::INT8),
    ];
    placed(&store.rows(Lane::Work, OF_DEPLOYMENT, &params).await?)
}

pub(super) async fn of_run(
    store: &Postgres,
    run: RunId,
    after: StateSeq,
    limit: usize,
) -> Result<Vec<(Space, Operation)>, Failure> {
    let params: [Param<'_>; 3] = [
        (&Uuid::from_u128(run.0), Type::UUID),
        (&integer(after.0), Type::INT8),
        (&sql_limit(limit), Type::INT8),
    ];
    placed(&store.rows(Lane::Work, OF_RUN, &params).await?)
}

pub(super) async fn records(store: &Postgres, seqs: &[StateSeq]) -> Result<Vec<Record>, Failure> {
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    let lane = if seqs.len() <= RECORDS_QUICK { Lane::Quick } else { Lane::Work };
    let rows = store.rows(lane, RECORDS, &[(&integers(seqs), Type::INT8_ARRAY)]).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let record = record_of(row)?;
        found.insert(record.operation.seq, record);
    }
    Ok(seqs.iter().filter_map(|seq| found.get(seq).cloned()).collect())
}

pub(super) async fn digests(store: &Postgres, seqs: &[StateSeq]) -> Result<Vec<(StateSeq, Digest)>, Failure> {
    let rows = store.rows(Lane::Work, DIGESTS, &[(&integers(seqs), Type::INT8_ARRAY)]).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let seq = StateSeq(number(row, 0, "a record")?);
        found.insert(seq, digest_of(row, 1, &format_args!("state record {seq}"))?);
    }
    Ok(seqs.iter().filter_map(|seq| Some((*seq, *found.get(seq)?))).collect())
}

pub(super) async fn scan(
    store: &Postgres,
    space: &Space,
    after: StateSeq,
    limit: usize,
) -> Result<Vec<Record>, Failure> {
    let named = spaces::named(space);
    let [tenant, layer, name] = named.params();
    let params: [Param<'_>; 5] =
        [tenant, layer, name, (&integer(after.0), Type::INT8), (&sql_limit(limit), Type::INT8)];
    store.rows(Lane::Work, SCAN, &params).await?.iter().map(record_of).collect()
}

pub(super) async fn children(store: &Postgres, parents: &[StateSeq]) -> Result<Vec<StateSeq>, Failure> {
    let rows = store.rows(Lane::Work, CHILDREN, &[(&integers(parents), Type::INT8_ARRAY)]).await?;
    rows.iter().map(|row| Ok(StateSeq(number(row, 0, "a record's child")?))).collect()
}

pub(super) fn integers(seqs: &[StateSeq]) -> Vec<i64> {
    seqs.iter().map(|seq| integer(seq.0)).collect()
}

/// A list of places; null is an empty one.
pub(super) fn places_of(row: &Row, place: usize, what: impl Display) -> Result<Vec<StateSeq>, Failure> {
    let places: Option<Vec<i64>> = column(row, place, what)?;
    Ok(places.unwrap_or_default().into_iter().map(|seq| StateSeq(natural(seq))).collect())
}

/// From the columns state and ledger, which may be null.
fn moment_of(row: &Row) -> Result<Moment, Failure> {
    let place = |place: usize| -> Result<u64, Failure> {
        Ok(natural(column::<Option<i64>>(row, place, "a moment")?.unwrap_or(0)))
    };
    Ok(Moment { state: StateSeq(place(0)?), ledger: LedgerSeq(place(1)?) })
}

fn placed(rows: &[Row]) -> Result<Vec<(Space, Operation)>, Failure> {
    rows.iter().map(|row| Ok((spaces::space_of(row, 5)?, operation_of(row)?))).collect()
}

/// From the columns seq, ledger, deployment, key and op.
fn operation_of(row: &Row) -> Result<Operation, Failure> {
    let seq = number(row, 0, "a state record")?;
    let what = format_args!("state record {seq}");
    let key: &str = column(row, 3, what)?;
    Ok(Operation {
        seq: StateSeq(seq),
        ledger: LedgerSeq(number(row, 1, what)?),
        deployment: DeploymentId(number(row, 2, what)?),
        key: StateKey::new(key).map_err(|why| Failure::damaged(what, why))?,
        op: match column::<i16>(row, 4, what)? {
            0 => Op::Put,
            1 => Op::Delete,
            _ => return Err(Failure::damaged(what, "its operation")),
        },
    })
}

/// From the columns of [`RECORDS`].
fn record_of(row: &Row) -> Result<Record, Failure> {
    let operation = operation_of(row)?;
    let what = format!("state record {}", operation.seq);
    let run: Option<Uuid> = column(row, 10, &what)?;
    let content_digest = digest_of(row, 12, &what)?;
    Ok(Record {
        space: spaces::space_of(row, 5)?,
        at: Timestamp(number(row, 8, &what)?),
        origin: match column::<i16>(row, 9, &what)? {
            0 => Origin::Run,
            1 => Origin::External,
            2 => Origin::Ingest,
            _ => return Err(Failure::damaged(what, "its origin")),
        },
        run: run.map(|id| RunId(id.as_u128())),
        parents: places_of(row, 11, &what)?,
        content: match content_of(row, &what)? {
            Some(value) => Content::Value(value),
            None if content_digest == Digest::ZERO => Content::Nothing,
            None => Content::Erased,
        },
        content_digest,
        digest: digest_of(row, 13, &what)?,
        operation,
    })
}

/// From the columns salt, json and vector; none where there is no content.
fn content_of(row: &Row, what: &str) -> Result<Option<Value>, Failure> {
    let Some(salt) = column::<Option<&[u8]>>(row, 14, what)? else { return Ok(None) };
    let salt = salt.try_into().map_err(|why| Failure::damaged(what, why))?;
    Ok(Some(Value { salt, json: column(row, 15, what)?, vector: column(row, 16, what)? }))
}

fn digest_of(row: &Row, place: usize, what: &dyn Display) -> Result<Digest, Failure> {
    let bytes: &[u8] = column(row, place, what)?;
    Ok(Digest::from_bytes(bytes.try_into().map_err(|why| Failure::damaged(what, why))?))
}

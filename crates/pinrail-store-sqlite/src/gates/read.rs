//! Gates and their rows, read.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, GateId, ReleaseId};
use pinrail_domain::time::Timestamp;
use pinrail_store::gates::{GateFilter, GateRecord, GateRow, GateStatus, RowKey};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::number;
use crate::failure::{Failure, integer, limit as sql_limit, natural};

/// What a gate is read from, in the order of [`record`].
const RECORD: &str =
    "SELECT id, agent, deployment, candidate, incumbent, created_at, status, document FROM gates";

pub(super) fn get(db: &Connection, id: GateId) -> Result<Option<GateRecord>, Failure> {
    let mut select = db.prepare_cached(&format!("{RECORD} WHERE id = ?1"))?;
    let mut rows = select.query([id.0.to_be_bytes()])?;
    rows.next()?.map(record).transpose()
}

pub(super) fn list(
    db: &Connection,
    filter: &GateFilter,
    before: Option<GateId>,
    limit: usize,
) -> Result<Vec<GateRecord>, Failure> {
    let GateFilter { agent, deployment, status } = filter;
    let conditions = [
        ("agent = ?", agent.as_ref().map(|agent| Value::Text(agent.as_str().to_owned()))),
        ("deployment = ?", deployment.map(|deployment| Value::Integer(integer(deployment.0)))),
        ("status = ?", status.map(|status| Value::Integer(status as i64))),
        ("id < ?", before.map(|before| Value::Blob(before.0.to_be_bytes().to_vec()))),
    ];
    let mut sql = format!("{RECORD} WHERE TRUE");
    let mut values = Vec::new();
    for (condition, value) in conditions {
        if let Some(value) = value {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push(value);
        }
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    values.push(Value::Integer(sql_limit(limit)));
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut gates = Vec::new();
    while let Some(row) = rows.next()? {
        gates.push(record(row)?);
    }
    Ok(gates)
}

pub(super) fn rows(
    db: &Connection,
    gate: GateId,
    after: Option<RowKey>,
    limit: usize,
) -> Result<Vec<GateRow>, Failure> {
    let Some(gate) = number(db, gate)? else { return Ok(Vec::new()) };
    let sql = "SELECT case_digest, repeat, release, settled, body FROM gate_rows WHERE gate = ?1 \
         AND (case_digest, repeat, release) > (?2, ?3, ?4) ORDER BY case_digest, repeat, release LIMIT ?5";
    let mut select = db.prepare_cached(sql)?;
    // Nothing stands before an empty digest.
    let (case, repeat, release) = match &after {
        Some(RowKey { case, repeat, release }) => {
            (&case.as_bytes()[..], i64::from(*repeat), &release.0.as_bytes()[..])
        }
        None => (&[][..], -1, &[][..]),
    };
    let mut found = select.query((gate, case, repeat, release, sql_limit(limit)))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(gate_row(row, 0)?);
    }
    Ok(rows)
}

pub(super) fn reusable(
    db: &Connection,
    release: ReleaseId,
    case: Digest,
    repeats: u32,
) -> Result<Vec<(GateId, GateRow)>, Failure> {
    let sql = "SELECT gates.id, case_digest, repeat, release, settled, body FROM gate_rows \
         JOIN gates ON gates.number = gate_rows.gate \
         WHERE release = ?1 AND case_digest = ?2 AND repeat < ?3 AND settled = 1 ORDER BY repeat, gates.id DESC";
    let mut select = db.prepare_cached(sql)?;
    let mut found = select.query((release.0.as_bytes(), case.as_bytes(), repeats))?;
    let mut rows: Vec<(GateId, GateRow)> = Vec::new();
    while let Some(row) = found.next()? {
        let next = gate_row(row, 1)?;
        // The first of each repeat is the newest.
        if rows.last().is_none_or(|(_, last)| last.key != next.key) {
            rows.push((GateId(u128::from_be_bytes(row.get(0)?)), next));
        }
    }
    Ok(rows)
}

fn gate_row(row: &Row<'_>, first: usize) -> Result<GateRow, Failure> {
    let key = RowKey {
        case: Digest::from_bytes(row.get(first)?),
        repeat: row.get(first + 1)?,
        release: ReleaseId(Digest::from_bytes(row.get(first + 2)?)),
    };
    Ok(GateRow { key, settled: row.get(first + 3)?, body: row.get(first + 4)? })
}

fn record(row: &Row<'_>) -> Result<GateRecord, Failure> {
    let id = GateId(u128::from_be_bytes(row.get(0)?));
    let name: String = row.get(1)?;
    let agent = name.parse().map_err(|why| Failure::damaged(id, why))?;
    let number: i64 = row.get(6)?;
    let status = GateStatus::ALL.into_iter().find(|status| *status as i64 == number);
    let release = |bytes: [u8; 32]| ReleaseId(Digest::from_bytes(bytes));
    Ok(GateRecord {
        id,
        agent,
        deployment: row.get::<_, Option<i64>>(2)?.map(natural).map(DeploymentId),
        candidate: release(row.get(3)?),
        incumbent: row.get::<_, Option<[u8; 32]>>(4)?.map(release),
        created_at: Timestamp(natural(row.get(5)?)),
        status: status.ok_or_else(|| Failure::damaged(id, format_args!("its status is {number}")))?,
        document: row.get(7)?,
    })
}

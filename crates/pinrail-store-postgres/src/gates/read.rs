//! Gates and their rows, read.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, GateId, ReleaseId};
use pinrail_domain::time::Timestamp;
use pinrail_store::gates::{GateFilter, GateRecord, GateRow, GateStatus, RowKey};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::uuid;
use crate::Postgres;
use crate::conditions::Conditions;
use crate::db::{Lane, Param};
use crate::failure::{Failure, column, digest, integer, limit as sql_limit, natural, number};

/// What a gate is read from, in the order of [`record`].
const RECORD: &str =
    "SELECT id, agent, deployment, candidate, incumbent, created_at, status, document FROM pinrail.gates";

pub(super) async fn get(store: &Postgres, id: GateId) -> Result<Option<GateRecord>, Failure> {
    let sql = format!("{RECORD} WHERE id = $1");
    let row = store.maybe(Lane::Quick, &sql, &[(&uuid(id), Type::UUID)]).await?;
    row.as_ref().map(record).transpose()
}

pub(super) async fn list(
    store: &Postgres,
    filter: &GateFilter,
    before: Option<GateId>,
    limit: usize,
) -> Result<Vec<GateRecord>, Failure> {
    let GateFilter { agent, deployment, status } = filter;
    let mut select = Conditions::new(format!("{RECORD} WHERE TRUE"));
    select
        .and("agent = ?", agent.as_ref().map(|agent| agent.as_str().to_owned()), Type::TEXT)
        .and("deployment = ?", deployment.map(|deployment| integer(deployment.0)), Type::INT8)
        .and("status = ?", status.map(|status| status as i16), Type::INT2)
        .and("id < ?", before.map(uuid), Type::UUID)
        .with(" ORDER BY id DESC LIMIT ?", sql_limit(limit), Type::INT8);
    let rows = store.rows(Lane::Work, select.sql(), &select.params()).await?;
    rows.iter().map(record).collect()
}

pub(super) async fn rows(
    store: &Postgres,
    gate: GateId,
    after: Option<RowKey>,
    limit: usize,
) -> Result<Vec<GateRow>, Failure> {
    let sql = "SELECT case_digest, repeat, release, settled, body FROM pinrail.gate_rows WHERE gate = $1 \
               AND (case_digest, repeat, release) > ($2, $3, $4) ORDER BY case_digest, repeat, release LIMIT $5";
    // Nothing stands before an empty digest.
    let (case, repeat, release) = match &after {
        Some(RowKey { case, repeat, release }) => {
            (&case.as_bytes()[..], i64::from(*repeat), &release.0.as_bytes()[..])
        }
        None => (&[][..], -1, &[][..]),
    };
    let params: [Param<'_>; 5] = [
        (&uuid(gate), Type::UUID),
        (&case, Type::BYTEA),
        (&repeat, Type::INT8),
        (&release, Type::BYTEA),
        (&sql_limit(limit), Type::INT8),
    ];
    let rows = store.rows(Lane::Work, sql, &params).await?;
    rows.iter().map(|row| gate_row(row, 0)).collect()
}

pub(super) async fn reusable(
    store: &Postgres,
    release: ReleaseId,
    case: Digest,
    repeats: u32,
) -> Result<Vec<(GateId, GateRow)>, Failure> {
    let sql = "SELECT DISTINCT ON (repeat) gate, case_digest, repeat, release, settled, body FROM pinrail.gate_rows \
               WHERE release = $1 AND case_digest = $2 AND repeat < $3 AND settled ORDER BY repeat, gate DESC";
    let params: [Param<'_>; 3] = [
        (&&release.0.as_bytes()[..], Type::BYTEA),
        (&&case.as_bytes()[..], Type::BYTEA),
        (&i64::from(repeats), Type::INT8),
    ];
    let rows = store.rows(Lane::Work, sql, &params).await?;
    let reusable =
        |row: &Row| Ok((GateId(column::<Uuid>(row, 0, "a gate's row")?.as_u128()), gate_row(row, 1)?));
    rows.iter().map(reusable).collect()
}

fn gate_row(row: &Row, first: usize) -> Result<GateRow, Failure> {
    let what = "a gate's row";
    let repeat = number(row, first + 1, what)?;
    let key = RowKey {
        case: digest(row, first, what)?,
        repeat: u32::try_from(repeat).map_err(|why| Failure::damaged(what, why))?,
        release: ReleaseId(digest(row, first + 2, what)?),
    };
    Ok(GateRow { key, settled: column(row, first + 3, what)?, body: column(row, first + 4, what)? })
}

fn record(row: &Row) -> Result<GateRecord, Failure> {
    let id = GateId(column::<Uuid>(row, 0, "a gate")?.as_u128());
    let name: &str = column(row, 1, id)?;
    let agent = name.parse().map_err(|why| Failure::damaged(id, why))?;
    let number: i16 = column(row, 6, id)?;
    let status = GateStatus::ALL.into_iter().find(|status| *status as i16 == number);
    let has_incumbent = column::<Option<&[u8]>>(row, 4, id)?.is_some();
    Ok(GateRecord {
        id,
        agent,
        deployment: column::<Option<i64>>(row, 2, id)?.map(natural).map(DeploymentId),
        candidate: ReleaseId(digest(row, 3, id)?),
        incumbent: has_incumbent.then(|| digest(row, 4, id).map(ReleaseId)).transpose()?,
        created_at: Timestamp(natural(column(row, 5, id)?)),
        status: status.ok_or_else(|| Failure::damaged(id, format_args!("its status is {number}")))?,
        document: column(row, 7, id)?,
    })
}

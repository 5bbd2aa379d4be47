//! Gates in PostgreSQL.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{GateId, ReleaseId};
use pinrail_store::gates::{GateChange, GateCreateError, GateFilter, GateRecord, GateRow, Gates, RowKey};
use pinrail_store::{Answer, StoreError};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::{Lane, Param, Session, repeat};
use crate::failure::{Failure, integer};
use crate::{Postgres, answers, replicas};

mod read;

/// Rows written by one statement: each is some kilobytes.
const APPEND_ROWS: usize = 500;

#[async_trait]
impl Gates for Postgres {
    async fn gate_create(
        &self,
        gates: Vec<GateRecord>,
        answer: Option<Answer>,
    ) -> Result<(), GateCreateError> {
        let created = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            let created = create(&tx, &gates, answer.as_ref()).await?;
            match created {
                Ok(()) => tx.commit().await?,
                Err(_) => tx.rollback().await?,
            }
            Ok(created)
        });
        created.await?
    }

    async fn gate_update(&self, change: GateChange) -> Result<bool, StoreError> {
        let GateChange { id, from, to, document, fence } = change;
        // Whoever begins a term meanwhile finds the gate as this leaves it.
        let sql = "UPDATE pinrail.gates SET status = $3, document = $4 WHERE id = $1 AND status = $2 \
                   AND ($5::bigint IS NULL OR $5 = (SELECT term FROM pinrail.heads))";
        let updated = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            let params: [Param<'_>; 5] = [
                (&uuid(id), Type::UUID),
                (&(from as i16), Type::INT2),
                (&(to as i16), Type::INT2),
                (&document, Type::TEXT),
                (&fence.map(|term| integer(term.0)), Type::INT8),
            ];
            let updated = tx.execute(sql, &params).await? == 1;
            replicas::tell_rest(&tx).await?;
            tx.commit().await?;
            Ok(updated)
        });
        Ok(updated.await?)
    }

    async fn gate_get(&self, id: GateId) -> Result<Option<GateRecord>, StoreError> {
        Ok(read::get(self, id).await?)
    }

    async fn gate_list(
        &self,
        filter: &GateFilter,
        before: Option<GateId>,
        limit: usize,
    ) -> Result<Vec<GateRecord>, StoreError> {
        Ok(read::list(self, filter, before, limit).await?)
    }

    async fn gate_rows_append(&self, gate: GateId, rows: Vec<GateRow>) -> Result<u64, StoreError> {
        let appended = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            let appended = append(&tx, gate, &rows).await?;
            tx.commit().await?;
            Ok(appended)
        });
        Ok(appended.await?)
    }

    async fn gate_rows_read(
        &self,
        gate: GateId,
        after: Option<RowKey>,
        limit: usize,
    ) -> Result<Vec<GateRow>, StoreError> {
        Ok(read::rows(self, gate, after, limit).await?)
    }

    async fn gate_rows_reusable(
        &self,
        release: ReleaseId,
        case: Digest,
        repeats: u32,
    ) -> Result<Vec<(GateId, GateRow)>, StoreError> {
        Ok(read::reusable(self, release, case, repeats).await?)
    }
}

async fn create(
    db: &Session,
    gates: &[GateRecord],
    answer: Option<&Answer>,
) -> Result<Result<(), GateCreateError>, Failure> {
    if let Some(answer) = answer
        && let Some(given) = answers::given(db, &answer.key).await?
    {
        return Ok(Err(GateCreateError::Answered(Box::new(given))));
    }
    for gate in gates {
        if !insert(db, gate).await? {
            return Ok(Err(GateCreateError::Exists(gate.id)));
        }
    }
    if let Some(answer) = answer {
        answers::keep(db, answer).await?;
    }
    replicas::tell_rest(db).await?;
    Ok(Ok(()))
}

/// Keeps a gate; false where there is one of its id.
async fn insert(db: &Session, gate: &GateRecord) -> Result<bool, Failure> {
    let GateRecord { id, agent, deployment, candidate, incumbent, created_at, status, document } = gate;
    let sql = "INSERT INTO pinrail.gates \
               (id, agent, deployment, candidate, incumbent, created_at, status, document) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    let params: [Param<'_>; 8] = [
        (&uuid(*id), Type::UUID),
        (&agent.as_str(), Type::TEXT),
        (&deployment.map(|deployment| integer(deployment.0)), Type::INT8),
        (&&candidate.0.as_bytes()[..], Type::BYTEA),
        (&incumbent.as_ref().map(|incumbent| &incumbent.0.as_bytes()[..]), Type::BYTEA),
        (&integer(created_at.0), Type::INT8),
        (&(*status as i16), Type::INT2),
        (document, Type::TEXT),
    ];
    Ok(db.execute(sql, &params).await? == 1)
}

/// Keeps rows; returns how many. Of one key given twice the first settled one stays, else the last.
async fn append(db: &Session, gate: GateId, rows: &[GateRow]) -> Result<u64, Failure> {
    let gate = uuid(gate);
    // The gate can't go, but it has to be there.
    let there = db.maybe("SELECT 1 FROM pinrail.gates WHERE id = $1", &[(&gate, Type::UUID)]).await?;
    if there.is_none() {
        return Ok(0);
    }
    let sql = "INSERT INTO pinrail.gate_rows AS r (gate, case_digest, repeat, release, settled, body) \
               SELECT $1, c, n, l, s, b FROM unnest($2::bytea[], $3::bigint[], $4::bytea[], $5::boolean[], $6::bytea[]) \
               AS given (c, n, l, s, b) \
               ON CONFLICT (gate, case_digest, repeat, release) \
               DO UPDATE SET settled = excluded.settled, body = excluded.body WHERE NOT r.settled";
    let mut kept = 0;
    for some in distinct(rows) {
        let cases: Vec<&[u8]> = some.iter().map(|row| &row.key.case.as_bytes()[..]).collect();
        let repeats: Vec<i64> = some.iter().map(|row| i64::from(row.key.repeat)).collect();
        let releases: Vec<&[u8]> = some.iter().map(|row| &row.key.release.0.as_bytes()[..]).collect();
        let settled: Vec<bool> = some.iter().map(|row| row.settled).collect();
        let bodies: Vec<&[u8]> = some.iter().map(|row| &*row.body).collect();
        let params: [Param<'_>; 6] = [
            (&gate, Type::UUID),
            (&cases, Type::BYTEA_ARRAY),
            (&repeats, Type::INT8_ARRAY),
            (&releases, Type::BYTEA_ARRAY),
            (&settled, Type::BOOL_ARRAY),
            (&bodies, Type::BYTEA_ARRAY),
        ];
        kept += db.execute(sql, &params).await?;
    }
    Ok(kept)
}

/// The rows in pieces that name no key twice, which one statement can't write twice.
fn distinct(rows: &[GateRow]) -> impl Iterator<Item = &[GateRow]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut keys = std::collections::BTreeSet::new();
        let fits = rest.iter().take(APPEND_ROWS).take_while(|row| keys.insert(row.key)).count();
        let (some, others) = rest.split_at(fits);
        rest = others;
        (!some.is_empty()).then_some(some)
    })
}

fn uuid(id: GateId) -> Uuid {
    Uuid::from_u128(id.0)
}

//! Which runs the other replicas wrote.
//!
//! Each replica numbers its journal's transactions, and writes one row with the runs of each. It has one under way at a time, so
//! its numbers appear in order, and whoever has read up to one has missed none.

use std::collections::BTreeSet;

use pinrail_domain::id::RunId;
use pinrail_store::replicas::{Reached, ReplicaId, Touched};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::Postgres;
use crate::db::{Lane, Param};
use crate::failure::{Failure, column, integer, limit as sql_limit, number};

/// The replicas of which rows are there, found one after the other in the index.
const WRITERS: &str = "WITH RECURSIVE writers (replica) AS (\
     SELECT min(replica) FROM pinrail.run_writes \
     UNION ALL \
     SELECT (SELECT min(w.replica) FROM pinrail.run_writes w WHERE w.replica > p.replica) FROM writers p \
     WHERE p.replica IS NOT NULL)";

pub(super) async fn reached(store: &Postgres) -> Result<Reached, Failure> {
    let sql = format!(
        "{WRITERS} SELECT replica, (SELECT max(batch) FROM pinrail.run_writes w WHERE w.replica = o.replica) \
         FROM writers o WHERE replica <> $1"
    );
    let me = integer(store.inner.here.me().0);
    let rows = store.rows(Lane::Work, &sql, &[(&me, Type::INT8)]).await?;
    let what = "what a replica wrote";
    let one = |row| Ok((ReplicaId(number(row, 0, what)?), number(row, 1, what)?));
    rows.iter().map(one).collect::<Result<_, Failure>>().map(Reached)
}

pub(super) async fn runs(store: &Postgres, after: &Reached, limit: usize) -> Result<Touched, Failure> {
    let sql = format!(
        "{WRITERS} SELECT w.replica, w.batch, w.runs FROM writers o \
         LEFT JOIN unnest($1::bigint[], $2::bigint[]) AS a (replica, batch) USING (replica) \
         CROSS JOIN LATERAL (SELECT replica, batch, runs FROM pinrail.run_writes x WHERE x.replica = o.replica \
         AND x.batch > coalesce(a.batch, 0) ORDER BY x.batch LIMIT $3) w \
         WHERE o.replica <> $4 ORDER BY w.replica, w.batch"
    );
    let (replicas, batches): (Vec<i64>, Vec<i64>) =
        after.0.iter().map(|(replica, batch)| (integer(replica.0), integer(*batch))).unzip();
    let (rows_max, me) = (sql_limit(limit.saturating_add(1)), integer(store.inner.here.me().0));
    let params: [Param<'_>; 4] = [
        (&replicas, Type::INT8_ARRAY),
        (&batches, Type::INT8_ARRAY),
        (&rows_max, Type::INT8),
        (&me, Type::INT8),
    ];
    let rows = store.rows(Lane::Work, &sql, &params).await?;
    let what = "what a replica wrote";
    let mut touched = Touched { reached: after.clone(), ..Touched::default() };
    let mut runs = BTreeSet::new();
    for row in &rows {
        if runs.len() >= limit {
            touched.more = true;
            break;
        }
        let (replica, batch) = (ReplicaId(number(row, 0, what)?), number(row, 1, what)?);
        let before = touched.reached.0.insert(replica, batch).unwrap_or_default();
        // Numbers begin at 1 and leave none out, so what is missing was pruned.
        touched.gap |= batch != before + 1;
        let written: Vec<Uuid> = column(row, 2, what)?;
        runs.extend(written.into_iter().map(|run| RunId(run.as_u128())));
    }
    touched.runs = runs.into_iter().collect();
    Ok(touched)
}

//! Removal of whole records and erasure of their content: the two ways out (I8).
//!
//! What holds when an erasure was acknowledged: no SQL reaches the content. Its bytes stay in the tables' pages until VACUUM has
//! passed and others were written over them, in the write-ahead log until its files are recycled, and in replicas, archives and
//! backups for as long as those are kept: that is the operator's, and `VACUUM FULL pinrail.state_content` leaves no page as it was.

use pinrail_domain::id::{DeploymentId, StateSeq};
use tokio_postgres::types::Type;

use super::read::integers;
use crate::Postgres;
use crate::db::{Lane, Param, repeat};
use crate::failure::{Failure, integer, limit as sql_limit, number};

/// Records whose content is erased in one transaction: some milliseconds.
const ERASE_RECORDS: usize = 1_000;

pub(super) async fn remove(
    store: &Postgres,
    deployment: DeploymentId,
    until: StateSeq,
    limit: usize,
) -> Result<u64, Failure> {
    let params: [Param<'_>; 3] = [
        (&integer(deployment.0), Type::INT8),
        (&integer(until.0), Type::INT8),
        (&sql_limit(limit), Type::INT8),
    ];
    change(store, "SELECT pinrail.state_remove($1, $2, $3)", &params).await
}

/// Erases the content of records. A failure leaves some of them erased; who asks again finishes it.
pub(super) async fn erase(store: &Postgres, seqs: &[StateSeq]) -> Result<u64, Failure> {
    let mut erased = 0;
    for some in seqs.chunks(ERASE_RECORDS) {
        let some = integers(some);
        let params: [Param<'_>; 1] = [(&some, Type::INT8_ARRAY)];
        erased += repeat(|| change(store, "SELECT pinrail.state_erase($1)", &params)).await?;
    }
    Ok(erased)
}

async fn change(store: &Postgres, sql: &str, params: &[Param<'_>]) -> Result<u64, Failure> {
    let tx = store.begin(Lane::Work).await?;
    let rows = tx.conclude(sql, params).await?;
    rows.first().map_or(Ok(0), |row| number(row, 0, "how many records changed"))
}

//! Answers in PostgreSQL.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::time::Timestamp;
use pinrail_store::{Answer, AnswerKey, Answers, StoreError};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::Postgres;
use crate::db::{Lane, Param, Session, repeat};
use crate::failure::{Failure, column, integer, number};

/// Answers forgotten in one transaction.
const EXPIRE_ROWS: u64 = 1_000;

const GIVEN: &str = "SELECT request, status, body, at FROM pinrail.answers WHERE key = $1 AND caller = $2";

#[async_trait]
impl Answers for Postgres {
    async fn answer_get(&self, key: &AnswerKey) -> Result<Option<Answer>, StoreError> {
        let row =
            self.maybe(Lane::Quick, GIVEN, &key_params(&(key.key.as_str(), key.caller.as_str()))).await?;
        Ok(row.map(|row| answer_of(&row, 0, key)).transpose()?)
    }

    async fn answers_expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let some = repeat(|| self.expire(before)).await?;
            forgotten += some;
            if some < EXPIRE_ROWS {
                return Ok(forgotten);
            }
        }
    }
}

/// The answer that this key has, if any.
pub(crate) async fn given(db: &Session, key: &AnswerKey) -> Result<Option<Answer>, Failure> {
    let row = db.maybe(GIVEN, &key_params(&(key.key.as_str(), key.caller.as_str()))).await?;
    row.map(|row| answer_of(&row, 0, key)).transpose()
}

/// Keeps an answer in the transaction of the effect that it reports. Where another transaction was faster, this one is undone and
/// finds that one's answer when it is tried again.
pub(crate) async fn keep(db: &Session, answer: &Answer) -> Result<(), Failure> {
    let Answer { key, request, status, body, at } = answer;
    let sql = "INSERT INTO pinrail.answers (caller, key, request, status, body, at) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT DO NOTHING";
    let params: [Param<'_>; 6] = [
        (&key.caller, Type::TEXT),
        (&key.key.as_str(), Type::TEXT),
        (&&request.as_bytes()[..], Type::BYTEA),
        (&i32::from(*status), Type::INT4),
        (body, Type::TEXT),
        (&integer(at.0), Type::INT8),
    ];
    if db.execute(sql, &params).await? == 0 {
        return Err(Failure::overtaken("another request used the idempotency key at the same moment"));
    }
    Ok(())
}

/// Reads an answer from the columns `request, status, body, at`, the first of them at `first`.
pub(crate) fn answer_of(row: &Row, first: usize, key: &AnswerKey) -> Result<Answer, Failure> {
    let what = "an answer";
    let request: &[u8] = column(row, first, what)?;
    let request = request.try_into().map_err(|why| Failure::damaged(what, why))?;
    let status: i32 = column(row, first + 1, what)?;
    Ok(Answer {
        key: key.clone(),
        request: Digest::from_bytes(request),
        status: u16::try_from(status).map_err(|why| Failure::damaged(what, why))?,
        body: column(row, first + 2, what)?,
        at: Timestamp(number(row, first + 3, what)?),
    })
}

fn key_params<'a>((key, caller): &'a (&'a str, &'a str)) -> [Param<'a>; 2] {
    [(key, Type::TEXT), (caller, Type::TEXT)]
}

impl Postgres {
    async fn expire(&self, before: Timestamp) -> Result<u64, Failure> {
        let tx = self.begin(Lane::Work).await?;
        // Locked by nothing but the deletion: replicas have no right to change a row, and so none to select it for that. Only the leader
        // forgets, so nobody else does at the same moment for long.
        let sql = "DELETE FROM pinrail.answers WHERE (key, caller) IN \
                   (SELECT key, caller FROM pinrail.answers WHERE at < $1 ORDER BY at LIMIT $2)";
        let params: [Param<'_>; 2] = [(&integer(before.0), Type::INT8), (&integer(EXPIRE_ROWS), Type::INT8)];
        let forgotten = tx.execute(sql, &params).await?;
        tx.commit().await?;
        Ok(forgotten)
    }
}

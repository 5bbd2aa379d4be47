//! Answers in SQLite.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::time::Timestamp;
use pinrail_store::{Answer, AnswerKey, Answers, StoreError};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use crate::Sqlite;
use crate::failure::{Failure, integer};
use crate::writer::{Kind, Operation};

/// Answers forgotten in one transaction: some milliseconds, which is what a rollback may have to wait for (I7).
const EXPIRE_ROWS: u64 = 1_000;

#[async_trait]
impl Answers for Sqlite {
    async fn answer_get(&self, key: &AnswerKey) -> Result<Option<Answer>, StoreError> {
        let key = key.clone();
        Ok(self.quick.ask(move |db| given(db, &key)).await?)
    }

    async fn answers_expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let some = self.writer.carry_out(|reply| Expire { before, outcome: Ok(0), reply }).await??;
            forgotten += some;
            if some < EXPIRE_ROWS {
                return Ok(forgotten);
            }
        }
    }
}

/// The answer that this key has, if any.
pub(crate) fn given(db: &Connection, key: &AnswerKey) -> Result<Option<Answer>, Failure> {
    let sql = "SELECT request, status, body, at FROM answers WHERE key = ?1 AND caller = ?2";
    let mut select = db.prepare_cached(sql)?;
    let answer = select.query_row((key.key.as_str(), &key.caller), |row| {
        Ok(Answer {
            key: key.clone(),
            request: Digest::from_bytes(row.get(0)?),
            status: row.get(1)?,
            body: row.get(2)?,
            at: Timestamp(row.get::<_, i64>(3)?.unsigned_abs()),
        })
    });
    Ok(answer.optional()?)
}

/// Keeps an answer in the transaction of the effect that it reports.
pub(crate) fn keep(db: &Connection, answer: &Answer) -> Result<(), Failure> {
    let Answer { key, request, status, body, at } = answer;
    let sql = "INSERT INTO answers (caller, key, request, status, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = (&key.caller, key.key.as_str(), request.as_bytes(), status, body, integer(at.0));
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

struct Expire {
    before: Timestamp,
    outcome: Result<u64, StoreError>,
    reply: oneshot::Sender<Result<u64, StoreError>>,
}

impl Operation for Expire {
    fn kind(&self) -> Kind {
        Kind::Answers
    }

    fn rows(&self) -> usize {
        EXPIRE_ROWS as usize
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(expire(db, self.before)?);
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

fn expire(db: &Connection, before: Timestamp) -> Result<u64, Failure> {
    let mut delete = db.prepare_cached(
        "DELETE FROM answers WHERE number IN (SELECT number FROM answers WHERE at < ?1 ORDER BY at LIMIT ?2)",
    )?;
    Ok(delete.execute([integer(before.0), integer(EXPIRE_ROWS)])? as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    #[tokio::test]
    async fn however_many_answers_expire_each_transaction_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pinrail.db");
        let store = Sqlite::open(Options::new(&path)).unwrap();
        let db = Connection::open(path).unwrap();
        let insert = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3500) \
             INSERT INTO answers (caller, key, request, status, body, at) SELECT 'c', n, x'00', 200, '', n FROM n";
        assert_eq!(db.execute(insert, ()).unwrap(), 3_500);
        assert_eq!(expire(&db, Timestamp(u64::MAX)).unwrap(), EXPIRE_ROWS);
        assert_eq!(store.answers_expire(Timestamp(3_001)).await.unwrap(), 2_000);
        let left =
            db.query_row("SELECT count(*), min(at) FROM answers", (), |row| Ok((row.get(0)?, row.get(1)?)));
        assert_eq!(left, Ok((500, 3_001)));
    }
}

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

#[async_trait]
impl Answers for Sqlite {
    async fn answer_get(&self, key: &AnswerKey) -> Result<Option<Answer>, StoreError> {
        let key = key.clone();
        Ok(self.readers.ask(move |db| given(db, &key)).await?)
    }

    async fn answers_expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.writer.carry_out(|reply| Expire { before, outcome: Ok(0), reply }).await?
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
    let mut delete = db.prepare_cached("DELETE FROM answers WHERE at < ?1")?;
    Ok(delete.execute([integer(before.0)])? as u64)
}

//! Deliveries in SQLite.

use async_trait::async_trait;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::deliveries::{DeadLetter, Deliveries, Outlet};
use rusqlite::{Connection, OptionalExtension, Row};
use tokio::sync::oneshot;

use crate::Sqlite;
use crate::failure::{Failure, integer, limit as sql_limit, natural};
use crate::writer::{Kind, Operation};

/// What a dead letter is read from, in the order of [`letter`].
const LETTER: &str = "SELECT seq, attempts, why, at FROM dead_letters WHERE webhook = ?1 AND since = ?2";

#[async_trait]
impl Deliveries for Sqlite {
    async fn delivery_cursor(&self, to: &Outlet) -> Result<Option<LedgerSeq>, StoreError> {
        let to = to.clone();
        Ok(self.quick.ask(move |db| cursor(db, &to)).await?)
    }

    async fn delivery_advance(
        &self,
        to: &Outlet,
        cursor: LedgerSeq,
        dead: Option<DeadLetter>,
    ) -> Result<bool, StoreError> {
        self.change(to, What::Advance { cursor, dead }).await
    }

    async fn dead_letter_list(
        &self,
        of: &Outlet,
        after: LedgerSeq,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let of = of.clone();
        let listed = self.readers.ask(move |db| {
            let mut select = db.prepare_cached(&format!("{LETTER} AND seq > ?3 ORDER BY seq LIMIT ?4"))?;
            let key = (of.webhook.as_str(), integer(of.since.0), integer(after.0), sql_limit(limit));
            let letters = select.query_map(key, letter)?.collect::<Result<_, _>>()?;
            Ok(letters)
        });
        Ok(listed.await?)
    }

    async fn dead_letter_get(&self, of: &Outlet, seq: LedgerSeq) -> Result<Option<DeadLetter>, StoreError> {
        let of = of.clone();
        let found = self.quick.ask(move |db| {
            let mut select = db.prepare_cached(&format!("{LETTER} AND seq = ?3"))?;
            let key = (of.webhook.as_str(), integer(of.since.0), integer(seq.0));
            Ok(select.query_row(key, letter).optional()?)
        });
        Ok(found.await?)
    }

    async fn dead_letter_count(&self, of: &Outlet) -> Result<u64, StoreError> {
        let of = of.clone();
        let counted = self.readers.ask(move |db| {
            let sql = "SELECT count(*) FROM dead_letters WHERE webhook = ?1 AND since = ?2";
            let key = (of.webhook.as_str(), integer(of.since.0));
            Ok(db.prepare_cached(sql)?.query_row(key, |row| row.get(0).map(natural))?)
        });
        Ok(counted.await?)
    }

    async fn dead_letter_put(&self, of: &Outlet, letter: DeadLetter) -> Result<bool, StoreError> {
        self.change(of, What::Put(letter)).await
    }

    async fn dead_letter_delete(&self, of: &Outlet, seq: LedgerSeq) -> Result<bool, StoreError> {
        self.change(of, What::Delete(seq)).await
    }

    async fn delivery_outlets(&self) -> Result<Vec<Outlet>, StoreError> {
        Ok(self.readers.ask(outlets).await?)
    }

    async fn delivery_forget(&self, outlet: &Outlet) -> Result<(), StoreError> {
        self.change(outlet, What::Forget).await.map(drop)
    }
}

enum What {
    Advance { cursor: LedgerSeq, dead: Option<DeadLetter> },
    Put(DeadLetter),
    Delete(LedgerSeq),
    Forget,
}

struct Change {
    outlet: Outlet,
    what: What,
    outcome: Result<bool, StoreError>,
    reply: oneshot::Sender<Result<bool, StoreError>>,
}

impl Sqlite {
    async fn change(&self, outlet: &Outlet, what: What) -> Result<bool, StoreError> {
        let outlet = outlet.clone();
        self.writer.carry_out(|reply| Change { outlet, what, outcome: Ok(false), reply }).await?
    }
}

impl Operation for Change {
    fn kind(&self) -> Kind {
        Kind::Deliveries
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(carry_out(db, &self.outlet, &self.what)?);
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

/// Makes a change; tells whether there was anything to change.
fn carry_out(db: &Connection, outlet: &Outlet, what: &What) -> Result<bool, Failure> {
    let (webhook, since) = (outlet.webhook.as_str(), integer(outlet.since.0));
    match what {
        What::Advance { cursor, dead } => {
            let sql = "INSERT INTO deliveries (webhook, since, cursor) VALUES (?1, ?2, ?3) \
                 ON CONFLICT DO UPDATE SET cursor = excluded.cursor WHERE cursor < excluded.cursor";
            let moves = db.prepare_cached(sql)?.execute((webhook, since, integer(cursor.0)))? == 1;
            if let (true, Some(letter)) = (moves, dead) {
                let sql = "INSERT INTO dead_letters (webhook, since, seq, attempts, why, at) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                let DeadLetter { seq, attempts, why, at } = letter;
                let values = (webhook, since, integer(seq.0), attempts, why, integer(at.0));
                db.prepare_cached(sql)?.execute(values)?;
            }
            Ok(moves)
        }
        What::Put(DeadLetter { seq, attempts, why, at }) => {
            let sql = "UPDATE dead_letters SET attempts = ?4, why = ?5, at = ?6 \
                 WHERE webhook = ?1 AND since = ?2 AND seq = ?3";
            let values = (webhook, since, integer(seq.0), attempts, why, integer(at.0));
            Ok(db.prepare_cached(sql)?.execute(values)? == 1)
        }
        What::Delete(seq) => {
            let sql = "DELETE FROM dead_letters WHERE webhook = ?1 AND since = ?2 AND seq = ?3";
            Ok(db.prepare_cached(sql)?.execute((webhook, since, integer(seq.0)))? == 1)
        }
        What::Forget => {
            let mut forgotten = 0;
            for table in ["dead_letters", "deliveries"] {
                let sql = format!("DELETE FROM {table} WHERE webhook = ?1 AND since = ?2");
                forgotten += db.prepare_cached(&sql)?.execute((webhook, since))?;
            }
            Ok(forgotten > 0)
        }
    }
}

fn cursor(db: &Connection, to: &Outlet) -> Result<Option<LedgerSeq>, Failure> {
    let sql = "SELECT cursor FROM deliveries WHERE webhook = ?1 AND since = ?2";
    let mut select = db.prepare_cached(sql)?;
    let key = (to.webhook.as_str(), integer(to.since.0));
    Ok(select.query_row(key, |row| row.get(0).map(natural).map(LedgerSeq)).optional()?)
}

fn outlets(db: &Connection) -> Result<Vec<Outlet>, Failure> {
    let mut select = db.prepare_cached("SELECT webhook, since FROM deliveries ORDER BY webhook, since")?;
    let mut rows = select.query(())?;
    let mut outlets = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let webhook = name.parse().map_err(|why| Failure::damaged("a webhook's cursor", why))?;
        outlets.push(Outlet { webhook, since: LedgerSeq(natural(row.get(1)?)) });
    }
    Ok(outlets)
}

fn letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let [seq, at] = [natural(row.get(0)?), natural(row.get(3)?)];
    Ok(DeadLetter { seq: LedgerSeq(seq), attempts: row.get(1)?, why: row.get(2)?, at: Timestamp(at) })
}

//! Watches in SQLite.

use async_trait::async_trait;
use pinrail_store::StoreError;
use pinrail_store::watches::{WatchDay, WatchKey, Watches};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use crate::Sqlite;
use crate::failure::{Failure, limit as sql_limit};
use crate::writer::{Kind, Operation};

#[async_trait]
impl Watches for Sqlite {
    async fn watch_get(&self, of: &WatchKey) -> Result<Option<String>, StoreError> {
        let of = of.clone();
        let found = self.readers.ask(move |db| {
            let sql = "SELECT document FROM watches WHERE provider = ?1 AND snapshot = ?2";
            let key = (of.provider.as_str(), of.snapshot.as_str());
            Ok(db.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?)
        });
        Ok(found.await?)
    }

    async fn watch_put(
        &self,
        of: &WatchKey,
        document: String,
        day: Option<WatchDay>,
    ) -> Result<(), StoreError> {
        let of = of.clone();
        self.writer.carry_out(|reply| Put { of, document, day, outcome: Ok(()), reply }).await?
    }

    async fn watch_days(&self, of: &WatchKey, from: u32, limit: usize) -> Result<Vec<WatchDay>, StoreError> {
        let of = of.clone();
        let days = self.readers.ask(move |db| {
            let sql = "SELECT day, document FROM watch_days \
                 WHERE provider = ?1 AND snapshot = ?2 AND day >= ?3 ORDER BY day LIMIT ?4";
            let mut select = db.prepare_cached(sql)?;
            let key = (of.provider.as_str(), of.snapshot.as_str(), from, sql_limit(limit));
            let days =
                select.query_map(key, |row| Ok(WatchDay { day: row.get(0)?, document: row.get(1)? }))?;
            Ok(days.collect::<Result<_, _>>()?)
        });
        Ok(days.await?)
    }

    async fn watch_list(&self) -> Result<Vec<(WatchKey, String)>, StoreError> {
        Ok(self.readers.ask(all).await?)
    }
}

struct Put {
    of: WatchKey,
    document: String,
    day: Option<WatchDay>,
    outcome: Result<(), StoreError>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

impl Operation for Put {
    fn kind(&self) -> Kind {
        Kind::Watches
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(put(db, &self.of, &self.document, self.day.as_ref())?);
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

fn put(db: &Connection, of: &WatchKey, document: &str, day: Option<&WatchDay>) -> Result<(), Failure> {
    let (provider, snapshot) = (of.provider.as_str(), of.snapshot.as_str());
    let sql = "INSERT INTO watches (provider, snapshot, document) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET document = excluded.document";
    db.prepare_cached(sql)?.execute((provider, snapshot, document))?;
    if let Some(WatchDay { day, document }) = day {
        let sql = "INSERT INTO watch_days (provider, snapshot, day, document) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET document = excluded.document";
        db.prepare_cached(sql)?.execute((provider, snapshot, day, document))?;
    }
    Ok(())
}

fn all(db: &Connection) -> Result<Vec<(WatchKey, String)>, Failure> {
    let sql = "SELECT provider, snapshot, document FROM watches ORDER BY provider, snapshot";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(())?;
    let mut watches = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let provider = name.parse().map_err(|why| Failure::damaged("a watch", why))?;
        watches.push((WatchKey { provider, snapshot: row.get(1)? }, row.get(2)?));
    }
    Ok(watches)
}

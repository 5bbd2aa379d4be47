//! Sightings in SQLite.

use async_trait::async_trait;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::sightings::{Sighting, SightingKind, Sightings};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::Sqlite;
use crate::failure::{Failure, integer, natural};
use crate::writer::{Kind, Operation};

#[async_trait]
impl Sightings for Sqlite {
    async fn sighting_put(&self, sighting: Sighting) -> Result<bool, StoreError> {
        Ok(self.change_sightings(What::Put(sighting)).await? == 1)
    }

    async fn sighting_list(&self, kind: SightingKind) -> Result<Vec<Sighting>, StoreError> {
        let listed = self.readers.ask(move |db| {
            let sql = "SELECT subject, at, document FROM sightings WHERE kind = ?1 ORDER BY subject";
            let mut select = db.prepare_cached(sql)?;
            let rows = select.query_map([kind as i64], |row| {
                let (subject, at, document) = (row.get(0)?, natural(row.get(1)?), row.get(2)?);
                Ok(Sighting { kind, subject, at: Timestamp(at), document })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        });
        Ok(listed.await?)
    }

    async fn sighting_forget(&self, kind: SightingKind, before: Timestamp) -> Result<u64, StoreError> {
        self.change_sightings(What::Forget(kind, before)).await
    }
}

enum What {
    Put(Sighting),
    Forget(SightingKind, Timestamp),
}

struct Change {
    what: What,
    outcome: Result<u64, StoreError>,
    reply: oneshot::Sender<Result<u64, StoreError>>,
}

impl Sqlite {
    async fn change_sightings(&self, what: What) -> Result<u64, StoreError> {
        self.writer.carry_out(|reply| Change { what, outcome: Ok(0), reply }).await?
    }
}

impl Operation for Change {
    fn kind(&self) -> Kind {
        Kind::Sightings
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(carry_out(db, &self.what)?);
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

/// Makes a change; tells how many sightings it touched.
fn carry_out(db: &Connection, what: &What) -> Result<u64, Failure> {
    let touched = match what {
        What::Put(Sighting { kind, subject, at, document }) => {
            let sql = "INSERT INTO sightings (kind, subject, at, document) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO UPDATE SET at = excluded.at, document = excluded.document WHERE at <= excluded.at";
            db.prepare_cached(sql)?.execute((*kind as i64, subject, integer(at.0), document))?
        }
        What::Forget(kind, before) => {
            let sql = "DELETE FROM sightings WHERE kind = ?1 AND at < ?2";
            db.prepare_cached(sql)?.execute((*kind as i64, integer(before.0)))?
        }
    };
    Ok(touched as u64)
}

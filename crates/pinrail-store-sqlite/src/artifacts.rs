//! Artifacts in SQLite.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_store::{Artifacts, StoreError};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use crate::Sqlite;
use crate::failure::Failure;
use crate::writer::{Kind, Operation};

#[async_trait]
impl Artifacts for Sqlite {
    async fn artifact_put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let (digest, bytes) = (Digest::of(bytes), bytes.to_vec());
        self.writer.carry_out(|reply| Put { digest, bytes, outcome: Ok(()), reply }).await??;
        Ok(digest)
    }

    async fn artifact_get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.quick.ask(move |db| read(db, digest)).await?;
        if bytes.as_ref().is_some_and(|bytes| Digest::of(bytes) != digest) {
            let why = "its bytes have another digest";
            return Err(Failure::damaged(format_args!("artifact {digest}"), why).into());
        }
        Ok(bytes)
    }
}

struct Put {
    digest: Digest,
    bytes: Vec<u8>,
    outcome: Result<(), StoreError>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

impl Operation for Put {
    fn kind(&self) -> Kind {
        Kind::Artifact
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(());
        Ok(insert(db, self.digest, &self.bytes)?)
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

fn insert(db: &Connection, digest: Digest, bytes: &[u8]) -> Result<(), Failure> {
    let sql = "INSERT INTO artifacts (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    db.prepare_cached(sql)?.execute((digest.as_bytes(), bytes))?;
    Ok(())
}

fn read(db: &Connection, digest: Digest) -> Result<Option<Vec<u8>>, Failure> {
    let mut select = db.prepare_cached("SELECT bytes FROM artifacts WHERE digest = ?1")?;
    Ok(select.query_row([digest.as_bytes()], |row| row.get(0)).optional()?)
}

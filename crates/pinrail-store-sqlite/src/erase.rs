//! How content leaves the file, which otherwise only grows (I8).
//!
//! 1. Triggers refuse every change of history unless the open transaction holds a permit ([`permitted`]).
//! 2. The writer's connection has `secure_delete` on: bytes of what is deleted or replaced are overwritten with zeros.
//! 3. The write-ahead log still holds the pages as they were: [`clean_log`] moves it into the file and cuts it to
//!    nothing. For that no reader may be looking at an older state, so all of them pause.
//!
//! What holds when an erasure was acknowledged: no SQL reaches the content, and neither a row, a free page nor the log
//! contains it. What doesn't follow:
//! - A backup made before has it, and a file system or a flash disk may keep blocks that were overwritten.
//! - Where SQLite split or joined pages, the unused part of a page may keep a copy of a row that moved away. Records'
//!   content moves only when others are *removed*; a run's events move when runs that are open at once take turns.
//!   `VACUUM` drops such copies; it takes as long as copying the file and stops all writing, so it is the operator's.

use pinrail_store::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::Sqlite;
use crate::failure::Failure;
use crate::reader::Quiet;
use crate::writer::{Kind, Operation};

/// What a permit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Whole records.
    Remove,
    /// Content, in records and in events.
    Erase,
    /// Whole runs.
    Collect,
}

/// Runs effects that the triggers refuse without the permit. An error leaves the permit to the rollback that follows.
pub(crate) fn permitted<T>(
    db: &Connection,
    permit: Permit,
    effects: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let what = match permit {
        Permit::Remove => "remove",
        Permit::Erase => "erase",
        Permit::Collect => "collect",
    };
    db.prepare_cached("INSERT INTO permits (what) VALUES (?1)")?.execute([what])?;
    let done = effects()?;
    db.prepare_cached("DELETE FROM permits")?.execute(())?;
    Ok(done)
}

/// Takes what was erased out of the log.
///
/// Waits for all questions that are being answered. [`StoreError::Unavailable`] when another process reads the file:
/// the log has the content until this is done again, or the store is closed.
pub(crate) async fn clean_log(store: &Sqlite) -> Result<(), Failure> {
    // Lists first, since they take their time: until they are done, questions about one thing are answered.
    let quiet = [store.readers.quiet().await?, store.quick.quiet().await?];
    let cleaned = store.writer.carry_out(|reply| CleanLog { _quiet: quiet, outcome: Ok(()), reply });
    cleaned.await?.map_err(Failure)
}

struct CleanLog {
    /// Here, so that it lasts even when the caller goes away.
    _quiet: [Quiet; 2],
    outcome: Result<(), StoreError>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

impl Operation for CleanLog {
    fn kind(&self) -> Kind {
        Kind::Log
    }

    fn carry_out(&mut self, _part: usize, _db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(());
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn after_commit(&mut self, db: &Connection) {
        if self.outcome.is_ok() {
            self.outcome = cut_log(db).map_err(StoreError::from);
        }
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

/// Moves the log into the file and cuts it, without waiting for anybody: a rollback may be queued behind (I7).
fn cut_log(db: &Connection) -> Result<(), Failure> {
    let waits_ms: i64 = db.query_row("PRAGMA busy_timeout", (), |row| row.get(0))?;
    db.pragma_update(None, "busy_timeout", 0)?;
    let busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, i64>(0));
    db.pragma_update(None, "busy_timeout", waits_ms)?;
    if busy? == 0 {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    let why = "another process reads the log, which still has what was erased".to_owned();
    Err(rusqlite::Error::SqliteFailure(code, Some(why)).into())
}

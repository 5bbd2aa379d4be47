//! Retention: the runs of a day and their journals, dropped for good.
//!
//! SQLite has no parts of a table that could be dropped, so the rows go some at a time, oldest first. Free pages are used again; the
//! file doesn't shrink.

use pinrail_domain::id::RunId;
use pinrail_domain::journal::collect::{FIRST_DAY, RunDay, day_of};
use pinrail_domain::time::Day;
use pinrail_store::StoreError;
use pinrail_store::journal::CollectError;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::PLACES_PER_RUN;
use crate::Sqlite;
use crate::erase::{Permit, permitted};
use crate::failure::{Failure, natural};
use crate::writer::{Kind, Operation};

/// Runs that go in one transaction: some milliseconds, which is what a rollback may have to wait for (I7).
const COLLECT_RUNS: usize = 64;

/// The days that have runs, until before `until`.
pub(super) fn days(db: &Connection, until: Day) -> Result<Vec<RunDay>, Failure> {
    let mut found = Vec::new();
    let mut from = FIRST_DAY;
    while let Some(day) = first_day(db, from)?.filter(|day| *day < until) {
        let (first, beyond) = bounds(day);
        let sql = "SELECT count(*) FROM runs INDEXED BY runs_by_id WHERE id >= ?1 AND id < ?2";
        let runs: i64 = db.prepare_cached(sql)?.query_row([first, beyond], |row| row.get(0))?;
        found.push(RunDay { day, runs: natural(runs), open: open(db, day)? });
        from = day.next();
    }
    Ok(found)
}

/// The first day from `from` on that has runs.
fn first_day(db: &Connection, from: Day) -> Result<Option<Day>, Failure> {
    let sql = "SELECT id FROM runs INDEXED BY runs_by_id WHERE id >= ?1 ORDER BY id LIMIT 1";
    let id =
        db.prepare_cached(sql)?.query_row([bounds(from).0], |row| row.get::<_, [u8; 16]>(0)).optional()?;
    Ok(id.map(|id| day_of(RunId(u128::from_be_bytes(id)))))
}

/// How many runs of a day are open: few are in all.
fn open(db: &Connection, day: Day) -> Result<u64, Failure> {
    let (first, beyond) = bounds(day);
    let sql = "SELECT count(*) FROM runs INDEXED BY runs_open WHERE status <> 4 AND id >= ?1 AND id < ?2";
    Ok(natural(db.prepare_cached(sql)?.query_row([first, beyond], |row| row.get(0))?))
}

/// A day's first id, and the first one after it.
fn bounds(day: Day) -> ([u8; 16], [u8; 16]) {
    let first = |day: Day| RunId::from_parts(day.begins().0, 0).0.to_be_bytes();
    (first(day), first(day.next()))
}

/// Drops the runs of a day.
pub(super) async fn day(store: &Sqlite, day: Day) -> Result<u64, CollectError> {
    let is_entered = store.readers.ask(move |db| is_entered(db, day)).await.map_err(StoreError::from)?;
    if !is_entered {
        return Err(CollectError::NotEntered(day));
    }
    let mut gone = 0;
    loop {
        let some = store.writer.carry_out(|reply| Collecting { day, outcome: Ok(0), reply }).await;
        match some.map_err(StoreError::from)?? {
            0 => return Ok(gone),
            some => gone += some,
        }
    }
}

/// Whether an entry of the ledger says that a day is dropped (I8).
fn is_entered(db: &Connection, day: Day) -> Result<bool, Failure> {
    if day < FIRST_DAY {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM ledger WHERE entry LIKE '%\"journal_collected\"%' \
         AND CASE WHEN json_valid(entry) THEN entry ->> '$.body.type' END = 'journal_collected' \
         AND entry ->> '$.body.before' > ?1)";
    Ok(db.prepare_cached(sql)?.query_row([day.to_string()], |row| row.get(0))?)
}

/// Some runs of a day being dropped, in one transaction; zero: none is left.
struct Collecting {
    day: Day,
    outcome: Result<u64, CollectError>,
    reply: oneshot::Sender<Result<u64, CollectError>>,
}

impl Operation for Collecting {
    fn kind(&self) -> Kind {
        Kind::Journal
    }

    fn rows(&self) -> usize {
        COLLECT_RUNS
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        let day = self.day;
        self.outcome = match open(db, day)? {
            0 => Ok(permitted(db, Permit::Collect, || some(db, day))?),
            open => Err(CollectError::Open { day, open }),
        };
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(CollectError::Store(error.clone()));
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

fn some(db: &Connection, day: Day) -> Result<u64, Failure> {
    let (first, beyond) = bounds(day);
    let mut select = db.prepare_cached(
        "SELECT number, id FROM runs INDEXED BY runs_by_id WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    )?;
    let mut events = db.prepare_cached("DELETE FROM run_events WHERE place >= ?1 AND place < ?2")?;
    let mut runs = db.prepare_cached("DELETE FROM runs WHERE number = ?1")?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?));
    let gone: Vec<_> =
        select.query_map((first, beyond, COLLECT_RUNS as i64), row)?.collect::<Result<_, _>>()?;
    for (number, id) in &gone {
        crate::approvals::erase_arguments(db, RunId(u128::from_be_bytes(*id)))?;
        let place = number * PLACES_PER_RUN;
        events.execute([place, place + PLACES_PER_RUN])?;
        runs.execute([number])?;
    }
    Ok(gone.len() as u64)
}

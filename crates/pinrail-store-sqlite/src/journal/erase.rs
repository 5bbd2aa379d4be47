//! Erasure of what was said in runs.
//!
//! Rows of events never change otherwise, so the new ones are made on a reader's connection, and the writing thread
//! only puts them in their place.

use pinrail_domain::id::RunId;
use pinrail_domain::journal::Event;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::{PLACES_PER_RUN, read};
use crate::Sqlite;
use crate::erase::{Permit, clean_log, permitted};
use crate::failure::Failure;
use crate::writer::{Kind, Operation};

/// Rows of events that are replaced in one transaction: some milliseconds, which is what a rollback may have to wait
/// for (I7).
const ERASE_ROWS: usize = 256;

/// Takes the content out of the events of runs and out of approvals asked for in them, then out of the log; tells how many runs had some.
pub(super) async fn runs(store: &Sqlite, runs: &[RunId]) -> Result<u64, Failure> {
    let mut erased = 0;
    for run in runs {
        let run = *run;
        let mut had_content = false;
        let mut next = Some(0);
        while let Some(from) = next {
            let page = store.readers.ask(move |db| Page::read(db, run, from)).await?;
            next = page.next;
            if !page.rows.is_empty() {
                had_content = true;
                let rows = page.rows;
                store
                    .writer
                    .carry_out(|reply| Replacing { rows, outcome: Ok(()), reply })
                    .await?
                    .map_err(Failure)?;
            }
        }
        had_content |= store.erase_arguments(run).await.map_err(Failure)?;
        erased += u64::from(had_content);
    }
    if !runs.is_empty() {
        // Also when nothing is left to erase: an earlier try may have come only so far.
        clean_log(store).await?;
    }
    Ok(erased)
}

/// Some rows of a run that hold content, without it.
struct Page {
    rows: Vec<(i64, String)>,
    /// Where the next page begins, within the run.
    next: Option<i64>,
}

impl Page {
    fn read(db: &Connection, run: RunId, from: i64) -> Result<Page, Failure> {
        let sql = "SELECT number FROM runs WHERE id = ?1";
        let number = db.prepare_cached(sql)?.query_row([run.0.to_be_bytes()], |row| row.get::<_, i64>(0));
        let mut page = Page { rows: Vec::new(), next: None };
        let Some(number) = number.optional()? else { return Ok(page) };
        let first = number * PLACES_PER_RUN;
        let mut select = db.prepare_cached(
            "SELECT place, events FROM run_events WHERE place >= ?1 AND place < ?2 ORDER BY place LIMIT ?3",
        )?;
        let mut rows = select.query((first + from, first + PLACES_PER_RUN, ERASE_ROWS as i64))?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            seen += 1;
            let place: i64 = row.get(0)?;
            page.next = (seen == ERASE_ROWS).then_some(place + 1 - first);
            let what = format_args!("{run}, event {}", place - first);
            let events: Vec<(Timestamp, Event)> = read::parse(row, 1, what)?;
            let without = events.iter().map(|(at, event)| (*at, event.clone().without_content()));
            let without: Vec<_> = without.collect();
            if without != events {
                page.rows.push((place, super::write::json(&without)));
            }
        }
        Ok(page)
    }
}

struct Replacing {
    rows: Vec<(i64, String)>,
    outcome: Result<(), StoreError>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

impl Operation for Replacing {
    fn kind(&self) -> Kind {
        Kind::Journal
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(());
        permitted(db, Permit::Erase, || {
            let mut update = db.prepare_cached("UPDATE run_events SET events = ?2 WHERE place = ?1")?;
            for (place, events) in &self.rows {
                update.execute((place, events))?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

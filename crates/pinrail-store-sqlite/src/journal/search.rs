//! Looking through what runs say.
//!
//! Runs are walked along the index of the filter, newest first, and read one after the other on a reader's thread: a
//! search costs who asks, never who writes. It reads what was there when it began.

use pinrail_domain::id::RunId;
use pinrail_domain::journal::{Event, Stamp};
use pinrail_domain::time::Timestamp;
use pinrail_store::journal::{Found, Search};
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, params_from_iter};

use super::PLACES_PER_RUN;
use super::read::{list_query, parse, run_of};
use crate::failure::{Failure, limit as sql_limit};

/// What looking at a run's journal came to.
enum Said {
    Yes,
    No,
    /// Not in what was read of it.
    NotSoFar,
}

pub(super) fn find(
    db: &Connection,
    search: &Search,
    before: Option<RunId>,
    limit: usize,
) -> Result<Found, Failure> {
    let (sql, mut values) = list_query(&search.filter, before);
    // One more than are looked at tells whether there are more.
    let rows_max = search.reach.runs_max.max(1).saturating_add(1);
    values.push(Value::Integer(sql_limit(usize::try_from(rows_max).unwrap_or(usize::MAX))));
    let mut select = db.prepare_cached(&sql)?;
    let mut events =
        db.prepare_cached("SELECT events FROM run_events WHERE place >= ?1 AND place < ?2 ORDER BY place")?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut found = Found::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let far = found.looked_at >= search.reach.runs_max || bytes >= search.reach.bytes_max;
        if found.runs.len() >= limit || (far && found.looked_at > 0) {
            found.more = true;
            break;
        }
        let run = run_of(row)?;
        found.looked_at += 1;
        found.last = Some((run.stamp.run, run.summary.started_at));
        match says(&mut events, search, &run.stamp, row.get(3)?, &mut bytes)? {
            Said::Yes => found.runs.push(run),
            Said::No => {}
            Said::NotSoFar => found.in_part += 1,
        }
    }
    Ok(found)
}

/// Whether the run with this number says the text; adds what is read to find out to `bytes`.
fn says(
    events: &mut CachedStatement<'_>,
    search: &Search,
    stamp: &Stamp,
    number: i64,
    bytes: &mut u64,
) -> Result<Said, Failure> {
    if search.text.is_in_stamp(stamp) {
        return Ok(Said::Yes);
    }
    let first = number * PLACES_PER_RUN;
    let mut rows = events.query((first, first + PLACES_PER_RUN))?;
    let mut own = 0;
    while let Some(row) = rows.next()? {
        if own > search.reach.run_bytes_max {
            return Ok(Said::NotSoFar);
        }
        let length = row.get_ref(0)?.as_bytes().map_or(0, <[u8]>::len) as u64;
        own += length;
        *bytes += length;
        let write: Vec<(Timestamp, Event)> = parse(row, 0, stamp.run)?;
        if write.iter().any(|(_, event)| search.text.is_in_event(event)) {
            return Ok(Said::Yes);
        }
    }
    Ok(Said::No)
}

//! Starts and appends.
//!
//! JSON is made where the caller runs, before the write is queued: the writing thread has better things to do.

use std::sync::Arc;

use pinrail_domain::id::RunId;
use pinrail_domain::journal::Summary;
use pinrail_store::StoreError;
use pinrail_store::journal::{Append, SessionKey, Start, Write, WriteError, Written};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::{PLACES_PER_RUN, read};
use crate::failure::{Failure, integer};
use crate::writer::{Kind, Operation};
use crate::{answers, ledger};

/// A write's JSON.
pub(super) struct Prepared {
    /// Of a start.
    stamp: String,
    /// The events as an array of `[time, event]`; empty when there are none.
    events: String,
}

/// A batch under way.
pub(super) struct Writing {
    writes: Arc<Vec<Write>>,
    prepared: Vec<Prepared>,
    results: Vec<Result<Written, WriteError>>,
    reply: oneshot::Sender<Vec<Result<Written, WriteError>>>,
}

impl Prepared {
    pub(super) fn new(write: &Write) -> Prepared {
        write.assert_whole();
        let (stamp, events) = match write {
            Write::Start(start) => (json(&start.stamp), &start.events),
            Write::Append(append) => (String::new(), &append.events),
        };
        let events = if events.is_empty() { String::new() } else { json(events) };
        Prepared { stamp, events }
    }

    fn carry_out(&self, write: &Write, db: &Connection) -> Result<Written, WriteError> {
        if let Some(answer) = write.answer()
            && let Some(given) = answers::given(db, &answer.key)?
        {
            return Err(WriteError::Answered(Box::new(given)));
        }
        let summary = match write {
            Write::Start(start) => self.start(start, db)?,
            Write::Append(append) => self.append(append, db)?,
        };
        if let Some(answer) = write.answer() {
            answers::keep(db, answer)?;
        }
        Ok(Written { summary })
    }

    fn start(&self, start: &Start, db: &Connection) -> Result<Summary, WriteError> {
        if exists(db, start.stamp.run)? {
            return Err(WriteError::Exists(start.stamp.run));
        }
        if start.current {
            start.check_epoch(ledger::epoch(db)?)?;
        }
        let session = start.bind.and_then(|_| SessionKey::of(&start.stamp));
        if let Some(session) = &session {
            start.check_binding(read::binding(db, session)?)?;
        }
        let summary = start.summary()?;

        let number = insert_run(db, start, &self.stamp, &summary)?;
        if !self.events.is_empty() {
            insert_events(db, number * PLACES_PER_RUN + 1, &self.events)?;
        }
        if let Some(session) = &session {
            bind(db, session, integer(start.stamp.deployment.0))?;
        }
        Ok(summary)
    }

    fn append(&self, append: &Append, db: &Connection) -> Result<Summary, WriteError> {
        let (number, before) = find(db, append.run)?.ok_or(WriteError::NoRun(append.run))?;
        let (first, summary) = append.follow(&before)?;
        insert_events(db, number * PLACES_PER_RUN + integer(first.0), &self.events)?;
        update_run(db, number, &before, &summary)?;
        if let Some(follow) = &append.follows {
            bind(db, &follow.session, integer(follow.deployment.0))?;
        }
        Ok(summary)
    }
}

impl Writing {
    pub(super) fn new(
        writes: Arc<Vec<Write>>,
        prepared: Vec<Prepared>,
        reply: oneshot::Sender<Vec<Result<Written, WriteError>>>,
    ) -> Writing {
        let results = Vec::with_capacity(writes.len());
        Writing { writes, prepared, results, reply }
    }

    /// Parts come in order, and from the first again when a group is repeated.
    fn set(&mut self, part: usize, result: Result<Written, WriteError>) {
        self.results.truncate(part);
        self.results.push(result);
    }
}

impl Operation for Writing {
    fn kind(&self) -> Kind {
        Kind::Journal
    }

    fn parts(&self) -> usize {
        self.writes.len()
    }

    fn carry_out(&mut self, part: usize, db: &Connection) -> Result<(), StoreError> {
        match self.prepared[part].carry_out(&self.writes[part], db) {
            Err(WriteError::Store(error)) => Err(error),
            result => {
                self.set(part, result);
                Ok(())
            }
        }
    }

    fn fail(&mut self, part: usize, error: &StoreError) {
        self.set(part, Err(WriteError::Store(error.clone())));
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.results);
    }
}

fn exists(db: &Connection, run: RunId) -> Result<bool, Failure> {
    Ok(db.prepare_cached("SELECT 1 FROM runs WHERE id = ?1")?.exists([run.0.to_be_bytes()])?)
}

/// A run's number and its summary so far.
fn find(db: &Connection, run: RunId) -> Result<Option<(i64, Summary)>, Failure> {
    let mut select = db.prepare_cached("SELECT number, summary FROM runs WHERE id = ?1")?;
    let found = select.query_row([run.0.to_be_bytes()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
    let Some((number, summary)) = found.optional()? else { return Ok(None) };
    let summary = serde_json::from_str(&summary).map_err(|why| Failure::damaged(run, why))?;
    Ok(Some((number, summary)))
}

fn insert_run(db: &Connection, start: &Start, json_stamp: &str, summary: &Summary) -> Result<i64, Failure> {
    let Start { stamp, at, queued, events: _, bind: _, current: _, answer: _ } = start;
    let mut insert = db.prepare_cached(
        "INSERT INTO runs (id, agent, tenant, session, single, deployment, release, started_at, queued, stamp, \
         status, summary, shadow) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    let number = insert.insert((
        stamp.run.0.to_be_bytes(),
        stamp.agent.as_str(),
        stamp.tenant.as_str(),
        stamp.session.as_ref().map(|session| session.as_str()),
        stamp.single,
        integer(stamp.deployment.0),
        stamp.release.0.as_bytes(),
        integer(at.0),
        queued,
        json_stamp,
        summary.status as i64,
        json(summary),
        stamp.shadow.map(|live| live.0.to_be_bytes()),
    ))?;
    Ok(number)
}

fn insert_events(db: &Connection, place: i64, events: &str) -> Result<(), Failure> {
    db.prepare_cached("INSERT INTO run_events (place, events) VALUES (?1, ?2)")?.execute((place, events))?;
    Ok(())
}

/// Writes the summary back. Most events leave the status alone, and then its index as well.
fn update_run(db: &Connection, number: i64, before: &Summary, summary: &Summary) -> Result<(), Failure> {
    if summary.status == before.status {
        let mut update = db.prepare_cached("UPDATE runs SET summary = ?2 WHERE number = ?1")?;
        update.execute((number, json(summary)))?;
    } else {
        let sql = "UPDATE runs SET status = ?3, summary = ?2 WHERE number = ?1";
        db.prepare_cached(sql)?.execute((number, json(summary), summary.status as i64))?;
    }
    Ok(())
}

/// Binds a session; the row gets a new place, after all others.
fn bind(db: &Connection, session: &SessionKey, deployment: i64) -> Result<(), Failure> {
    let sql = "INSERT OR REPLACE INTO sessions (agent, tenant, session, deployment) VALUES (?1, ?2, ?3, ?4)";
    let SessionKey { agent, tenant, session } = session;
    db.prepare_cached(sql)?.execute((agent.as_str(), tenant.as_str(), session.as_str(), deployment))?;
    Ok(())
}

pub(super) fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("stamps, events and summaries are plain data")
}

//! A group of writes in one transaction.
//!
//! 1. Rows that the writes are about are read and locked, in the order of their keys, so that two replicas never wait for each other: runs,
//!    then sessions. Runs that begin are taken to be new; where that is wrong, the transaction is undone and looks before it goes on.
//! 2. The writes are carried out in memory, one after the other, by the rules of `pinrail-store` and the domain. One that fails leaves
//!    the others alone.
//! 3. What has changed is put in its place with a handful of statements, sent together.
//! 4. Starts that ask for the newest epoch are decided on the one that was read. The last statement holds it, where it is still the newest,
//!    and the COMMIT is sent with it; else all is undone and done again. Starts of an older epoch are refused then, and epochs only rise,
//!    so flips that follow each other can't keep a group from being written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pinrail_domain::id::{DeploymentId, Epoch, EventSeq, RunId};
use pinrail_domain::journal::Summary;
use pinrail_store::journal::{Append, SessionKey, Start, Write, WriteError, Written};
use pinrail_store::{Answer, AnswerKey};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{run_id, uuid};
use crate::answers::answer_of;
use crate::db::{Lane, Param, Session, repeat};
use crate::failure::{Failure, column, json, natural};
use crate::{Postgres, ledger};

/// The results of one caller's writes.
pub(super) type Results = Vec<Result<Written, WriteError>>;

/// One caller's writes.
pub(super) struct Part {
    pub(super) writes: Arc<Vec<Write>>,
    prepared: Vec<Prepared>,
    pub(super) bytes: usize,
}

/// A write's JSON.
pub(super) struct Prepared {
    /// Of a start.
    pub(super) stamp: String,
    /// The events as an array of `[time, event]`; empty when there are none.
    pub(super) events: String,
}

/// Groups after which rows of `run_writes` that are older than ten minutes are deleted.
const FORGET_EVERY: u64 = 256;

type One<'a> = (&'a Write, &'a Prepared);

/// What a group knows and changes.
#[derive(Default)]
pub(super) struct World<'a> {
    pub(super) runs: HashMap<RunId, Known<'a>>,
    pub(super) sessions: BTreeMap<SessionKey, Bound>,
    given: BTreeMap<AnswerKey, Answer>,
    epoch: Epoch,
    pub(super) events: Vec<Events<'a>>,
    pub(super) answers: BTreeMap<&'a AnswerKey, &'a Answer>,
    /// How many bindings were written.
    bindings: i64,
}

/// A run of the group.
pub(super) struct Known<'a> {
    /// None where the row can't be read.
    pub(super) summary: Option<Summary>,
    /// The start that began it in this group.
    pub(super) begun: Option<(&'a Start, &'a Prepared)>,
    pub(super) changed: bool,
}

/// A session of the group.
#[derive(Default)]
pub(super) struct Bound {
    pub(super) is_stored: bool,
    pub(super) to: Option<DeploymentId>,
    /// The order in which bindings were written; none where this one wasn't.
    pub(super) written: Option<i64>,
}

/// A row of events.
pub(super) struct Events<'a> {
    pub(super) run: RunId,
    pub(super) first: EventSeq,
    pub(super) json: &'a str,
}

impl Part {
    pub(super) fn new(writes: Arc<Vec<Write>>) -> Part {
        let prepare = |write: &Write| {
            write.assert_whole();
            let (stamp, events) = match write {
                Write::Start(start) => (to_json(&start.stamp), &start.events),
                Write::Append(append) => (String::new(), &append.events),
            };
            Prepared { stamp, events: if events.is_empty() { String::new() } else { to_json(events) } }
        };
        let prepared: Vec<Prepared> = writes.iter().map(prepare).collect();
        let bytes = prepared.iter().map(|write| write.stamp.len() + write.events.len()).sum();
        Part { writes, prepared, bytes }
    }
}

impl Postgres {
    /// Carries out a group; gives each caller its results.
    pub(super) async fn write_group(&self, parts: &[Part]) -> Vec<Results> {
        let all: Vec<One<'_>> =
            parts.iter().flat_map(|part| part.writes.iter().zip(&part.prepared)).collect();
        let begun = all.iter().filter_map(|(write, _)| match write {
            Write::Start(start) => Some(start.stamp.run),
            Write::Append(_) => None,
        });
        self.make_days(begun).await;
        let mut results = Vec::with_capacity(all.len());
        let mut left = vec![&all[..]];
        while let Some(some) = left.pop() {
            let careful = AtomicBool::new(false);
            match repeat(|| self.write_once(some, &careful)).await {
                Ok(done) => results.extend(done),
                Err(failure) if failure.is_about_data() && some.len() > 1 => {
                    let (first, second) = some.split_at(some.len() / 2);
                    left.extend([second, first]);
                }
                Err(failure) => {
                    let error = || Err(WriteError::Store(failure.error.clone()));
                    results.extend(std::iter::repeat_with(error).take(some.len()));
                }
            }
        }
        let mut results = results.into_iter();
        parts.iter().map(|part| results.by_ref().take(part.writes.len()).collect()).collect()
    }

    async fn write_once(&self, writes: &[One<'_>], careful: &AtomicBool) -> Result<Results, Failure> {
        let tx = self.begin(Lane::Journal).await?;
        let mut world = World::default();
        world.read_runs(&tx, writes, careful.load(Ordering::Relaxed)).await?;
        world.read_sessions(&tx, writes).await?;
        world.read_answers(&tx, writes).await?;
        let is_current = |write: &Write| matches!(write, Write::Start(start) if start.current);
        if writes.iter().any(|(write, _)| is_current(write)) {
            world.epoch = ledger::newest_epoch(&tx).await?;
        }
        let results: Results = writes.iter().map(|one| world.carry_out(*one)).collect();
        let refuses_start = writes.iter().zip(&results).any(|((write, _), result)| {
            matches!(write, Write::Start(_)) && !matches!(result, Ok(_) | Err(WriteError::Answered(_)))
        });
        if refuses_start && !careful.swap(true, Ordering::Relaxed) {
            // That the run exists comes before every other reason.
            return Err(Failure::overtaken("a run may have begun before"));
        }
        let wrote = results.iter().any(Result::is_ok);
        if !wrote {
            tx.rollback().await?;
            return Ok(results);
        }
        let skew = self.put_group(&tx, &world, careful).await?;
        let probe = &self.inner.options.probe;
        probe.at("journal.before_commit");
        if writes.iter().zip(&results).any(|((write, _), result)| result.is_ok() && is_current(write)) {
            ledger::conclude_in(tx, world.epoch).await?;
        } else {
            tx.commit().await?;
        }
        probe.at("journal.after_commit");
        self.inner.journal.skew.raise(skew);
        Ok(results)
    }
}

impl<'a> World<'a> {
    async fn read_runs(&mut self, db: &Session, writes: &[One<'_>], careful: bool) -> Result<(), Failure> {
        let asked = writes.iter().filter_map(|(write, _)| match write {
            Write::Start(start) => careful.then_some(start.stamp.run),
            Write::Append(append) => Some(append.run),
        });
        let ids: BTreeSet<Uuid> = asked.map(uuid).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(()) };
        // The bounds let whole partitions be passed over.
        let sql = "SELECT id, summary FROM pinrail.runs WHERE id = ANY($1) AND id >= $2 AND id <= $3 \
                   ORDER BY id FOR UPDATE";
        let params: [Param<'_>; 3] = [(&ids, Type::UUID_ARRAY), (first, Type::UUID), (last, Type::UUID)];
        for row in db.rows(sql, &params).await? {
            let run = run_id(column(&row, 0, "a run's id")?);
            let known = Known { summary: json(&row, 1, run).ok(), begun: None, changed: false };
            self.runs.insert(run, known);
        }
        Ok(())
    }

    async fn read_sessions(&mut self, db: &Session, writes: &[One<'_>]) -> Result<(), Failure> {
        for (write, _) in writes {
            let session = match write {
                Write::Start(start) => start.bind.and_then(|_| SessionKey::of(&start.stamp)),
                Write::Append(append) => append.follows.as_ref().map(|follow| follow.session.clone()),
            };
            if let Some(session) = session {
                self.sessions.entry(session).or_default();
            }
        }
        if self.sessions.is_empty() {
            return Ok(());
        }
        let sessions: Vec<&str> = self.sessions.keys().map(|key| key.session.as_str()).collect();
        let agents: Vec<&str> = self.sessions.keys().map(|key| key.agent.as_str()).collect();
        let tenants: Vec<&str> = self.sessions.keys().map(|key| key.tenant.as_str()).collect();
        let sql = "SELECT k.n, s.deployment FROM pinrail.sessions s \
                   JOIN unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k (session, agent, tenant, n) \
                   USING (session, agent, tenant) ORDER BY s.session, s.agent, s.tenant FOR UPDATE OF s";
        let params: [Param<'_>; 3] =
            [(&sessions, Type::TEXT_ARRAY), (&agents, Type::TEXT_ARRAY), (&tenants, Type::TEXT_ARRAY)];
        let rows = db.rows(sql, &params).await?;
        let mut stored = HashMap::with_capacity(rows.len());
        for row in &rows {
            let what = "a session's binding";
            stored.insert(column::<i64>(row, 0, what)?, DeploymentId(natural(column(row, 1, what)?)));
        }
        for (n, bound) in (1..).zip(self.sessions.values_mut()) {
            bound.to = stored.get(&n).copied();
            bound.is_stored = bound.to.is_some();
        }
        Ok(())
    }

    async fn read_answers(&mut self, db: &Session, writes: &[One<'_>]) -> Result<(), Failure> {
        let asked: BTreeSet<&AnswerKey> =
            writes.iter().filter_map(|(write, _)| Some(&write.answer()?.key)).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let asked: Vec<&AnswerKey> = asked.into_iter().collect();
        let keys: Vec<&str> = asked.iter().map(|key| key.key.as_str()).collect();
        let callers: Vec<&str> = asked.iter().map(|key| key.caller.as_str()).collect();
        let sql = "SELECT k.n, a.request, a.status, a.body, a.at FROM pinrail.answers a \
                   JOIN unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (key, caller, n) USING (key, caller)";
        let params: [Param<'_>; 2] = [(&keys, Type::TEXT_ARRAY), (&callers, Type::TEXT_ARRAY)];
        for row in db.rows(sql, &params).await? {
            let place: i64 = column(&row, 0, "an answer")?;
            let key = usize::try_from(place - 1).ok().and_then(|place| asked.get(place).copied());
            let key = key.ok_or_else(|| Failure::damaged("an answer", "it has no key"))?;
            self.given.insert(key.clone(), answer_of(&row, 1, key)?);
        }
        Ok(())
    }

    fn carry_out(&mut self, (write, prepared): One<'a>) -> Result<Written, WriteError> {
        if let Some(answer) = write.answer() {
            let given = self.given.get(&answer.key);
            if let Some(given) = given.or_else(|| self.answers.get(&answer.key).copied()) {
                return Err(WriteError::Answered(Box::new(given.clone())));
            }
        }
        let summary = match write {
            Write::Start(start) => self.start(start, prepared)?,
            Write::Append(append) => self.append(append, prepared)?,
        };
        if let Some(answer) = write.answer() {
            self.answers.insert(&answer.key, answer);
        }
        Ok(Written { summary })
    }

    fn start(&mut self, start: &'a Start, prepared: &'a Prepared) -> Result<Summary, WriteError> {
        let run = start.stamp.run;
        if self.runs.contains_key(&run) {
            return Err(WriteError::Exists(run));
        }
        start.check_epoch(self.epoch)?;
        let session = start.bind.and_then(|_| SessionKey::of(&start.stamp));
        if let Some(session) = &session {
            start.check_binding(self.sessions.get(session).and_then(|bound| bound.to))?;
        }
        let summary = start.summary()?;
        let begun = Some((start, prepared));
        self.runs.insert(run, Known { summary: Some(summary.clone()), begun, changed: true });
        if !prepared.events.is_empty() {
            self.events.push(Events { run, first: EventSeq(1), json: &prepared.events });
        }
        if let Some(session) = session {
            self.bind(session, start.stamp.deployment);
        }
        Ok(summary)
    }

    fn append(&mut self, append: &'a Append, prepared: &'a Prepared) -> Result<Summary, WriteError> {
        let run = append.run;
        let known = self.runs.get_mut(&run).ok_or(WriteError::NoRun(run))?;
        let Some(before) = &known.summary else {
            return Err(Failure::damaged(run, "its summary can't be read").into());
        };
        let (first, summary) = append.follow(before)?;
        known.summary = Some(summary.clone());
        known.changed = true;
        self.events.push(Events { run, first, json: &prepared.events });
        if let Some(follow) = &append.follows {
            self.bind(follow.session.clone(), follow.deployment);
        }
        Ok(summary)
    }

    fn bind(&mut self, session: SessionKey, to: DeploymentId) {
        self.bindings += 1;
        let bound = self.sessions.entry(session).or_default();
        bound.to = Some(to);
        bound.written = Some(self.bindings);
    }
}

impl Postgres {
    /// Lets other replicas know that there is something to read, and forgets what they have read long ago. Of each replica its last
    /// row stays, by which whoever was away sees that others are gone; for a day, where the replica was given up.
    pub(super) async fn tell_of_writes(&self) {
        self.inner.here.wrote_runs();
        if self.inner.journal.groups.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET_EVERY) {
            let sql = "DELETE FROM pinrail.run_writes w WHERE at < pg_catalog.now() - interval '10 minutes' \
                       AND (batch < (SELECT max(batch) FROM pinrail.run_writes n WHERE n.replica = w.replica) \
                       OR at < pg_catalog.now() - interval '1 day' AND NOT EXISTS \
                       (SELECT 1 FROM pinrail.replicas r WHERE r.id = w.replica))";
            // Whatever is left goes the next time.
            let _ = self.rows(Lane::Journal, sql, &[]).await;
        }
    }
}

pub(super) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("stamps, events and summaries are plain data")
}

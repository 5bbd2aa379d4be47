//! Puts what a group changed where it belongs, with a few statements that are sent together.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use pinrail_domain::id::RunId;
use pinrail_domain::journal::{Outcome, RunStatus, Summary};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::write::{Bound, World, to_json};
use super::{ms_of, uuid};
use crate::Postgres;
use crate::db::{Param, Session};
use crate::failure::{Failure, column, integer};

/// How far the times of runs are from those of their ids, as far as this process knows: what is in `run_skew`, or less.
#[derive(Default)]
pub(crate) struct Skew {
    later: AtomicI64,
    sooner: AtomicI64,
}

/// Bindings that one number of `sessions_written` stands for: more than a group has.
const BINDINGS_MAX: i64 = 1 << 20;

impl Skew {
    pub(super) fn raise(&self, (later, sooner): (i64, i64)) {
        self.later.fetch_max(later, Ordering::Relaxed);
        self.sooner.fetch_max(sooner, Ordering::Relaxed);
    }
}

impl Postgres {
    /// Puts all of it; tells how far apart the times of its runs and their ids are.
    pub(super) async fn put_group(
        &self,
        db: &Session,
        world: &World<'_>,
        careful: &AtomicBool,
    ) -> Result<(i64, i64), Failure> {
        let replica = integer(self.inner.here.me().0);
        let (begun, insert_runs) = insert_runs(db, world, replica);
        let skew = skew_of(world);
        let (runs, rest, updated, events) = tokio::join!(
            insert_runs,
            self.put_skew(db, skew),
            update_runs(db, world),
            insert_events(db, world),
        );
        if runs? < begun || !events? {
            // Looks at them the next time.
            careful.store(true, Ordering::Relaxed);
            return Err(Failure::overtaken("a run has begun before"));
        }
        rest?;
        updated?;
        let (bound, answered, noted) =
            tokio::join!(bind(db, world), keep_answers(db, world), note_writes(db, world, replica));
        bound?;
        answered?;
        noted?;
        Ok(skew)
    }

    async fn put_skew(&self, db: &Session, (later, sooner): (i64, i64)) -> Result<(), Failure> {
        let known = &self.inner.journal.skew;
        if later <= known.later.load(Ordering::Relaxed) && sooner <= known.sooner.load(Ordering::Relaxed) {
            return Ok(());
        }
        let sql = "UPDATE pinrail.run_skew SET later = greatest(later, $1), sooner = greatest(sooner, $2) \
                   WHERE later < $1 OR sooner < $2";
        db.execute(sql, &[(&later, Type::INT8), (&sooner, Type::INT8)]).await?;
        Ok(())
    }
}

/// Rounded up to a power of two, so that it seldom grows.
fn skew_of(world: &World<'_>) -> (i64, i64) {
    let (mut later, mut sooner) = (0, 0);
    for (start, _) in world.runs.values().filter_map(|known| known.begun) {
        let (began, id) = (integer(start.at.0), integer(ms_of(start.stamp.run)));
        later = later.max(began.saturating_sub(id));
        sooner = sooner.max(id.saturating_sub(began));
    }
    let round = |ms: i64| {
        if ms <= 0 { 0 } else { ms.unsigned_abs().checked_next_power_of_two().map_or(i64::MAX, integer) }
    };
    (round(later), round(sooner))
}

/// Inserts the runs that began; says how many there are. Those that exist are left out of what was inserted.
fn insert_runs<'a>(
    db: &'a Session,
    world: &'a World<'_>,
    replica: i64,
) -> (u64, impl Future<Output = Result<u64, Failure>> + 'a) {
    let mut begun: Vec<_> =
        world.runs.values().filter_map(|known| known.begun.zip(known.summary.as_ref())).collect();
    begun.sort_unstable_by_key(|((start, _), _)| start.stamp.run);
    let count = begun.len() as u64;
    let insert = async move {
        if begun.is_empty() {
            return Ok(0);
        }
        let stamps = || begun.iter().map(|((start, _), _)| &start.stamp);
        let ids: Vec<Uuid> = stamps().map(|stamp| uuid(stamp.run)).collect();
        let agents: Vec<&str> = stamps().map(|stamp| stamp.agent.as_str()).collect();
        let tenants: Vec<&str> = stamps().map(|stamp| stamp.tenant.as_str()).collect();
        let sessions: Vec<Option<&str>> =
            stamps().map(|stamp| stamp.session.as_ref().map(|session| session.as_str())).collect();
        let single: Vec<bool> = stamps().map(|stamp| stamp.single).collect();
        let deployments: Vec<i64> = stamps().map(|stamp| integer(stamp.deployment.0)).collect();
        let releases: Vec<&[u8]> = stamps().map(|stamp| &stamp.release.0.as_bytes()[..]).collect();
        let started: Vec<i64> = begun.iter().map(|((start, _), _)| integer(start.at.0)).collect();
        let queued: Vec<bool> = begun.iter().map(|((start, _), _)| start.queued).collect();
        let shadows: Vec<Option<Uuid>> = stamps().map(|stamp| stamp.shadow.map(uuid)).collect();
        let texts: Vec<&str> = begun.iter().map(|((_, prepared), _)| prepared.stamp.as_str()).collect();
        let (status, outcomes, summaries) = columns_of(begun.iter().map(|(_, summary)| *summary));
        let sql = "INSERT INTO pinrail.runs (id, agent, tenant, session, single, deployment, release, started_at, \
                   queued, shadow, stamp, status, outcome, summary, replica) \
                   SELECT *, $15 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[], \
                   $6::bigint[], $7::bytea[], $8::bigint[], $9::boolean[], $10::uuid[], $11::text[], \
                   $12::smallint[], $13::smallint[], $14::text[]) ON CONFLICT DO NOTHING";
        let params: [Param<'_>; 15] = [
            (&ids, Type::UUID_ARRAY),
            (&agents, Type::TEXT_ARRAY),
            (&tenants, Type::TEXT_ARRAY),
            (&sessions, Type::TEXT_ARRAY),
            (&single, Type::BOOL_ARRAY),
            (&deployments, Type::INT8_ARRAY),
            (&releases, Type::BYTEA_ARRAY),
            (&started, Type::INT8_ARRAY),
            (&queued, Type::BOOL_ARRAY),
            (&shadows, Type::UUID_ARRAY),
            (&texts, Type::TEXT_ARRAY),
            (&status, Type::INT2_ARRAY),
            (&outcomes, Type::INT2_ARRAY),
            (&summaries, Type::TEXT_ARRAY),
            (&replica, Type::INT8),
        ];
        db.execute(sql, &params).await
    };
    (count, insert)
}

/// Writes the summaries of runs that were there before.
async fn update_runs(db: &Session, world: &World<'_>) -> Result<(), Failure> {
    let changed = world.runs.iter().filter(|(_, known)| known.changed && known.begun.is_none());
    let mut changed: Vec<(&RunId, &Summary)> =
        changed.filter_map(|(run, known)| Some((run, known.summary.as_ref()?))).collect();
    changed.sort_unstable_by_key(|(run, _)| **run);
    let ids: Vec<Uuid> = changed.iter().map(|(run, _)| uuid(**run)).collect();
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(()) };
    let (status, outcomes, summaries) = columns_of(changed.iter().map(|(_, summary)| *summary));
    let sql = "UPDATE pinrail.runs r SET status = n.status, outcome = n.outcome, summary = n.summary \
               FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::text[]) AS n (id, status, outcome, summary) \
               WHERE r.id = n.id AND r.id >= $5 AND r.id <= $6";
    let params: [Param<'_>; 6] = [
        (&ids, Type::UUID_ARRAY),
        (&status, Type::INT2_ARRAY),
        (&outcomes, Type::INT2_ARRAY),
        (&summaries, Type::TEXT_ARRAY),
        (first, Type::UUID),
        (last, Type::UUID),
    ];
    db.execute(sql, &params).await?;
    Ok(())
}

/// Inserts the events; false where some are there. They may get to the server before the run that they belong to.
async fn insert_events(db: &Session, world: &World<'_>) -> Result<bool, Failure> {
    if world.events.is_empty() {
        return Ok(true);
    }
    let ids: Vec<Uuid> = world.events.iter().map(|events| uuid(events.run)).collect();
    let first: Vec<i32> =
        world.events.iter().map(|events| i32::try_from(events.first.0).unwrap_or(i32::MAX)).collect();
    let texts: Vec<&str> = world.events.iter().map(|events| events.json).collect();
    let sql = "INSERT INTO pinrail.run_events (run, seq, events) \
               SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[]) ON CONFLICT DO NOTHING";
    let params: [Param<'_>; 3] =
        [(&ids, Type::UUID_ARRAY), (&first, Type::INT4_ARRAY), (&texts, Type::TEXT_ARRAY)];
    Ok(db.execute(sql, &params).await? == world.events.len() as u64)
}

/// Writes bindings: those that were stored are locked, and of the others nobody else may write one at the same moment.
async fn bind(db: &Session, world: &World<'_>) -> Result<(), Failure> {
    let written: Vec<_> = world.sessions.iter().filter(|(_, bound)| bound.written.is_some()).collect();
    if written.is_empty() {
        return Ok(());
    }
    let row = db.row("SELECT pg_catalog.nextval('pinrail.sessions_written')", &[]).await?;
    let base: i64 = column(&row, 0, "the bindings' order")?;
    let place = |bound: &Bound| base.saturating_mul(BINDINGS_MAX).saturating_add(bound.written.unwrap_or(0));
    for is_stored in [true, false] {
        let some: Vec<_> = written.iter().filter(|(_, bound)| bound.is_stored == is_stored).collect();
        if some.is_empty() {
            continue;
        }
        let sessions: Vec<&str> = some.iter().map(|(key, _)| key.session.as_str()).collect();
        let agents: Vec<&str> = some.iter().map(|(key, _)| key.agent.as_str()).collect();
        let tenants: Vec<&str> = some.iter().map(|(key, _)| key.tenant.as_str()).collect();
        let deployments: Vec<i64> =
            some.iter().map(|(_, bound)| bound.to.map_or(0, |to| integer(to.0))).collect();
        let places: Vec<i64> = some.iter().map(|(_, bound)| place(bound)).collect();
        let params: [Param<'_>; 5] = [
            (&sessions, Type::TEXT_ARRAY),
            (&agents, Type::TEXT_ARRAY),
            (&tenants, Type::TEXT_ARRAY),
            (&deployments, Type::INT8_ARRAY),
            (&places, Type::INT8_ARRAY),
        ];
        let sql = if is_stored {
            "UPDATE pinrail.sessions s SET deployment = n.deployment, written = n.written \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) \
             AS n (session, agent, tenant, deployment, written) \
             WHERE s.session = n.session AND s.agent = n.agent AND s.tenant = n.tenant"
        } else {
            "INSERT INTO pinrail.sessions (session, agent, tenant, deployment, written) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) \
             ON CONFLICT DO NOTHING"
        };
        if db.execute(sql, &params).await? < some.len() as u64 {
            return Err(Failure::overtaken("a session was bound at the same moment"));
        }
    }
    Ok(())
}

async fn keep_answers(db: &Session, world: &World<'_>) -> Result<(), Failure> {
    if world.answers.is_empty() {
        return Ok(());
    }
    let answers = || world.answers.values();
    let keys: Vec<&str> = answers().map(|answer| answer.key.key.as_str()).collect();
    let callers: Vec<&str> = answers().map(|answer| answer.key.caller.as_str()).collect();
    let requests: Vec<&[u8]> = answers().map(|answer| &answer.request.as_bytes()[..]).collect();
    let status: Vec<i32> = answers().map(|answer| i32::from(answer.status)).collect();
    let bodies: Vec<&str> = answers().map(|answer| answer.body.as_str()).collect();
    let times: Vec<i64> = answers().map(|answer| integer(answer.at.0)).collect();
    let sql = "INSERT INTO pinrail.answers (key, caller, request, status, body, at) SELECT * FROM \
               unnest($1::text[], $2::text[], $3::bytea[], $4::int[], $5::text[], $6::bigint[]) ON CONFLICT DO NOTHING";
    let params: [Param<'_>; 6] = [
        (&keys, Type::TEXT_ARRAY),
        (&callers, Type::TEXT_ARRAY),
        (&requests, Type::BYTEA_ARRAY),
        (&status, Type::INT4_ARRAY),
        (&bodies, Type::TEXT_ARRAY),
        (&times, Type::INT8_ARRAY),
    ];
    if db.execute(sql, &params).await? < keys.len() as u64 {
        return Err(Failure::overtaken("another request used an idempotency key at the same moment"));
    }
    Ok(())
}

/// Writes down for other replicas which runs changed.
async fn note_writes(db: &Session, world: &World<'_>, replica: i64) -> Result<(), Failure> {
    if replica == 0 {
        return Ok(());
    }
    let changed = world.runs.iter().filter(|(_, known)| known.changed);
    let runs: Vec<Uuid> = changed.map(|(run, _)| uuid(*run)).collect();
    let sql = "INSERT INTO pinrail.run_writes (replica, batch, runs) \
               SELECT $1, coalesce(max(batch), 0) + 1, $2 FROM pinrail.run_writes WHERE replica = $1";
    db.execute(sql, &[(&replica, Type::INT8), (&runs, Type::UUID_ARRAY)]).await?;
    Ok(())
}

type Columns = (Vec<i16>, Vec<Option<i16>>, Vec<String>);

fn columns_of<'s>(summaries: impl Iterator<Item = &'s Summary>) -> Columns {
    let mut columns = Columns::default();
    for summary in summaries {
        columns.0.push(status_number(summary.status));
        columns.1.push(summary.outcome.map(outcome_number));
        columns.2.push(to_json(summary));
    }
    columns
}

/// Stored: never renumber.
pub(super) fn status_number(status: RunStatus) -> i16 {
    match status {
        RunStatus::Queued => 0,
        RunStatus::Running => 1,
        RunStatus::Paused => 2,
        RunStatus::Parked => 3,
        RunStatus::Finished => 4,
    }
}

/// Stored: never renumber.
pub(crate) fn outcome_number(outcome: Outcome) -> i16 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Error => 1,
        Outcome::Cancelled => 2,
    }
}

//! Runs, their events, their counts and the bindings of sessions.

use std::fmt::Display;

use pinrail_domain::id::{DeploymentId, EventSeq, RunId, TenantId};
use pinrail_domain::journal::{Event, Recorded, RunStatus, Stamp};
use pinrail_domain::time::Timestamp;
use pinrail_store::ReplicaId;
use pinrail_store::journal::{OpenRuns, Run, RunFilter, SessionKey};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::PLACES_PER_RUN;
use crate::failure::{Failure, integer, limit as sql_limit};

pub(super) fn run(db: &Connection, id: RunId) -> Result<Option<Run>, Failure> {
    let mut select = db.prepare_cached("SELECT id, stamp, summary FROM runs WHERE id = ?1")?;
    let mut rows = select.query([id.0.to_be_bytes()])?;
    rows.next()?.map(run_of).transpose()
}

pub(super) fn events(
    db: &Connection,
    run: RunId,
    from: EventSeq,
    limit: usize,
) -> Result<Vec<Recorded>, Failure> {
    let mut events = Vec::new();
    let mut select = db.prepare_cached("SELECT number, stamp, queued, started_at FROM runs WHERE id = ?1")?;
    let mut rows = select.query([run.0.to_be_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(events) };
    let first = row.get::<_, i64>(0)? * PLACES_PER_RUN;
    if from.0 == 0 && limit > 0 {
        let stamp = parse(row, 1, run)?;
        let at = Timestamp(row.get::<_, i64>(3)?.unsigned_abs());
        let event = Event::Plan { stamp: Box::new(stamp), queued: row.get(2)? };
        events.push(Recorded { seq: EventSeq(0), at, event });
    }
    // The write that holds `from` began at or before it.
    let mut select = db.prepare_cached(
        "SELECT place, events FROM run_events WHERE place < ?3 AND place >= \
         ifnull((SELECT max(place) FROM run_events WHERE place BETWEEN ?1 AND ?2), ?1) ORDER BY place",
    )?;
    let last_first = first + integer(from.0).min(PLACES_PER_RUN - 1);
    let mut rows = select.query((first, last_first, first + PLACES_PER_RUN))?;
    while events.len() < limit
        && let Some(row) = rows.next()?
    {
        let place = (row.get::<_, i64>(0)? - first).unsigned_abs();
        let write: Vec<(Timestamp, Event)> = parse(row, 1, format_args!("{run}, event {place}"))?;
        let recorded = (place..).map(EventSeq).zip(write);
        let wanted = recorded.filter(|(seq, _)| *seq >= from).take(limit - events.len());
        events.extend(wanted.map(|(seq, (at, event))| Recorded { seq, at, event }));
    }
    Ok(events)
}

pub(super) fn list(
    db: &Connection,
    filter: &RunFilter,
    before: Option<RunId>,
    limit: usize,
) -> Result<Vec<Run>, Failure> {
    let (sql, mut values) = list_query(filter, before);
    values.push(Value::Integer(sql_limit(limit)));
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(run_of(row)?);
    }
    Ok(runs)
}

pub(super) fn open(db: &Connection, deployment: DeploymentId) -> Result<OpenRuns, Failure> {
    let mut select = db.prepare_cached(
        "SELECT status, count(*) FROM runs INDEXED BY runs_open WHERE status <> 4 AND deployment = ?1 \
         GROUP BY status",
    )?;
    let mut rows = select.query([integer(deployment.0)])?;
    let mut open = OpenRuns::default();
    while let Some(row) = rows.next()? {
        let (number, count): (i64, i64) = (row.get(0)?, row.get(1)?);
        let status = RunStatus::ALL.into_iter().find(|status| *status as i64 == number);
        let status = status.ok_or_else(|| Failure::damaged("a run's status", number))?;
        open.add(status, count.unsigned_abs());
    }
    Ok(open)
}

pub(super) fn open_total(db: &Connection) -> Result<u64, Failure> {
    let sql = "SELECT count(*) FROM runs INDEXED BY runs_open WHERE status <> 4";
    Ok(db.prepare_cached(sql)?.query_row((), |row| row.get::<_, i64>(0))?.unsigned_abs())
}

pub(super) fn binding(db: &Connection, key: &SessionKey) -> Result<Option<DeploymentId>, Failure> {
    let sql = "SELECT deployment FROM sessions WHERE session = ?1 AND agent = ?2 AND tenant = ?3";
    let SessionKey { agent, tenant, session } = key;
    let mut select = db.prepare_cached(sql)?;
    let values = (session.as_str(), agent.as_str(), tenant.as_str());
    let deployment = select.query_row(values, |row| row.get::<_, i64>(0)).optional()?;
    Ok(deployment.map(|id| DeploymentId(id.unsigned_abs())))
}

pub(super) fn bindings(db: &Connection, limit: usize) -> Result<Vec<(SessionKey, DeploymentId)>, Failure> {
    let sql = "SELECT agent, tenant, session, deployment FROM sessions ORDER BY written DESC LIMIT ?1";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([sql_limit(limit)])?;
    let mut bindings = Vec::new();
    while let Some(row) = rows.next()? {
        let key = SessionKey { agent: name(row, 0)?, tenant: name(row, 1)?, session: name(row, 2)? };
        bindings.push((key, DeploymentId(row.get::<_, i64>(3)?.unsigned_abs())));
    }
    Ok(bindings)
}

/// The filter as SQL, with a value for every `?` but the last, which is the limit.
///
/// Walks runs newest first along the index of the agent, the deployment, the session or the one tenant; open runs are few
/// (their number has a limit) and are sorted. Everything else is looked at run by run.
pub(super) fn list_query(filter: &RunFilter, before: Option<RunId>) -> (String, Vec<Value>) {
    let RunFilter {
        agent,
        release,
        deployment,
        status,
        outcome,
        session,
        tenants,
        single,
        shadow,
        gate,
        replica,
        since,
        until,
    } = filter;
    let text = |text: &str| Value::Text(text.to_owned());
    let number = |number: u64| Value::Integer(integer(number));
    let simple = [
        ("agent = ?", agent.as_ref().map(|agent| text(agent.as_str()))),
        ("release = ?", release.map(|release| Value::Blob(release.0.as_bytes().to_vec()))),
        ("deployment = ?", deployment.map(|deployment| number(deployment.0))),
        ("status = ?", status.map(|status| Value::Integer(status as i64))),
        ("summary ->> '$.outcome' = ?", outcome.map(|outcome| text(outcome.word()))),
        ("session = ?", session.as_ref().map(|session| text(session.as_str()))),
        ("single = ?", single.map(|single| Value::Integer(i64::from(single)))),
        ("started_at >= ?", since.map(|since| number(since.0))),
        ("started_at < ?", until.map(|until| number(until.0))),
        ("id < ?", before.map(|before| Value::Blob(before.0.to_be_bytes().to_vec()))),
    ];
    let mut sql = "SELECT id, stamp, summary, number FROM runs".to_owned();
    sql.push_str(match status {
        Some(status) if status.is_open() => " INDEXED BY runs_open WHERE status <> 4",
        Some(_) | None => " WHERE TRUE",
    });
    let mut values = Vec::new();
    for (condition, value) in simple {
        if let Some(value) = value {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push(value);
        }
    }
    sql.push_str(match shadow {
        Some(true) => " AND shadow IS NOT NULL",
        Some(false) => " AND shadow IS NULL",
        None => "",
    });
    sql.push_str(match gate {
        Some(true) => " AND deployment = 0",
        Some(false) => " AND deployment <> 0",
        None => "",
    });
    // All runs are this one process's.
    if replica.is_some_and(|replica| replica != ReplicaId::default()) {
        sql.push_str(" AND FALSE");
    }
    if let Some([tenant]) = tenants.as_deref()
        && *tenant != TenantId::shared()
    {
        // The index leaves the shared tenant out, and SQLite must see that this is another.
        sql.push_str(" AND tenant <> 'default' AND tenant = ?");
        values.push(text(tenant.as_str()));
    } else if let Some(tenants) = tenants {
        // One parameter for any number of tenants, so that the statement stays the same (I11).
        sql.push_str(" AND tenant IN (SELECT value FROM json_each(?))");
        let names: Vec<&str> = tenants.iter().map(|tenant| tenant.as_str()).collect();
        values.push(Value::Text(serde_json::to_string(&names).expect("names are plain text")));
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    (sql, values)
}

pub(super) fn run_of(row: &Row<'_>) -> Result<Run, Failure> {
    let id = RunId(u128::from_be_bytes(row.get(0)?));
    let stamp: Stamp = parse(row, 1, id)?;
    Ok(Run { stamp, summary: parse(row, 2, id)? })
}

/// Reads a column of JSON; `what` names it when it can't be read.
pub(super) fn parse<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
    what: impl Display,
) -> Result<T, Failure> {
    let value = row.get_ref(column)?;
    let json = value.as_bytes().map_err(|why| Failure::damaged(&what, why))?;
    serde_json::from_slice(json).map_err(|why| Failure::damaged(&what, why))
}

fn name<T: std::str::FromStr<Err: Display>>(row: &Row<'_>, column: usize) -> Result<T, Failure> {
    let text: String = row.get(column)?;
    text.parse().map_err(|why| Failure::damaged("a session's binding", why))
}

#[cfg(test)]
mod tests;

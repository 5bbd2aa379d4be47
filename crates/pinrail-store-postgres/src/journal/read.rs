//! Runs, their events, their counts and the bindings of sessions.

use std::fmt::Display;

use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::{Event, Recorded, RunStatus, Stamp};
use pinrail_domain::time::Timestamp;
use pinrail_store::journal::{OpenRuns, Run, SessionKey};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::put::status_number;
use super::{run_id, uuid};
use crate::Postgres;
use crate::db::{Lane, Param};
use crate::failure::{Failure, column, integer, json, limit as sql_limit, number};

/// Runs asked for with one statement.
pub(super) const RUNS_AT_ONCE: usize = 500;

impl Postgres {
    pub(super) async fn read_runs(&self, runs: &[RunId]) -> Result<Vec<Run>, Failure> {
        let (Some(first), Some(last)) = (runs.iter().min(), runs.iter().max()) else { return Ok(Vec::new()) };
        let ids: Vec<Uuid> = runs.iter().copied().map(uuid).collect();
        // The bounds let whole partitions be passed over.
        let sql = "SELECT id, stamp, summary FROM pinrail.runs WHERE id = ANY($1) AND id >= $2 AND id <= $3";
        let params: [Param<'_>; 3] =
            [(&ids, Type::UUID_ARRAY), (&uuid(*first), Type::UUID), (&uuid(*last), Type::UUID)];
        self.rows(Lane::Quick, sql, &params).await?.iter().map(run_of).collect()
    }

    pub(super) async fn read_events(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> Result<Vec<Recorded>, Failure> {
        let mut events = Vec::new();
        if limit == 0 {
            return Ok(events);
        }
        let id = uuid(run);
        if from.0 == 0 {
            let sql = "SELECT stamp, queued, started_at FROM pinrail.runs WHERE id = $1";
            let row = self.maybe(Lane::Work, sql, &[(&id, Type::UUID)]).await?;
            let Some(row) = row else { return Ok(events) };
            let event = Event::Plan { stamp: Box::new(json(&row, 0, run)?), queued: column(&row, 1, run)? };
            events.push(Recorded { seq: EventSeq(0), at: Timestamp(number(&row, 2, run)?), event });
        }
        // The write that holds `from` began at or before it.
        let sql = "SELECT seq, events FROM pinrail.run_events WHERE run = $1 AND seq >= coalesce((SELECT max(seq) \
                   FROM pinrail.run_events WHERE run = $1 AND seq <= $2), 0) ORDER BY seq LIMIT $3";
        let from_place = i32::try_from(from.0).unwrap_or(i32::MAX);
        let params: [Param<'_>; 3] =
            [(&id, Type::UUID), (&from_place, Type::INT4), (&sql_limit(limit), Type::INT8)];
        for row in self.rows(Lane::Work, sql, &params).await? {
            let place: i32 = column(&row, 0, run)?;
            let place = u64::from(place.unsigned_abs());
            let write: Vec<(Timestamp, Event)> = json(&row, 1, format_args!("{run}, event {place}"))?;
            let recorded = (place..).map(EventSeq).zip(write);
            let wanted = recorded.filter(|(seq, _)| *seq >= from).take(limit - events.len());
            events.extend(wanted.map(|(seq, (at, event))| Recorded { seq, at, event }));
        }
        Ok(events)
    }

    pub(super) async fn count_open(&self, deployment: DeploymentId) -> Result<OpenRuns, Failure> {
        let sql =
            "SELECT status, count(*) FROM pinrail.runs WHERE status <> 4 AND deployment = $1 GROUP BY status";
        let mut open = OpenRuns::default();
        for row in self.rows(Lane::Work, sql, &[(&integer(deployment.0), Type::INT8)]).await? {
            let found: i16 = column(&row, 0, "a run's status")?;
            let status = RunStatus::ALL.into_iter().find(|status| status_number(*status) == found);
            let status = status.ok_or_else(|| Failure::damaged("a run's status", found))?;
            open.add(status, number(&row, 1, "a count")?);
        }
        Ok(open)
    }

    pub(super) async fn count_all_open(&self) -> Result<u64, Failure> {
        let sql = "SELECT count(*) FROM pinrail.runs WHERE status <> 4";
        let row = self.maybe(Lane::Work, sql, &[]).await?;
        row.map_or(Ok(0), |row| number(&row, 0, "a count"))
    }

    pub(super) async fn read_binding(&self, key: &SessionKey) -> Result<Option<DeploymentId>, Failure> {
        let SessionKey { agent, tenant, session } = key;
        let sql = "SELECT deployment FROM pinrail.sessions WHERE session = $1 AND agent = $2 AND tenant = $3";
        let params: [Param<'_>; 3] =
            [(&session.as_str(), Type::TEXT), (&agent.as_str(), Type::TEXT), (&tenant.as_str(), Type::TEXT)];
        let row = self.maybe(Lane::Quick, sql, &params).await?;
        row.map(|row| Ok(DeploymentId(number(&row, 0, "a session's binding")?))).transpose()
    }

    pub(super) async fn read_bindings(
        &self,
        limit: usize,
    ) -> Result<Vec<(SessionKey, DeploymentId)>, Failure> {
        let sql =
            "SELECT agent, tenant, session, deployment FROM pinrail.sessions ORDER BY written DESC LIMIT $1";
        let rows = self.rows(Lane::Work, sql, &[(&sql_limit(limit), Type::INT8)]).await?;
        let binding = |row: &Row| {
            let key = SessionKey { agent: name(row, 0)?, tenant: name(row, 1)?, session: name(row, 2)? };
            Ok((key, DeploymentId(number(row, 3, "a session's binding")?)))
        };
        rows.iter().map(binding).collect()
    }
}

/// Reads a run from the columns `id, stamp, summary`.
pub(super) fn run_of(row: &Row) -> Result<Run, Failure> {
    let id = run_id(column(row, 0, "a run's id")?);
    let stamp: Stamp = json(row, 1, id)?;
    Ok(Run { stamp, summary: json(row, 2, id)? })
}

fn name<T: std::str::FromStr<Err: Display>>(row: &Row, place: usize) -> Result<T, Failure> {
    let text: &str = column(row, place, "a session's binding")?;
    text.parse().map_err(|why| Failure::damaged("a session's binding", why))
}

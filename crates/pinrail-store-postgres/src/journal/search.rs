//! Looking through what runs say.
//!
//! Runs are listed newest first, a page at a time, and read with what they say until the search's reach ends. A search costs who asks:
//! it takes the lane of lists, a connection at a time.

use std::collections::HashMap;

use pinrail_domain::id::RunId;
use pinrail_domain::journal::Event;
use pinrail_domain::time::Timestamp;
use pinrail_store::journal::{Found, Run, Search};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{run_id, uuid};
use crate::Postgres;
use crate::db::{Lane, Param};
use crate::failure::{Failure, column, json, natural};

/// Runs that are read together: with the reach of one run's bytes this bounds what is held.
const PAGE: u64 = 16;

/// What is read of a run's journal: what it says, in order, and the bytes of it.
#[derive(Default)]
struct Said {
    writes: Vec<Vec<(Timestamp, Event)>>,
    bytes: u64,
    /// More was said after what was read.
    in_part: bool,
}

impl Postgres {
    pub(super) async fn search_runs(
        &self,
        search: &Search,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Found, Failure> {
        let runs_max = search.reach.runs_max.max(1);
        let mut found = Found::default();
        let (mut bytes, mut before) = (0_u64, before);
        loop {
            // One more than are looked at tells whether there are more.
            let page = PAGE.min((runs_max - found.looked_at).saturating_add(1));
            let page = usize::try_from(page).expect("a page is small");
            let runs = self.list_runs(&search.filter, before, page).await?;
            let Some(last) = runs.last() else { return Ok(found) };
            before = Some(last.stamp.run);
            let is_last = runs.len() < page;
            let mut said = self.read_said(&runs, search.reach.run_bytes_max).await?;
            for run in runs {
                let far = found.looked_at >= runs_max || bytes >= search.reach.bytes_max;
                if found.runs.len() >= limit || (far && found.looked_at > 0) {
                    found.more = true;
                    return Ok(found);
                }
                found.looked_at += 1;
                found.last = Some((run.stamp.run, run.summary.started_at));
                let said = said.remove(&run.stamp.run).unwrap_or_default();
                let in_event =
                    || said.writes.iter().flatten().any(|(_, event)| search.text.is_in_event(event));
                if search.text.is_in_stamp(&run.stamp) {
                    found.runs.push(run);
                    continue;
                }
                bytes += said.bytes;
                if in_event() {
                    found.runs.push(run);
                } else if said.in_part {
                    found.in_part += 1;
                }
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    /// What each of the runs says, up to so many bytes of it.
    async fn read_said(&self, runs: &[Run], bytes_max: u64) -> Result<HashMap<RunId, Said>, Failure> {
        let ids: Vec<Uuid> = runs.iter().map(|run| uuid(run.stamp.run)).collect();
        let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else {
            return Ok(HashMap::new());
        };
        let sql = "SELECT run, events, bytes, n < of FROM (SELECT run, seq, events, octet_length(events)::bigint AS bytes, \
                   sum(octet_length(events)) OVER (PARTITION BY run ORDER BY seq) - octet_length(events) AS before, \
                   row_number() OVER (PARTITION BY run ORDER BY seq) AS n, count(*) OVER (PARTITION BY run) AS of \
                   FROM pinrail.run_events WHERE run = ANY($1) AND run >= $2 AND run <= $3) e \
                   WHERE before <= $4 ORDER BY run, seq";
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        let params: [Param<'_>; 4] =
            [(&ids, Type::UUID_ARRAY), (first, Type::UUID), (last, Type::UUID), (&bytes_max, Type::INT8)];
        let mut all: HashMap<RunId, Said> = HashMap::new();
        for row in self.rows(Lane::Work, sql, &params).await? {
            let run = run_id(column(&row, 0, "a run's id")?);
            let said = all.entry(run).or_default();
            said.writes.push(json(&row, 1, run)?);
            said.bytes += natural(column(&row, 2, run)?);
            // Of the last row that was read.
            said.in_part = column(&row, 3, run)?;
        }
        Ok(all)
    }
}

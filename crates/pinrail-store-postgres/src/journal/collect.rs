//! Retention: the runs of a day and their journals, dropped for good.
//!
//! A function of the schema drops the day's partitions, which takes milliseconds however many runs there are, and alone has the right to:
//! it asks the ledger first. What it may wait for a table is short, since everybody else waits behind it, so it is asked again.

use std::time::Duration;

use pinrail_domain::id::RunId;
use pinrail_domain::journal::collect::{FIRST_DAY, RunDay, day_of};
use pinrail_domain::time::Day;
use pinrail_store::journal::CollectError;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{run_id, uuid};
use crate::Postgres;
use crate::db::{Lane, Param, repeat};
use crate::failure::{Failure, column, number};

/// How often a day that somebody reads is asked for again, and how long others have between: whoever queued up has gone on by then.
const TRIES_MAX: u32 = 50;
const PAUSE: Duration = Duration::from_millis(500);

impl Postgres {
    /// The days that have runs, until before `until`.
    pub(super) async fn read_days(&self, until: Day) -> Result<Vec<RunDay>, Failure> {
        let mut found = Vec::new();
        let mut from = FIRST_DAY;
        while let Some(day) = self.first_day(from, until).await? {
            let sql = "SELECT count(*), count(*) FILTER (WHERE status <> 4) FROM pinrail.runs WHERE id >= $1 AND id < $2";
            let (first, beyond) = (first_id(day), first_id(day.next()));
            let params: [Param<'_>; 2] = [(&first, Type::UUID), (&beyond, Type::UUID)];
            let row = self.maybe(Lane::Work, sql, &params).await?;
            let row = row.ok_or_else(|| Failure::damaged(day, "it can't be counted"))?;
            found.push(RunDay { day, runs: number(&row, 0, day)?, open: number(&row, 1, day)? });
            from = day.next();
        }
        Ok(found)
    }

    /// The first day that has runs.
    async fn first_day(&self, from: Day, until: Day) -> Result<Option<Day>, Failure> {
        let sql = "SELECT id FROM pinrail.runs WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 1";
        let (first, beyond) = (first_id(from), first_id(until));
        let params: [Param<'_>; 2] = [(&first, Type::UUID), (&beyond, Type::UUID)];
        let Some(row) = self.maybe(Lane::Work, sql, &params).await? else { return Ok(None) };
        Ok(Some(day_of(run_id(column(&row, 0, "a run")?))))
    }

    /// Drops the runs of a day.
    pub(super) async fn collect_day(&self, day: Day) -> Result<u64, CollectError> {
        let mut gone = 0;
        loop {
            match self.collect_some(day).await.map_err(|failure| failure.error)? {
                0 => return Ok(gone),
                -1 => return Err(CollectError::NotEntered(day)),
                -2 => return Err(CollectError::Open { day, open: self.count_open_of(day).await? }),
                some => gone += some.unsigned_abs(),
            }
        }
    }

    async fn collect_some(&self, day: Day) -> Result<i64, Failure> {
        let number = i32::try_from(day.0).unwrap_or(i32::MAX);
        let mut tries = 1;
        loop {
            let collected = repeat(|| async {
                let tx = self.begin(Lane::Work).await?;
                let sql = "SELECT pinrail.runs_collect($1)";
                let row = tx.row(sql, &[(&number, Type::INT4)]).await?;
                let gone: i64 = column(&row, 0, day)?;
                tx.commit().await?;
                Ok(gone)
            });
            match collected.await {
                Err(failure) if failure.waited_in_vain() && tries < TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                result => return result,
            }
        }
    }

    async fn count_open_of(&self, day: Day) -> Result<u64, CollectError> {
        let days = self.read_days(day.next()).await.map_err(|failure| failure.error)?;
        Ok(days.iter().filter(|of| of.day == day).map(|of| of.open).sum())
    }
}

/// The first id of a day.
fn first_id(day: Day) -> Uuid {
    uuid(RunId::from_parts(day.begins().0, 0))
}

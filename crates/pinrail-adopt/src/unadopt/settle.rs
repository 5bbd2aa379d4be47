//! Settling: the keys that the ground alone wrote get their last version into the table and lose their history, while the application goes on.
//!
//! Nothing can take the ground's writes back, so it doesn't matter if this stops in between; readers see the same before and after. Writers wait
//! for one batch at a time, which is as large as [`HELD`] lets it be. A pass settles what there is when it begins, and what is written
//! meanwhile is for the next one, until so little is left that the last step may have it.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{Back, Unadopted};
use crate::error::Error;
use crate::moment;
use crate::trigger::Eyes;

/// What writers may wait for a batch. With an HNSW index a key costs one or two ms.
const HELD: Duration = Duration::from_millis(100);
/// How many keys the first batch has, before anything is known of what one costs, and the least: a batch has a cost of its own.
const FIRST: i64 = 20;
/// How many times larger than the last one a batch may be.
const GROWTH: i64 = 4;

/// What a pass settles.
struct Pass {
    /// How many keys there are.
    found: i64,
    /// Writers have all the time between two batches that a batch took, or else only what they need to get one statement in each.
    presses: bool,
}

impl Back<'_> {
    /// Settles what there is, with at most so many keys at a time; `each` hears how far a pass is.
    pub(super) async fn settle_ground(
        &self,
        client: &mut Client,
        most: i64,
        done: &mut Unadopted,
        each: &mut impl FnMut(u64, u64),
    ) -> Result<(), Error> {
        let failed = |error| Error::sql("settle rows", error);
        let mut size = FIRST.min(most);
        let mut last: Option<Pass> = None;
        // Without knowing how few there are, each statement might read whole tables.
        let (keys, written, ends) = (self.places.keys(), self.places.written(), self.places.ends());
        let look = format!("ANALYZE {keys}, {written}, {ends}");
        loop {
            client.batch_execute(&look).await.map_err(failed)?;
            self.remove_dead(client, done).await?;
            let found = self.find(client).await.map_err(failed)?;
            let is_enough = last.as_ref().is_some_and(|last| {
                // Writers may be quicker whatever is done.
                found <= size || (last.presses && found >= last.found)
            });
            if found == 0 || is_enough {
                break;
            }
            let pass = Pass { found, presses: last.is_some_and(|last| found > last.found / 2) };
            if !self.pass(client, &pass, (&mut size, most), done, each).await? {
                break;
            }
            last = Some(pass);
        }
        client.batch_execute("DROP TABLE pg_temp.pinrail_todo").await.map_err(failed)
    }

    /// Whether it was settled whole: where the rest has values that a row has which a deployment deleted, it is for the last step.
    async fn pass(
        &self,
        client: &mut Client,
        pass: &Pass,
        (size, most): (&mut i64, i64),
        done: &mut Unadopted,
        each: &mut impl FnMut(u64, u64),
    ) -> Result<bool, Error> {
        let (mut at, mut tries, mut cleared) = (0, 0, false);
        while at < pass.found {
            match self.settle_some(client, (at, at + *size), done).await {
                Ok(held) => {
                    at = pass.found.min(at + *size);
                    each(at.unsigned_abs(), pass.found.unsigned_abs());
                    *size = next_size(*size, held, most);
                    (tries, cleared) = (0, false);
                    if !pass.presses {
                        tokio::time::sleep(held).await;
                    }
                }
                Err(error) if moment::is_busy(&error) && tries < moment::TRIES => {
                    tries += 1;
                    moment::pause().await;
                }
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                    // Of a row that the ground replaced meanwhile, or else of one that a deployment deleted.
                    if cleared {
                        return Ok(false);
                    }
                    self.remove_dead(client, done).await?;
                    cleared = true;
                }
                Err(error) => return Err(Error::sql("settle rows", error)),
            }
        }
        Ok(true)
    }

    /// Looks which keys the ground alone wrote. Nobody waits for it, so each is looked at again when it is settled.
    async fn find(&self, client: &Client) -> Result<i64, tokio_postgres::Error> {
        let Back { primary, places, .. } = self;
        let (written, ends, key) = (places.written(), places.ends(), primary.list(""));
        let sql = format!(
            "DROP TABLE IF EXISTS pg_temp.pinrail_todo;
             CREATE TEMP TABLE pinrail_todo AS SELECT {key}, row_number() OVER () AS pinrail_n FROM (SELECT DISTINCT {key} FROM (
                SELECT {key} FROM {written} WHERE pinrail_deployment = 0 UNION ALL SELECT {key} FROM {ends} WHERE pinrail_deployment = 0) a
             ) k WHERE {};
             ALTER TABLE pinrail_todo ADD PRIMARY KEY (pinrail_n); ANALYZE pinrail_todo",
            self.of_the_ground("k")
        );
        client.batch_execute(&sql).await?;
        Ok(client.query_one("SELECT count(*) FROM pg_temp.pinrail_todo", &[]).await?.get(0))
    }

    /// Whether no deployment wrote anything under the key of a row.
    fn of_the_ground(&self, row: &str) -> String {
        let Back { primary, places, .. } = self;
        format!(
            "NOT EXISTS (SELECT FROM {} t WHERE {} AND t.pinrail_deployment <> 0)
             AND NOT EXISTS (SELECT FROM {} e WHERE {} AND e.pinrail_deployment <> 0)",
            places.written(),
            primary.equal("t", row),
            places.ends(),
            primary.equal("e", row)
        )
    }

    /// Removes the table's rows that the ground replaced or deleted: others may have their values by now. Nobody sees them, so nobody waits.
    async fn remove_dead(&self, client: &mut Client, done: &mut Unadopted) -> Result<(), Error> {
        let Back { primary, places, .. } = self;
        let sql = format!(
            "DELETE FROM ONLY {} t USING {} e WHERE {} AND e.pinrail_version = t.pinrail_version AND e.pinrail_deployment = 0",
            places.ground(),
            places.ends(),
            primary.equal("e", "t")
        );
        for _ in 0..moment::TRIES {
            match moment::within(client, &sql).await {
                Ok(removed) => {
                    done.removed += removed;
                    return Ok(());
                }
                Err(error) if moment::is_busy(&error) => moment::pause().await,
                Err(error) => return Err(Error::sql("remove replaced rows", error)),
            }
        }
        Err(Error::Busy { table: done.table.clone(), tries: moment::TRIES, wait_ms: moment::WAIT_MS })
    }

    /// Settles the keys of a stretch, and gives how long writers were kept away.
    async fn settle_some(
        &self,
        client: &mut Client,
        (from, to): (i64, i64),
        done: &mut Unadopted,
    ) -> Result<Duration, tokio_postgres::Error> {
        let transaction = client.transaction().await?;
        self.alone(&transaction).await?;
        let began = Instant::now();
        let Back { primary, places, names, .. } = self;
        let (ground, written, ends) = (places.ground(), places.written(), places.ends());
        let key = primary.list("");
        let batch = format!(
            "CREATE TEMP TABLE pinrail_batch ON COMMIT DROP AS
             SELECT {key} FROM pg_temp.pinrail_todo k WHERE pinrail_n > {from} AND pinrail_n <= {to} AND {};
             ANALYZE pinrail_batch",
            self.of_the_ground("k"),
        );
        transaction.batch_execute(&batch).await?;
        let dead = format!(
            "DELETE FROM ONLY {ground} t USING pinrail_batch k, {ends} e WHERE {} AND {}
             AND e.pinrail_version = t.pinrail_version AND e.pinrail_deployment = 0",
            primary.equal("t", "k"),
            primary.equal("e", "k")
        );
        let removed = transaction.execute(&dead, &[]).await?;
        let put = format!(
            "INSERT INTO {ground} ({names}, pinrail_ledger) OVERRIDING SYSTEM VALUE SELECT {}, t.pinrail_ledger FROM {written} t JOIN pinrail_batch k ON {} \
             WHERE {}",
            self.written_columns("t.").join(", "),
            primary.equal("t", "k"),
            self.visible(&Eyes::default()),
        );
        transaction.execute(&put, &[]).await?;
        for from in [&written, &ends, &places.keys()] {
            let clear =
                format!("DELETE FROM {from} t USING pinrail_batch k WHERE {}", primary.equal("t", "k"));
            transaction.execute(&clear, &[]).await?;
        }
        let settled: i64 = transaction.query_one("SELECT count(*) FROM pinrail_batch", &[]).await?.get(0);
        transaction.commit().await?;
        done.removed += removed;
        done.settled += settled.unsigned_abs();
        Ok(began.elapsed())
    }
}

/// How many keys the next batch has, after one of `size` kept writers away for so long.
fn next_size(size: i64, held: Duration, most: i64) -> i64 {
    let us = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX).max(1);
    let fits = size.saturating_mul(us(HELD)) / us(held);
    fits.min(size.saturating_mul(GROWTH)).max(FIRST).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_become_as_large_as_writers_may_wait() {
        let ms = Duration::from_millis;
        assert_eq!(next_size(20, ms(50), 2_000), 40);
        assert_eq!(next_size(200, ms(800), 2_000), 25);
        assert_eq!(next_size(20, ms(1), 2_000), 80, "not all at once");
        assert_eq!(next_size(200, ms(60_000), 2_000), FIRST, "never less");
        assert_eq!(next_size(1_900, ms(50), 2_000), 2_000);
        assert_eq!(next_size(2, ms(1), 2), 2, "what was asked for is the most");
        assert_eq!(next_size(20, Duration::ZERO, 2_000), 80);
    }
}

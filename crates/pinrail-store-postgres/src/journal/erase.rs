//! Erasure of what was said in runs.
//!
//! No row of events changes otherwise (I8). The new ones are made here and put in their places by a function of the schema, which alone has
//! the permit: it changes the content and nothing else, and not how many events there are.
//!
//! What holds when an erasure was acknowledged: no SQL reaches the content. What doesn't follow: dead row versions stay in the
//! table's files until VACUUM and reuse, the write-ahead log and its archive have it until they are recycled, and so have backups.

use pinrail_domain::id::RunId;
use pinrail_domain::journal::Event;
use pinrail_domain::time::Timestamp;
use tokio_postgres::types::Type;

use super::uuid;
use super::write::to_json;
use crate::Postgres;
use crate::db::{Lane, Param, repeat};
use crate::failure::{Failure, column, json, number};

/// Rows of events that are replaced in one transaction.
const ERASE_ROWS: i64 = 256;

impl Postgres {
    /// Takes the content out of a run's events; tells whether it had some.
    pub(super) async fn erase_run(&self, run: RunId) -> Result<bool, Failure> {
        let mut had_content = false;
        let mut from = 0_i32;
        loop {
            let sql = "SELECT seq, events FROM pinrail.run_events WHERE run = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
            let params: [Param<'_>; 3] =
                [(&uuid(run), Type::UUID), (&from, Type::INT4), (&ERASE_ROWS, Type::INT8)];
            let rows = self.rows(Lane::Work, sql, &params).await?;
            let Some(last) = rows.last() else { break };
            from = column::<i32>(last, 0, run)?.saturating_add(1);
            let (mut places, mut texts) = (Vec::new(), Vec::new());
            for row in &rows {
                let place: i32 = column(row, 0, run)?;
                let events: Vec<(Timestamp, Event)> = json(row, 1, format_args!("{run}, event {place}"))?;
                let without: Vec<_> =
                    events.iter().map(|(at, event)| (*at, event.clone().without_content())).collect();
                if without != events {
                    places.push(place);
                    texts.push(to_json(&without));
                }
            }
            if !places.is_empty() {
                had_content = true;
                repeat(|| self.replace_events(run, &places, &texts)).await?;
            }
        }
        Ok(had_content)
    }

    async fn replace_events(&self, run: RunId, places: &[i32], texts: &[String]) -> Result<(), Failure> {
        let tx = self.begin(Lane::Work).await?;
        let sql = "SELECT pinrail.run_events_erase($1, $2, $3)";
        let params: [Param<'_>; 3] =
            [(&uuid(run), Type::UUID), (&places, Type::INT4_ARRAY), (&texts, Type::TEXT_ARRAY)];
        let row = tx.row(sql, &params).await?;
        if number(&row, 0, run)? != places.len() as u64 {
            return Err(Failure::damaged(run, "not all of its events could be replaced"));
        }
        tx.commit().await
    }
}

//! Partitions, a day each, made before their first run.
//!
//! Whoever writes a run of a day that it hasn't seen asks for that day's partitions and the next two days'. Where one can't be made,
//! its runs go to the rest, which refuses nothing and is read like the others; only retiring them whole isn't possible then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use pinrail_domain::id::RunId;
use tokio_postgres::types::Type;

use super::ms_of;
use crate::Postgres;
use crate::db::Lane;

const DAY_MS: u64 = 86_400_000;
/// 2020-01-01. Ids of before are nobody's days: they stay in the rest.
const FIRST_DAY: u64 = 18_262;
/// Days made ahead of the newest run.
const AHEAD: u64 = 2;
/// After how many further groups a day that couldn't be made is tried again.
const AGAIN_AFTER: u32 = 1_000;

/// The days that were asked for, and for how many groups one isn't asked for again; zero is for good.
#[derive(Default)]
pub(crate) struct Days(Mutex<BTreeMap<u64, u32>>);

impl Days {
    /// The days to make for runs with these ids.
    fn missing(&self, runs: impl Iterator<Item = RunId>) -> Vec<u64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = Vec::new();
        let mut last = None;
        for run in runs {
            let day = ms_of(run) / DAY_MS;
            if day < FIRST_DAY || last == Some(day) {
                continue;
            }
            last = Some(day);
            for day in day..=day + AHEAD {
                match known.get_mut(&day) {
                    Some(0) => {}
                    Some(1) | None => missing.push(day),
                    Some(wait) => *wait -= 1,
                }
            }
        }
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    fn set(&self, day: u64, made: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(day, if made { 0 } else { AGAIN_AFTER });
    }
}

impl Postgres {
    /// Makes the partitions that runs with these ids belong to. That it fails refuses nobody.
    pub(super) async fn make_days(&self, runs: impl Iterator<Item = RunId>) {
        let days = &self.inner.journal.days;
        for day in days.missing(runs) {
            let number = i32::try_from(day).unwrap_or(i32::MAX);
            let sql = "SELECT pinrail.runs_partition($1)";
            let row = self.maybe(Lane::Journal, sql, &[(&number, Type::INT4)]).await;
            days.set(day, matches!(row, Ok(Some(row)) if row.get(0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_is_asked_for_once_and_a_failure_again_later() {
        let days = Days::default();
        let run = |day: u64| RunId::from_parts(day * DAY_MS + 5, 7);
        assert_eq!(days.missing([run(0), run(10_000)].into_iter()), Vec::<u64>::new());
        assert_eq!(
            days.missing([run(20_000), run(20_001), run(20_000)].into_iter()),
            [20_000, 20_001, 20_002, 20_003]
        );
        days.set(20_000, true);
        days.set(20_001, false);
        days.set(20_002, true);
        for _ in 1..AGAIN_AFTER {
            assert_eq!(days.missing([run(20_000)].into_iter()), Vec::<u64>::new());
        }
        assert_eq!(days.missing([run(20_000)].into_iter()), [20_001]);
    }
}

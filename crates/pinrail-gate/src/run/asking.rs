//! A round of asking: what is missing is asked for, so many at once, until it is there or something ends the round.

use std::sync::Arc;

use pinrail_domain::id::ReleaseId;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::document::Progress;
use super::patience::Pace;
use super::plan::{Ask, Cases, answers, arms, order};
use super::rows::Rows;
use super::talk::{Talk, Told};
use super::{Job, Means, RunFailed};
use crate::verdict::LOST_MAX;

/// A round and what it needs.
pub(super) struct Round<'a> {
    pub job: &'a Arc<Job>,
    pub means: &'a Means,
    pub cases: &'a Cases,
    pub repeats: u32,
    pub told: &'a watch::Sender<Progress>,
}

/// What ended a round before all was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    Stopped,
    Budget,
    /// So many answers of an arm to a suite are lost that its verdict can't be but inconclusive.
    Errors {
        suite: String,
        release: ReleaseId,
        lost: u64,
        planned: u64,
    },
}

/// Since when answers come, to tell how long the rest takes.
struct Meter {
    since: pinrail_domain::time::Ticks,
    asked: u64,
    spent_nano_usd: u64,
}

type Tasks = JoinSet<Option<Told>>;

impl Round<'_> {
    /// Asks for what is missing; says what ended it early.
    pub async fn ask(
        &self,
        rows: &mut Rows,
        stop: &watch::Receiver<bool>,
    ) -> Result<Option<Halt>, RunFailed> {
        let missing: Vec<Ask> =
            order(self.job, self.cases, self.repeats).filter(|ask| !rows.has(&ask.key)).collect();
        let mut left = missing.into_iter();
        let mut meter = Meter { since: self.means.clock.ticks(), asked: 0, spent_nano_usd: 0 };
        let pace = Arc::new(Pace::new(self.job.settings.calls_per_minute));
        let mut tasks = Tasks::new();
        let mut halt = self.halt(rows, is_stopped(stop));
        let mut suite = None;
        loop {
            while halt.is_none()
                && tasks.len() < self.job.settings.concurrency as usize
                && let Some(ask) = left.next()
            {
                suite = Some(self.cases.list[ask.case].suite);
                self.begin(&mut tasks, ask, &pace, stop.clone());
            }
            self.tell(rows, &meter, suite);
            let Some(first) = tasks.join_next().await else { return Ok(halt) };
            let mut done = Vec::new();
            self.gather(&mut done, &mut meter, rows, first)?;
            while let Some(next) = tasks.try_join_next() {
                self.gather(&mut done, &mut meter, rows, next)?;
            }
            rows.keep(self.job, self.means, done).await?;
            halt = halt.or_else(|| self.halt(rows, is_stopped(stop)));
        }
    }

    fn begin(&self, tasks: &mut Tasks, ask: Ask, pace: &Arc<Pace>, stop: watch::Receiver<bool>) {
        let planned = &self.cases.list[ask.case];
        let (suite, place) = (planned.suite, planned.place);
        let (job, means, pace) = (Arc::clone(self.job), self.means.clone(), Arc::clone(pace));
        tasks.spawn(async move {
            let case = &job.held[suite].suite.cases[place];
            Talk { job: &job, means: &means, pace: &pace, ask, case }.run(stop).await
        });
    }

    fn gather(
        &self,
        done: &mut Vec<crate::row::Row>,
        meter: &mut Meter,
        rows: &mut Rows,
        ended: Result<Option<Told>, JoinError>,
    ) -> Result<(), RunFailed> {
        let told = ended.map_err(|error| RunFailed::Broken(panic_text(error)))?;
        if let Some(Told { row, spent_nano_usd }) = told {
            meter.asked += 1;
            meter.spent_nano_usd = meter.spent_nano_usd.saturating_add(spent_nano_usd);
            rows.spent_nano_usd = rows.spent_nano_usd.saturating_add(spent_nano_usd);
            done.push(row);
        }
        Ok(())
    }

    fn halt(&self, rows: &Rows, stopped: bool) -> Option<Halt> {
        if stopped {
            return Some(Halt::Stopped);
        }
        let all_there = rows.all().len() as u64 >= answers(self.job, self.cases, self.repeats);
        if rows.spent_nano_usd >= self.job.settings.budget_nano_usd && !all_there {
            return Some(Halt::Budget);
        }
        if rows.errors + rows.refused == 0 {
            return None;
        }
        arms(self.job).find_map(|release| self.too_many_lost(rows, release))
    }

    fn too_many_lost(&self, rows: &Rows, release: ReleaseId) -> Option<Halt> {
        self.cases.of_suite.iter().zip(&self.job.held).find_map(|(places, held)| {
            let lost: u64 = places.iter().map(|at| rows.lost(release, self.cases.list[*at].digest)).sum();
            let planned = places.len() as u64 * u64::from(self.repeats);
            #[expect(clippy::cast_precision_loss, reason = "counts of answers are far below 2^53")]
            let too_many = lost as f64 > LOST_MAX * planned as f64;
            too_many.then(|| Halt::Errors { suite: held.pin.name.clone(), release, lost, planned })
        })
    }

    fn tell(&self, rows: &Rows, meter: &Meter, suite: Option<usize>) {
        let total = answers(self.job, self.cases, self.repeats);
        let done = (rows.all().len() as u64).min(total);
        let elapsed_us = self.means.clock.ticks().us_since(meter.since);
        let scaled = |amount: u64, of: u64| {
            let scaled = u128::from(amount) * u128::from(of) / u128::from(meter.asked.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let begun = meter.asked > 0;
        self.told.send_replace(Progress {
            done,
            total,
            repeats: self.repeats,
            errors: rows.errors,
            refused: rows.refused,
            reused: rows.reused,
            retries: rows.retries,
            spent_nano_usd: rows.spent_nano_usd,
            projected_nano_usd: begun
                .then(|| rows.spent_nano_usd.saturating_add(scaled(meter.spent_nano_usd, total - done))),
            eta_ms: begun.then(|| scaled(elapsed_us, total - done) / 1_000),
            suite: suite.map(|at| self.job.held[at].pin.name.clone()),
        });
    }
}

/// Whether it was told to stop; nobody is left to tell it when the sender is gone.
fn is_stopped(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
        }
        Err(cancelled) => cancelled.to_string(),
    }
}

//! An hour by the minute, and what is read off it: how many runs a minute, how many errors.

use super::End;
use crate::journal::Outcome;
use crate::time::Timestamp;

/// Minutes that are remembered, the running one with them.
pub const MINUTES: usize = 60;
pub(super) const HOUR_MS: u64 = MINUTES as u64 * MINUTE_MS;
pub(super) const MINUTE_MS: u64 = 60_000;
/// Full minutes over which runs per minute are averaged: long enough to be calm, short enough to show what changes.
const PACE_MINUTES: usize = 5;
/// The running minute says nothing about its pace before this.
const PACE_MS_MIN: u64 = 10_000;
/// Minutes whose errors are looked at, the running one with them.
const ERRORS_MINUTES: usize = 15;

/// What happened in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    pub begun: u32,
    pub ended: u32,
    /// Of those that ended.
    pub errors: u32,
}

/// The last hour, oldest minute first; the last one is still running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hour {
    pub minutes: [Minute; MINUTES],
    /// The moment that it ends with.
    pub now: Timestamp,
}

/// How many of the runs that ended lately were errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    pub errors: u64,
    pub ended: u64,
}

/// A bucket for each minute of an hour, each with the minute that it is about.
#[derive(Clone, Debug)]
pub(super) struct Ring(Box<[Bucket; MINUTES]>);

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Since 1970.
    minute: u64,
    counts: Minute,
}

impl Hour {
    /// An hour in which nothing happened.
    #[must_use]
    pub fn quiet(now: Timestamp) -> Hour {
        Hour { minutes: [Minute::default(); MINUTES], now }
    }

    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.minutes.iter().all(|minute| *minute == Minute::default())
    }

    /// Adds what happened elsewhere in the same hour.
    #[must_use]
    pub fn and(mut self, other: &Hour) -> Hour {
        for (sum, minute) in self.minutes.iter_mut().zip(&other.minutes) {
            sum.begun = sum.begun.saturating_add(minute.begun);
            sum.ended = sum.ended.saturating_add(minute.ended);
            sum.errors = sum.errors.saturating_add(minute.errors);
        }
        self
    }

    /// Runs that began per minute: the average of the last five full minutes, or of what there is of them since the first run
    /// and since `since`. None while less than ten seconds are known.
    #[must_use]
    pub fn runs_per_minute(&self, since: Timestamp) -> Option<f64> {
        let running = MINUTES - 1;
        let first_run = self.minutes.iter().position(|minute| minute.begun > 0);
        // Minutes that `since` cuts in two aren't full.
        let known = (self.now.0 / MINUTE_MS).saturating_sub(since.0.div_ceil(MINUTE_MS));
        let known = running.saturating_sub(usize::try_from(known).unwrap_or(running));
        let Some(first_run) = first_run else { return (known < running).then_some(0.0) };
        let from = (running - PACE_MINUTES).max(first_run).max(known);
        if from < running {
            let full = &self.minutes[from..running];
            let begun: u64 = full.iter().map(|minute| u64::from(minute.begun)).sum();
            return Some(begun as f64 / full.len() as f64);
        }
        let minute_began = Timestamp(self.now.0 / MINUTE_MS * MINUTE_MS);
        let elapsed = self.now.ms_since(minute_began.max(since));
        let begun = f64::from(self.minutes[running].begun);
        (elapsed >= PACE_MS_MIN).then(|| begun * MINUTE_MS as f64 / elapsed as f64)
    }

    /// Errors of the last fifteen minutes.
    #[must_use]
    pub fn errors(&self) -> Errors {
        let mut sum = Errors::default();
        for minute in &self.minutes[MINUTES - ERRORS_MINUTES..] {
            sum.errors += u64::from(minute.errors);
            sum.ended += u64::from(minute.ended);
        }
        sum
    }

    /// Runs that began, minute by minute.
    #[must_use]
    pub fn begun(&self) -> Vec<u32> {
        self.minutes.iter().map(|minute| minute.begun).collect()
    }
}

impl Errors {
    /// The share of errors; none where nothing ended.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.ended > 0).then(|| self.errors as f64 / self.ended as f64)
    }
}

impl Default for Ring {
    fn default() -> Ring {
        Ring(Box::new([Bucket::default(); MINUTES]))
    }
}

impl Ring {
    /// Counts a beginning, unless it is an hour older than the newest one.
    pub fn begin(&mut self, at: Timestamp, newest: Timestamp) {
        if let Some(counts) = self.counts(at, newest) {
            counts.begun += 1;
        }
    }

    /// Counts an end, unless it is an hour older than the newest beginning.
    pub fn end(&mut self, end: End, newest: Timestamp) {
        let Some(counts) = self.counts(end.at, newest) else { return };
        counts.ended += 1;
        counts.errors += match end.outcome {
            Outcome::Error => 1,
            Outcome::Ok | Outcome::Cancelled => 0,
        };
    }

    /// The hour that ends with a moment.
    pub fn hour(&self, now: Timestamp) -> Hour {
        let running = now.0 / MINUTE_MS;
        let mut hour = Hour::quiet(now);
        for (ago, counts) in (0..).zip(hour.minutes.iter_mut().rev()) {
            let minute = running.saturating_sub(ago);
            let bucket = &self.0[place(minute)];
            if bucket.minute == minute {
                *counts = bucket.counts;
            }
        }
        hour
    }

    /// The counts of the minute of a moment.
    fn counts(&mut self, at: Timestamp, newest: Timestamp) -> Option<&mut Minute> {
        let minute = at.0 / MINUTE_MS;
        if minute + MINUTES as u64 <= newest.0 / MINUTE_MS {
            return None;
        }
        let bucket = &mut self.0[place(minute)];
        if bucket.minute != minute {
            *bucket = Bucket { minute, counts: Minute::default() };
        }
        Some(&mut bucket.counts)
    }
}

fn place(minute: u64) -> usize {
    usize::try_from(minute % MINUTES as u64).expect("less than 60")
}

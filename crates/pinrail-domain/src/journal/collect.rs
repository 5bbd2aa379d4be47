//! Which journals may be dropped for good, and why the rest stays.
//!
//! Journals go by whole days in UTC, the days of their runs' ids, so that a store can drop a day as one piece. A day goes when all of
//! this holds, checked in this order:
//! 1. it is before the days that are kept: from the day on that begins less than the kept time ago, nothing goes;
//! 2. no deployment was open that is undecided still, on it or on the day after: what a candidate or a data job is judged by stays,
//!    its incumbent's runs too, and clocks of several machines may differ by some hours;
//! 3. no run of it is open: its caller goes on with it, or its approval is waited for.
//!
//! What a run wrote into state stays and counts as before, and so does the binding of its session; only what was said and done is gone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::deployment::Status;
use crate::id::{DeploymentId, LedgerSeq, RunId};
use crate::ledger::Body;
use crate::time::{Day, Timestamp};
use crate::world::World;

/// The runs of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDay {
    pub day: Day,
    pub runs: u64,
    /// Those of them that are open.
    pub open: u64,
}

/// What a plan is made of, beside the world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub now: Timestamp,
    /// How long journals are kept, in milliseconds.
    pub kept_ms: u64,
    /// The days that have runs, oldest first: those before [`kept_from`], at least.
    pub days: Vec<RunDay>,
}

/// What to drop, and which older days stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The days before this one are old enough.
    pub kept_from: Day,
    pub collect: Vec<RunDay>,
    pub keep: Vec<Kept>,
}

/// A day that is old enough and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub day: Day,
    pub runs: u64,
    #[serde(flatten)]
    pub why: Why,
}

/// Why a day stays that is old enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    #[error("deployment {deployment} was opened then or before and is undecided")]
    Undecided { deployment: DeploymentId },
    #[error("{open} of its runs are open")]
    RunsOpen { open: u64 },
}

/// Which journals were dropped, as the ledger says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Runs of days before this one.
    pub before: Day,
    /// The newest entry that said so.
    pub seq: LedgerSeq,
}

/// Ids of before 2020 aren't made by a clock that anybody trusts: their runs are nobody's day, and stay.
pub const FIRST_DAY: Day = Day(18_262);

/// The first day that is kept whatever happens on it.
#[must_use]
pub fn kept_from(now: Timestamp, kept_ms: u64) -> Day {
    Day::of(Timestamp(now.0.saturating_sub(kept_ms)))
}

/// The day of a run: that of its id.
#[must_use]
pub fn day_of(run: RunId) -> Day {
    Day::of(Timestamp(run.made_at_ms()))
}

/// Plans a collection.
#[must_use]
pub fn plan(world: &World, facts: &Facts) -> Plan {
    let kept_from = kept_from(facts.now, facts.kept_ms);
    let undecided = oldest_undecided(world);
    let mut plan = Plan { kept_from, ..Plan::default() };
    for day in facts.days.iter().filter(|day| (FIRST_DAY..kept_from).contains(&day.day)) {
        let why = match undecided {
            Some((deployment, opened)) if day.day >= opened.before() => Some(Why::Undecided { deployment }),
            Some(_) | None => (day.open > 0).then_some(Why::RunsOpen { open: day.open }),
        };
        match why {
            Some(why) => plan.keep.push(Kept { day: day.day, runs: day.runs, why }),
            None => plan.collect.push(*day),
        }
    }
    plan
}

/// The undecided deployment that was opened first, and on which day.
fn oldest_undecided(world: &World) -> Option<(DeploymentId, Day)> {
    let undecided = world.deployments.values().filter(|deployment| match deployment.status {
        Status::Candidate { .. } => true,
        Status::Promoted { .. } | Status::RolledBack { .. } => false,
    });
    let opened = undecided.map(|deployment| (deployment.id, Day::of(deployment.opened_at)));
    opened.min_by_key(|(id, day)| (*day, *id))
}

impl Plan {
    /// How many runs go.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.collect.iter().map(|day| day.runs).sum()
    }

    /// The ledger entry that says so; none where nothing goes.
    #[must_use]
    pub fn entry(&self) -> Option<Body> {
        let before = self.collect.iter().map(|day| day.day.next()).max()?;
        Some(Body::JournalCollected { before, runs: self.runs() })
    }

    /// The days to drop.
    #[must_use]
    pub fn days(&self) -> BTreeSet<Day> {
        self.collect.iter().map(|day| day.day).collect()
    }
}

impl Dropped {
    /// The entry by which a run that isn't there may be gone; none where its day was never dropped.
    #[must_use]
    pub fn took(&self, run: RunId) -> Option<LedgerSeq> {
        (FIRST_DAY..self.before).contains(&day_of(run)).then_some(self.seq)
    }

    pub(crate) fn raise(&mut self, before: Day, seq: LedgerSeq) {
        *self = Dropped { before: self.before.max(before), seq };
    }
}

#[cfg(test)]
mod tests;

//! When calls are kept away from an endpoint, decided on outcomes and ticks alone.
//!
//! Closed, it lets everything through. It opens when
//! - so many attempts in a row failed ([`Settings::failures`]), or
//! - of the attempts of the window, if there are enough of them, so large a share failed ([`Settings::share`]).
//!
//! A success ends the row; only time empties the window. Open, it lets nothing through, for a time that doubles with
//! each opening that no success came after, up to a bound, and less up to a quarter of it so that replicas don't come
//! back together; the provider may ask for longer, up to the same bound. Then it is half open: one attempt goes through
//! as the probe. Its success closes the breaker, its failure opens it again. A probe that says nothing for as long as
//! the breaker was open lets the next one through beside it: models think for minutes. A probe that is given up makes
//! room at once.
//!
//! Attempts that were let through before the breaker opened say nothing about what came after: how they end changes
//! nothing any more.

use std::time::Duration;

pub use pinrail_domain::provider::Breaker as Settings;
use pinrail_domain::time::Ticks;

/// What a breaker remembers.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    failed_in_a_row: u32,
    window: Window,
    /// Openings since the last success.
    opened: u32,
    /// Tells attempts of before an opening from those after it.
    generation: u32,
}

/// Whether calls go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Closed,
    Open {
        until: Ticks,
    },
    /// Probes decide. The next may go at `next`, `each` nanoseconds after the one before.
    HalfOpen {
        next: Ticks,
        each: u64,
    },
}

/// An attempt that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Pass {
    generation: u32,
}

/// Says that no attempt goes through before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shut {
    pub until: Ticks,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Well,
    /// The provider may have asked to be left alone for a time.
    Failed {
        asked: Option<Duration>,
    },
}

/// Outcomes of the last while, in slots that are emptied as time passes them.
#[derive(Clone, Debug, Default)]
pub struct Window {
    slots: [Counts; SLOTS],
    /// The number of the newest slot, since the clock's beginning.
    newest: u64,
}

/// How many attempts ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub well: u32,
    pub failed: u32,
}

/// A tenth of the window is how exact its edge is.
const SLOTS: usize = 10;
const NS_PER_MS: u64 = 1_000_000;

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker {
            state: State::Closed,
            failed_in_a_row: 0,
            window: Window::default(),
            opened: 0,
            generation: 0,
        }
    }
}

impl Breaker {
    pub fn state(&self) -> State {
        self.state
    }

    pub fn failed_in_a_row(&self) -> u32 {
        self.failed_in_a_row
    }

    /// How the attempts of the window ended.
    pub fn counts(&self, settings: &Settings, now: Ticks) -> Counts {
        self.window.counts(settings, now)
    }

    /// Lets an attempt through, or says until when none goes.
    pub fn admit(&mut self, settings: &Settings, now: Ticks) -> Result<Pass, Shut> {
        if !settings.is_on() {
            self.close();
        }
        match self.state {
            State::Closed => {}
            State::Open { until } if now < until => return Err(Shut { until }),
            State::Open { .. } => {
                let each = self.open_ns(settings);
                self.generation = self.generation.wrapping_add(1);
                self.state = State::HalfOpen { next: later(now, each), each };
            }
            State::HalfOpen { next, .. } if now < next => return Err(Shut { until: next }),
            State::HalfOpen { each, .. } => self.state = State::HalfOpen { next: later(now, each), each },
        }
        Ok(Pass { generation: self.generation })
    }

    /// Until when an attempt would be kept away now; none where it would go through.
    pub fn shut(&self, settings: &Settings, now: Ticks) -> Option<Shut> {
        let until = match self.state {
            State::Closed => return None,
            State::Open { until } => until,
            State::HalfOpen { next, .. } => next,
        };
        (settings.is_on() && now < until).then_some(Shut { until })
    }

    /// An attempt's answer began: the endpoint is there, whatever becomes of the answer.
    pub fn began(&mut self, pass: Pass) {
        match self.state {
            State::HalfOpen { .. } if pass.generation == self.generation => self.close(),
            State::HalfOpen { .. } | State::Open { .. } | State::Closed => {}
        }
    }

    /// An attempt ended. `seed` spreads the time that the breaker stays open.
    pub fn ended(&mut self, pass: Pass, outcome: Outcome, settings: &Settings, now: Ticks, seed: u64) {
        if pass.generation != self.generation {
            return;
        }
        self.window.add(outcome, settings, now);
        match (outcome, self.state) {
            (Outcome::Well, State::HalfOpen { .. }) => self.close(),
            (Outcome::Well, State::Closed | State::Open { .. }) => {
                (self.failed_in_a_row, self.opened) = (0, 0);
            }
            (Outcome::Failed { asked }, State::HalfOpen { .. }) => self.open(asked, settings, now, seed),
            (Outcome::Failed { asked }, State::Closed) => {
                self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
                if self.is_too_much(settings, now) {
                    self.open(asked, settings, now, seed);
                }
            }
            (Outcome::Failed { .. }, State::Open { .. }) => {}
        }
    }

    /// An attempt was given up before anything could be said of it.
    pub fn given_up(&mut self, pass: Pass, now: Ticks) {
        match &mut self.state {
            State::HalfOpen { next, .. } if pass.generation == self.generation => *next = now,
            State::HalfOpen { .. } | State::Open { .. } | State::Closed => {}
        }
    }

    fn is_too_much(&self, settings: &Settings, now: Ticks) -> bool {
        if settings.failures > 0 && self.failed_in_a_row >= settings.failures {
            return true;
        }
        let Counts { well, failed } = self.window.counts(settings, now);
        let all = u64::from(well) + u64::from(failed);
        let share = u64::from(settings.share.bps());
        share > 0 && all >= u64::from(settings.calls_min) && u64::from(failed) * 10_000 >= share * all
    }

    fn open(&mut self, asked: Option<Duration>, settings: &Settings, now: Ticks, seed: u64) {
        self.opened = self.opened.saturating_add(1);
        self.generation = self.generation.wrapping_add(1);
        let whole = self.open_ns(settings);
        let less = u64::try_from((u128::from(whole / 4) * u128::from(seed & 0xffff)) >> 16).unwrap_or(0);
        let most = settings.open_ms_max.saturating_mul(NS_PER_MS);
        let asked = asked.map_or(0, |asked| u64::try_from(asked.as_nanos()).unwrap_or(u64::MAX).min(most));
        self.state = State::Open { until: later(now, (whole - less).max(asked)) };
        (self.failed_in_a_row, self.window) = (0, Window::default());
    }

    fn close(&mut self) {
        self.state = State::Closed;
        (self.failed_in_a_row, self.window) = (0, Window::default());
    }

    /// How long the opening of now lasts, before it is spread.
    fn open_ns(&self, settings: &Settings) -> u64 {
        let doubled = settings.open_ms.saturating_mul(1 << self.opened.saturating_sub(1).min(30));
        doubled.min(settings.open_ms_max).saturating_mul(NS_PER_MS)
    }
}

impl Window {
    fn add(&mut self, outcome: Outcome, settings: &Settings, now: Ticks) {
        let slot = slot(settings, now).max(self.newest);
        for passed in 1..=(slot - self.newest).min(SLOTS as u64) {
            self.slots[place(self.newest + passed)] = Counts::default();
        }
        if slot - self.newest > SLOTS as u64 {
            self.slots = [Counts::default(); SLOTS];
        }
        self.newest = slot;
        let counts = &mut self.slots[place(slot)];
        let counter = match outcome {
            Outcome::Well => &mut counts.well,
            Outcome::Failed { .. } => &mut counts.failed,
        };
        *counter = counter.saturating_add(1);
    }

    fn counts(&self, settings: &Settings, now: Ticks) -> Counts {
        let oldest = (slot(settings, now) + 1).saturating_sub(SLOTS as u64);
        let from = oldest.max((self.newest + 1).saturating_sub(SLOTS as u64));
        (from..=self.newest).map(|slot| self.slots[place(slot)]).fold(Counts::default(), |sum, counts| {
            let well = sum.well.saturating_add(counts.well);
            Counts { well, failed: sum.failed.saturating_add(counts.failed) }
        })
    }
}

fn slot(settings: &Settings, now: Ticks) -> u64 {
    now.0 / (settings.window_ms.saturating_mul(NS_PER_MS) / SLOTS as u64).max(1)
}

fn place(slot: u64) -> usize {
    usize::try_from(slot % SLOTS as u64).expect("it is below ten")
}

fn later(now: Ticks, ns: u64) -> Ticks {
    Ticks(now.0.saturating_add(ns))
}

#[cfg(test)]
mod tests;

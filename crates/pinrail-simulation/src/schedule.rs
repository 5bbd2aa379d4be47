//! Who goes on next: every call to the store waits here, before its effect and sometimes after it, until the world lets
//! it go and says what becomes of it.
//!
//! So operations interleave at each call to the store, slow calls are overtaken, and a crash can come between any two
//! steps: what waits here when the process ends never happens, or happened and is never acknowledged.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::dice::Dice;

/// The calls that wait.
pub(crate) struct Schedule {
    state: Mutex<State>,
}

/// One call to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub name: &'static str,
    pub kind: Kind,
}

/// What a call is about, as far as faults go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    LedgerRead,
    LedgerWrite,
}

/// Which side of its effect a call waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Go,
    /// The store is full: nothing happens.
    Full,
    /// Nothing happens, and nobody knows that.
    Away,
    /// It happens and nobody hears of it.
    Lost,
}

/// How calls are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Each waits until it is let go.
    Gated,
    /// None waits, none fails.
    Free,
    /// None waits; all fail but those to the ledger.
    LedgerOnly,
    /// None waits, all fail.
    Away,
}

struct State {
    mood: Mood,
    dice: Dice,
    waiting: Vec<Waiting>,
    /// How many calls came through, by name.
    made: Vec<(&'static str, u64)>,
}

struct Waiting {
    call: Call,
    side: Side,
    go: oneshot::Sender<Fate>,
}

impl Schedule {
    pub(crate) fn new(dice: Dice) -> Schedule {
        Schedule {
            state: Mutex::new(State { mood: Mood::Free, dice, waiting: Vec::new(), made: Vec::new() }),
        }
    }

    /// Waits until the call may have its effect.
    pub(crate) async fn before(&self, call: Call) -> Fate {
        {
            let mut state = self.lock();
            state.count(call.name);
            match (state.mood, call.kind) {
                (Mood::Gated, _) => {}
                (Mood::Free, _) | (Mood::LedgerOnly, Kind::LedgerRead | Kind::LedgerWrite) => {
                    return Fate::Go;
                }
                (Mood::LedgerOnly, Kind::Read | Kind::Write) | (Mood::Away, _) => return Fate::Away,
            }
        }
        self.wait(call, Side::Before).await
    }

    /// Waits, now and then, between the effect and its acknowledgement.
    pub(crate) async fn after(&self, call: Call) {
        let waits = {
            let mut state = self.lock();
            let percent = match call.kind {
                Kind::Read | Kind::LedgerRead => 15,
                Kind::Write | Kind::LedgerWrite => 50,
            };
            state.mood == Mood::Gated && state.dice.chance(percent)
        };
        if waits {
            self.wait(call, Side::After).await;
        }
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// Who waits, in the order in which they came.
    pub(crate) fn waiting(&self) -> Vec<(Call, Side)> {
        let mut state = self.lock();
        state.waiting.retain(|waiting| !waiting.go.is_closed());
        state.waiting.iter().map(|waiting| (waiting.call, waiting.side)).collect()
    }

    /// Lets one of them go on.
    pub(crate) fn release(&self, place: usize, fate: Fate) {
        let waiting = self.lock().waiting.remove(place);
        // Whoever stopped waiting doesn't hear of it.
        let _ = waiting.go.send(fate);
    }

    /// Forgets who waits: the process ended.
    pub(crate) fn clear(&self) {
        let gone = std::mem::take(&mut self.lock().waiting);
        drop(gone);
    }

    /// How many calls with one of these names came through so far.
    pub(crate) fn made(&self, names: &[&str]) -> u64 {
        let state = self.lock();
        state.made.iter().filter(|(name, _)| names.contains(name)).map(|(_, made)| made).sum()
    }

    /// Counts a call that comes another way.
    pub(crate) fn count(&self, name: &'static str) {
        self.lock().count(name);
    }

    async fn wait(&self, call: Call, side: Side) -> Fate {
        let (go, released) = oneshot::channel();
        self.lock().waiting.push(Waiting { call, side, go });
        match released.await {
            Ok(fate) => fate,
            // The process ended here.
            Err(_) => std::future::pending().await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, name: &'static str) {
        match self.made.iter_mut().find(|(known, _)| *known == name) {
            Some((_, made)) => *made += 1,
            None => self.made.push((name, 1)),
        }
    }
}

impl Call {
    pub(crate) const fn read(name: &'static str) -> Call {
        Call { name, kind: Kind::Read }
    }

    pub(crate) const fn write(name: &'static str) -> Call {
        Call { name, kind: Kind::Write }
    }
}

//! The control plane in a world that breaks on purpose, seeded and replayable.
//!
//! A seed gives a world: agents, tenants, sessions, members, deployments, and faults that strike at any call to the
//! store: an error before the effect, an effect whose acknowledgement is lost, a slow call that others overtake, a clock
//! that jumps, a crash between any two steps. Everything goes through the real `pinrail_control::Control`, over the
//! in-memory reference store; after every step the invariants I2 to I9 are checked against a reference of its own.
//!
//! It must not read a clock, the environment or any randomness but the seed's, and it runs each world on one thread: the
//! same seed gives the same trace, always. What makes that so is written down in
//! `docs/decisions/0006-simulated-worlds-run-on-a-paused-clock.md`.
//!
//! Start reading at [`play`], then `world.rs` (what happens), `schedule.rs` (who goes on next), `truth.rs` (what is true)
//! and `checks.rs` (what must hold). A failing seed says how to replay it:
//! `cargo run -p pinrail-simulation --example replay -- SEED`.

use std::fmt;

mod checks;
mod clock;
mod dials;
mod dice;
mod member;
mod notebook;
mod op;
mod plan;
mod schedule;
mod setting;
mod store;
mod tamper;
mod trace;
mod truth;
mod world;

pub use tamper::Tamper;

/// How a world is played.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Breaks a rule on purpose: the play must fail.
    pub tamper: Option<Tamper>,
    /// Keeps the whole trace, not only its end.
    pub keep_all: bool,
}

/// A world that was played to its end, in which everything held.
#[derive(Clone, Debug)]
pub struct Played {
    pub seed: u64,
    /// The digest of all that happened: two plays of one seed have the same.
    pub digest: u64,
    pub counts: Counts,
    pub trace: Vec<String>,
}

/// What happened in a world, to see that worlds are not empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub steps: u64,
    pub crashes: u64,
    pub done: u64,
    pub refused: u64,
    pub unknown: u64,
    pub entries: u64,
    pub records: u64,
    pub runs: u64,
    pub rollbacks: u64,
    pub views: u64,
    /// Entries that turned the dial.
    pub turns: u64,
    /// Turns that were in force without the ledger.
    pub unrecorded: u64,
    /// Approvals that were decided, and used.
    pub decided: u64,
    pub used: u64,
}

/// A world in which something didn't hold.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub what: String,
    /// The last steps before it.
    pub trace: Vec<String>,
}

/// Plays the world that the seed gives, on this thread.
pub fn play(seed: u64, options: &Options) -> Result<Played, Failure> {
    world::play(seed, options)
}

impl Counts {
    /// Adds what happened in another world.
    pub fn add(&mut self, other: &Counts) {
        let Counts {
            steps,
            crashes,
            done,
            refused,
            unknown,
            entries,
            records,
            runs,
            rollbacks,
            views,
            turns,
            unrecorded,
            decided,
            used,
        } = other;
        self.steps += steps;
        self.crashes += crashes;
        self.done += done;
        self.refused += refused;
        self.unknown += unknown;
        self.entries += entries;
        self.records += records;
        self.runs += runs;
        self.rollbacks += rollbacks;
        self.views += views;
        self.turns += turns;
        self.unrecorded += unrecorded;
        self.decided += decided;
        self.used += used;
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        write!(f, "replay it: cargo run -p pinrail-simulation --example replay -- {}", self.seed)
    }
}

//! What was derived from some records: the closure that a cascade takes along and a blast radius lists.
//!
//! A record is *tainted* when it is a seed; or one of its parents is tainted; or its run read a tainted record before
//! it wrote: the read's moment is at or after the tainted record, and the record itself comes after that moment. What
//! came from outside ([`Origin::External`]) is a fact, not a conclusion: a run's having been misled doesn't taint it,
//! only a tainted parent does. A run is *misled* when it read a tainted record at all.
//!
//! Each cause lies before its effect in the sequence, so chains of causes end at a seed. The facts lie in a store, so
//! [`Closure`] asks for them and is answered, step by step; it does no I/O itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Origin;
use super::view::Ranges;
use crate::id::{RunId, StateSeq};

/// A closure in the making: ask, answer, until there is no question left.
#[derive(Clone, Debug, Default)]
pub struct Closure {
    records: BTreeMap<StateSeq, Cause>,
    runs: BTreeMap<RunId, Misled>,
    /// Tainted records whose children, and whose readers, nobody has been asked for.
    unasked_children: Vec<StateSeq>,
    unasked_readers: Vec<StateSeq>,
    /// Misled runs of which not all writes are known.
    unasked_runs: BTreeSet<RunId>,
    /// From which moment on a run's writes are known already.
    known_after: BTreeMap<RunId, StateSeq>,
    waiting_for: Option<Waiting>,
}

/// Why a record is tainted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Cause {
    /// The deployment in question wrote it.
    Seed,
    /// It names this tainted record as a parent.
    Parent { record: StateSeq },
    /// Its run had read `record`, which is tainted, as of `at`.
    Run { run: RunId, record: StateSeq, at: StateSeq },
}

/// What misled a run first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misled {
    pub record: StateSeq,
    /// The moment as of which it read the record.
    pub at: StateSeq,
}

/// What the closure must know next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which records name one of these, ascending, as a parent?
    Children(Vec<StateSeq>),
    /// Which runs read one of these, ascending, and as of when?
    Readers(Vec<StateSeq>),
    /// What did the run write after `after`, and at or before `until` if that is given?
    Written { run: RunId, after: StateSeq, until: Option<StateSeq> },
}

/// The answer to the question of the same name. What is missing from it is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Children(Vec<Child>),
    Readers(Vec<Reading>),
    Written(Vec<Writing>),
}

/// A record that names a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    pub record: StateSeq,
    pub parent: StateSeq,
}

/// A run was shown a record by a read as of `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub run: RunId,
    pub record: StateSeq,
    pub at: StateSeq,
}

/// A record that a run wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writing {
    pub record: StateSeq,
    pub origin: Origin,
}

/// Everything that was derived from the seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Derived {
    /// The tainted records, seeds included, in sequence order.
    pub records: BTreeMap<StateSeq, Cause>,
    /// The runs that read one of them.
    pub runs: BTreeMap<RunId, Misled>,
}

/// Which kind of answer must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Children,
    Readers,
    Written { run: RunId, after: StateSeq },
}

impl Closure {
    /// Begins with the records that are tainted by themselves.
    #[must_use]
    pub fn new(seeds: impl IntoIterator<Item = StateSeq>) -> Closure {
        let mut closure = Closure::default();
        for seed in seeds {
            closure.taint(seed, Cause::Seed);
        }
        closure
    }

    /// The next question; none when the closure is complete. The last one must be answered first.
    pub fn ask(&mut self) -> Option<Question> {
        assert!(self.waiting_for.is_none(), "the last question is open");
        let ascending = |mut records: Vec<StateSeq>| {
            records.sort_unstable();
            records
        };
        if !self.unasked_children.is_empty() {
            self.waiting_for = Some(Waiting::Children);
            return Some(Question::Children(ascending(std::mem::take(&mut self.unasked_children))));
        }
        if !self.unasked_readers.is_empty() {
            self.waiting_for = Some(Waiting::Readers);
            return Some(Question::Readers(ascending(std::mem::take(&mut self.unasked_readers))));
        }
        let run = self.unasked_runs.pop_first()?;
        let after = self.runs[&run].at;
        let until = self.known_after.insert(run, after);
        self.waiting_for = Some(Waiting::Written { run, after });
        Some(Question::Written { run, after, until })
    }

    /// Takes the answer to the last question. Panics where it answers another.
    pub fn answer(&mut self, answer: Answer) {
        match (self.waiting_for.take(), answer) {
            (Some(Waiting::Children), Answer::Children(children)) => {
                for Child { record, parent } in children {
                    if self.records.contains_key(&parent) {
                        self.taint(record, Cause::Parent { record: parent });
                    }
                }
            }
            (Some(Waiting::Readers), Answer::Readers(readings)) => {
                readings.into_iter().for_each(|reading| self.mislead(reading));
            }
            (Some(Waiting::Written { run, after }), Answer::Written(writings)) => {
                let Misled { record: misled_by, at } = self.runs[&run];
                for Writing { record, origin } in writings {
                    if record > after && origin != Origin::External {
                        self.taint(record, Cause::Run { run, record: misled_by, at });
                    }
                }
            }
            (waiting_for, answer) => panic!("{answer:?} is no answer to {waiting_for:?}"),
        }
    }

    /// What is known so far: everything, once there is no question left.
    #[must_use]
    pub fn derived(self) -> Derived {
        Derived { records: self.records, runs: self.runs }
    }

    fn taint(&mut self, record: StateSeq, cause: Cause) {
        if let std::collections::btree_map::Entry::Vacant(vacant) = self.records.entry(record) {
            vacant.insert(cause);
            self.unasked_children.push(record);
            self.unasked_readers.push(record);
        }
    }

    /// A run is misled from the earliest moment on; an earlier one than was known opens more of its writes.
    fn mislead(&mut self, Reading { run, record, at }: Reading) {
        if at < record || !self.records.contains_key(&record) {
            return;
        }
        let is_news = self.runs.get(&run).is_none_or(|known| at < known.at);
        if is_news {
            self.runs.insert(run, Misled { record, at });
            self.unasked_runs.insert(run);
        }
    }
}

impl Derived {
    /// The records that aren't seeds: what a cascade takes along.
    #[must_use]
    pub fn taken_along(&self) -> Ranges {
        let derived = self.records.iter().filter(|(_, cause)| **cause != Cause::Seed);
        Ranges::of(derived.map(|(record, _)| *record))
    }

    /// Why the record is tainted, cause by cause, back to a seed; nothing where it isn't.
    #[must_use]
    pub fn chain(&self, record: StateSeq) -> Vec<Cause> {
        std::iter::successors(self.records.get(&record), |cause| match cause {
            Cause::Seed => None,
            Cause::Parent { record } | Cause::Run { record, .. } => self.records.get(record),
        })
        .copied()
        .collect()
    }
}

#[cfg(test)]
mod tests;

//! What is written again after the store failed at it: once, whatever became of it before (I2, I9).
//!
//! A write whose answer didn't come may be in the store, or come there yet: its commit may go on while we ask again. So an append of that
//! kind is looked for, and where it isn't there it is written at the place where its run's journal ended when it was looked for, or not at
//! all. Where something came to that place meanwhile, it is looked for again: it may be this very write. A start is refused by itself where
//! its run is there.
//!
//! One such write of a run goes at a time, and the run's others after it. When it went through, nothing of the run is on its way any
//! more, for each holds the run until it is committed: what was looked for with it in vain isn't there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pinrail_domain::id::{EventSeq, RunId};
use pinrail_domain::journal::{Event, Recorded};
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::journal::{Append, Write, WriteError};

use super::writer::Writer;
use super::{Waiter, run_of};
use crate::runs::spool::Waiting;

/// Who hears what became of a write.
pub(super) enum Hears {
    Caller(Waiter),
    /// It is tried again where the store fails.
    Nobody(Tried),
}

/// How a write that nobody waits for was tried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried {
    /// The store may have it already.
    pub doubtful: bool,
    /// Its place was set here: where it was asked for, any was right.
    pub placed: bool,
}

/// How a run's journal ends.
struct End {
    /// The place of its next event, which is none where there is no run.
    next: EventSeq,
    stored: Vec<Recorded>,
}

/// Rounds in which what failed before gets through: sessions that others bound, runs that others wrote to meanwhile.
const ROUNDS: usize = 8;
/// How far back an append whose acknowledgement was lost is looked for: other writes of its run may have come
/// after it, of which each is at most this long.
const LOOK_BACK_EVENTS: usize = 1_000;

#[derive(Debug, thiserror::Error)]
#[error("others write to the same runs, again and again")]
struct Contended;

impl Writer {
    /// Whether what is carried may be in the store already.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.carried.iter().any(|carried| carried.doubtful)
    }

    /// Tries what is carried until nothing is left that can be done now. Nothing is in doubt after that.
    pub(super) async fn carry_on(&mut self) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            if self.carried.is_empty() {
                break;
            }
            let carried = std::mem::take(&mut self.carried);
            self.carry(carried).await?;
        }
        match self.is_in_doubt() {
            true => Err(StoreError::Unavailable(Arc::new(Contended))),
            false => Ok(()),
        }
    }

    /// Carries out writes that nobody waits for. What is left of them is carried.
    pub(super) async fn carry(&mut self, waiting: Vec<Waiting>) -> Result<(), StoreError> {
        let ends = match self.ends(&waiting).await {
            Ok(ends) => ends,
            Err(error) => {
                self.carried.splice(0..0, waiting);
                return Err(error);
            }
        };
        let (mut writes, mut hears, mut later) = (Vec::new(), Vec::new(), Vec::new());
        let mut held: HashSet<RunId> = HashSet::new();
        for waiting in waiting {
            let run = run_of(&waiting.write);
            if held.contains(&run) {
                let end = ends.get(&run).filter(|_| waiting.doubtful);
                if !end.is_some_and(|end| end.holds(&waiting.write)) {
                    later.push(waiting);
                }
                continue;
            }
            let doubtful = waiting.doubtful;
            if let Some((write, tried)) = place(waiting, ends.get(&run)) {
                if doubtful {
                    held.insert(run);
                }
                writes.push(write);
                hears.push(Hears::Nobody(tried));
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        let settled = self.carry_out(writes, hears).await;
        let later = later.into_iter().map(|waiting| {
            let certain = settled.done.contains(&run_of(&waiting.write));
            Waiting { doubtful: waiting.doubtful && !certain, ..waiting }
        });
        self.carried.extend(later);
        settled.trouble.map_or(Ok(()), Err)
    }

    /// How the runs end that doubtful appends are about. Where such a run's start comes first, that is tried before anything is looked for.
    async fn ends(&self, waiting: &[Waiting]) -> Result<HashMap<RunId, End>, StoreError> {
        let mut begins: HashSet<RunId> = HashSet::new();
        let mut looked_for: Vec<(RunId, usize)> = Vec::new();
        let mut places: HashMap<RunId, usize> = HashMap::new();
        for waiting in waiting.iter().filter(|waiting| waiting.doubtful) {
            match &waiting.write {
                Write::Start(start) => drop(begins.insert(start.stamp.run)),
                Write::Append(append) if begins.contains(&append.run) => {}
                Write::Append(append) => {
                    let place = *places.entry(append.run).or_insert_with(|| {
                        looked_for.push((append.run, LOOK_BACK_EVENTS));
                        looked_for.len() - 1
                    });
                    looked_for[place].1 += append.events.len();
                }
            }
        }
        let mut ends = HashMap::with_capacity(looked_for.len());
        for (run, events) in looked_for {
            ends.insert(run, self.end_of(run, events).await?);
        }
        Ok(ends)
    }

    async fn end_of(&self, run: RunId, events: usize) -> Result<End, StoreError> {
        let Some(found) = self.store.run_get(run).await? else {
            return Ok(End { next: EventSeq(0), stored: Vec::new() });
        };
        let next = found.summary.next;
        let from = EventSeq(next.0.saturating_sub(events as u64));
        Ok(End { next, stored: self.store.run_events(run, from, events).await? })
    }
}

impl End {
    /// Whether an append is in what was read.
    fn holds(&self, write: &Write) -> bool {
        let Write::Append(Append { events, .. }) = write else { return false };
        let same = |(stored, (at, event)): (&Recorded, &(Timestamp, Event))| {
            stored.at == *at && stored.event == *event
        };
        self.stored.windows(events.len()).any(|window| window.iter().zip(events).all(same))
    }
}

/// The write as it is sent; none where it is in the store, or can't get there any more.
fn place(waiting: Waiting, end: Option<&End>) -> Option<(Write, Tried)> {
    let Waiting { mut write, doubtful } = waiting;
    let mut tried = Tried { doubtful, placed: false };
    let end = end.filter(|_| doubtful);
    if end.is_some_and(|end| end.holds(&write)) {
        return None;
    }
    if let (Write::Append(append), Some(end)) = (&mut write, end) {
        match append.expected {
            None => {
                append.expected = Some(end.next);
                tried.placed = true;
            }
            Some(expected) if end.next > EventSeq(0) && end.next != expected => {
                let error = WriteError::Moved { next: end.next };
                tracing::error!(run = %append.run, %error, "a journal write was refused");
                return None;
            }
            Some(_) => {}
        }
    }
    Some((write, tried))
}

impl Hears {
    /// Whether the store may have had the write before.
    pub(super) fn doubts(&self) -> bool {
        matches!(self, Hears::Nobody(Tried { doubtful: true, .. }))
    }
}

impl Tried {
    /// The write as it was asked for.
    pub(super) fn asked(self, write: &Write) -> Write {
        match write {
            Write::Append(append) if self.placed => {
                Write::Append(Append { expected: None, ..append.clone() })
            }
            Write::Append(_) | Write::Start(_) => write.clone(),
        }
    }
}

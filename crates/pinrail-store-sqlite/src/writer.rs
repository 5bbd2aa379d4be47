//! The one thread that writes, with group commit.
//!
//! Callers queue operations; the thread takes all that wait (up to [`GROUP_MAX`] and [`ROWS_MAX`]), carries them out
//! in one transaction, syncs once and then answers everybody (I9). An operation looks before it writes, so what it
//! refuses has written nothing, and the others of its group need no savepoint against it.
//!
//! Appends to the ledger go before whatever else waits: a rollback waits for one group at most, however much is being
//! loaded (I7).
//!
//! When SQLite fails:
//! 1. in the middle of a group: the group is rolled back and every part of it is tried again in a transaction
//!    of its own, so that only those fail which can't be written;
//! 2. at BEGIN, because another process holds the file: everybody gets the error;
//! 3. at COMMIT: nobody's effect is there and everybody gets the error. It is not tried again: after a failed
//!    sync nobody knows what a second one would be worth.
//!
//! Either way the thread goes on, so the store works again as soon as there is room.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use pinrail_store::{Probe, StoreError};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;

/// Operations that may wait. More callers than this wait for a place: one group ahead is enough to keep the
/// thread busy, and what waits is memory.
const QUEUE_MAX: usize = 1_024;
/// Operations in one transaction. A thousand share a sync so well that more would only add to the wait.
const GROUP_MAX: usize = 1_024;

/// Rows that a group writes at most, unless one operation alone has more: some 40 ms, which is what a rollback that
/// comes meanwhile waits for.
const ROWS_MAX: usize = 4_096;

/// Something that writes.
pub(crate) trait Operation: Send {
    fn kind(&self) -> Kind;

    /// How many parts it has that may fail alone.
    fn parts(&self) -> usize {
        1
    }

    /// About how many rows it writes.
    fn rows(&self) -> usize {
        self.parts()
    }

    /// Carries one part out within the open transaction and remembers what became of it.
    ///
    /// An error means that SQLite failed: the transaction is rolled back, and the part may be asked again.
    fn carry_out(&mut self, part: usize, db: &Connection) -> Result<(), StoreError>;

    /// Remembers that a part failed instead.
    fn fail(&mut self, part: usize, error: &StoreError);

    /// Does what can only be done after the commit, outside a transaction.
    fn after_commit(&mut self, _db: &Connection) {}

    /// Tells the caller what became of it all. A caller that went away doesn't matter.
    fn answer(self: Box<Self>);
}

/// Which aggregate an operation writes to, for the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Artifact,
    Ledger,
    Journal,
    State,
    Answers,
    Deliveries,
    Gates,
    Approvals,
    Sightings,
    Watches,
    /// Writes nothing.
    Log,
}

/// The way to the writing thread.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Operation>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(db: Connection, probe: Arc<dyn Probe>) -> io::Result<Writer> {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let thread = Thread { db, probe };
        let thread =
            thread::Builder::new().name("store-writer".to_owned()).spawn(move || thread.run(waiting))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues the operation that `make` makes, waiting for a place if need be, and waits for its answer.
    pub(crate) async fn carry_out<O: Operation + 'static, T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> O,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(Failure::closed)?;
        queue.send(Box::new(make(reply))).await.map_err(|_| Failure::closed())?;
        answer.await.map_err(|_| Failure::closed())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the panic hook and to all who waited.
            let _ = thread.join();
        }
    }
}

struct Thread {
    db: Connection,
    probe: Arc<dyn Probe>,
}

impl Thread {
    fn run(self, mut waiting: mpsc::Receiver<Box<dyn Operation>>) {
        let mut pending = Vec::with_capacity(GROUP_MAX);
        loop {
            if pending.is_empty() && waiting.blocking_recv_many(&mut pending, GROUP_MAX) == 0 {
                return;
            }
            while pending.len() < GROUP_MAX
                && let Ok(operation) = waiting.try_recv()
            {
                pending.push(operation);
            }
            let mut group = next_group(&mut pending);
            self.carry_out(&mut group);
            for mut operation in group {
                operation.after_commit(&self.db);
                operation.answer();
            }
        }
    }

    fn carry_out(&self, group: &mut [Box<dyn Operation>]) {
        let kinds = Kinds::of(group);
        let parts = group.iter().map(|operation| operation.parts()).sum::<usize>();
        let together = self.transaction(kinds, |db| {
            for operation in group.iter_mut() {
                for part in 0..operation.parts() {
                    operation.carry_out(part, db)?;
                }
            }
            Ok(())
        });
        match together {
            Ok(()) => {}
            Err(Stopped::InPart(_)) if parts > 1 => self.carry_out_apart(group),
            Err(Stopped::AtBegin(error) | Stopped::InPart(error) | Stopped::AtCommit(error)) => {
                for operation in group {
                    (0..operation.parts()).for_each(|part| operation.fail(part, &error));
                }
            }
        }
    }

    /// Every part in a transaction of its own.
    fn carry_out_apart(&self, group: &mut [Box<dyn Operation>]) {
        // Once no transaction can begin, the rest needn't wait for it one after the other.
        let mut locked = None;
        for operation in group {
            let kinds = Kinds::default().with(operation.kind());
            for part in 0..operation.parts() {
                let stopped = match &locked {
                    Some(error) => Err(Stopped::AtBegin(StoreError::clone(error))),
                    None => self.transaction(kinds, |db| operation.carry_out(part, db)),
                };
                match stopped {
                    Ok(()) => {}
                    Err(Stopped::InPart(error) | Stopped::AtCommit(error)) => operation.fail(part, &error),
                    Err(Stopped::AtBegin(error)) => {
                        operation.fail(part, &error);
                        locked = Some(error);
                    }
                }
            }
        }
    }

    fn transaction(
        &self,
        kinds: Kinds,
        effects: impl FnOnce(&Connection) -> Result<(), StoreError>,
    ) -> Result<(), Stopped> {
        // Only after a rollback that failed as well is there something left to roll back.
        self.roll_back();
        self.execute("BEGIN IMMEDIATE").map_err(Stopped::AtBegin)?;
        let outcome = effects(&self.db).map_err(Stopped::InPart).and_then(|()| {
            kinds.points_before().for_each(|point| self.probe.at(point));
            self.execute("COMMIT").map_err(Stopped::AtCommit)
        });
        if outcome.is_err() {
            self.roll_back();
        }
        outcome?;
        kinds.points_after().for_each(|point| self.probe.at(point));
        Ok(())
    }

    /// Ends the transaction, if SQLite hasn't done so itself.
    fn roll_back(&self) {
        if !self.db.is_autocommit() {
            // What is in the way now is told by the next BEGIN.
            let _ = self.execute("ROLLBACK");
        }
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        let run = || self.db.prepare_cached(sql)?.execute(());
        run().map(drop).map_err(|error| Failure::from(error).into())
    }
}

/// Takes out what goes into the next transaction: the ledger first, then in the order in which it came.
fn next_group(pending: &mut Vec<Box<dyn Operation>>) -> Vec<Box<dyn Operation>> {
    pending.sort_by_key(|operation| operation.kind() != Kind::Ledger);
    let mut rows = 0_usize;
    let fitting = pending.iter().take_while(|operation| {
        rows = operation.rows().saturating_add(rows);
        rows <= ROWS_MAX
    });
    let count = fitting.count().max(1);
    pending.drain(..count).collect()
}

/// Where a transaction ended without effect.
enum Stopped {
    AtBegin(StoreError),
    InPart(StoreError),
    AtCommit(StoreError),
}

/// Which kinds of operation a transaction holds.
#[derive(Clone, Copy, Default)]
struct Kinds {
    artifact: bool,
    ledger: bool,
    journal: bool,
    state: bool,
    deliveries: bool,
    gates: bool,
    approvals: bool,
    watches: bool,
}

impl Kinds {
    fn of(group: &[Box<dyn Operation>]) -> Kinds {
        group.iter().fold(Kinds::default(), |kinds, operation| kinds.with(operation.kind()))
    }

    fn with(mut self, kind: Kind) -> Kinds {
        match kind {
            Kind::Artifact => self.artifact = true,
            Kind::Ledger => self.ledger = true,
            Kind::Journal => self.journal = true,
            Kind::State => self.state = true,
            Kind::Deliveries => self.deliveries = true,
            Kind::Gates => self.gates = true,
            Kind::Approvals => self.approvals = true,
            Kind::Watches => self.watches = true,
            Kind::Answers | Kind::Sightings | Kind::Log => {}
        }
        self
    }

    fn points_before(self) -> impl Iterator<Item = &'static str> {
        let points = [
            self.artifact.then_some("artifact.before_commit"),
            self.ledger.then_some("ledger.before_commit"),
            self.journal.then_some("journal.before_commit"),
            self.state.then_some("state.before_commit"),
            self.deliveries.then_some("deliveries.before_commit"),
            self.gates.then_some("gates.before_commit"),
            self.approvals.then_some("approvals.before_commit"),
            self.watches.then_some("watches.before_commit"),
        ];
        points.into_iter().flatten()
    }

    fn points_after(self) -> impl Iterator<Item = &'static str> {
        let points = [
            self.ledger.then_some("ledger.after_commit"),
            self.journal.then_some("journal.after_commit"),
            self.state.then_some("state.after_commit"),
            self.deliveries.then_some("deliveries.after_commit"),
            self.gates.then_some("gates.after_commit"),
            self.approvals.then_some("approvals.after_commit"),
            self.watches.then_some("watches.after_commit"),
        ];
        points.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests;

//! Group commit: what several callers write at the same time shares one transaction and one sync.
//!
//! The first caller's write starts a task that takes what has queued up, carries it out, and goes on until nothing is left. One group at
//! a time: so a replica's batches have an order (`run_writes`), and a slow disk makes groups larger, not more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinrail_store::journal::{Write, WriteError, Written};
use tokio::sync::{Semaphore, oneshot};

use super::write::{Part, Results};
use crate::Postgres;
use crate::failure::Failure;

/// Writes of one group: some ten milliseconds of work, which is what a write may wait for beside its own.
const GROUP_WRITES_MAX: usize = 512;
/// Text of one group.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// Writes that wait for a group; further callers wait for a place.
const QUEUE_WRITES_MAX: usize = 8_192;

/// What waits for its group.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Waiting {
    calls: VecDeque<Call>,
    /// A task carries groups out.
    busy: bool,
}

struct Call {
    part: Part,
    reply: oneshot::Sender<Results>,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue { waiting: Mutex::default(), places: Arc::new(Semaphore::new(QUEUE_WRITES_MAX)) }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next group; none when nothing waits, and then the task ends.
    fn take(&self) -> Option<(Vec<Part>, Vec<oneshot::Sender<Results>>)> {
        let mut waiting = self.lock();
        let (mut parts, mut replies) = (Vec::new(), Vec::new());
        let (mut writes, mut bytes) = (0, 0);
        while let Some(call) = waiting.calls.front() {
            writes += call.part.writes.len();
            bytes += call.part.bytes;
            if !parts.is_empty() && (writes > GROUP_WRITES_MAX || bytes > GROUP_BYTES_MAX) {
                break;
            }
            let Some(Call { part, reply }) = waiting.calls.pop_front() else { break };
            parts.push(part);
            replies.push(reply);
        }
        if parts.is_empty() {
            waiting.busy = false;
            return None;
        }
        Some((parts, replies))
    }
}

impl Postgres {
    /// Queues the writes and waits for what became of them.
    pub(super) async fn write_in_group(&self, writes: Arc<Vec<Write>>) -> Vec<Result<Written, WriteError>> {
        let count = writes.len();
        // JSON is made where the caller runs.
        let part = Part::new(writes);
        let queue = &self.inner.journal.queue;
        let places = u32::try_from(count.min(QUEUE_WRITES_MAX)).expect("the queue is small");
        let place = Arc::clone(&queue.places).acquire_many_owned(places).await.expect("it is never closed");
        let (reply, answer) = oneshot::channel();
        let first = {
            let mut waiting = queue.lock();
            waiting.calls.push_back(Call { part, reply });
            !std::mem::replace(&mut waiting.busy, true)
        };
        if first {
            let store = self.clone();
            // A task of its own, so that a caller who goes away doesn't take the others' writes along.
            tokio::spawn(async move { store.write_groups().await });
        }
        let answered = answer.await;
        drop(place);
        answered.unwrap_or_else(|_| {
            let failure = Failure::unavailable("the store is closing");
            vec![Err(WriteError::Store(failure.error)); count]
        })
    }

    async fn write_groups(self) {
        let mut at_work = AtWork { queue: Arc::clone(&self.inner.journal.queue), done: false };
        while let Some((parts, replies)) = at_work.queue.take() {
            let results = self.write_group(&parts).await;
            for (reply, results) in replies.into_iter().zip(results) {
                // Nobody waits any more.
                let _ = reply.send(results);
            }
            self.tell_of_writes().await;
        }
        at_work.done = true;
    }
}

/// Lets another task begin where this one is cut short, by the end of its runtime or a panic.
struct AtWork {
    queue: Arc<Queue>,
    done: bool,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if !self.done {
            let mut waiting = self.queue.lock();
            waiting.busy = false;
            // Their callers are told: dropping the senders does it.
            waiting.calls.clear();
        }
    }
}

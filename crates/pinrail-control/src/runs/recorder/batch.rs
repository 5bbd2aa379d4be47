//! One batch: the queue's jobs in their order, a run's first events folded into its start.

use std::collections::HashMap;

use pinrail_domain::id::RunId;
use pinrail_domain::journal::Summary;
use pinrail_store::journal::{Append, Write};

use super::{Job, Waiter, run_of};

/// Writes in order, and who waits for each.
#[derive(Default)]
pub(super) struct Batch {
    pub writes: Vec<Write>,
    pub waiters: Vec<Option<Waiter>>,
    /// Starts that can still take events: as long as nothing else of the run came after them.
    starts: HashMap<RunId, (usize, Summary)>,
}

impl Batch {
    /// Adds a write that was tried before. It stays what it was, so that an acknowledgement that got lost can
    /// be told from a write that never happened.
    pub(super) fn push_again(&mut self, write: Write) {
        self.writes.push(write);
        self.waiters.push(None);
    }

    /// Adds a job.
    pub(super) fn push(&mut self, mut job: Job) {
        if let (Write::Append(append), None) = (&mut job.write, &job.waiter)
            && self.fold(append)
        {
            return;
        }
        match (&job.write, &job.waiter) {
            (Write::Start(start), None) => {
                if let Ok(summary) = start.summary() {
                    self.starts.insert(start.stamp.run, (self.writes.len(), summary));
                }
            }
            (Write::Append(_) | Write::Start(_), _) => {
                self.starts.remove(&run_of(&job.write));
            }
        }
        self.writes.push(job.write);
        self.waiters.push(job.waiter);
    }

    /// Puts the events into their run's start, if it is here and takes them; one that is refused must not take
    /// the start with it (I3).
    fn fold(&mut self, append: &mut Append) -> bool {
        if append.expected.is_some() || append.answer.is_some() || append.follows.is_some() {
            return false;
        }
        let Some((index, summary)) = self.starts.get_mut(&append.run) else { return false };
        let Ok((_, after)) = append.follow(summary) else { return false };
        let Write::Start(start) = &mut self.writes[*index] else { return false };
        start.events.append(&mut append.events);
        *summary = after;
        true
    }
}

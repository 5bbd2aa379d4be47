//! What guardrails showed of a rollout, while it is under way and for a while after it.
//!
//! A point is taken whenever the controller, or whoever else, looks and something changed; the look's own facts are the point. After a
//! start the journal is read again, run by run in the order in which they began: meanwhile points are taken every so many runs,
//! at the time of the newest event so far, so that a chart shows what happened before the start too. What the ledger kept of a
//! rollout's steps fills in where nothing else is known ([`Control::history`](crate::Control::history)).

use pinrail_domain::id::DeploymentId;
use pinrail_domain::rollout::History;
use pinrail_domain::time::Timestamp;

use super::{Followed, Observer, PoisonError, tasks};

/// Ended rollouts whose history is kept: those that somebody still talks about. With eight guardrails each is 250 kB at most, so 5 MB.
const OVER_MAX: usize = 20;
/// Points taken while the journal is read again: each is a look at all that was read so far.
const REPLAY_POINTS: usize = 100;

/// Where the reading of the journal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Replay {
    /// The newest event that was read or written.
    at: Timestamp,
    /// A point is taken after so many runs; none where nothing is read again.
    every: Option<usize>,
    runs: usize,
}

impl Replay {
    /// Events up to this moment are in.
    pub fn reached(&mut self, at: Timestamp) {
        self.at = self.at.max(at);
    }
}

impl Followed {
    /// What is missing is known, and about to be read.
    pub(super) fn begin_replay(&mut self) {
        let from_scratch = self.history.is_empty() && !self.missing.is_empty();
        self.replay.every = from_scratch.then(|| self.missing.len().div_ceil(REPLAY_POINTS));
        self.replay.runs = 0;
    }
}

impl Observer {
    /// One run was read again: takes a point where it is time for one.
    pub(super) fn replayed(&self, id: DeploymentId) {
        let (gathered, sourced, at) = {
            let mut followed = self.lock();
            let Some(followed) = followed.get_mut(&id) else { return };
            let Some(every) = followed.replay.every else { return };
            followed.replay.runs += 1;
            if followed.missing.is_empty() {
                // The last point of it is the next look's.
                followed.replay.every = None;
                return;
            }
            if !followed.replay.runs.is_multiple_of(every) {
                return;
            }
            (followed.observed.gather(), followed.sourced.clone(), followed.replay.at)
        };
        let facts = tasks::compute_here(|| gathered.facts(&sourced));
        if let Some(followed) = self.lock().get_mut(&id) {
            followed.history.saw(at, &facts.findings);
        }
    }

    /// What guardrails showed of a rollout, and whether that is all that was journaled; none where nothing is known here.
    pub(crate) fn history(&self, id: DeploymentId) -> Option<(History, bool)> {
        if let Some(followed) = self.lock().get(&id) {
            return Some((followed.history.clone(), followed.is_complete()));
        }
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.iter().find(|(of, _)| *of == id).map(|(_, history)| (history.clone(), true))
    }

    /// Keeps the histories of rollouts that ended.
    pub(super) fn keep_history(&self, ended: impl Iterator<Item = (DeploymentId, Followed)>) {
        for (id, followed) in ended {
            let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
            over.push_back((id, followed.history));
            if over.len() > OVER_MAX {
                over.pop_front();
            }
        }
    }
}

//! Answers about tool calls that the journal has, so that a call that is asked about again isn't journaled again.
//!
//! It is a memory of this process: after a restart, and of calls that so many others came after, an answer may be journaled
//! once more. That says the same thing twice, and nothing wrong.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use pinrail_domain::begin::Ruled;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::RunId;

/// The newest answers about calls with an id.
#[derive(Default)]
pub(crate) struct Told(Mutex<Newest>);

#[derive(Default)]
struct Newest {
    known: HashSet<Digest>,
    order: VecDeque<Digest>,
}

/// Answers that are remembered: some megabytes, and more calls than are asked about again.
const TOLD_MAX: usize = 20_000;

impl Told {
    pub(super) fn knows(&self, told: Digest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known.contains(&told)
    }

    pub(super) fn note(&self, told: Digest) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.known.insert(told) {
            newest.order.push_back(told);
        }
        if newest.order.len() > TOLD_MAX
            && let Some(oldest) = newest.order.pop_front()
        {
            newest.known.remove(&oldest);
        }
    }
}

/// Equal for equal answers about the same call; another ruling, or one that rests on another approval, is news.
pub(super) fn key(run: RunId, call: &str, tool: &str, ruled: &Ruled) -> Digest {
    let approval = ruled.approval.map(|approval| approval.to_string()).unwrap_or_default();
    Digest::of(format!("{run}\n{call}\n{tool}\n{}\n{approval}", ruled.ruling).as_bytes())
}

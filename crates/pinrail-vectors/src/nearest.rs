//! Which places may be among the k best, given estimates with bounds.
//!
//! A place is dropped only when k others are better for certain: its upper bound lies below the k-th best lower
//! bound. What remains holds the true k best, and all that tie with them, whatever the order of the offers.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A place that may be among the best, best estimates first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub place: usize,
    /// The estimate that ranks it: an inner product, or under Euclidean distance twice that less the squared length.
    pub estimate: f32,
}

/// The most candidates for `k` results, unless proof is asked for: a store reads a thousand vectors in two or three
/// milliseconds, and only hosts of near-duplicates come so close to each other that there are more.
#[must_use]
pub fn candidates_max(k: usize) -> usize {
    (4 * k).max(k + 1_000)
}

/// The most candidates where proof is asked for: 100 MB of vectors at 384 dimensions. More than so many that can't be told
/// apart are copies of one vector, and the answer says that it isn't proven.
pub const PROOF_CANDIDATES_MAX: usize = 65_536;

/// Places that are kept before those that fell behind are swept out.
const SWEEP_MIN: usize = 1_024;

/// The search's memory of what it saw.
#[derive(Debug)]
pub(crate) struct Nearest {
    wanted: usize,
    floor: f32,
    /// The best lower bounds, the worst of them on top.
    lower: BinaryHeap<Reverse<Ordered>>,
    kept: Vec<Kept>,
    sweep_at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    candidate: Candidate,
    upper: f32,
}

/// A number that is never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ordered(f32);

impl Nearest {
    /// Looks for the `wanted` best, none of them below `floor`.
    pub fn new(wanted: usize, floor: f32) -> Nearest {
        Nearest { wanted, floor, lower: BinaryHeap::new(), kept: Vec::new(), sweep_at: SWEEP_MIN }
    }

    #[inline]
    pub fn offer(&mut self, place: usize, estimate: f32, slack: f32) {
        if estimate + slack >= self.floor {
            self.keep(
                Kept { candidate: Candidate { place, estimate }, upper: estimate + slack },
                estimate - slack,
            );
        }
    }

    fn keep(&mut self, kept: Kept, lower: f32) {
        if self.wanted == 0 {
            return;
        }
        self.kept.push(kept);
        if self.lower.len() < self.wanted {
            self.lower.push(Reverse(Ordered(lower)));
        } else if let Some(mut worst) = self.lower.peek_mut()
            && worst.0.0 < lower
        {
            *worst = Reverse(Ordered(lower));
        }
        if self.lower.len() == self.wanted
            && let Some(worst) = self.lower.peek()
        {
            self.floor = self.floor.max(worst.0.0);
        }
        if self.kept.len() >= self.sweep_at {
            self.sweep();
            self.sweep_at = (2 * self.kept.len()).max(SWEEP_MIN);
        }
    }

    /// The candidates, and whether all that may be among the best are there.
    pub fn finish(mut self, most: usize) -> (Vec<Candidate>, bool) {
        self.sweep();
        let mut candidates: Vec<Candidate> = self.kept.into_iter().map(|kept| kept.candidate).collect();
        candidates.sort_unstable_by(|a, b| b.estimate.total_cmp(&a.estimate).then(a.place.cmp(&b.place)));
        let proven = candidates.len() <= most;
        candidates.truncate(most);
        (candidates, proven)
    }

    fn sweep(&mut self) {
        let floor = self.floor;
        self.kept.retain(|kept| kept.upper >= floor);
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Ordered) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Ordered) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

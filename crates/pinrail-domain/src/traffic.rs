//! What agents' traffic was in the last hour, minute by minute: a fold over the journal of live runs.
//!
//! - A run counts in its agent, segment and deployment: its beginning in the minute of its stamp, its end in the minute of its
//!   last event. Copies for a shadow step and a gate's runs serve nobody and aren't counted.
//! - [`Traffic::began`] and [`Traffic::ended`] are fed with what is written from some moment on (`from`); [`Traffic::recalled`] brings what
//!   was written before. Each counts what is its own by the time at which it happened, so nothing counts twice.
//! - What other replicas write is fed with the run as the journal has it by then ([`Traffic::seen`]), perhaps several times. Where there
//!   are others, every run that was counted is remembered, the newest [`OPEN_MAX`] of them; of older ones only ends count.
//! - An end names only its run. Open runs are therefore remembered, the newest [`OPEN_MAX`] of them; an end of a run that isn't
//!   known waits for [`Traffic::recalled`] to say whose it is, or counts for nothing.
//! - Each minute has a bucket that says which minute it is about, so a clock that jumped leaves nothing behind for long. What is an
//!   hour older than the newest beginning counts for nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::id::{AgentName, DeploymentId, RunId, SegmentName};
use crate::journal::{Outcome, Stamp};
use crate::time::Timestamp;

mod hour;

pub use hour::{Errors, Hour, MINUTES, Minute};

use hour::Ring;

/// Agents × segments × deployments with traffic in the last hour: 500 agents in ten segments, each with a candidate. A kilobyte
/// each, so 10 MB; what comes beyond is dropped and counted.
pub const LINES_MAX: usize = if cfg!(test) { 8 } else { 10_000 };
/// Open runs whose place is remembered, 50 bytes each: more than are usually open, and of more the oldest go.
pub const OPEN_MAX: usize = if cfg!(test) { 16 } else { 100_000 };

/// The counters of all agents.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// What happens from then on is fed as it is written.
    from: Timestamp,
    /// All that happened since then is counted.
    since: Timestamp,
    complete: bool,
    places: HashMap<AgentName, HashMap<SegmentName, HashMap<DeploymentId, usize>>>,
    lines: Vec<Option<Line>>,
    open: BTreeMap<RunId, usize>,
    /// Ends of runs that nobody heard of yet; empty once everything is recalled.
    early: BTreeMap<RunId, End>,
    /// The runs that count already; none where nobody else writes.
    counted: Option<Counted>,
    dropped: u64,
    /// When the run began that was taken in last: the time by the clock that everything is stamped with.
    newest: Timestamp,
    /// When it was last looked for room.
    swept: Timestamp,
}

/// Runs that were counted since the process began.
#[derive(Clone, Debug, Default)]
struct Counted {
    runs: BTreeSet<RunId>,
    /// This run and all older ones are forgotten, and count as counted.
    forgotten: Option<RunId>,
}

/// The counters of an agent in a segment and a deployment.
#[derive(Clone, Debug)]
struct Line {
    agent: AgentName,
    segment: SegmentName,
    deployment: DeploymentId,
    ring: Ring,
}

/// When and how a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub at: Timestamp,
    pub outcome: Outcome,
}

/// What is known at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lately {
    /// All that happened since then is counted.
    pub since: Timestamp,
    /// What was written before the process began was read, too.
    pub complete: bool,
    /// Writes that may be missing.
    pub dropped: u64,
    /// By agent, segment and deployment; only where there was any traffic within the hour.
    pub lines: BTreeMap<(AgentName, SegmentName), BTreeMap<DeploymentId, Hour>>,
}

impl Traffic {
    /// Counters that are fed with all that happens from a moment on.
    #[must_use]
    pub fn new(from: Timestamp) -> Traffic {
        Traffic {
            from,
            since: from,
            complete: false,
            places: HashMap::new(),
            lines: Vec::new(),
            open: BTreeMap::new(),
            early: BTreeMap::new(),
            counted: None,
            dropped: 0,
            newest: from,
            swept: Timestamp(0),
        }
    }

    /// The same, where other replicas write, too.
    #[must_use]
    pub fn among_others(from: Timestamp) -> Traffic {
        Traffic { counted: Some(Counted::default()), ..Traffic::new(from) }
    }

    /// From when on it is fed.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// Takes in a run that begins now, and its end where that came with it.
    pub fn began(&mut self, stamp: &Stamp, at: Timestamp, end: Option<End>) {
        if !is_live(stamp) {
            return;
        }
        self.newest = at;
        if let Some(counted) = &mut self.counted {
            counted.note(stamp.run);
        }
        self.count(stamp, at, end);
    }

    /// Takes in a run that another replica wrote to, as the journal has it now.
    pub fn seen(&mut self, stamp: &Stamp, began: Timestamp, end: Option<End>) {
        if !is_live(stamp) {
            return;
        }
        if self.open.contains_key(&stamp.run) || began < self.from {
            if let Some(end) = end {
                self.ended(stamp.run, end);
            }
            return;
        }
        if !self.counted.as_mut().is_some_and(|counted| counted.note(stamp.run)) {
            return;
        }
        // Clocks of other machines may be far off, and then they mustn't make what comes next look old.
        if began.ms_since(self.newest) < hour::HOUR_MS {
            self.newest = self.newest.max(began);
        }
        self.count(stamp, began, end);
    }

    /// Takes in the end of a run that began earlier.
    pub fn ended(&mut self, run: RunId, end: End) {
        match self.open.remove(&run) {
            Some(place) => {
                if let Some(line) = &mut self.lines[place] {
                    line.ring.end(end, self.newest);
                }
            }
            None if !self.complete => {
                if self.early.len() >= OPEN_MAX {
                    self.early.pop_first();
                }
                self.early.insert(run, end);
            }
            None => {}
        }
    }

    /// Takes in a run that was read from the journal, with its end if it has one.
    pub fn recalled(&mut self, stamp: &Stamp, began: Timestamp, end: Option<End>) {
        if !is_live(stamp) || began >= self.from {
            return;
        }
        let early = self.early.remove(&stamp.run);
        let end = early.or(end.filter(|end| end.at < self.from));
        self.count(stamp, began, end);
    }

    /// Everything since then was recalled.
    pub fn recalled_all(&mut self, since: Timestamp) {
        self.since = since;
        self.complete = true;
        self.early = BTreeMap::new();
    }

    /// So many writes were not taken in.
    pub fn lost(&mut self, writes: u64) {
        self.dropped = self.dropped.saturating_add(writes);
    }

    /// What is known now, of one agent or of all.
    #[must_use]
    pub fn lately(&self, now: Timestamp, agent: Option<&AgentName>) -> Lately {
        let mut lines: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        let wanted = |line: &&Line| agent.is_none_or(|agent| line.agent == *agent);
        for line in self.lines.iter().flatten().filter(wanted) {
            let hour = line.ring.hour(now);
            if !hour.is_quiet() {
                let of = lines.entry((line.agent.clone(), line.segment.clone())).or_default();
                of.insert(line.deployment, hour);
            }
        }
        let hour_ago = Timestamp(now.0.saturating_sub(hour::HOUR_MS));
        Lately { since: self.since.max(hour_ago), complete: self.complete, dropped: self.dropped, lines }
    }

    fn count(&mut self, stamp: &Stamp, began: Timestamp, end: Option<End>) {
        let Some(place) = self.place(stamp) else { return };
        let Some(line) = &mut self.lines[place] else { return };
        line.ring.begin(began, self.newest);
        match end {
            Some(end) => line.ring.end(end, self.newest),
            // It goes on, or its end is on the way here.
            None => {
                if self.open.len() >= OPEN_MAX {
                    self.open.pop_first();
                }
                self.open.insert(stamp.run, place);
            }
        }
    }

    /// Where a run's counters are; none where there are too many already.
    fn place(&mut self, stamp: &Stamp) -> Option<usize> {
        let known = self.places.get(&stamp.agent).and_then(|of| of.get(&stamp.segment));
        if let Some(place) = known.and_then(|of| of.get(&stamp.deployment)) {
            return Some(*place);
        }
        let Some(place) = self.room() else {
            self.lost(1);
            return None;
        };
        let (agent, segment, deployment) = (stamp.agent.clone(), stamp.segment.clone(), stamp.deployment);
        let segments = self.places.entry(agent.clone()).or_default();
        segments.entry(segment.clone()).or_default().insert(deployment, place);
        self.lines[place] = Some(Line { agent, segment, deployment, ring: Ring::default() });
        Some(place)
    }

    /// A place for one line more; it is looked for one at most once a minute.
    fn room(&mut self) -> Option<usize> {
        if self.lines.len() < LINES_MAX {
            self.lines.push(None);
            return Some(self.lines.len() - 1);
        }
        let free = self.lines.iter().position(Option::is_none);
        if free.is_some() || self.newest.ms_since(self.swept) < hour::MINUTE_MS {
            return free;
        }
        self.swept = self.newest;
        self.sweep();
        self.lines.iter().position(Option::is_none)
    }

    /// Forgets what had no traffic in the hour before, and its open runs with it.
    fn sweep(&mut self) {
        let now = self.newest;
        for line in self.lines.iter_mut() {
            line.take_if(|line| line.ring.hour(now).is_quiet());
        }
        let lines = &self.lines;
        self.open.retain(|_, place| lines[*place].is_some());
        self.places.retain(|_, segments| {
            segments.retain(|_, of| {
                of.retain(|_, place| lines[*place].is_some());
                !of.is_empty()
            });
            !segments.is_empty()
        });
    }
}

impl Counted {
    /// Notes a run; false where it was noted before.
    fn note(&mut self, run: RunId) -> bool {
        if self.forgotten.is_some_and(|forgotten| run <= forgotten) || !self.runs.insert(run) {
            return false;
        }
        if self.runs.len() > OPEN_MAX {
            self.forgotten = self.runs.pop_first();
        }
        true
    }
}

/// Whether a person was served by it.
fn is_live(stamp: &Stamp) -> bool {
    stamp.shadow.is_none() && stamp.gate.is_none()
}

#[cfg(test)]
mod tests;

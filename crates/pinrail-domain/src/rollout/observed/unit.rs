//! What is remembered of units and of their runs.

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::watch::{Tally, Tools};
use crate::id::{AgentName, Epoch, RunId};
use crate::journal::{Event, FaultOf, Outcome, Stamp};
use crate::share::Share;
use crate::stats::Arms;

/// Which unit: 128 bits of a session's agent, tenant and name, or a run's id.
///
/// Two sessions of one rollout share a key with a chance of 10⁻²⁸.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UnitKey(u128);

/// A unit: what was assigned to an arm as one.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// For choosing samples: says nothing of the bucket or of what happened.
    pub hash: u64,
    /// How the first of its runs was assigned.
    first: Option<Assigned>,
    /// The arms that its runs were on.
    pub seen: Seen,
    pub runs: Vec<RunId>,
    /// Per watch.
    pub tallies: Box<[Tally]>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen(Arms<bool>);

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    Candidate,
    Incumbent,
}

/// How a run got its arm; of a unit's runs the least counts.
///
/// In one epoch a session that is bound stays bound, so a run by chance was before those that weren't; and ids of one
/// millisecond say nothing of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Assigned {
    pub epoch: Epoch,
    pub was_bound: bool,
    pub share: Share,
}

/// A run, as far as later events of it need it.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    /// None for a copy.
    pub unit: Option<UnitKey>,
    pub agent: AgentName,
    pub tools: Arc<Tools>,
    pub epoch: Epoch,
    /// The place of the next event.
    pub next: u32,
    pub finished: Option<Outcome>,
    /// The last call failed by the client's doing.
    pub clients_fault: bool,
    /// The dial's text answered its last call.
    pub canned: bool,
    /// A copy's answer was compared.
    pub compared: bool,
    /// What its calls took in all; none while no provider said.
    pub tokens: Option<(u64, u64)>,
    pub cost_nano_usd: Option<u64>,
    /// The newest score per watch, in billionths.
    pub scores: Vec<(usize, u64)>,
}

impl UnitKey {
    pub fn of(stamp: &Stamp) -> UnitKey {
        match &stamp.session {
            // Names hold no zero byte.
            Some(session) => {
                let named = format!("{}\0{}\0{session}", stamp.agent, stamp.tenant);
                UnitKey(xxh3_128(named.as_bytes()))
            }
            None => UnitKey(stamp.run.0),
        }
    }
}

impl Unit {
    pub fn new(key: UnitKey, watches: usize) -> Unit {
        Unit {
            hash: xxh3_64(&key.0.to_le_bytes()),
            first: None,
            seen: Seen::default(),
            runs: Vec::new(),
            tallies: vec![Tally::default(); watches].into(),
        }
    }

    /// Takes in how a run of it was assigned: the first decides.
    pub fn assigned(&mut self, run: Assigned) {
        self.first = Some(self.first.map_or(run, |first| first.min(run)));
    }

    /// The stratum and the arm, if it is compared.
    pub fn compared(&self) -> Option<(Share, Arm)> {
        let arm = match (self.seen.0.candidate, self.seen.0.incumbent) {
            (true, false) => Arm::Candidate,
            (false, true) => Arm::Incumbent,
            (true, true) | (false, false) => return None,
        };
        self.first.filter(|first| !first.was_bound).map(|first| (first.share, arm))
    }
}

impl Seen {
    pub fn add(&mut self, is_candidate: bool) {
        if is_candidate { self.0.candidate = true } else { self.0.incumbent = true }
    }
}

impl Arm {
    pub fn of<T>(self, arms: &mut Arms<T>) -> &mut T {
        match self {
            Arm::Candidate => &mut arms.candidate,
            Arm::Incumbent => &mut arms.incumbent,
        }
    }
}

impl Ran {
    pub fn of(stamp: &Stamp, tools: &Arc<Tools>, unit: Option<UnitKey>) -> Ran {
        Ran {
            unit,
            agent: stamp.agent.clone(),
            tools: Arc::clone(tools),
            epoch: stamp.epoch,
            next: 1,
            finished: None,
            clients_fault: false,
            canned: false,
            compared: false,
            tokens: None,
            cost_nano_usd: None,
            scores: Vec::new(),
        }
    }

    /// Takes in what later events are read by.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::ModelFailed { fault, .. } => self.clients_fault = *fault == FaultOf::Client,
            Event::ModelResponse(response) => {
                (self.clients_fault, self.canned) = (false, response.canned);
                if let Some(usage) = response.usage {
                    let (input, output) = self.tokens.unwrap_or_default();
                    self.tokens = Some((
                        input.saturating_add(usage.input_tokens),
                        output.saturating_add(usage.output_tokens),
                    ));
                }
                if let Some(cost) = response.cost_nano_usd {
                    self.cost_nano_usd = Some(self.cost_nano_usd.unwrap_or_default().saturating_add(cost));
                }
            }
            Event::Compared(_) => self.compared = true,
            Event::Finished { outcome, .. } => self.finished = Some(*outcome),
            Event::Plan { .. }
            | Event::Started
            | Event::ModelRequest { .. }
            | Event::ModelRetry { .. }
            | Event::Drift { .. }
            | Event::ToolCall { .. }
            | Event::ToolResult { .. }
            | Event::Dialled { .. }
            | Event::ToolRuled { .. }
            | Event::ApprovalDecided { .. }
            | Event::Note { .. }
            | Event::Score { .. }
            | Event::Paused { .. }
            | Event::Resumed
            | Event::Parked { .. }
            | Event::Compensated { .. } => {}
        }
    }

    /// Replaces a score; returns the one before.
    pub fn score(&mut self, place: usize, nano: u64) -> Option<u64> {
        match self.scores.iter_mut().find(|(of, _)| *of == place) {
            Some((_, score)) => Some(std::mem::replace(score, nano)),
            None => {
                self.scores.push((place, nano));
                None
            }
        }
    }
}

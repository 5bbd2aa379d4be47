//! Where a rollout stands: a fold over its ledger entries.
//!
//! Every entry of a rollout carries its generation, one more than the one before, so that a decision made on old news
//! is refused by the fold itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::facts::Evidence;
use super::plan::{Plan, Step};
use crate::dial::Position;
use crate::id::{Epoch, LedgerSeq, SegmentName};
use crate::ledger::Actor;
use crate::share::Share;
use crate::time::Timestamp;

/// A deployment's rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    pub plan: Plan,
    /// Rises with every entry of the rollout.
    pub generation: u64,
    /// The place of the current step in the plan, from 0.
    pub step: usize,
    /// When the step was entered, or resumed.
    pub since: Timestamp,
    pub since_seq: LedgerSeq,
    /// The epoch that began when the step was entered: runs of the step are stamped with it or a later one.
    #[serde(default)]
    pub since_epoch: Epoch,
    /// Why nothing moves by itself; none while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// The share of live requests that the candidate answers copies of.
    pub shadow: Share,
    /// Who approved the current step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Every weight that the candidate had, and from which epoch on, oldest first.
    pub weights: Vec<(Epoch, Weights)>,
    /// Steps that are behind, and how they ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<Behind>,
}

/// A candidate's shares of traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    pub everywhere: Share,
    /// Where it differs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<SegmentName, Share>,
}

/// A rollout that stands still until somebody says how it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    pub at: Timestamp,
    pub seq: LedgerSeq,
    pub why: Stop,
}

/// Why a rollout stands still. Stored: never rename.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Stop {
    /// Somebody froze it.
    Person { reason: String },
    /// A guardrail that freezes showed the candidate worse.
    Breach {
        guardrail: String,
        /// Where it turns the dial down to, unless it stands there or lower; none: it leaves the dial alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dial: Option<Position>,
    },
    /// The step's time is up, and it is undecided.
    Deadline { missing: Vec<String> },
    /// The arms don't get the shares that they should: nothing that is compared can be trusted.
    SampleRatio,
    /// Shadow answers cost what they may, before there were enough of them.
    Budget,
    /// Something that its agents pin changed behind the pin, and their settings say freeze.
    Drift { what: String },
}

/// Somebody approved a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub by: Actor,
    pub at: Timestamp,
    pub seq: LedgerSeq,
}

/// A step that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Behind {
    pub step: usize,
    pub since: Timestamp,
    pub until: Timestamp,
    /// The ledger entry that ended it, with its evidence.
    pub seq: LedgerSeq,
}

/// A step that is entered, as the ledger has it. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entered {
    /// The place of the step in the plan, from 0.
    pub step: usize,
    pub weight: Share,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<SegmentName, Share>,
    #[serde(default, skip_serializing_if = "is_none_share")]
    pub shadow: Share,
    /// What the step before it ended on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<Evidence>>,
}

impl Weights {
    /// The same share everywhere.
    #[must_use]
    pub fn everywhere(share: Share) -> Weights {
        Weights { everywhere: share, segments: BTreeMap::new() }
    }

    /// The shares that a plan's step stands for: what its canaries up to there came to.
    #[must_use]
    pub fn at_step(plan: &Plan, step: usize) -> Weights {
        (0..=step).fold(Weights::default(), |before, step| {
            let Entered { weight, segments, .. } = Entered::of(plan, step, &before, None);
            Weights { everywhere: weight, segments }
        })
    }

    /// The share in a segment.
    #[must_use]
    pub fn in_segment(&self, segment: &SegmentName) -> Share {
        self.segments.get(segment).copied().unwrap_or(self.everywhere)
    }

    /// The largest of them.
    #[must_use]
    pub fn largest(&self) -> Share {
        self.segments.values().copied().fold(self.everywhere, Share::max)
    }
}

impl Rollout {
    /// A rollout that begins: its first step is entered.
    #[must_use]
    pub fn begun(plan: Plan, at: Timestamp, seq: LedgerSeq, epoch: Epoch) -> Rollout {
        let first = Entered::of(&plan, 0, &Weights::default(), None);
        let weights = Weights { everywhere: first.weight, segments: first.segments };
        Rollout {
            plan,
            generation: 0,
            step: 0,
            since: at,
            since_seq: seq,
            since_epoch: epoch,
            stopped: None,
            shadow: first.shadow,
            approvals: Vec::new(),
            weights: vec![(epoch, weights)],
            behind: Vec::new(),
        }
    }

    /// The current step.
    #[must_use]
    pub fn current(&self) -> &Step {
        &self.plan.steps[self.step]
    }

    /// The candidate's shares now.
    #[must_use]
    pub fn weights_now(&self) -> &Weights {
        let (_, weights) = self.weights.last().expect("it begins with one");
        weights
    }

    /// The candidate's shares in an epoch; nothing before the first.
    #[must_use]
    pub fn weights_in(&self, epoch: Epoch) -> Option<&Weights> {
        let after = self.weights.partition_point(|(from, _)| *from <= epoch);
        after.checked_sub(1).map(|at| &self.weights[at].1)
    }

    /// The times, over all its steps, at which the candidate served traffic first.
    #[must_use]
    pub fn live_from(&self) -> Option<Epoch> {
        let live = self.weights.iter().find(|(_, weights)| weights.largest() > Share::NONE);
        live.map(|(epoch, _)| *epoch)
    }

    pub(crate) fn enter(&mut self, entered: &Entered, at: Timestamp, seq: LedgerSeq, epoch: Epoch) {
        self.behind.push(Behind { step: self.step, since: self.since, until: at, seq });
        self.step = entered.step;
        (self.since, self.since_seq, self.since_epoch) = (at, seq, epoch);
        self.stopped = None;
        self.shadow = entered.shadow;
        self.approvals.clear();
        let weights = Weights { everywhere: entered.weight, segments: entered.segments.clone() };
        self.reweigh(weights, epoch);
    }

    pub(crate) fn reweigh(&mut self, weights: Weights, epoch: Epoch) {
        if *self.weights_now() != weights {
            self.weights.push((epoch, weights));
        }
    }
}

impl Entered {
    /// What entering a step of the plan means, coming from `before`. Steps without a share of their own keep what
    /// there is.
    #[must_use]
    pub fn of(plan: &Plan, step: usize, before: &Weights, evidence: Option<Box<Evidence>>) -> Entered {
        let (mut weights, mut shadow) = (before.clone(), Share::NONE);
        match &plan.steps[step] {
            Step::Canary { percent, segments, .. } if segments.is_empty() => {
                weights.everywhere = percent.0;
                // What a segment had more of than others, it keeps (I10).
                weights.segments.retain(|_, share| *share > percent.0);
            }
            Step::Canary { percent, segments, .. } => {
                for segment in segments {
                    let share = weights.in_segment(segment).max(percent.0);
                    weights.segments.insert(segment.clone(), share);
                }
            }
            Step::Shadow { percent, .. } => shadow = percent.0,
            Step::Gate | Step::Pause { .. } | Step::Approve { .. } => {}
        }
        let Weights { everywhere, segments } = weights;
        Entered { step, weight: everywhere, segments, shadow, evidence }
    }
}

fn is_none_share(share: &Share) -> bool {
    *share == Share::NONE
}

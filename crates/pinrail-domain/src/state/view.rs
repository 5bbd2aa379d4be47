//! Who sees what: the one visibility rule (I4).
//!
//! An operation *counts* in a view when all of this holds:
//! 1. it was appended at or before the view's moment;
//! 2. its deployment is the ground, or the view's own, or was committed at that moment: promoted at or before it,
//!    and not retracted at or before it;
//! 3. no cascade at or before that moment took the operation itself along (its own deployment's view excepted).
//!
//! An operation that counts is *visible* when it is a put and no later operation on its key counts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Moment, Op, Operation};
use crate::id::{DeploymentId, LedgerSeq, StateSeq};
use crate::ledger::{Counting, Entry};

/// The ground: the deployment of external facts, committed from the start.
pub const GROUND: DeploymentId = DeploymentId(0);

/// Which deployments count, and since when: what the ledger says about commits. A fold over it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commits {
    /// The last ledger entry that changed what counts. Two values with the same one are the same.
    pub generation: LedgerSeq,
    spans: BTreeMap<DeploymentId, Span>,
    cascades: Vec<Cascade>,
}

/// When a deployment's writes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The entry that committed it.
    pub committed: Option<LedgerSeq>,
    /// The entry that took its writes back, committed or not.
    pub retracted: Option<LedgerSeq>,
}

/// Single records of other deployments that a retraction took along.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    /// The retraction.
    pub at: LedgerSeq,
    pub from: DeploymentId,
    pub records: Ranges,
}

/// A set of records as ascending, disjoint, inclusive ranges. Stored: never change the form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranges(Vec<(StateSeq, StateSeq)>);

/// What a reader looks through: whose own writes, and which moment.
#[derive(Clone, Debug)]
pub struct View {
    /// Sees its own writes whatever became of them.
    pub own: Option<DeploymentId>,
    pub at: Moment,
    pub commits: Arc<Commits>,
}

/// Why an operation isn't visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Hidden {
    /// It came later than the view's moment.
    AfterAsOf,
    /// Its deployment is not committed: only its own runs see it.
    Uncommitted { deployment: DeploymentId },
    /// Its deployment was rolled back before it was ever committed.
    Aborted { deployment: DeploymentId },
    /// Its deployment was committed and taken back later.
    Retracted { deployment: DeploymentId },
    /// It was derived from what a retracted deployment wrote.
    Derived { from: DeploymentId },
    /// A later put on the key took its place.
    Superseded { by: StateSeq },
    /// The key was deleted.
    Deleted { by: StateSeq },
    /// It is a delete: it hides and shows nothing.
    Delete,
}

/// The reason in words: `aborted deployment 42`, `superseded by 17`, `after as_of`.
impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hidden::AfterAsOf => f.write_str("after as_of"),
            Hidden::Uncommitted { deployment } => write!(f, "uncommitted deployment {deployment}"),
            Hidden::Aborted { deployment } => write!(f, "aborted deployment {deployment}"),
            Hidden::Retracted { deployment } => write!(f, "retracted deployment {deployment}"),
            Hidden::Derived { from } => write!(f, "derived from retracted deployment {from}"),
            Hidden::Superseded { by } => write!(f, "superseded by {by}"),
            Hidden::Deleted { by } => write!(f, "deleted by {by}"),
            Hidden::Delete => f.write_str("a delete"),
        }
    }
}

impl Commits {
    /// When the deployment's writes count.
    #[must_use]
    pub fn span(&self, deployment: DeploymentId) -> Span {
        self.spans.get(&deployment).copied().unwrap_or_default()
    }

    /// Whether what the deployment wrote counts for everybody at `at`.
    #[must_use]
    pub fn is_committed(&self, deployment: DeploymentId, at: LedgerSeq) -> bool {
        let Span { committed, retracted } = self.span(deployment);
        deployment == GROUND
            || committed.is_some_and(|committed| committed <= at)
                && retracted.is_none_or(|retracted| retracted > at)
    }

    /// The cascade that took the record along by `at`, if one did.
    #[must_use]
    pub fn cascade(&self, seq: StateSeq, at: LedgerSeq) -> Option<&Cascade> {
        self.cascades.iter().find(|cascade| cascade.at <= at && cascade.records.contains(seq))
    }

    /// All cascades, oldest first.
    #[must_use]
    pub fn cascades(&self) -> &[Cascade] {
        &self.cascades
    }

    /// The deployments whose writes count differently than in `earlier`.
    pub fn changed_since<'a>(&'a self, earlier: &'a Commits) -> impl Iterator<Item = DeploymentId> + 'a {
        let counts = |span: Span| span.committed.is_some() && span.retracted.is_none();
        self.spans
            .iter()
            .filter_map(move |(id, span)| (counts(*span) != counts(earlier.span(*id))).then_some(*id))
    }

    /// Takes in the next entry of the ledger, by itself: what [`crate::world::World`] would say of it, where the entries
    /// before it made sense.
    pub fn follow(&mut self, entry: &Entry) {
        match entry.body.counting() {
            Some(Counting::Commits(deployment)) => self.commit(deployment, entry.seq),
            Some(Counting::Retracts { deployment, unless_committed, derived })
                if !(unless_committed && self.span(deployment).committed.is_some()) =>
            {
                self.retract(deployment, entry.seq, derived);
            }
            Some(Counting::Retracts { .. }) | None => {}
        }
    }

    /// Commits a deployment.
    pub(crate) fn commit(&mut self, deployment: DeploymentId, at: LedgerSeq) {
        self.generation = at;
        self.spans.entry(deployment).or_default().committed = Some(at);
    }

    /// Takes a deployment's writes back, and with them `derived` records of others.
    pub(crate) fn retract(&mut self, deployment: DeploymentId, at: LedgerSeq, derived: &Ranges) {
        self.generation = at;
        self.spans.entry(deployment).or_default().retracted = Some(at);
        if !derived.is_empty() {
            self.cascades.push(Cascade { at, from: deployment, records: derived.clone() });
        }
    }
}

impl View {
    /// Whether the operation counts.
    #[must_use]
    pub fn counts(&self, operation: &Operation) -> bool {
        self.discounted(operation).is_none()
    }

    /// Why the operation doesn't count; none when it does.
    #[must_use]
    pub fn discounted(&self, operation: &Operation) -> Option<Hidden> {
        let Operation { seq, ledger, deployment, .. } = operation;
        if *seq > self.at.state || *ledger > self.at.ledger {
            return Some(Hidden::AfterAsOf);
        }
        if self.own == Some(*deployment) {
            return None;
        }
        self.discounted_deployment(*deployment).or_else(|| {
            let cascade = self.commits.cascade(*seq, self.at.ledger)?;
            Some(Hidden::Derived { from: cascade.from })
        })
    }

    /// Why nothing that the deployment wrote counts; none when what it wrote may count.
    #[must_use]
    pub fn discounted_deployment(&self, deployment: DeploymentId) -> Option<Hidden> {
        if self.own == Some(deployment) || self.commits.is_committed(deployment, self.at.ledger) {
            return None;
        }
        let Span { committed, retracted } = self.commits.span(deployment);
        let known = |entry: Option<LedgerSeq>| entry.is_some_and(|entry| entry <= self.at.ledger);
        Some(match (known(committed), known(retracted)) {
            (true, true) => Hidden::Retracted { deployment },
            (false, true) => Hidden::Aborted { deployment },
            (_, false) => Hidden::Uncommitted { deployment },
        })
    }

    /// Why the first of a key's operations isn't visible, given all that came after it in sequence order; none when
    /// it is.
    #[must_use]
    pub fn hidden(&self, operation: &Operation, later: &[Operation]) -> Option<Hidden> {
        if let Some(why) = self.discounted(operation) {
            return Some(why);
        }
        if operation.op == Op::Delete {
            return Some(Hidden::Delete);
        }
        let end = later.iter().find(|end| self.counts(end))?;
        Some(match end.op {
            Op::Put => Hidden::Superseded { by: end.seq },
            Op::Delete => Hidden::Deleted { by: end.seq },
        })
    }
}

impl Ranges {
    /// From records in any order.
    #[must_use]
    pub fn of(records: impl IntoIterator<Item = StateSeq>) -> Ranges {
        let mut sorted: Vec<StateSeq> = records.into_iter().collect();
        sorted.sort_unstable();
        let mut ranges: Vec<(StateSeq, StateSeq)> = Vec::new();
        for seq in sorted {
            match ranges.last_mut() {
                Some((_, last)) if seq <= last.next() => *last = seq,
                Some(_) | None => ranges.push((seq, seq)),
            }
        }
        Ranges(ranges)
    }

    #[must_use]
    pub fn contains(&self, seq: StateSeq) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= seq);
        after > 0 && seq <= self.0[after - 1].1
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| last.0 - first.0 + 1).sum()
    }

    /// The ranges themselves, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[(StateSeq, StateSeq)] {
        &self.0
    }

    /// Whether they are ascending and disjoint, as they must be.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.0.iter().all(|(first, last)| first <= last)
            && self.0.windows(2).all(|pair| pair[0].1 < pair[1].0)
    }
}

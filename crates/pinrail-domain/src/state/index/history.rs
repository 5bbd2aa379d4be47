//! Views of any moment, and why each operation isn't visible: one pass over the operations.

use std::collections::HashMap;

use super::{Index, NOWHERE, Place};
use crate::id::DeploymentId;
use crate::state::bits::Bits;
use crate::state::view::{Hidden, View};
use crate::state::{Moment, Op, StateKey};

/// A view with what it says of each writer looked up once.
struct Lens<'a> {
    index: &'a Index,
    own: Option<DeploymentId>,
    at: Moment,
    /// By writer: why nothing of it counts, apart from what came too late.
    writers: Vec<Option<Hidden>>,
    /// Places that cascades took along, and what they were derived from.
    derived: HashMap<usize, DeploymentId>,
}

impl Index {
    /// The places that a view shows.
    #[must_use]
    pub fn at(&self, view: &View) -> Bits {
        let lens = Lens::new(self, view);
        let (mut shown, mut decided) = (Bits::new(), Bits::new());
        for place in (0..self.len()).rev() {
            let key = self.operations.keys[place] as usize;
            if !decided.contains(key) && lens.discounted(place).is_none() {
                decided.insert(key);
                if self.op(place) == Op::Put {
                    shown.insert(place);
                }
            }
        }
        shown
    }

    /// Every place, in rising order, with the reason why the view doesn't show it.
    pub fn history<'a>(
        &'a self,
        view: &View,
    ) -> impl DoubleEndedIterator<Item = (usize, Option<Hidden>)> + ExactSizeIterator + use<'a> {
        let lens = Lens::new(self, view);
        let mut newest = vec![NOWHERE; self.keys.len()];
        // By place: the nearest later operation on its key that counts.
        let mut ends = vec![NOWHERE; self.len()];
        for place in (0..self.len()).rev().filter(|place| lens.discounted(*place).is_none()) {
            let newest = &mut newest[self.operations.keys[place] as usize];
            ends[place] = std::mem::replace(newest, place as Place);
        }
        (0..self.len()).map(move |place| (place, lens.reason(place, ends[place])))
    }

    /// The places of one key, in rising order, with the reason why the view doesn't show it.
    #[must_use]
    pub fn history_of(&self, view: &View, key: &StateKey) -> Vec<(usize, Option<Hidden>)> {
        let Some(key) = self.key_numbers.get(key) else { return Vec::new() };
        let lens = Lens::new(self, view);
        let mut end = NOWHERE;
        let reason = |place: usize| {
            let why = lens.reason(place, end);
            if lens.discounted(place).is_none() {
                end = place as Place;
            }
            (place, why)
        };
        let mut reasons: Vec<_> = self.chain(*key).map(reason).collect();
        reasons.reverse();
        reasons
    }
}

impl<'a> Lens<'a> {
    fn new(index: &'a Index, view: &View) -> Lens<'a> {
        let writers = index.deployments().map(|deployment| view.discounted_deployment(deployment)).collect();
        let mut derived = HashMap::new();
        for cascade in view.commits.cascades().iter().filter(|cascade| cascade.at <= view.at.ledger) {
            for (first, last) in cascade.records.ranges() {
                let start = index.operations.seqs.partition_point(|seq| seq < first);
                for place in start..index.end(*last) {
                    // The first one took it.
                    derived.entry(place).or_insert(cascade.from);
                }
            }
        }
        Lens { index, own: view.own, at: view.at, writers, derived }
    }

    /// Why the operation doesn't count: [`View::discounted`].
    fn discounted(&self, place: usize) -> Option<Hidden> {
        let columns = &self.index.operations;
        if columns.seqs[place] > self.at.state || columns.ledgers[place] > self.at.ledger {
            return Some(Hidden::AfterAsOf);
        }
        if self.own == Some(self.index.deployment(place)) {
            return None;
        }
        let writer = self.writers[columns.writers[place] as usize].clone();
        writer.or_else(|| self.derived.get(&place).map(|from| Hidden::Derived { from: *from }))
    }

    /// Why the operation isn't visible, given the nearest later operation on its key that counts.
    fn reason(&self, place: usize, end: Place) -> Option<Hidden> {
        if let Some(why) = self.discounted(place) {
            return Some(why);
        }
        let end = (end != NOWHERE).then_some(end as usize);
        match (self.index.op(place), end) {
            (Op::Delete, _) => Some(Hidden::Delete),
            (Op::Put, None) => None,
            (Op::Put, Some(end)) => {
                let by = self.index.seq(end);
                Some(match self.index.op(end) {
                    Op::Put => Hidden::Superseded { by },
                    Op::Delete => Hidden::Deleted { by },
                })
            }
        }
    }
}

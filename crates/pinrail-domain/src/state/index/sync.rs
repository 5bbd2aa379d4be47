//! Following the ledger: deployments that begin or cease to count, and cascades.

use std::sync::Arc;

use super::{Counting, Index, NOWHERE, Place, Standing};
use crate::state::view::{Commits, Ranges};

impl Index {
    /// Brings the visible sets to these commits. Older ones than are known here change nothing: an index never goes
    /// back; [`Index::at`] does.
    ///
    /// A deployment costs a word operation per 64 places that it wrote in a row, and a look at each key that it shares.
    pub fn sync(&mut self, commits: &Arc<Commits>) {
        if commits.generation <= self.generation() {
            return;
        }
        for writer in 0..self.writers.len() {
            let standing = Counting::of(commits, self.writers[writer].deployment);
            if standing != self.writers[writer].standing {
                self.turn(writer, standing);
            }
        }
        self.commits = Arc::clone(commits);
        self.take_new_cascades_along();
    }

    pub(super) fn take_new_cascades_along(&mut self) {
        let commits = Arc::clone(&self.commits);
        for cascade in &commits.cascades()[self.cascades..] {
            self.take_along(&cascade.records);
        }
        self.cascades = commits.cascades().len();
    }

    /// Makes all that a deployment wrote count differently.
    fn turn(&mut self, number: usize, to: Counting) {
        let from = std::mem::replace(&mut self.writers[number].standing, to);
        if !self.writers[number].needs_overlay() {
            self.overlays.remove(&(number as u32));
        }
        let Index { writers, visible, sole, overlays, .. } = self;
        let runs = &writers[number].runs;
        let overlays = overlays.values_mut().map(|overlay| &mut overlay.visible);
        let sets = std::iter::once(visible).chain(overlays);
        match (from == Counting::Committed, to == Counting::Committed) {
            (false, true) => sets.for_each(|set| {
                runs.iter().for_each(|(start, end)| set.unite_within(sole, *start as usize..*end as usize));
            }),
            (true, false) => sets.for_each(|set| {
                runs.iter().for_each(|(start, end)| set.remove_range(*start as usize..*end as usize));
            }),
            (true, true) | (false, false) => {}
        }
        if from == Counting::Committed || to == Counting::Committed {
            let contested = std::mem::take(&mut self.writers[number].contested);
            contested.iter().for_each(|key| self.settle(*key));
            self.writers[number].contested = contested;
        }
    }

    fn take_along(&mut self, records: &Ranges) {
        for (first, last) in records.ranges() {
            self.cascaded_to = self.cascaded_to.max(*last);
            let start = self.operations.seqs.partition_point(|seq| seq < first);
            for place in start..self.end(*last) {
                if self.cascaded.insert(place) {
                    self.take_one_along(place);
                }
            }
        }
    }

    fn take_one_along(&mut self, place: usize) {
        let (key, author) = (self.operations.keys[place], self.operations.writers[place]);
        // From now on the author alone sees it: what it sees is still what everybody sees here.
        self.writers[author as usize].is_cascaded = true;
        self.give_overlay(author);
        self.contest(key);
        let own = self.chain(key).find(|place| self.operations.writers[*place] == author);
        let own = own.expect("the place itself is on its key's chain");
        if let Some(overlay) = self.overlays.get_mut(&author) {
            overlay.tops.insert(key, own as Place);
        }
        self.settle(key);
    }

    /// Finds again what a contested key shows.
    fn settle(&mut self, key: u32) {
        self.hide(key);
        let top = self.chain(key).find(|place| self.counts(*place)).map_or(NOWHERE, |place| place as Place);
        self.keys[key as usize].standing = Standing::Contested { top };
        self.show(key);
    }
}

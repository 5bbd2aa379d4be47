//! Taking one more operation in: constant time but for the overlays, which are few.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use super::{Counting, Index, Key, NOWHERE, Overlay, PLACES_MAX, Place, Standing, Writer};
use crate::id::DeploymentId;
use crate::state::view::{Commits, GROUND};
use crate::state::{Op, Operation, StateKey};

impl Index {
    /// Takes in the space's next operation. It must come after all that are here.
    pub fn apply(&mut self, operation: Operation) {
        let Operation { seq, ledger, deployment, key, op } = operation;
        assert!(self.is_empty() || seq > self.newest(), "operation {seq} after {}", self.newest());
        assert!(self.len() < PLACES_MAX, "a space holds at most {PLACES_MAX} operations");
        let place = self.len();
        let writer = self.writer_number(deployment);
        let key = self.key_number(key);
        let columns = &mut self.operations;
        columns.seqs.push(seq);
        columns.ledgers.push(ledger);
        columns.keys.push(key);
        columns.writers.push(writer);
        columns.previous.push(self.keys[key as usize].last);
        if op == Op::Put {
            columns.puts.insert(place);
        }
        self.writers[writer as usize].extend(place as Place);
        if seq <= self.cascaded_to && self.commits.cascade(seq, self.generation()).is_some() {
            self.cascaded.insert(place);
            self.writers[writer as usize].is_cascaded = true;
        }
        self.give_overlay(writer);
        self.place_on_key(place, key, writer);
    }

    /// Makes sure that the writer has an overlay if it sees more than everybody.
    pub(super) fn give_overlay(&mut self, writer: u32) {
        if self.writers[writer as usize].needs_overlay() {
            let overlay = || Overlay { visible: self.visible.clone(), tops: HashMap::new() };
            self.overlays.entry(writer).or_insert_with(overlay);
        }
    }

    /// Shows the newest operation instead of what it ends, to those for whom it counts.
    fn place_on_key(&mut self, place: usize, key: u32, writer: u32) {
        let last = self.keys[key as usize].last;
        let is_sole = self.keys[key as usize].standing == Standing::Sole
            && (last == NOWHERE || self.operations.writers[last as usize] == writer)
            && !self.cascaded.contains(place);
        if is_sole {
            self.keys[key as usize].last = place as Place;
            self.replace_sole(last, place, writer);
            return;
        }
        self.contest(key);
        self.hide(key);
        self.keys[key as usize].last = place as Place;
        if self.counts(place) {
            self.keys[key as usize].standing = Standing::Contested { top: place as Place };
        }
        self.writers[writer as usize].contested.insert(key);
        if let Some(overlay) = self.overlays.get_mut(&writer) {
            overlay.tops.insert(key, place as Place);
        }
        self.show(key);
    }

    fn replace_sole(&mut self, last: Place, place: usize, writer: u32) {
        let is_put = self.operations.puts.contains(place);
        let replace = |bits: &mut super::Bits| {
            if last != NOWHERE {
                bits.remove(last as usize);
            }
            if is_put {
                bits.insert(place);
            }
        };
        replace(&mut self.sole);
        match self.writers[writer as usize].standing {
            Counting::Committed => {
                replace(&mut self.visible);
                self.overlays.values_mut().for_each(|overlay| replace(&mut overlay.visible));
            }
            Counting::Open => {
                let overlay = self.overlays.get_mut(&writer);
                replace(&mut overlay.expect("an open deployment that wrote has an overlay").visible);
            }
            Counting::Retracted => {}
        }
    }

    /// Makes a key contested; nobody sees a difference yet.
    pub(super) fn contest(&mut self, key: u32) {
        let Key { last, standing, .. } = self.keys[key as usize];
        if standing != Standing::Sole {
            return;
        }
        let mut top = NOWHERE;
        if last != NOWHERE {
            self.sole.remove(last as usize);
            let author = self.operations.writers[last as usize];
            if let Some(overlay) = self.overlays.get_mut(&author) {
                overlay.tops.insert(key, last);
            }
            let author = &mut self.writers[author as usize];
            author.contested.insert(key);
            if author.standing == Counting::Committed {
                top = last;
            }
        }
        self.keys[key as usize].standing = Standing::Contested { top };
    }

    /// Takes a contested key out of all sets; [`Index::show`] must follow.
    pub(super) fn hide(&mut self, key: u32) {
        let Standing::Contested { top } = self.keys[key as usize].standing else { return };
        self.visible.remove(top as usize);
        for overlay in self.overlays.values_mut() {
            overlay.visible.remove(top as usize);
            if let Some(own) = overlay.tops.get(&key) {
                overlay.visible.remove(*own as usize);
            }
        }
    }

    /// Puts a contested key into the sets of those who see it.
    pub(super) fn show(&mut self, key: u32) {
        let Standing::Contested { top } = self.keys[key as usize].standing else { return };
        let top = (top != NOWHERE).then_some(top as usize);
        let puts = &self.operations.puts;
        if let Some(top) = top.filter(|top| puts.contains(*top)) {
            self.visible.insert(top);
        }
        for overlay in self.overlays.values_mut() {
            let own = overlay.tops.get(&key).map(|own| *own as usize);
            if let Some(newest) = top.max(own).filter(|newest| puts.contains(*newest)) {
                overlay.visible.insert(newest);
            }
        }
    }

    fn key_number(&mut self, name: StateKey) -> u32 {
        match self.key_numbers.entry(name) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let number = self.keys.len() as u32;
                let name = new.key().clone();
                self.keys.push(Key { name, last: NOWHERE, standing: Standing::Sole });
                *new.insert(number)
            }
        }
    }

    fn writer_number(&mut self, deployment: DeploymentId) -> u32 {
        // Mostly whoever wrote last.
        let last = self.operations.writers.last().copied();
        let last = last.filter(|last| self.writers[*last as usize].deployment == deployment);
        if let Some(number) = last.or_else(|| self.writer_numbers.get(&deployment).copied()) {
            return number;
        }
        let number = self.writers.len() as u32;
        self.writers.push(Writer {
            deployment,
            standing: Counting::of(&self.commits, deployment),
            runs: Vec::new(),
            contested: BTreeSet::new(),
            is_cascaded: false,
        });
        self.writer_numbers.insert(deployment, number);
        number
    }
}

impl Writer {
    pub(super) fn needs_overlay(&self) -> bool {
        match self.standing {
            Counting::Open => true,
            Counting::Committed => self.is_cascaded,
            Counting::Retracted => false,
        }
    }

    fn extend(&mut self, place: Place) {
        match self.runs.last_mut() {
            Some((_, end)) if *end == place => *end += 1,
            Some(_) | None => self.runs.push((place, place + 1)),
        }
    }
}

impl Counting {
    pub(super) fn of(commits: &Commits, deployment: DeploymentId) -> Counting {
        let span = commits.span(deployment);
        if deployment == GROUND {
            Counting::Committed
        } else if span.retracted.is_some() {
            Counting::Retracted
        } else if span.committed.is_some() {
            Counting::Committed
        } else {
            Counting::Open
        }
    }
}

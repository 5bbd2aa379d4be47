//! The newest flips: what changed, when the snapshot was swapped, and who answered.

use std::collections::VecDeque;

use pinrail_domain::id::{DeploymentId, Epoch, Generation, LedgerSeq, MemberName};
use pinrail_domain::member::{Change, MemberId};
use pinrail_domain::time::{Ticks, Timestamp};

use super::registry::{Lease, Member, Registry};
use super::{EPOCHS_KEPT, Since};

/// The newest flips, oldest first, one per epoch and without a gap.
pub struct Flips {
    epoch: Epoch,
    newest: VecDeque<Flip>,
}

/// One epoch.
pub struct Flip {
    pub change: Change,
    /// When this server swapped its snapshot; none for what happened before it started.
    pub swapped: Option<Swapped>,
    /// Who held a lease then, in the order of their ids.
    pub expected: Vec<Expected>,
}

#[derive(Clone, Copy)]
pub struct Swapped {
    pub ticks: Ticks,
    pub at: Timestamp,
}

/// A member that must answer.
pub struct Expected {
    pub member: MemberId,
    pub name: MemberName,
    pub generation: Generation,
    pub outcome: Outcome,
}

/// What became of it so far.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Waiting,
    /// It is a part of this process: swapped and acknowledged are one.
    Itself,
    Acknowledged {
        took_us: u64,
    },
    Left,
    Replaced,
    /// Its lease ended first.
    Lapsed,
}

impl Flips {
    pub fn new(epoch: Epoch, past: impl IntoIterator<Item = Change>) -> Flips {
        let past = past.into_iter().map(|change| Flip { change, swapped: None, expected: Vec::new() });
        Flips { epoch, newest: past.collect() }
    }

    /// The current epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Adds the flip that happened now.
    pub fn flip_now(&mut self, change: Change, registry: &mut Registry, now: Ticks, at: Timestamp) {
        let epoch = change.epoch;
        let expected = registry.flipped(epoch, now).collect();
        self.newest.push_back(Flip { change, swapped: Some(Swapped { ticks: now, at }), expected });
        self.epoch = epoch;
        while self.newest.len() > EPOCHS_KEPT {
            self.newest.pop_front();
        }
    }

    /// Notes a member's answer to all epochs up to one.
    pub fn acknowledged(&mut self, member: &Member, upto: Epoch, now: Ticks) {
        for flip in self.after_mut(member.acknowledged).filter(|flip| flip.change.epoch <= upto) {
            let Some(swapped) = flip.swapped else { continue };
            let took_us = now.us_since(swapped.ticks);
            flip.settle(member, Outcome::Acknowledged { took_us });
        }
    }

    /// Notes that a member said goodbye.
    pub fn left(&mut self, member: &Member, now: Ticks) {
        self.end(member, Outcome::Left, now);
    }

    /// Notes that a member registered again.
    pub fn replaced(&mut self, before: &Member, now: Ticks) {
        self.end(before, Outcome::Replaced, now);
    }

    pub fn flip(&self, epoch: Epoch) -> Option<&Flip> {
        self.newest.get(self.place(epoch)?)
    }

    /// When the oldest flip after an epoch happened, of those that are kept.
    pub fn first_after(&self, epoch: Epoch) -> Option<Ticks> {
        self.after(epoch).find_map(|flip| flip.swapped).map(|swapped| swapped.ticks)
    }

    pub fn since(&self, after: Option<Epoch>) -> Since {
        let seq = self.newest.back().map_or(LedgerSeq(0), |flip| flip.change.seq);
        let Some(after) = after else {
            return Since { epoch: self.epoch, seq, changes: Vec::new(), more: false };
        };
        let changes: Vec<Change> = self.after(after).map(|flip| flip.change.clone()).collect();
        // An epoch that hasn't been here is another world's, before a backup was restored: nothing known then counts.
        let more = after > self.epoch || (changes.len() as u64) < self.epoch.0 - after.0;
        Since { epoch: self.epoch, seq, changes, more }
    }

    pub fn epoch_of(&self, deployment: DeploymentId) -> Option<Epoch> {
        let newest = self.newest.iter().rev();
        newest.map(|flip| &flip.change).find(|c| c.deployment == Some(deployment)).map(|change| change.epoch)
    }

    pub fn newest_acknowledgements(&self, flips_max: usize) -> (Vec<u64>, usize) {
        let judged = self.newest.iter().rev().filter(|flip| flip.swapped.is_some()).take(flips_max);
        let (mut all, mut flips) = (Vec::new(), 0);
        for flip in judged {
            all.extend(flip.took_us());
            flips += 1;
        }
        all.sort_unstable();
        (all, flips)
    }

    fn end(&mut self, member: &Member, outcome: Outcome, now: Ticks) {
        let outcome = if member.lapsed_ms(now).is_some() { Outcome::Lapsed } else { outcome };
        for flip in self.after_mut(member.acknowledged) {
            flip.settle(member, outcome);
        }
    }

    fn after(&self, epoch: Epoch) -> impl Iterator<Item = &Flip> {
        self.newest.range(self.place_after(epoch)..)
    }

    fn after_mut(&mut self, epoch: Epoch) -> impl Iterator<Item = &mut Flip> {
        let from = self.place_after(epoch);
        self.newest.range_mut(from..)
    }

    fn place_after(&self, epoch: Epoch) -> usize {
        self.newest.partition_point(|flip| flip.change.epoch <= epoch)
    }

    fn place(&self, epoch: Epoch) -> Option<usize> {
        self.newest.binary_search_by_key(&epoch, |flip| flip.change.epoch).ok()
    }
}

impl Flip {
    /// How long the acknowledgements took, in no order.
    pub fn took_us(&self) -> impl Iterator<Item = u64> + '_ {
        self.expected.iter().filter_map(|expected| match expected.outcome {
            Outcome::Acknowledged { took_us } => Some(took_us),
            Outcome::Waiting | Outcome::Itself | Outcome::Left | Outcome::Replaced | Outcome::Lapsed => None,
        })
    }

    /// Settles what was awaited of a member; what is settled stays.
    fn settle(&mut self, member: &Member, outcome: Outcome) {
        let Ok(place) = self.expected.binary_search_by_key(&member.id, |expected| expected.member) else {
            return;
        };
        let expected = &mut self.expected[place];
        if expected.generation == member.generation && expected.outcome == Outcome::Waiting {
            expected.outcome = outcome;
        }
    }
}

impl Registry {
    /// Those who must answer the flip that happened now; this server's own gateway has.
    fn flipped(&mut self, epoch: Epoch, now: Ticks) -> impl Iterator<Item = Expected> {
        self.all_mut().filter(move |member| member.lapsed_ms(now).is_none()).map(move |member| {
            let outcome = match member.lease {
                Lease::Process => {
                    member.acknowledged = epoch;
                    Outcome::Itself
                }
                Lease::Until { .. } => Outcome::Waiting,
            };
            let Member { id, name, generation, .. } = member;
            Expected { member: *id, name: name.clone(), generation: *generation, outcome }
        })
    }
}

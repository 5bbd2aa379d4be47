//! What all of it is for: whoever reads the store, as of whatever moment, sees what a copy of everything made then
//! says (I4, I5). The copies are `pinrail_domain::state::model`'s; the store gives the places, and the operations,
//! commits and moments that the index is made of.

use std::sync::Arc;

use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::ledger::{Actor, Body, Draft};
use pinrail_domain::state::index::Index;
use pinrail_domain::state::model::{self, Act, Model, Shown, Step};
use pinrail_domain::state::view::View;
use pinrail_domain::state::{Moment, Op, Operation};
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;

use super::Subject;
use super::random::Draw;
use super::sample::state::{author, batch, set, unset};
use crate::state::{Look, Visible};
use crate::{Store, ledger};

pub async fn everybody_sees_what_a_copy_of_everything_says_1(subject: Subject) {
    same(subject, 1).await;
}

pub async fn everybody_sees_what_a_copy_of_everything_says_2(subject: Subject) {
    same(subject, 2).await;
}

pub async fn everybody_sees_what_a_copy_of_everything_says_3(subject: Subject) {
    same(subject, 3).await;
}

pub async fn everybody_sees_what_a_copy_of_everything_says_4(subject: Subject) {
    same(subject, 4).await;
}

/// Enough for deployments to be opened, committed and taken back over each other's writes.
const STEPS: u64 = 120;

/// Plays the steps that `seed` draws on the store and on the model.
pub async fn same(subject: Subject, seed: u64) {
    let mut stage = Stage { store: &*subject.store, model: Model::new(), seed, time: 0 };
    let setup = stage.model.entries.clone();
    stage.store.ledger_append(ledger::Append::of(setup)).await.unwrap();
    let mut draw = Draw(seed);
    // Each moment and the time at which it was the newest.
    let mut moments = Vec::new();
    for step in 0..STEPS {
        stage.time = 10 * (step + 1);
        stage.play(&Step::from_number(draw.next())).await;
        moments.push((stage.model.moment(), stage.time));
        if step % 16 == 0 {
            stage.check(stage.model.moment()).await;
        }
    }
    for (moment, time) in moments {
        stage.check(moment).await;
        stage.check_moment(moment, time).await;
    }
}

struct Stage<'a> {
    store: &'a dyn Store,
    model: Model,
    seed: u64,
    time: u64,
}

impl Stage<'_> {
    async fn play(&mut self, step: &Step) {
        match self.model.decide(step) {
            Act::Write { deployment, space, key, op } => {
                let on = &model::spaces()[space];
                let change = match op {
                    Op::Put => set(on, key.as_str(), &self.time.to_string()),
                    Op::Delete => unset(on, key.as_str()),
                };
                let batch = batch(&author(deployment.0), self.time, vec![change]);
                let appended = self.store.state_append(batch).await.unwrap();
                let operation =
                    Operation { seq: appended.first, ledger: appended.ledger, deployment, key, op };
                self.model.wrote(space, operation);
            }
            Act::Append(bodies) => self.append(bodies).await,
            Act::Nothing => {}
        }
        let head = self.store.state_head().await.unwrap();
        assert_eq!(head, self.model.moment(), "seed {}, {step:?}", self.seed);
    }

    async fn append(&mut self, bodies: Vec<Body>) {
        let mut head = self.store.ledger_head().await.unwrap();
        let mut entries = Vec::new();
        for body in bodies {
            let draft = Draft { at: Timestamp(self.time), actor: Actor::System, reason: String::new(), body };
            let entry = head.seal(draft).unwrap();
            head = pinrail_domain::ledger::Head { seq: entry.seq, hash: entry.hash };
            entries.push(entry);
        }
        self.store.ledger_append(ledger::Append::of(entries.clone())).await.unwrap();
        entries.iter().for_each(|entry| self.model.appended(entry));
    }

    /// Loads everything from the store, as a new process would, and looks at it as of `at`.
    async fn check(&self, at: Moment) {
        let mut world = World::default();
        for entry in self.store.ledger_read(LedgerSeq(0), usize::MAX).await.unwrap() {
            world.apply(&entry).unwrap();
        }
        let mut indexes = Vec::new();
        for space in model::spaces() {
            let mut index = Index::load(&world.commits, []);
            loop {
                let page = self.store.state_operations(&space, index.newest(), 7).await.unwrap();
                let is_last = page.len() < 7;
                page.into_iter().for_each(|operation| index.apply(operation));
                if is_last {
                    break;
                }
            }
            indexes.push(index);
        }
        for own in self.model.readers() {
            let view = View { own, at, commits: Arc::clone(&world.commits) };
            let expected = self.model.shown(own, at);
            assert_eq!(seen(&indexes, &view), *expected, "seed {}, {own:?} as of {at:?}", self.seed);
            self.check_look(own, at, expected).await;
            if at == self.model.moment() {
                assert_eq!(shown_now(&indexes, own), *expected, "seed {}, {own:?} now", self.seed);
            }
        }
    }

    /// What the store says by its own rule, where it has one.
    async fn check_look(&self, own: Option<DeploymentId>, at: Moment, expected: &Shown) {
        for (number, space) in model::spaces().iter().enumerate() {
            let now = (at == self.model.moment()).then_some(None);
            for at in now.into_iter().chain([Some(at)]) {
                let look = Look { space, own, at, before: None, limit: usize::MAX, operations_min: 1 };
                let Some(seen) = self.store.state_visible(&look).await.unwrap() else { continue };
                let of_space = expected.iter().filter(|((of, _), _)| *of == number);
                let mut last: Vec<StateSeq> = of_space.map(|(_, seq)| *seq).collect();
                last.sort_unstable_by(|one, other| other.cmp(one));
                let (at, count) = (at.unwrap_or(self.model.moment()), last.len() as u64);
                assert_eq!(seen, Visible { at, count, last }, "seed {}, {own:?} as of {at:?}", self.seed);
            }
        }
    }

    async fn check_moment(&self, moment: Moment, time: u64) {
        let found = self.store.state_moment(Timestamp(time)).await.unwrap();
        let setup =
            self.model.entries.iter().take_while(|entry| entry.at > Timestamp(self.time)).count() as u64;
        // The model's own entries come from another clock, and no time of this test reaches them.
        let ledger = if moment.ledger.0 <= setup { LedgerSeq(0) } else { moment.ledger };
        assert_eq!(found, Moment { ledger, ..moment }, "seed {}, at {time}", self.seed);
        let until = self.store.state_until(moment.ledger).await.unwrap();
        let before = self.model.operations.iter().filter(|(_, operation)| operation.ledger <= moment.ledger);
        assert_eq!(
            until,
            before
                .max_by_key(|(_, operation)| operation.seq)
                .map_or(StateSeq(0), |(_, operation)| operation.seq)
        );
    }
}

fn seen(indexes: &[Index], view: &View) -> Shown {
    let of = |(space, index): (usize, &Index)| -> Vec<_> {
        let places = index.at(view);
        places.iter().map(|place| ((space, index.key(place).clone()), index.seq(place))).collect()
    };
    indexes.iter().enumerate().flat_map(of).collect()
}

fn shown_now(indexes: &[Index], own: Option<DeploymentId>) -> Shown {
    let of = |(space, index): (usize, &Index)| -> Vec<_> {
        index.iter(own).map(|(seq, key)| ((space, key.clone()), seq)).collect()
    };
    indexes.iter().enumerate().flat_map(of).collect()
}

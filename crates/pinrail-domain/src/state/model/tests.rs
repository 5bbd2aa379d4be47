use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::id::LedgerSeq;
use crate::state::index::{Conflict, Index, Winner};
use crate::state::view::View;

/// The model, and an index of each space that follows it, each at its own pace.
struct Stage {
    model: Model,
    indexes: Vec<Index>,
}

impl Stage {
    fn new() -> Stage {
        Stage { model: Model::new(), indexes: spaces().iter().map(|_| Index::new()).collect() }
    }

    fn play(&mut self, step: &Step) {
        if let Act::Write { space, .. } = self.model.play(step) {
            let (_, operation) = self.model.operations.last().unwrap();
            self.indexes[space].apply(operation.clone());
        }
    }

    fn sync(&mut self) {
        self.indexes.iter_mut().for_each(|index| index.sync(&self.model.world.commits));
    }

    fn view(&self, own: Option<DeploymentId>, at: Moment) -> View {
        View { own, at, commits: Arc::clone(&self.model.world.commits) }
    }

    /// What the indexes show now, in one map.
    fn indexed(&self, own: Option<DeploymentId>) -> Shown {
        let one = |(space, index): (usize, &Index)| -> Vec<_> {
            index.iter(own).map(|(seq, key)| ((space, key.clone()), seq)).collect()
        };
        self.indexes.iter().enumerate().flat_map(one).collect()
    }

    fn check_newest(&self) {
        let at = self.model.moment();
        for own in self.model.readers() {
            let expected = self.model.shown(own, at);
            assert_eq!(self.indexed(own), *expected, "{own:?}");
            for (space, index) in self.indexes.iter().enumerate() {
                assert_eq!(index.generation(), self.model.world.commits.generation);
                assert_eq!(index.count(own), index.iter(own).count());
                let mut backwards: Vec<_> = index.iter(own).rev().collect();
                backwards.reverse();
                assert_eq!(backwards, index.iter(own).collect::<Vec<_>>());
                for key in 0..KEYS {
                    let key = StateKey::new(&format!("key-{key}")).unwrap();
                    assert_eq!(index.get(own, &key), expected.get(&(space, key.clone())).copied());
                }
            }
        }
    }

    /// As of every moment there was, for every reader: the rule, the index and the copy made then agree, and every
    /// reason is true.
    fn check_past(&self) {
        let loaded = |space: usize| {
            let of = self.model.operations.iter().filter(move |(other, _)| *other == space);
            Index::load(&self.model.world.commits, of.map(|(_, operation)| operation.clone()))
        };
        for (space, index) in self.indexes.iter().enumerate() {
            let loaded = loaded(space);
            for own in self.model.readers() {
                assert_eq!(loaded.visible(own), index.visible(own));
                for at in self.model.moments() {
                    self.check_view(space, index, &self.view(own, at));
                }
            }
        }
    }

    fn check_view(&self, space: usize, index: &Index, view: &View) {
        let shown = self.model.shown(view.own, view.at);
        let expected: Vec<StateSeq> = {
            let of = shown.iter().filter(|((other, _), _)| *other == space);
            let mut seqs: Vec<StateSeq> = of.map(|(_, seq)| *seq).collect();
            seqs.sort_unstable();
            seqs
        };
        let at: Vec<StateSeq> = index.at(view).iter().map(|place| index.seq(place)).collect();
        assert_eq!(at, expected, "{view:?}");
        let mut visible = Vec::new();
        for (place, why) in index.history(view) {
            let operation = index.operation(place);
            let later: Vec<Operation> = (place + 1..index.len())
                .map(|later| index.operation(later))
                .filter(|later| later.key == operation.key)
                .collect();
            assert_eq!(why, view.hidden(&operation, &later), "{operation:?} in {view:?}");
            if why.is_none() {
                visible.push(operation.seq);
            }
            let of_key = index.history_of(view, &operation.key);
            assert!(of_key.contains(&(place, why.clone())));
            let told = (space, operation);
            assert!(
                self.model.justifies(view.own, view.at, &told, why.as_ref()),
                "{why:?} {told:?} {view:?}"
            );
        }
        assert_eq!(visible, expected);
    }
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<u64>().prop_map(Step::from_number), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// I4: after every step, everybody sees in all layers what replaying from nothing gives.
    #[test]
    fn everybody_sees_what_replaying_from_nothing_gives(steps in steps(70)) {
        let mut stage = Stage::new();
        for step in &steps {
            stage.play(step);
            stage.sync();
            stage.check_newest();
        }
    }

    /// I4, I5: an index that hears of several ledger entries at once comes to the same, and until it hears of them it
    /// shows the state before: all spaces change at one entry.
    #[test]
    fn all_spaces_change_at_one_entry(steps in steps(50), pace in 2_usize..9) {
        let mut stage = Stage::new();
        for (n, step) in steps.iter().enumerate() {
            let before: Vec<_> = stage.model.readers().into_iter().map(|own| (own, stage.indexed(own))).collect();
            let written = stage.model.operations.len();
            stage.play(step);
            if stage.model.operations.len() == written {
                for (own, shown) in before {
                    prop_assert_eq!(stage.indexed(own), shown);
                }
            }
            if n % pace == 0 {
                stage.sync();
                stage.check_newest();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The past stays as it was, whatever came later: aborts, retractions, cascades.
    #[test]
    fn the_past_is_the_copy_made_then(steps in steps(40)) {
        let mut stage = Stage::new();
        steps.iter().for_each(|step| stage.play(step));
        stage.sync();
        stage.check_past();
    }

    /// Rolling a deployment back gives what would be there had it never written, however others wrote in between.
    #[test]
    fn a_rollback_gives_the_state_without_the_deployment(steps in steps(50), which in any::<u16>()) {
        let mut model = Model::new();
        steps.iter().for_each(|step| { model.play(step); });
        let Act::Append(bodies) = model.decide(&Step::RollBack { which, keep_state: false, cascade: None }) else {
            return Ok(());
        };
        let Body::DeploymentRolledBack { deployment, .. } = bodies[0] else { panic!("it rolls back") };
        model.append(bodies[0].clone());
        let mut without = Shown::new();
        let at = model.moment();
        for (space, operation) in model.operations.iter().filter(|(_, o)| o.deployment != deployment) {
            if model.now.count(None, operation) {
                let key = (*space, operation.key.clone());
                match operation.op {
                    Op::Put => without.insert(key, operation.seq),
                    Op::Delete => without.remove(&key),
                };
            }
        }
        prop_assert_eq!(model.shown(None, at), &without);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Conflicts are the keys that others changed behind the deployment's back, and the named winner wins.
    #[test]
    fn conflicts_are_what_promotion_decides(steps in steps(60)) {
        let mut stage = Stage::new();
        steps.iter().for_each(|step| stage.play(step));
        stage.sync();
        let model = &stage.model;
        for deployment in model.world.deployments.keys().copied() {
            for (space, index) in stage.indexes.iter().enumerate() {
                let conflicts = index.conflicts(deployment);
                let mut expected = Vec::new();
                if !model.is_decided(deployment) {
                    expected = (0..KEYS).filter_map(|n| conflict(model, deployment, space, n)).collect();
                }
                prop_assert_eq!(conflicts, expected);
            }
        }
    }
}

fn conflict(model: &Model, deployment: DeploymentId, space: usize, key: u8) -> Option<Conflict> {
    let key = StateKey::new(&format!("key-{key}")).unwrap();
    let mut of_key = model.operations.iter().filter(|(of, o)| *of == space && o.key == key).map(|(_, o)| o);
    let counting = |o: &&Operation| !model.now.derived.contains_key(&o.seq);
    let own: Vec<&Operation> = of_key.clone().filter(|o| o.deployment == deployment).collect();
    let theirs = of_key.rfind(|o| o.deployment != deployment && model.now.count(None, o))?;
    let (first, last) = (own.first()?, own.iter().copied().rfind(counting)?);
    let promoted =
        Body::DeploymentPromoted { deployment: theirs.deployment, overridden: None, evidence: None };
    let committed = model.entries.iter().find(|entry| entry.body == promoted).map(|entry| entry.seq);
    if theirs.seq < first.seq && committed.is_none_or(|committed| committed <= first.ledger) {
        return None;
    }
    // The winner is what is there once it is promoted.
    let mut promoted = model.clone();
    promoted.append(Body::DeploymentPromoted { deployment, overridden: None, evidence: None });
    let shown = promoted.shown(None, promoted.moment()).get(&(space, key.clone())).copied();
    let (winner, wins) = if last.seq > theirs.seq { (last, Winner::Own) } else { (theirs, Winner::Theirs) };
    assert_eq!(shown, (winner.op == Op::Put).then_some(winner.seq));
    Some(Conflict { key, own: last.seq, theirs: theirs.seq, their_deployment: theirs.deployment, wins })
}

/// Several ends per record: a deleted key comes back with each rollback, and can be deleted again.
#[test]
fn delete_roll_back_delete() {
    let mut stage = Stage::new();
    let key = StateKey::new("key-0").unwrap();
    let at = |stage: &mut Stage| {
        stage.sync();
        stage.check_newest();
        stage.indexes[0].get(None, &key)
    };
    let write = |author, op| Step::Write { author, space: 0, key: 0, op };
    let back = Step::RollBack { which: 0, keep_state: false, cascade: None };
    stage.play(&write(0, Op::Put));
    for deployment in [1, 2] {
        stage.play(&Step::OpenIngest);
        stage.play(&write(deployment, Op::Delete));
        assert_eq!(at(&mut stage), Some(StateSeq(1)));
        stage.play(&Step::Commit { which: 0 });
        assert_eq!(at(&mut stage), None);
        stage.play(&back);
        assert_eq!(at(&mut stage), Some(StateSeq(1)));
    }
    stage.play(&write(0, Op::Delete));
    assert_eq!(at(&mut stage), None);
    stage.check_past();
}

/// Pointers first, state later: what was committed counts until the second rollback.
#[test]
fn a_rollback_of_pointers_alone_leaves_the_state_until_the_next() {
    let mut stage = Stage::new();
    stage.play(&Step::OpenRelease { agent: 0, now: true });
    stage.play(&Step::Write { author: 1, space: 2, key: 1, op: Op::Put });
    let shown = |stage: &mut Stage| {
        stage.sync();
        stage.check_newest();
        stage.indexed(None).len()
    };
    assert_eq!(shown(&mut stage), 1);
    stage.play(&Step::RollBack { which: 0, keep_state: true, cascade: None });
    assert_eq!(shown(&mut stage), 1);
    stage.play(&Step::RollBack { which: 0, keep_state: false, cascade: None });
    assert_eq!(shown(&mut stage), 0);
    assert_eq!(stage.indexed(Some(DeploymentId(1))).len(), 1); // I4: its own runs go on seeing it.
    stage.check_past();
}

/// What the generator makes isn't all refusals: each kind of step happens, cascades that hit included.
#[test]
fn random_steps_reach_everything() {
    let mut reached = BTreeSet::new();
    for seed in 0..40_u64 {
        let mut model = Model::new();
        for n in 0..60_u64 {
            let number = xxhash_rust::xxh3::xxh3_64_with_seed(&n.to_le_bytes(), seed);
            match model.play(&Step::from_number(number)) {
                Act::Write { .. } => reached.insert("write"),
                Act::Nothing => reached.insert("nothing"),
                Act::Append(bodies) => bodies.iter().fold(false, |_, body| {
                    if let Body::DeploymentRolledBack { keep_state, derived, .. } = body {
                        let _new = *keep_state && reached.insert("pointers");
                        let _new = !derived.is_empty() && reached.insert("cascade");
                    }
                    reached.insert(body.kind())
                }),
            };
        }
        assert_eq!(model.world.head.seq, LedgerSeq(model.entries.len() as u64));
        if !model.now.retracted.is_empty() && !model.now.aborted.is_empty() {
            reached.insert("both");
        }
    }
    let all = [
        "both",
        "cascade",
        "deployment_opened",
        "deployment_promoted",
        "deployment_rolled_back",
        "hold_lifted",
        "nothing",
        "pointers",
        "write",
    ];
    assert_eq!(reached.into_iter().collect::<Vec<_>>(), all);
}

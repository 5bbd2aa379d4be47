use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ledger::{Actor, Draft};
use crate::state::Op;
use crate::state::index::Index;
use crate::state::model::{Act, Model, Shown, Step, spaces};
use crate::state::view::View;

/// Facts about a model's world as they are right after it, with nothing kept for its age.
fn facts(model: &Model) -> Facts {
    let mut written = BTreeMap::new();
    for (_, operation) in &model.operations {
        *written.entry(operation.deployment).or_insert(0) += 1;
    }
    let now = model.entries.last().unwrap().at.plus_ms(1);
    Facts { now, kept_ms: 0, open_runs: BTreeMap::new(), written, newest: model.moment().state }
}

fn write(author: u16) -> Step {
    Step::Write { author, space: 0, key: 0, op: Op::Put }
}

fn back(which: u16) -> Step {
    Step::RollBack { which, keep_state: false, cascade: None }
}

fn play(steps: &[Step]) -> Model {
    let mut model = Model::new();
    for step in steps {
        assert_ne!(model.play(step), Act::Nothing, "{step:?}");
    }
    model
}

const COMMIT: Step = Step::Commit { which: 0 };

#[test]
fn each_rolled_back_deployment_goes_or_stays_with_a_reason() {
    let check = |what: &str, steps: &[Step], change: &dyn Fn(&mut Facts), expected: Option<Why>| {
        let model = play(steps);
        let mut facts = facts(&model);
        change(&mut facts);
        let plan = plan(&model.world, &facts);
        let kept = plan.keep.iter().find(|kept| kept.deployment == DeploymentId(1)).map(|kept| kept.why);
        let goes = plan.collect.iter().any(|collected| collected.deployment == DeploymentId(1));
        assert_eq!((kept, goes), (expected, expected.is_none()), "{what}");
        assert_eq!(plan.entry().is_some(), goes, "{what}");
    };
    let nothing = |_: &mut Facts| {};
    let job = [Step::OpenIngest, write(1), back(0)];
    check("aborted", &job, &nothing, None);
    let committed = [Step::OpenIngest, write(1), COMMIT, back(0)];
    check("retracted", &committed, &nothing, None);
    let open = |facts: &mut Facts| facts.open_runs = [(DeploymentId(1), 2)].into();
    check("its runs are open", &job, &open, Some(Why::RunsOpen { runs: 2 }));
    let at = play(&job).entries.last().unwrap().at;
    let young = |facts: &mut Facts| (facts.kept_ms, facts.now) = (100, at.plus_ms(99));
    let lately = Why::Lately { rolled_back_at: at, kept_until: at.plus_ms(100) };
    check("rolled back lately", &job, &young, Some(lately));
    let old = |facts: &mut Facts| (facts.kept_ms, facts.now) = (100, at.plus_ms(100));
    check("kept long enough", &job, &old, None);
    let kept = [
        Step::OpenRelease { agent: 0, now: true },
        write(1),
        Step::RollBack { which: 0, keep_state: true, cascade: None },
    ];
    check("its state was kept", &kept, &nothing, Some(Why::StateKept));
    // Deployment 2 is opened while 1 counts; its manifest names what 1 wrote.
    let meanwhile = [Step::OpenIngest, write(1), COMMIT, Step::OpenIngest, back(0)];
    check("a job opened meanwhile", &meanwhile, &nothing, Some(Why::Needed { needed: DeploymentId(2) }));
    let ended = [&meanwhile[..], &[back(0)]].concat();
    check("that job ended", &ended, &nothing, None);
    let of_two = |facts: &mut Facts| facts.open_runs = [(DeploymentId(2), 1)].into();
    check("a run of it is open", &ended, &of_two, Some(Why::Needed { needed: DeploymentId(2) }));
    let active = [Step::OpenIngest, write(1), COMMIT, Step::OpenRelease { agent: 0, now: true }, back(0)];
    check("a release active since", &active, &nothing, Some(Why::Needed { needed: DeploymentId(2) }));
}

#[test]
fn what_was_never_rolled_back_is_not_looked_at() {
    let model = play(&[write(0), Step::OpenIngest, write(1), COMMIT, Step::OpenIngest, write(2)]);
    let plan = plan(&model.world, &facts(&model));
    assert_eq!((plan.collect, plan.keep), (Vec::new(), Vec::new()));
}

/// The world after the plan's entry.
fn collected(model: &Model, plan: &Plan) -> World {
    let mut world = model.world.clone();
    if let Some(body) = plan.entry() {
        let draft = Draft { at: Timestamp(0), actor: Actor::System, reason: String::new(), body };
        let entry = world.head.seal(draft).unwrap();
        world.apply(&entry).unwrap();
    }
    world
}

/// What is left after a removal, as indexes of the spaces.
fn left(model: &Model, world: &World) -> Vec<Index> {
    let stays = |deployment: &DeploymentId| !world.collected.contains_key(deployment);
    let space = |n| {
        let of = model.operations.iter().filter(move |(space, _)| *space == n);
        let of = of.map(|(_, operation)| operation.clone()).filter(|of| stays(&of.deployment));
        Index::load(&world.commits, of)
    };
    (0..spaces().len()).map(space).collect()
}

fn shown(indexes: &[Index], see: impl Fn(&Index) -> Vec<usize>) -> Shown {
    let one = |(space, index): (usize, &Index)| -> Vec<_> {
        see(index).into_iter().map(|place| ((space, index.key(place).clone()), index.seq(place))).collect()
    };
    indexes.iter().enumerate().flat_map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// I4: whoever is still needed sees after a collection what it saw before, now and as of its opening; and so does
    /// every view that isn't refused.
    #[test]
    fn no_view_that_is_needed_changes(
        numbers in prop::collection::vec(any::<u64>(), 1..60),
        open in prop::collection::vec(0_u64..12, 0..3),
        kept_ms in 0_u64..30,
    ) {
        let mut model = Model::new();
        for number in numbers {
            model.play(&Step::from_number(number));
        }
        let open_runs = open.into_iter().map(|id| (DeploymentId(id), 1)).collect();
        let facts = Facts { kept_ms, open_runs, ..facts(&model) };
        let plan = plan(&model.world, &facts);
        let world = collected(&model, &plan);
        let indexes = left(&model, &world);
        for own in model.readers() {
            if own.is_some_and(|own| world.collected.contains_key(&own)) {
                prop_assert!(world.lost(own, world.head.seq).is_some(), "its own view is refused");
                continue;
            }
            prop_assert_eq!(world.lost(own, world.head.seq), None, "the newest view is never refused");
            let now = shown(&indexes, |index| index.visible(own).iter().collect());
            prop_assert_eq!(&now, model.shown(own, model.moment()));
            for at in model.moments().filter(|at| world.lost(own, at.ledger).is_none()) {
                let view = View { own, at, commits: Arc::clone(&world.commits) };
                let then = shown(&indexes, |index| index.at(&view).iter().collect());
                prop_assert_eq!(&then, model.shown(own, at), "{:?} as of {:?}", own, at);
            }
        }
        for id in needed(&model.world, &facts) {
            let Some(deployment) = world.deployments.get(&id) else { continue };
            prop_assert_eq!(world.lost(Some(id), deployment.opened_seq), None, "deployment {} as it opened", id);
            prop_assert!(!world.collected.contains_key(&id));
        }
        // Once more: what the ledger says is removed stays planned until it is gone, and nothing else joins.
        let again = super::plan(&world, &facts);
        prop_assert_eq!(again.collect, plan.collect);
        prop_assert_eq!(again.keep, plan.keep);
    }
}

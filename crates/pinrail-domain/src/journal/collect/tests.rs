use std::sync::Arc;

use super::*;
use crate::state::model::{Act, Model, Step};

/// 2026-11-20.
const TODAY: Day = Day(20_777);
const HOUR_MS: u64 = 3_600_000;

fn ago(days: u32) -> Day {
    Day(TODAY.0 - days)
}

/// A world after these steps in which every deployment was opened on a day.
fn world(steps: &[Step], opened: Day) -> World {
    let mut model = Model::new();
    for step in steps {
        assert_ne!(model.play(step), Act::Nothing, "{step:?}");
    }
    let mut world = model.world;
    for deployment in world.deployments.values_mut() {
        Arc::make_mut(deployment).opened_at = opened.begins().plus_ms(HOUR_MS);
    }
    world
}

fn facts(days: &[(u32, u64)]) -> Facts {
    let days = days.iter().map(|(days, open)| RunDay { day: ago(*days), runs: 5, open: *open });
    Facts { now: TODAY.begins().plus_ms(HOUR_MS), kept_ms: 3 * 24 * HOUR_MS, days: days.collect() }
}

fn went(plan: &Plan) -> Vec<Day> {
    plan.days().into_iter().collect()
}

#[test]
fn old_days_go_unless_a_run_is_open() {
    let plan = plan(&World::default(), &facts(&[(9, 0), (5, 2), (4, 0), (3, 0), (0, 0)]));
    assert_eq!((plan.kept_from, went(&plan)), (ago(3), vec![ago(9), ago(4)]));
    assert_eq!(plan.keep, [Kept { day: ago(5), runs: 5, why: Why::RunsOpen { open: 2 } }]);
    assert_eq!(plan.entry(), Some(Body::JournalCollected { before: ago(3), runs: 10 }));
}

#[test]
fn nothing_goes_where_nothing_is_old() {
    let plan = plan(&World::default(), &facts(&[(3, 0), (1, 1)]));
    assert_eq!((plan.entry(), plan.keep), (None, vec![]));
    let strange = Facts { days: vec![RunDay { day: Day(9), runs: 1, open: 0 }], ..facts(&[]) };
    assert_eq!(super::plan(&World::default(), &strange).entry(), None, "an id that no clock made");
}

#[test]
fn what_an_undecided_deployment_is_judged_by_stays() {
    let days = facts(&[(9, 0), (8, 1), (7, 0), (6, 0), (5, 0)]);
    let job = [Step::OpenIngest];
    let open = plan(&world(&job, ago(6)), &days);
    assert_eq!(went(&open), [ago(9)], "the day before its own stays too");
    let why = Why::Undecided { deployment: DeploymentId(1) };
    let kept: Vec<_> = open.keep.iter().map(|kept| (kept.day, kept.why)).collect();
    assert_eq!(kept, [(ago(8), Why::RunsOpen { open: 1 }), (ago(7), why), (ago(6), why), (ago(5), why)]);
    for decided in [Step::Commit { which: 0 }, Step::RollBack { which: 0, keep_state: false, cascade: None }]
    {
        let settled = plan(&world(&[job[0].clone(), decided], ago(6)), &days);
        assert_eq!(went(&settled), [ago(9), ago(7), ago(6), ago(5)]);
    }
}

#[test]
fn a_run_that_is_missing_may_have_been_dropped() {
    let mut dropped = Dropped::default();
    let run = |day: Day| RunId::from_parts(day.begins().0, 7);
    assert_eq!(dropped.took(run(ago(9))), None);
    dropped.raise(ago(5), LedgerSeq(7));
    dropped.raise(ago(8), LedgerSeq(9));
    assert_eq!(dropped, Dropped { before: ago(5), seq: LedgerSeq(9) });
    assert_eq!(dropped.took(run(ago(6))), Some(LedgerSeq(9)));
    assert_eq!(dropped.took(run(ago(5))), None);
    assert_eq!(dropped.took(run(Day(1))), None);
}

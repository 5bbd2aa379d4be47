//! What follows when something changed behind its pin: in the same commit, and no more than was asked for.

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::deploy::Traffic;
use pinrail_domain::deployment::Status;
use pinrail_domain::dial::{Place, Position, Turn};
use pinrail_domain::drift::{DriftAction, DriftSpec, Sign, Subject};
use pinrail_domain::id::{DeploymentId, LedgerSeq};
use pinrail_domain::rollout::{Plan, Stop};
use pinrail_domain::tier::Tier;

use super::bench::*;

async fn settings(bench: &Bench, on_finding: DriftAction) {
    let drift = Some(DriftSpec { on_finding });
    bench
        .control
        .agent_put(by("settings"), &agent("planner"), &AgentSpec { drift, ..AgentSpec::default() })
        .await
        .unwrap();
}

async fn rollout(bench: &Bench) -> DeploymentId {
    let plan: Plan = bench.control.plan_for([&agent("planner")], &"default".parse().unwrap()).unwrap();
    bench.deploy(&["planner"], "m2-2026-01-01", Traffic::Rollout(Box::new(plan))).await
}

async fn find(bench: &Bench) -> Option<LedgerSeq> {
    let subject = Subject::Model { provider: "p".parse().unwrap(), snapshot: "m1-2026-01-01".into() };
    let sign = Sign::Served { served: "m9".into() };
    bench.control.find_drift(&subject, &sign, "m9 answers in place of m1", None).await.unwrap().value
}

fn stopped(bench: &Bench, id: DeploymentId) -> Option<Stop> {
    let snapshot = bench.control.snapshot();
    let deployment = &snapshot.world.deployments[&id];
    assert!(matches!(deployment.status, Status::Candidate { .. }), "nothing is taken back by itself");
    Some(deployment.rollout.as_ref()?.stopped.as_ref()?.why.clone())
}

fn position(bench: &Bench) -> Option<Position> {
    let snapshot = bench.control.snapshot();
    snapshot.world.dials.get(&Place::agent(&agent("planner"))).map(|setting| setting.position)
}

#[tokio::test(start_paused = true)]
async fn an_alert_is_written_and_nothing_else() {
    let bench = Bench::new(Tier::Standard).await;
    settings(&bench, DriftAction::Alert).await;
    let two = rollout(&bench).await;
    let before = bench.control.snapshot().world.head.seq;
    let finding = find(&bench).await.unwrap();
    assert_eq!(bench.control.snapshot().world.head.seq, before.next());
    assert_eq!((stopped(&bench, two), position(&bench)), (None, None));
    // Seen again, it is no news, also after a restart.
    assert_eq!(find(&bench).await, None);
    let (again, _) = bench.another().await;
    assert_eq!(find(&again).await, None);
    assert_eq!(
        again.control.clear_drift(by("looked at"), finding).await.unwrap().value,
        before.next().next()
    );
    assert!(find(&again).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_freeze_stops_the_rollout_until_somebody_resumes_it() {
    let bench = Bench::new(Tier::Standard).await;
    settings(&bench, DriftAction::Freeze).await;
    let two = rollout(&bench).await;
    find(&bench).await.unwrap();
    assert_eq!(stopped(&bench, two), Some(Stop::Drift { what: "m9 answers in place of m1".into() }));
    bench.control.resume(by("gated again"), two).await.unwrap();
    assert_eq!(stopped(&bench, two), None);
    // I7: it would block no rollback.
    bench.roll_back(two).await;
}

#[tokio::test(start_paused = true)]
async fn the_dial_is_turned_down_and_never_up() {
    let bench = Bench::new(Tier::Standard).await;
    settings(&bench, DriftAction::Dial(Position::ReadOnly)).await;
    let finding = find(&bench).await.unwrap();
    assert_eq!(position(&bench), Some(Position::ReadOnly));
    let lower =
        Turn { place: Place::agent(&agent("planner")), position: Position::Off, release: None, text: None };
    bench.control.turn_dial(by("to be sure"), &lower).await.unwrap();
    bench.control.clear_drift(by("looked at"), finding).await.unwrap();
    find(&bench).await.unwrap();
    assert_eq!(position(&bench), Some(Position::Off));
}

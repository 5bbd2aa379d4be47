//! Runs that answer copies of live calls.

use std::sync::Arc;

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::begin::{Begun, CopyOf, Fate, NoShadow};
use pinrail_domain::deploy::Traffic;
use pinrail_domain::id::{DeploymentId, EventSeq, SegmentName};
use pinrail_domain::journal::{Event, ModelResponse, Outcome};
use pinrail_domain::rollout::quantity::Usd;
use pinrail_domain::rollout::{Plan, RolloutSpec};
use pinrail_domain::routes::Via;
use pinrail_domain::tier::Tier;
use pinrail_domain::time::Timestamp;
use serde_json::json;

use pinrail_store::Journal as _;

use super::bench::{AGENTS, Bench, agent, by, session_key, settle};
use crate::runs::ShadowCounts;
use crate::state::erase::{Subject, Whose};

/// `m1` serves, and `m2` is a candidate that answers copies of so many percent of the runs, for half a dollar.
async fn shadowed(percent: u8) -> (Bench, DeploymentId) {
    let bench = Bench::new(Tier::Standard).await;
    let step = json!({ "shadow": { "percent": percent, "min_runs": 10, "budget": 0.5 } });
    let rollout: RolloutSpec = serde_json::from_value(json!({ "steps": [step] })).unwrap();
    let spec = AgentSpec { rollout: Some(rollout), ..AgentSpec::default() };
    let plan = Plan::of(&agent("planner"), &spec, &SegmentName::default_segment());
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Rollout(Box::new(plan))).await;
    (bench, two)
}

async fn copy(bench: &Bench, live: &Begun) -> Result<Begun, NoShadow> {
    let target = live.shadow.expect("the run is copied");
    bench.control.runs().begin_shadow(CopyOf { live: Arc::clone(&live.stamp), target }).await
}

fn nano(nano: u64) -> Usd {
    Usd { nano }
}

/// Ends a run that cost so much.
async fn answered(bench: &Bench, run: &Begun, cost: Usd) {
    let response = ModelResponse { cost_nano_usd: Some(cost.nano), ..ModelResponse::default() };
    let at = Timestamp(5);
    let end = (at, Event::Finished { outcome: Outcome::Ok, why: None });
    let events = vec![(at, Event::ModelResponse(Box::new(response))), end];
    bench.control.runs().record(run.stamp.run, events).await;
    bench.control.runs().copied(run.stamp.deployment, Fate::Compared { cost });
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_the_candidates_run_and_binds_nothing() {
    let (bench, two) = shadowed(100).await;
    let live = bench.begin(Some("s")).await.unwrap();
    assert_eq!(live.stamp.deployment, DeploymentId(1));
    let shadow = copy(&bench, &live).await.unwrap();
    let stamp = &shadow.stamp;
    assert_eq!((stamp.deployment, stamp.via, stamp.shadow), (two, Via::Shadow, Some(live.stamp.run)));
    assert_eq!(
        (&stamp.tenant, &stamp.agent, &stamp.segment),
        (&live.stamp.tenant, &live.stamp.agent, &live.stamp.segment)
    );
    assert_eq!((stamp.session.clone(), stamp.single, shadow.call), (None, true, 1));
    assert_eq!(stamp.snapshot, "m2-2026-01-01");
    assert_eq!(shadow.shadow, None, "no copy is made of a copy");
    settle().await;
    // The session stays where it was, and drain counts are exact.
    assert_eq!(bench.control.runs().session(&session_key("s")).await.unwrap(), Some(DeploymentId(1)));
    assert_eq!(bench.control.drain_of(two).await.unwrap().open.total(), 1);
    answered(&bench, &shadow, nano(0)).await;
    assert_eq!(bench.control.drain_of(two).await.unwrap().open.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn all_calls_of_a_run_are_copied_or_none() {
    let (bench, two) = shadowed(50).await;
    let mut copied = 0;
    for _ in 0..40 {
        let run = bench.created(None).await;
        let mut who = Vec::new();
        for _ in 0..3 {
            who.push(bench.join(run).await.unwrap().shadow.map(|target| target.deployment));
        }
        assert!(who == [Some(two); 3] || who == [None; 3], "{who:?}");
        copied += usize::from(who[0].is_some());
    }
    assert!((8..=32).contains(&copied), "{copied} of 40");
    // None of what its own runs do, nor after it is gone.
    let run = bench.created(None).await;
    bench.roll_back(two).await;
    assert_eq!(bench.join(run).await.unwrap().shadow, None);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_is_gone_answers_no_copy() {
    let (bench, two) = shadowed(100).await;
    let live = bench.begin(None).await.unwrap();
    bench.roll_back(two).await;
    assert!(matches!(copy(&bench, &live).await, Err(NoShadow::NotCandidate(id)) if id == two));
}

#[tokio::test(start_paused = true)]
async fn a_candidate_at_another_step_answers_no_copy() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.canary("m2-2026-01-01", "0%").await;
    let mut live = bench.begin(None).await.unwrap();
    assert_eq!(live.shadow, None);
    let release = bench.control.snapshot().world.deployments[&two].releases[&agent("planner")];
    live.shadow = Some(pinrail_domain::routes::Target { deployment: two, release });
    assert!(matches!(copy(&bench, &live).await, Err(NoShadow::NoShare(id)) if id == two));
}

#[tokio::test(start_paused = true)]
async fn the_budget_stops_copies_also_after_a_restart() {
    let (bench, two) = shadowed(100).await;
    let live = bench.begin(None).await.unwrap();
    let first = copy(&bench, &live).await.unwrap();
    answered(&bench, &first, nano(300_000_000)).await;
    let second = copy(&bench, &live).await.unwrap();
    assert_eq!(bench.control.shadow_spent(two), nano(300_000_000));
    answered(&bench, &second, nano(200_000_000)).await;
    let check = async |bench: &Bench| match copy(bench, &live).await {
        Err(NoShadow::Spent { spent, budget }) => {
            assert_eq!((spent, budget), (nano(500_000_000), nano(500_000_000)));
        }
        other => panic!("{other:?}"),
    };
    check(&bench).await;
    bench.control.drain().await;
    let (again, _) = bench.another().await;
    assert_eq!(again.control.shadow_spent(two), Usd::default());
    check(&again).await;
    assert_eq!(again.control.shadow_spent(two), nano(500_000_000));
}

#[tokio::test(start_paused = true)]
async fn what_became_of_copies_is_counted() {
    let (bench, two) = shadowed(100).await;
    let runs = bench.control.runs();
    for fate in [Fate::Queued, Fate::Dropped, Fate::Dropped, Fate::Refused] {
        runs.copied(two, fate);
    }
    runs.copied(two, Fate::Failed { cost: nano(2) });
    runs.copied(two, Fate::Compared { cost: nano(3) });
    let counts = ShadowCounts { queued: 1, dropped: 2, refused: 1, failed: 1, compared: 1 };
    assert_eq!(bench.control.shadow_counts(two), counts);
    assert_eq!(bench.control.shadow_counts(DeploymentId(1)), ShadowCounts::default());
}

/// What a person said is also in the copies of what they said.
#[tokio::test(start_paused = true)]
async fn a_session_is_erased_with_its_copies() {
    let (bench, _) = shadowed(100).await;
    let live = bench.begin(Some("ada")).await.unwrap();
    let shadow = copy(&bench, &live).await.unwrap();
    for run in [&live, &shadow] {
        let note = Event::Note { name: "said".to_owned(), data: "i am ada".into() };
        let end = Event::Finished { outcome: Outcome::Ok, why: None };
        let events = vec![(Timestamp(5), note), (Timestamp(5), end)];
        bench.control.runs().record(run.stamp.run, events).await;
    }
    let subject = Subject::Session { agent: agent("planner"), session: "ada".parse().unwrap() };
    let whose = Whose { tenant: live.stamp.tenant.clone(), subject };
    let done = bench.control.erase(by("she asked"), &whose).await.unwrap().value;
    assert_eq!(done.runs, 2);
    let events = bench.store.run_events(shadow.stamp.run, EventSeq(0), 100).await.unwrap();
    assert!(!serde_json::to_string(&events).unwrap().contains("i am ada"));
}

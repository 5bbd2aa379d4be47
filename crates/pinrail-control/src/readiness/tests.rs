use std::sync::atomic::Ordering;

use pinrail_domain::deploy::Traffic;
use pinrail_domain::drift::{Sign, Subject};
use pinrail_domain::id::DeploymentId;
use pinrail_domain::member::MemberKind;
use pinrail_domain::tier::Tier;

use super::*;
use crate::members::Register;
use crate::tests::bench::{AGENTS, Bench, RETIRED};

async fn check(bench: &Bench, name: &str, met: Met, says: &str) {
    let indicators = bench.control.readiness(&Surroundings::default()).await;
    let seen = indicators.into_iter().find(|indicator| indicator.name == name).unwrap().seen;
    assert_eq!(seen.met, met, "{name}: {seen:?}");
    let told = format!("{} {}", seen.observed, seen.why.join(" "));
    assert!(told.contains(says), "{name}: {told}");
    assert_eq!(seen.next_step.is_some(), met == Met::No, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_of_nothing() {
    let bench = Bench::empty().await;
    check(&bench, "rollback target", Met::Unknown, "nothing is deployed").await;
    check(&bench, "acknowledgement", Met::Unknown, "nothing was flipped").await;
    check(&bench, "divergence", Met::Yes, "the only member").await;
    check(&bench, "drain", Met::Yes, "drained").await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_needs_somewhere_to_go() {
    let bench = Bench::new(Tier::Standard).await;
    let name = "rollback target";
    check(&bench, name, Met::No, "planner/default: deployment 1 has nothing before it").await;
    bench.deploy(&AGENTS, "retiring-2026-01-01", Traffic::Now).await;
    check(&bench, name, Met::Yes, "2 targets").await;
    bench.deploy(&AGENTS, "m3-2026-01-01", Traffic::Now).await;
    check(&bench, name, Met::Yes, "2 targets").await;
    bench.clock.0.store(RETIRED.0, Ordering::SeqCst);
    check(&bench, name, Met::No, "deployment 2, behind 3: p has retired model retiring-2026-01-01").await;
    let around = Surroundings { keyless_providers: ["p".parse().unwrap()].into(), ..Surroundings::default() };
    let seen = bench.control.readiness(&around).await.remove(0).seen;
    assert!(seen.why[0].contains("the key of provider p is not set"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_changed_behind_its_pin_shows_until_somebody_deals_with_it() {
    let bench = Bench::new(Tier::Standard).await;
    check(&bench, "drift", Met::Yes, "no finding is open").await;
    let sign = Sign::Served { served: "m9".into() };
    let find = async |snapshot: &str| {
        let subject = Subject::Model { provider: "p".parse().unwrap(), snapshot: snapshot.into() };
        bench.control.find_drift(&subject, &sign, "another model answers", None).await.unwrap().value.unwrap()
    };
    find("nobody-serves-it").await;
    check(&bench, "drift", Met::Yes, "of nothing that is served").await;
    let served = find("m1-2026-01-01").await;
    check(&bench, "drift", Met::No, "another model answers (finding").await;
    bench.control.clear_drift(crate::tests::bench::by("gated again"), served).await.unwrap();
    check(&bench, "drift", Met::Yes, "of nothing that is served").await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_or_silent_member_shows() {
    let bench = Bench::new(Tier::Standard).await;
    check(&bench, "acknowledgement", Met::Yes, "no members but").await;
    let caller = bench.control.authenticate(None).unwrap();
    let wish = Register { name: "pod-1".parse().unwrap(), kind: MemberKind::Worker, lease_ms: None };
    let member = bench.control.members().register(&caller, wish, None).await.unwrap().member;
    let pass = |ms: u64| bench.clock.0.fetch_add(ms, Ordering::SeqCst);
    let ack = async || {
        let epoch = bench.control.snapshot().world.epoch;
        bench.control.members().acknowledge(&caller, member, None, epoch).await.unwrap()
    };
    bench.canary("m2-2026-01-01", "5%").await;
    pass(50);
    ack().await;
    check(&bench, "acknowledgement", Met::Yes, "p99 50 ms").await;
    bench.roll_back(DeploymentId(2)).await;
    pass(1_000);
    check(&bench, "divergence", Met::Yes, "1 member beside").await;
    pass(1);
    check(&bench, "divergence", Met::No, "worker pod-1").await;
    ack().await;
    check(&bench, "divergence", Met::Yes, "it follows").await;
    check(&bench, "acknowledgement", Met::No, "p99 1001 ms").await;
    pass(20_000);
    check(&bench, "divergence", Met::No, "let its lease lapse 5 s ago").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lingers_on_what_was_taken_back_shows() {
    let bench = Bench::new(Tier::Standard).await;
    bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let run = bench.created(None).await;
    check(&bench, "drain", Met::Yes, "is drained").await;
    bench.clock.0.fetch_add(9_000_000, Ordering::SeqCst);
    bench.roll_back(DeploymentId(2)).await;
    check(&bench, "drain", Met::Yes, "deployment 2 (rolled back) has 1 run").await;
    bench.clock.0.fetch_add(3_600_001, Ordering::SeqCst);
    check(&bench, "drain", Met::No, &run.to_string()).await;
    bench.finish(run).await.unwrap();
    check(&bench, "drain", Met::Yes, "is drained").await;
}

#[tokio::test(start_paused = true)]
async fn a_drill_and_a_verification_are_good_for_a_week() {
    let bench = Bench::new(Tier::Standard).await;
    let (drill, spaces) = ("time to a consistent previous state", "consistency of each space");
    check(&bench, drill, Met::Unknown, "no drill was held yet").await;
    check(&bench, spaces, Met::Unknown, "no space was verified").await;
    let by = crate::tests::bench::by("drill");
    bench.control.drill(&by).await.unwrap();
    for seen in bench.control.states().spaces(&Default::default(), None, 10).await.unwrap() {
        bench.control.states().verify(&seen.facts.space).await.unwrap();
    }
    check(&bench, drill, Met::Yes, "last drill 0.00 ms, 0 ms ago").await;
    check(&bench, spaces, Met::Yes, "spaces verified").await;
    bench.clock.0.fetch_add(8 * 24 * 3_600_000, Ordering::SeqCst);
    check(&bench, drill, Met::Unknown, "good for 7 days").await;
    check(&bench, spaces, Met::Unknown, "good for 7 days").await;
    bench.store.memory.damage_record(pinrail_domain::id::StateSeq(1));
    for seen in bench.control.states().spaces(&Default::default(), None, 10).await.unwrap() {
        bench.control.states().verify(&seen.facts.space).await.unwrap();
    }
    check(&bench, spaces, Met::No, "damaged records").await;
}

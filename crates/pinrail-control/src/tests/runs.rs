//! The life of a run: stamped once, joined, grown, parked, ended, and counted.

use std::sync::Arc;

use pinrail_domain::begin::{BeginError, Call};
use pinrail_domain::deploy::Traffic;
use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::{Event, Outcome, RunStatus};
use pinrail_domain::key::Tenants;
use pinrail_domain::routes::Via;
use pinrail_domain::tier::Tier;
use pinrail_domain::time::Clock as _;
use pinrail_store::journal::{Append, OpenRuns, Write, WriteError};
use pinrail_store::memory::Strike;
use pinrail_store::{Answer, Journal as _, StoreError};

use super::bench::*;
use crate::runs::{
    AppendRefused, Create, CreateRefused, EVENT_BYTES_MAX, EVENTS_PER_APPEND_MAX, OPEN_MAX, RunChange,
};

fn acme() -> Tenants {
    Tenants::Only([tenant("acme")].into())
}

fn globex() -> Tenants {
    Tenants::Only([tenant("globex")].into())
}

/// I3: whatever fails, a run has its plan or does not exist, and who got an answer finds it kept.
#[tokio::test(start_paused = true)]
async fn no_run_without_its_plan_wherever_the_store_fails() {
    for tier in [Tier::Standard, Tier::Critical] {
        for strike in [Strike::BeforeEffect, Strike::AfterEffect] {
            for write in 0..4 {
                let bench = Bench::new(tier).await;
                let mut begun = Vec::new();
                for n in 0..4 {
                    if n == write {
                        bench.store.fail(1, strike);
                    }
                    begun.extend(bench.begin(Some("s")).await.map(|begun| begun.stamp.run));
                    begun.extend(bench.create(creating(Some("s"))).await.map(|created| created.stamp.run));
                }
                bench.control.drain().await;
                let runs = bench.store.run_list(&Default::default(), None, 100).await.unwrap();
                for run in &runs {
                    assert_eq!(bench.kinds(run.stamp.run).await[0], "plan");
                }
                let known = |run: &RunId| runs.iter().any(|stored| stored.stamp.run == *run);
                assert!(begun.iter().all(known), "{tier} {strike:?} {write}");
                let bound = bench.store.session_get(&session_key("s")).await.unwrap();
                assert_eq!(bound, Some(DeploymentId(1)), "{tier} {strike:?} {write}");
                let open = bench.store.run_open_total().await.unwrap();
                assert_eq!(bench.control.runs().live_open(), open, "{tier} {strike:?} {write}");
            }
        }
    }
}

/// I2: what a run is bound to never changes, whatever happens to the pointers.
#[tokio::test(start_paused = true)]
async fn a_run_keeps_its_stamp_through_promotions_rollbacks_and_restarts() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let run = bench.created(Some("s")).await;
    let stamp = bench.stored(run).await.unwrap().stamp;
    assert_eq!(stamp.deployment, two);
    let same = async |bench: &Bench| {
        assert_eq!(*bench.join(run).await.unwrap().stamp, stamp);
        let resumed = bench.control.runs().resume(run, &acme()).await.unwrap();
        assert_eq!((resumed.run.stamp, resumed.contract.id), (stamp.clone(), stamp.release));
    };
    bench.roll_back(two).await;
    same(&bench).await;
    let (bench, _) = bench.another().await;
    same(&bench).await;
    let pause = Event::Paused { why: "lunch".to_owned() };
    bench.control.runs().append(run, &acme(), None, vec![pause], None).await.unwrap();
    let paused = bench.join(run).await;
    assert!(matches!(paused, Err(BeginError::NotRunning { status: RunStatus::Paused, .. })));
    same_after_resume(&bench, run).await;
    same(&bench).await;
    // The session itself has moved to what is active now.
    assert_eq!(bench.begin(Some("s")).await.unwrap().stamp.deployment, DeploymentId(1));
}

async fn same_after_resume(bench: &Bench, run: RunId) {
    let resumed = bench.control.runs().resume(run, &acme()).await.unwrap();
    assert_eq!(resumed.run.summary.status, RunStatus::Running);
    assert_eq!(bench.kinds(run).await, ["plan", "paused", "resumed"]);
}

#[tokio::test(start_paused = true)]
async fn joining_another_ones_run_is_refused() {
    let bench = Bench::new(Tier::Standard).await;
    let run = bench.created(Some("s")).await;
    let check = async |call: Call, expected: &str| {
        let call = Call { run: Some(run), ..call };
        let refused = bench.control.runs().begin(call).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    };
    check(Call { tenant: tenant("globex"), ..call(None) }, "there is no run").await; // I11
    check(Call { agent: "executor".to_owned(), ..call(None) }, "belongs to agent `planner`").await;
    check(call(Some("t")), "another session").await;
    let numbers = [bench.join(run).await.unwrap().call, bench.join(run).await.unwrap().call];
    assert_eq!(numbers, [1, 2]);
    bench.finish(run).await.unwrap();
    check(call(None), "is finished").await;
    let unknown = bench.join(RunId(7)).await;
    assert!(matches!(unknown, Err(BeginError::NoRun(RunId(7)))));
}

#[tokio::test(start_paused = true)]
async fn a_sub_agent_inherits_and_never_from_another_tenant() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let parent = bench.created(None).await;
    bench.roll_back(two).await;
    let child = |tenant_name: &str| Create {
        agent: agent("executor"),
        tenant: tenant(tenant_name),
        parent: Some(parent),
        ..creating(Some("s"))
    };
    let stamp = bench.create(child("acme")).await.unwrap().stamp;
    assert_eq!((stamp.deployment, stamp.via, stamp.parent), (two, Via::Parent, Some(parent)));
    // What is inherited is the parent's choice, not the session's.
    let key = pinrail_store::journal::SessionKey { agent: agent("executor"), ..session_key("s") };
    assert_eq!(bench.store.session_get(&key).await.unwrap(), None);
    // A finished parent hands on only what still counts.
    bench.finish(parent).await.unwrap();
    let late = bench.create(child("acme")).await.unwrap().stamp;
    assert_eq!((late.deployment, late.parent), (DeploymentId(1), Some(parent)));
    // I11
    let runs = bench.control.runs();
    for refused in [
        bench.create(child("globex")).await,
        runs.create(child("globex"), &globex(), None).await,
        bench.create(Create { parent: Some(RunId(7)), ..creating(None) }).await,
    ] {
        assert!(matches!(refused, Err(CreateRefused::NoParent(_))), "{refused:?}");
    }
    assert!(runs.get(parent, &globex()).await.unwrap().is_none());
    assert!(runs.events(parent, &globex(), EventSeq(0), 9).await.unwrap().is_none());
    assert!(runs.list(&globex(), Default::default(), None, 9).await.unwrap().is_empty());
    let foreign = runs.append(parent, &globex(), None, vec![note("x")], None).await;
    assert!(matches!(foreign, Err(AppendRefused::NoRun(_))));
    assert!(matches!(runs.resume(parent, &globex()).await, Err(AppendRefused::NoRun(_))));
    let foreign = runs.finish(parent, &globex(), Outcome::Ok, None, None).await;
    assert!(matches!(foreign, Err(AppendRefused::NoRun(_))));
    assert_eq!(bench.kinds(parent).await, ["plan", "finished"]);
}

/// A pin that is gone is never answered by something else.
#[tokio::test(start_paused = true)]
async fn a_run_whose_model_is_retired_parks_and_a_single_call_ends() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.deploy(&AGENTS, "retiring-2026-01-01", Traffic::Now).await;
    let run = bench.created(None).await;
    assert!(bench.join(run).await.is_ok());
    bench.clock.0.store(RETIRED.0, std::sync::atomic::Ordering::SeqCst);
    let Err(BeginError::PinGone { why, .. }) = bench.join(run).await else { panic!("it is gone") };
    assert!(why.contains("retired model `retiring-2026-01-01`"), "{why}");
    assert!(matches!(bench.join(run).await, Err(BeginError::NotRunning { status: RunStatus::Parked, .. })));
    let resumed = bench.control.runs().resume(run, &acme()).await;
    assert!(matches!(resumed, Err(AppendRefused::PinGone { .. })));
    assert_eq!(bench.kinds(run).await, ["plan", "parked"]);
    let parked = OpenRuns { parked: 1, ..OpenRuns::default() };
    assert_eq!(bench.control.drain_of(two).await.unwrap().open, parked);

    let Err(BeginError::PinGone { run: single, .. }) = bench.begin(None).await else { panic!("it is gone") };
    assert!(matches!(
        bench.create(creating(None)).await,
        Err(CreateRefused::Begin(BeginError::PinGone { .. }))
    ));
    bench.control.drain().await;
    assert_eq!(bench.kinds(single).await, ["plan", "finished"]);
    assert_eq!(bench.stored(single).await.unwrap().summary.outcome, Some(Outcome::Error));
    assert_eq!(bench.control.runs().live_open(), 1);
}

#[tokio::test(start_paused = true)]
async fn appends_are_compared_and_set_and_happen_once_per_key() {
    let bench = Bench::new(Tier::Standard).await;
    let run = bench.created(None).await;
    let runs = bench.control.runs();
    let append = |expected: Option<u64>, name: &str, key: Option<&str>| {
        let idempotency = key.map(|key| idempotency(key, name));
        runs.append(run, &Tenants::All, expected.map(EventSeq), vec![note(name)], idempotency)
    };
    assert_eq!(append(Some(1), "a", None).await.unwrap().summary.next, EventSeq(2));
    let old = append(Some(1), "b", None).await;
    assert!(matches!(old, Err(AppendRefused::Moved { expected: EventSeq(1), next: EventSeq(2) })));
    for (expected, key) in [(None, "k1"), (Some(3), "k2")] {
        let first = append(expected, key, Some(key)).await.unwrap();
        assert!(!first.replayed);
        let again = RunChange { replayed: true, ..first };
        assert_eq!(append(expected, key, Some(key)).await.unwrap(), again);
        assert!(matches!(append(expected, "other", Some(key)).await, Err(AppendRefused::KeyReused)));
    }
    // The acknowledgement is lost: one effect.
    bench.store.fail(1, Strike::AfterEffect);
    let lost = append(None, "k3", Some("k3")).await;
    assert!(matches!(lost, Err(AppendRefused::Write(WriteError::Store(StoreError::Unavailable(_))))));
    assert_eq!(append(None, "k3", Some("k3")).await.unwrap().summary.next, EventSeq(5));
    assert_eq!(bench.kinds(run).await.len(), 5);
}

/// A client that asks again while its first request is under way.
#[tokio::test(start_paused = true)]
async fn a_request_that_its_own_repetition_overtakes_gets_the_same_answer() {
    let bench = Bench::new(Tier::Standard).await;
    let run = bench.created(None).await;
    for (expected, event) in
        [(Some(1), note("a")), (None, Event::Finished { outcome: Outcome::Ok, why: None })]
    {
        let key = event.kind();
        bench.store.answers.shut();
        let (control, idempotency) = (bench.control.clone(), idempotency(key, "x"));
        let asked = (event.clone(), Some(idempotency.clone()));
        let slow = tokio::spawn(async move {
            let (event, idempotency) = asked;
            match (event, expected) {
                (Event::Finished { outcome, why }, _) => {
                    control.runs().finish(run, &Tenants::All, outcome, why, idempotency).await
                }
                (event, expected) => {
                    let expected = expected.map(EventSeq);
                    control.runs().append(run, &Tenants::All, expected, vec![event], idempotency).await
                }
            }
        });
        settle().await;
        // The repetition gets through, in another process for example.
        let mut summary = bench.stored(run).await.unwrap().summary;
        summary.apply(bench.clock.now(), &event).unwrap();
        let change = RunChange { run, summary, replayed: false };
        let answer = Answer {
            key: idempotency.key,
            request: idempotency.request,
            status: 200,
            body: serde_json::to_string(&change).unwrap(),
            at: bench.clock.now(),
        };
        let events = vec![(bench.clock.now(), event)];
        let append = Append { run, expected: None, events, answer: Some(answer), follows: None };
        let written = bench.store.memory.journal_write(Arc::new(vec![Write::Append(append)])).await;
        assert!(written[0].is_ok());
        bench.store.answers.unlock();
        assert_eq!(slow.await.unwrap().unwrap(), RunChange { replayed: true, ..change });
    }
    assert_eq!(bench.kinds(run).await, ["plan", "note", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn events_that_may_not_be_appended_change_nothing() {
    let bench = Bench::new(Tier::Standard).await;
    let run = bench.created(None).await;
    let check = async |events: Vec<Event>, expected: &str| {
        let refused = bench.control.runs().append(run, &Tenants::All, None, events, None).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    };
    check(vec![], "this one holds 0").await;
    check(vec![note("x"); EVENTS_PER_APPEND_MAX + 1], "1 to 1000 events").await;
    check(vec![note(&"x".repeat(EVENT_BYTES_MAX))], "at most 262144 bytes").await;
    check(vec![Event::Finished { outcome: Outcome::Ok, why: None }], "`finished` events are written by")
        .await;
    check(vec![note("x"), Event::Started], "running takes no `started`").await;
    let why = Some("x".repeat(EVENT_BYTES_MAX));
    let refused = bench.control.runs().finish(run, &Tenants::All, Outcome::Ok, why, None).await;
    assert!(matches!(refused, Err(AppendRefused::TooLong { index: 0, .. })));
    let attributes = [("a".to_owned(), "x".repeat(257))].into();
    let refused = bench.create(Create { attributes, ..creating(None) }).await;
    assert!(matches!(refused, Err(CreateRefused::Attributes)));
    assert_eq!(bench.kinds(run).await, ["plan"]);
    assert_eq!(bench.control.runs().live_open(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_created_once_per_key_also_after_a_restart() {
    let bench = Bench::new(Tier::Standard).await;
    let create = |bench: &Bench, request: &'static str| {
        let control = bench.control.clone();
        async move {
            let key = Some(idempotency("k", request));
            control.runs().create(creating(Some("s")), &Tenants::All, key).await
        }
    };
    bench.store.fail(1, Strike::AfterEffect);
    assert!(create(&bench, "one").await.is_err());
    let first = create(&bench, "one").await.unwrap();
    let (again, _) = bench.another().await;
    assert_eq!(create(&again, "one").await.unwrap(), first);
    assert!(matches!(create(&again, "two").await, Err(CreateRefused::KeyReused)));
    assert_eq!(bench.store.run_open_total().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn open_runs_are_counted_exactly() {
    let bench = Bench::new(Tier::Standard).await;
    let runs = bench.control.runs();
    let check = async |expected: OpenRuns| {
        assert_eq!(bench.control.drain_of(DeploymentId(1)).await.unwrap().open, expected);
        assert_eq!(runs.live_open(), expected.total());
    };
    let mut open = OpenRuns::default();
    check(open).await;
    let call = bench.begin(None).await.unwrap().stamp.run;
    open.running += 1;
    check(open).await; // Though its stamp was still on its way.
    let queued = bench.create(Create { queued: true, ..creating(None) }).await.unwrap().stamp.run;
    open.queued += 1;
    check(open).await;
    runs.resume(queued, &Tenants::All).await.unwrap();
    (open.queued, open.running) = (0, 2);
    check(open).await;
    let pause = Event::Paused { why: String::new() };
    runs.append(queued, &Tenants::All, None, vec![pause], None).await.unwrap();
    (open.paused, open.running) = (1, 1);
    check(open).await;
    assert_eq!(bench.control.drain_of(DeploymentId(1)).await.unwrap().blocking.len(), 2);
    bench.end(call).await;
    open.running = 0;
    check(open).await;
    // A lost acknowledgement leaves no run behind in memory.
    bench.store.fail(1, Strike::AfterEffect);
    assert!(bench.finish(queued).await.is_err());
    assert!(matches!(bench.join(queued).await, Err(BeginError::NotRunning { .. })));
    bench.begin(None).await.unwrap();
    check(OpenRuns { running: 1, ..OpenRuns::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn runs_beyond_the_open_limit_are_refused_until_one_ends() {
    let bench = Bench::new(Tier::Standard).await;
    let first = bench.created(None).await;
    for _ in 1..OPEN_MAX {
        bench.created(None).await;
    }
    let refused = bench.create(creating(None)).await;
    let at_limit = BeginError::Busy { what: "the number of open runs", limit: OPEN_MAX }.to_string();
    assert_eq!(refused.unwrap_err().to_string(), at_limit);
    bench.finish(first).await.unwrap();
    bench.created(None).await;
}

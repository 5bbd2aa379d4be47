//! Sessions stick (I10), and a binding is in the store exactly when a run is.

use pinrail_domain::deploy::Traffic;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::routes::Via;
use pinrail_domain::share::Share;
use pinrail_domain::tier::Tier;
use pinrail_store::Journal as _;
use pinrail_store::memory::Strike;

use super::bench::*;

const ONE: DeploymentId = DeploymentId(1);

async fn weigh(bench: &Bench, id: DeploymentId, percent: &str) {
    bench.control.set_weight(by("weight"), id, share(percent)).await.unwrap();
}

async fn deployment(bench: &Bench, session: &str) -> DeploymentId {
    bench.begin(Some(session)).await.unwrap().stamp.deployment
}

/// The first run failed to be written; the second one's start carries the binding all the same.
#[tokio::test(start_paused = true)]
async fn a_binding_whose_run_was_not_written_is_written_with_the_next_run() {
    let bench = Bench::new(Tier::Critical).await;
    let two = bench.canary("m2-2026-01-01", "100%").await;
    bench.store.fail(1, Strike::BeforeEffect);
    assert!(bench.begin(Some("s")).await.is_err());
    assert_eq!(bench.store.session_get(&session_key("s")).await.unwrap(), None);
    assert_eq!(deployment(&bench, "s").await, two);
    assert_eq!(bench.store.session_get(&session_key("s")).await.unwrap(), Some(two));
}

/// More sessions than memory keeps: the rest is found in the store, also after a restart.
#[tokio::test(start_paused = true)]
async fn sessions_stick_whatever_the_weight_and_however_many_there_are() {
    for tier in [Tier::Standard, Tier::Critical] {
        let bench = Bench::new(tier).await;
        let two = bench.canary("m2-2026-01-01", "50%").await;
        let mut bound = Vec::new();
        for n in 0..300 {
            let session = format!("s{n}");
            let first = deployment(&bench, &session).await;
            bound.push((session, first));
        }
        let on_candidate = bound.iter().filter(|(_, deployment)| *deployment == two).count();
        assert!((100..200).contains(&on_candidate), "{on_candidate}");
        bench.control.drain().await;
        let (bench, _) = bench.another().await;
        for percent in ["0%", "100%"] {
            weigh(&bench, two, percent).await;
            for (session, deployment) in &bound {
                let stamp = bench.begin(Some(session)).await.unwrap().stamp;
                assert_eq!((stamp.deployment, stamp.via), (*deployment, Via::Session), "{session}");
            }
        }
        bench.roll_back(two).await;
        for (session, _) in &bound {
            assert_eq!(deployment(&bench, session).await, ONE);
        }
    }
}

/// The second run of a session begins while the first one is still being written, and the weight has changed.
#[tokio::test(start_paused = true)]
async fn two_runs_that_begin_a_session_at_once_bind_it_once() {
    let bench = Bench::new(Tier::Critical).await;
    let two = bench.canary("m2-2026-01-01", "100%").await;
    bench.store.journal.shut();
    let second = async {
        settle().await;
        weigh(&bench, two, "0%").await;
        let second = bench.begin(Some("s"));
        let unlock = async {
            settle().await;
            bench.store.journal.unlock();
        };
        tokio::join!(second, unlock).0
    };
    let (first, second) = tokio::join!(bench.begin(Some("s")), second);
    assert_eq!([first, second].map(|begun| begun.unwrap().stamp.deployment), [two, two]);
    assert_eq!(bench.store.session_get(&session_key("s")).await.unwrap(), Some(two));
}

/// A replica that didn't hear of the binding resolves again when the store refuses its own.
#[tokio::test(start_paused = true)]
async fn what_another_replica_bound_wins() {
    let bench = Bench::new(Tier::Critical).await;
    let two = bench.canary("m2-2026-01-01", "100%").await;
    let (replica, _) = bench.another().await;
    weigh(&replica, two, "0%").await;
    assert_eq!(deployment(&bench, "s").await, two);
    assert_eq!(deployment(&replica, "s").await, two);
    let runs = bench.store.run_list(&Default::default(), None, 9).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.stamp.deployment).collect::<Vec<_>>(), [two, two]);
}

/// A stamp that nobody waited for stays, and rebinds a session that the store has on a deployment long gone.
#[tokio::test(start_paused = true)]
async fn a_late_refusal_of_a_binding_keeps_the_stamp_and_binds_the_newest() {
    let bench = Bench::new(Tier::Standard).await;
    let (replica, _) = bench.another().await;
    assert_eq!(deployment(&replica, "s").await, ONE);
    replica.control.drain().await;
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let run = bench.begin(Some("s")).await.unwrap().stamp.run;
    bench.control.drain().await;
    assert_eq!(bench.stored(run).await.unwrap().stamp.deployment, two);
    assert_eq!(bench.store.session_get(&session_key("s")).await.unwrap(), Some(two));
}

#[tokio::test(start_paused = true)]
async fn a_session_means_something_only_within_its_agent_and_tenant() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.canary("m2-2026-01-01", "100%").await;
    assert_eq!(deployment(&bench, "s").await, two);
    weigh(&bench, two, &Share::NONE.to_string()).await;
    assert_eq!(deployment(&bench, "s").await, two);
    for other in [
        pinrail_domain::begin::Call { tenant: tenant("globex"), ..call(Some("s")) },
        pinrail_domain::begin::Call { agent: "executor".to_owned(), ..call(Some("s")) },
    ] {
        assert_eq!(bench.control.runs().begin(other).await.unwrap().stamp.deployment, ONE);
    }
}

/// Who goes on from an answer stays where it was given, whatever the weight, also after a restart; a rollback moves them.
#[tokio::test(start_paused = true)]
async fn who_goes_on_from_an_answer_stays_where_it_was_given() {
    for tier in [Tier::Standard, Tier::Critical] {
        let bench = Bench::new(tier).await;
        let two = bench.canary("m2-2026-01-01", "100%").await;
        // More than memory keeps.
        let ids: Vec<String> = (0..100).map(|n| format!("response:r{n}")).collect();
        for id in &ids {
            let stamp = bench.begin(None).await.unwrap().stamp;
            assert_eq!(stamp.deployment, two);
            bench.answer(&stamp, id).await;
        }
        bench.control.runs().settled().await;
        weigh(&bench, two, "0%").await;
        assert_eq!(deployment(&bench, "response:other").await, ONE);
        let stamp = bench.begin(Some(&ids[0])).await.unwrap().stamp;
        assert_eq!((stamp.deployment, stamp.via), (two, Via::Session));
        // The next answer goes on from there.
        bench.answer(&stamp, "response:next").await;
        bench.control.drain().await;
        let (bench, _) = bench.another().await;
        for id in ids.iter().map(String::as_str).chain(["response:next"]) {
            assert_eq!(deployment(&bench, id).await, two, "{id}");
        }
        let elsewhere =
            pinrail_domain::begin::Call { tenant: tenant("globex"), ..call(Some("response:next")) };
        assert_eq!(bench.control.runs().begin(elsewhere).await.unwrap().stamp.deployment, ONE);
        bench.roll_back(two).await;
        for id in ids.iter().map(String::as_str).chain(["response:next"]) {
            assert_eq!(deployment(&bench, id).await, ONE, "{id}");
        }
    }
}

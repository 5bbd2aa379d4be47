//! The journal's queue: company, order, failure, shutdown.

use super::bench::*;
use pinrail_domain::begin::BeginError;
use pinrail_domain::journal::RunStatus;
use pinrail_domain::key::Tenants;
use pinrail_domain::tier::Tier;
use pinrail_store::memory::Strike;

/// A call of the gateway is closed by the gateway: nobody else may end it, and the count of open runs stays exact.
#[tokio::test(start_paused = true)]
async fn a_gateway_call_is_ended_only_by_the_gateway() {
    let bench = Bench::new(Tier::Critical).await;
    let run = bench.begin(None).await.unwrap().stamp.run;
    assert!(bench.finish(run).await.is_err());
    assert!(bench.join(run).await.is_err());
    bench.end(run).await;
    bench.control.drain().await;
    assert_eq!(bench.kinds(run).await, ["plan", "finished"]);
    let (bench, _) = bench.another().await;
    assert!(bench.join(run).await.is_err());
    bench.create(creating(None)).await.unwrap();
}

/// An event that may not follow is refused alone; the run it belongs to is kept (I3).
#[tokio::test(start_paused = true)]
async fn an_illegal_event_does_not_take_its_run_with_it() {
    let bench = Bench::new(Tier::Standard).await;
    let run = bench.begin(None).await.unwrap().stamp.run;
    bench.end(run).await;
    bench.control.runs().record(run, vec![(START, note("late"))]).await;
    bench.control.drain().await;
    assert_eq!(bench.kinds(run).await, ["plan", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_of_a_start_loses_no_event() {
    let bench = Bench::new(Tier::Standard).await;
    bench.store.fail(1, Strike::AfterEffect);
    let run = bench.begin(None).await.unwrap().stamp.run;
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    bench.end(run).await;
    bench.control.drain().await;
    assert_eq!(bench.kinds(run).await, ["plan", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn draining_ends_though_the_store_stays_broken() {
    let bench = Bench::new(Tier::Standard).await;
    bench.begin(None).await.unwrap();
    bench.store.fail(100_000, Strike::BeforeEffect);
    bench.control.drain().await;
    assert!(matches!(bench.begin(None).await, Err(BeginError::Journal(_))));
    assert!(bench.create(creating(None)).await.is_err());
}

/// A client that goes away while its run's start is written leaves no run open behind.
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_leaves_no_open_call() {
    let bench = Bench::new(Tier::Critical).await;
    bench.store.shut();
    let begin = bench.begin(None);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(5), begin).await.is_err());
    bench.store.unlock();
    bench.control.drain().await;
    let runs = bench.control.runs().list(&Tenants::All, Default::default(), None, 9).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.summary.status).collect::<Vec<_>>(), [RunStatus::Finished]);
}

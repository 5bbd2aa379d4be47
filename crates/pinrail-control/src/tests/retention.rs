//! Journals that are older than they are kept.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pinrail_domain::id::RunId;
use pinrail_domain::journal::collect::Why;
use pinrail_domain::key::Tenants;
use pinrail_domain::ledger::Body;
use pinrail_domain::time::Timestamp;
use pinrail_store::Journal as _;
use pinrail_store::memory::Strike;

use super::bench::*;
use super::replicas::Crew;
use crate::Control;

const DAY_MS: u64 = 86_400_000;

async fn dropped(control: &Control) {
    let mut dropping = control.dropping();
    dropping.wait_for(|dropping| !dropping.running).await.unwrap();
}

/// A finished run on each of some days, then five more days.
async fn aged(bench: &Bench, days: usize) -> Vec<RunId> {
    let mut runs = Vec::new();
    for _ in 0..days {
        let run = bench.created(None).await;
        bench.finish(run).await.unwrap();
        runs.push(run);
        bench.clock.0.fetch_add(DAY_MS, Ordering::Relaxed);
    }
    bench.clock.0.fetch_add(5 * DAY_MS, Ordering::Relaxed);
    runs
}

async fn entries(store: &dyn pinrail_store::Store) -> Vec<u64> {
    let all = store.ledger_read(pinrail_domain::id::LedgerSeq(0), 9_999).await.unwrap();
    let mut runs = Vec::new();
    for entry in all {
        if let Body::JournalCollected { runs: gone, .. } = entry.body {
            runs.push(gone);
        }
    }
    runs
}

#[tokio::test(start_paused = true)]
async fn what_a_failure_leaves_goes_with_the_next_collection() {
    let bench = Bench::new(pinrail_domain::tier::Tier::Standard).await;
    let runs = aged(&bench, 3).await;
    let collect = async || bench.control.collect_journals(by("tidy"), 2 * DAY_MS).await.unwrap().value;
    let first = collect().await;
    assert_eq!((first.plan.runs(), first.seq.is_some()), (3, true));
    // The ledger has it; now the store goes away under the first day.
    bench.store.fail(1, Strike::BeforeEffect);
    dropped(&bench.control).await;
    let dropping = bench.control.dropping().borrow().clone();
    assert!(dropping.trouble.is_some(), "{dropping:?}");
    assert_eq!(bench.store.run_days(first.plan.kept_from).await.unwrap().len(), 3);
    // Who asks for such a run is told by the entry, gone or not yet.
    let world = bench.control.snapshot();
    assert_eq!(world.world.journals.took(runs[0]), first.seq);

    let second = collect().await;
    dropped(&bench.control).await;
    assert_eq!((second.plan.runs(), bench.control.dropping().borrow().trouble.clone()), (3, None));
    assert_eq!(bench.store.run_days(first.plan.kept_from).await.unwrap(), []);
    assert!(collect().await.seq.is_none(), "nothing is left to enter");
    assert_eq!(entries(&*bench.store).await, [3, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_data_job_that_is_open_keeps_the_runs_since() {
    let bench = Bench::new(pinrail_domain::tier::Tier::Standard).await;
    aged(&bench, 1).await;
    let job = bench.control.open_ingest(by("load"), &"docs".parse().unwrap()).await.unwrap().value.deployment;
    aged(&bench, 1).await;
    let plan = bench.control.journals_plan(2 * DAY_MS).await.unwrap().plan;
    assert_eq!((plan.collect.len(), plan.keep.len()), (1, 1));
    assert_eq!(plan.keep[0].why, Why::Undecided { deployment: job });
    bench.roll_back(job).await;
    assert_eq!(bench.control.journals_plan(2 * DAY_MS).await.unwrap().plan.collect.len(), 2);
}

/// One of several replicas drops; all of them know.
#[tokio::test(start_paused = true)]
async fn of_several_replicas_the_leader_drops() {
    let crew = Crew::new(2, pinrail_domain::tier::Tier::Standard).await;
    let run = crew.replicas[0].runs().create(creating(None), &Tenants::All, None).await.unwrap().stamp.run;
    let end =
        pinrail_domain::journal::Event::Finished { outcome: pinrail_domain::journal::Outcome::Ok, why: None };
    crew.replicas[0].runs().record(run, vec![(Timestamp(1), end)]).await;
    crew.replicas[0].runs().settled().await;
    crew.clock.0.fetch_add(5 * DAY_MS, Ordering::Relaxed);
    for replica in &crew.replicas {
        replica.keep_journals_for(2 * DAY_MS);
    }
    for replica in &crew.replicas {
        let mut heads = replica.heads();
        heads.wait_for(|_| replica.snapshot().world.journals.took(run).is_some()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(3 * 3_600)).await;
    assert_eq!(entries(&crew.store).await, [1]);
    assert!(crew.store.run_get(run).await.unwrap().is_none());
}

//! What a restart finds: the same world, the same stamps, and cut-off calls closed.

use std::sync::Arc;

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::deploy::Traffic;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::journal::{Outcome, RunStatus};
use pinrail_domain::tier::Tier;

use pinrail_store::Answers as _;

use super::bench::*;
use crate::{OpenError, Recovered};

#[tokio::test(start_paused = true)]
async fn cut_off_calls_are_closed_and_other_runs_stay_open() {
    let bench = Bench::new(Tier::Critical).await;
    let call = bench.begin(None).await.unwrap().stamp.run;
    let ended = bench.begin(None).await.unwrap().stamp.run;
    bench.end(ended).await;
    let open = bench.created(None).await;
    let queued =
        bench.create(crate::runs::Create { queued: true, ..creating(None) }).await.unwrap().stamp.run;
    bench.control.drain().await;

    let entries = bench.control.snapshot().world.head.seq.0;
    let (again, recovered) = bench.another().await;
    assert_eq!(recovered, Recovered { entries, calls_closed: 1 });
    let closed = again.stored(call).await.unwrap().summary;
    assert_eq!((closed.status, closed.outcome), (RunStatus::Finished, Some(Outcome::Error)));
    assert_eq!(again.stored(ended).await.unwrap().summary.outcome, Some(Outcome::Ok));
    assert_eq!(again.stored(open).await.unwrap().summary.status, RunStatus::Running);
    assert_eq!(again.stored(queued).await.unwrap().summary.status, RunStatus::Queued);
    assert_eq!(again.control.runs().live_open(), 2);
    assert_eq!(again.join(open).await.unwrap().stamp.run, open);
    assert_eq!(again.another().await.1.calls_closed, 0);
}

#[tokio::test(start_paused = true)]
async fn the_world_after_a_restart_is_the_world_before_it() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    bench.roll_back(two).await;
    let (again, _) = bench.another().await;
    let [before, after] = [&bench, &again].map(|bench| format!("{:?}", bench.control.snapshot().world));
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_damaged_ledger_is_not_opened_and_the_entry_is_named() {
    let bench = Bench::new(Tier::Standard).await;
    let refused = async || {
        let error = open(&bench.store, &bench.clock, &bench.entropy).await.err().unwrap();
        let chain = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        (error, chain)
    };
    bench.store.tamper(Some(Arc::new(|entries| entries[4].reason.push('!'))));
    let (error, chain) = refused().await;
    assert!(matches!(error, OpenError::Corrupt(_)) && chain.contains("ledger entry 5 is broken"), "{chain}");
    bench.store.tamper(None);
    bench.store.memory.damage_entry(LedgerSeq(3));
    let (error, chain) = refused().await;
    assert!(matches!(error, OpenError::Store(_)) && chain.contains("ledger entry 3"), "{chain}");
}

#[tokio::test(start_paused = true)]
async fn answers_are_forgotten_after_a_week_while_the_server_runs() {
    let bench = Bench::new(Tier::Standard).await;
    let (week_ms, hour) = (7 * 24 * 3_600_000, std::time::Duration::from_secs(3_601));
    let key = idempotency("k", "one");
    let name = agent("extra");
    bench.control.agent_put(keyed("k", "one"), &name, &AgentSpec::default()).await.unwrap();
    let kept = || async { bench.store.answer_get(&key.key).await.unwrap().is_some() };
    for (passed_ms, still_there) in [(week_ms, true), (1, false)] {
        bench.clock.0.fetch_add(passed_ms, std::sync::atomic::Ordering::SeqCst);
        tokio::time::advance(hour).await;
        settle().await;
        assert_eq!(kept().await, still_there);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_keeps_no_server_from_starting_and_cut_off_calls_are_closed_when_there_is_room() {
    let bench = Bench::new(Tier::Critical).await;
    let call = bench.begin(None).await.unwrap().stamp.run;
    bench.control.drain().await;
    bench.store.fill(2);
    let (again, recovered) = bench.another().await;
    assert_eq!(recovered.calls_closed, 0);
    assert_eq!(again.stored(call).await.unwrap().summary.status, RunStatus::Running);
    // The journal's queue tries again until there is room.
    again.control.drain().await;
    let closed = again.stored(call).await.unwrap().summary;
    assert_eq!((closed.status, closed.outcome), (RunStatus::Finished, Some(Outcome::Error)));
}

#[tokio::test(start_paused = true)]
async fn what_serves_traffic_is_loaded_before_the_first_call() {
    let bench = Bench::new(Tier::Standard).await;
    let old = bench.begin(None).await.unwrap().stamp.release;
    bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let new = bench.begin(None).await.unwrap().stamp.release;
    let (again, _) = bench.another().await;
    settle().await;
    let loaded = |release| again.control.contracts().is_loaded(release);
    assert!(loaded(new) && !loaded(old));
}

//! The journal's queue: company, order, failure, shutdown.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use pinrail_domain::begin::BeginError;
use pinrail_domain::id::RunId;
use pinrail_domain::journal::{Event, RunStatus};
use pinrail_domain::key::Tenants;
use pinrail_domain::tier::Tier;
use pinrail_store::Journal as _;
use pinrail_store::journal::{Append, Write};
use pinrail_store::memory::Strike;

use super::bench::*;
use crate::runs::QUEUE_MAX;

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
    tokio::time::sleep(Duration::from_millis(30)).await;
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
    bench.store.journal.shut();
    let begin = bench.begin(None);
    assert!(tokio::time::timeout(Duration::from_millis(5), begin).await.is_err());
    bench.store.journal.unlock();
    bench.control.drain().await;
    let runs = bench.control.runs().list(&Tenants::All, Default::default(), None, 9).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.summary.status).collect::<Vec<_>>(), [RunStatus::Finished]);
}

/// A short call is one write, and what nobody waits for goes along with what somebody waits for.
#[tokio::test(start_paused = true)]
async fn a_short_call_is_one_write_and_company_is_free() {
    let bench = Bench::new(Tier::Standard).await;
    let started = tokio::time::Instant::now();
    let run = bench.begin(None).await.unwrap().stamp.run;
    bench.control.runs().record(run, vec![(START, note("x"))]).await;
    bench.end(run).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(21)).await;
    assert_eq!(bench.kinds(run).await, ["plan", "note", "finished"]);
    assert_eq!((bench.store.batches.load(SeqCst), bench.store.longest.load(SeqCst)), (1, 1));

    let started = tokio::time::Instant::now();
    let call = bench.begin(None).await.unwrap().stamp.run;
    bench.created(None).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(bench.kinds(call).await, ["plan"]);
    assert_eq!((bench.store.batches.load(SeqCst), bench.store.longest.load(SeqCst)), (2, 2));
}

/// Events keep their order, and each happens once, however the store failed meanwhile.
#[tokio::test(start_paused = true)]
async fn a_store_that_fails_and_recovers_keeps_every_event_in_its_order() {
    for strikes in [
        vec![Strike::BeforeEffect; 3],
        vec![Strike::AfterEffect],
        vec![Strike::AfterEffect, Strike::BeforeEffect, Strike::AfterEffect],
        vec![Strike::Later],
        vec![Strike::Later, Strike::BeforeEffect, Strike::Later],
    ] {
        let bench = Bench::new(Tier::Standard).await;
        let open = bench.created(None).await;
        strikes.iter().for_each(|strike| bench.store.fail(1, *strike));
        let call = bench.begin(None).await.unwrap().stamp.run;
        for n in 0..40 {
            for run in [call, open] {
                bench.control.runs().record(run, vec![(START, note(&format!("n{n}")))]).await;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
            let troubled = bench.control.runs().journal_trouble().is_some();
            assert!(n > 0 || troubled, "{strikes:?}");
        }
        bench.end(call).await;
        bench.control.drain().await;
        assert_eq!(bench.control.runs().journal_trouble(), None);
        let expected: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
        for run in [call, open] {
            assert_eq!(bench.notes(run).await, expected, "{strikes:?}");
        }
    }
}

/// I2, I9: a commit that goes on while its batch is tried again, and others who write to the run meanwhile: each event is there once, in
/// its order.
#[tokio::test(start_paused = true)]
async fn what_comes_between_a_look_and_a_write_doubles_and_loses_nothing() {
    for (first, others) in [(Strike::Later, 0), (Strike::BeforeEffect, 1), (Strike::BeforeEffect, 2)] {
        let bench = Bench::new(Tier::Standard).await;
        let open = bench.created(None).await;
        bench.store.fail(1, first);
        for name in ["a", "b", "c"] {
            bench.control.runs().record(open, vec![(START, note(name))]).await;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
        assert!(bench.control.runs().journal_trouble().is_some());
        bench.store.fail(others, Strike::Later);
        let mut expected = vec!["a", "b", "c"];
        for name in ["x", "y"].into_iter().take(others) {
            // Nobody sees it yet; it lands after the writer looked, and before it writes.
            let events = vec![(START, note(name))];
            let append = Append { run: open, expected: None, events, answer: None, follows: None };
            let refused = bench.store.memory.journal_write(vec![Write::Append(append)].into()).await;
            assert!(refused[0].is_err());
            expected.insert(expected.len() - 3, name);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(bench.control.runs().journal_trouble(), None);
        assert_eq!(bench.notes(open).await, expected, "{first:?}, {others}");
    }
}

/// Who waits is told at once, also behind a long queue that can't be written.
#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_calls_lets_events_wait_and_tells_who_waits() {
    let bench = Bench::new(Tier::Standard).await;
    let first = bench.begin(None).await.unwrap().stamp.run;
    bench.store.fail(100, Strike::BeforeEffect);
    let busy = loop {
        if let Err(error) = bench.begin(None).await {
            break error;
        }
    };
    assert!(matches!(busy, BeginError::Busy { limit, .. } if limit == QUEUE_MAX as u64), "{busy}");
    let ended = bench.end(first);
    tokio::pin!(ended);
    assert!(futures_are_pending(ended.as_mut()).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    ended.await;
    // What is carried fills a whole batch now; the caller hears of the failure all the same.
    let started = tokio::time::Instant::now();
    assert!(bench.create(creating(None)).await.is_err());
    assert!(started.elapsed() <= Duration::from_millis(250));
    // The hundredth failure is the last: ten seconds of retries are enough while draining.
    tokio::time::sleep(Duration::from_secs(30)).await;
    bench.control.drain().await;
    assert_eq!(bench.kinds(first).await, ["plan", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_a_run_only_once_there_is_no_room_left() {
    let bench = Bench::new(Tier::Standard).await;
    let runs = bench.control.runs();
    bench.store.fail(100, Strike::BeforeEffect);
    bench.begin(None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(runs.journal_trouble().is_some());
    assert_eq!(runs.refuse_everybody(), None);
    while bench.begin(None).await.is_ok() {}
    let why = runs.refuse_everybody();
    assert!(why.as_ref().is_some_and(|why| why.contains("no room left")), "{why:?}");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(runs.refuse_everybody(), None);
    bench.control.drain().await;
}

impl Bench {
    /// The names of a run's notes.
    async fn notes(&self, run: RunId) -> Vec<String> {
        let events = self.control.runs().events(run, &Tenants::All, Default::default(), 999).await;
        let notes = events.unwrap().unwrap().into_iter().filter_map(|recorded| {
            let Event::Note { name, .. } = recorded.event else { return None };
            Some(name)
        });
        notes.collect()
    }
}

async fn futures_are_pending(mut future: std::pin::Pin<&mut impl Future>) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

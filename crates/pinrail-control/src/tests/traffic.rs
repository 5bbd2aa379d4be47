//! Traffic is counted as it is written, and read again after a start.

use pinrail_domain::journal::{Event, Outcome};
use pinrail_domain::tier::Tier;
use pinrail_domain::time::Timestamp;
use pinrail_domain::traffic::{Hour, Lately, Minute};
use pinrail_store::memory::Strike;

use super::bench::*;

impl Bench {
    fn at(&self) -> Timestamp {
        Timestamp(self.clock.0.load(std::sync::atomic::Ordering::SeqCst))
    }

    /// A gateway call of `planner` that is over at once.
    async fn call(&self, outcome: Outcome) {
        let run = self.begin(None).await.unwrap().stamp.run;
        self.control.runs().record(run, vec![(self.at(), Event::Finished { outcome, why: None })]).await;
    }

    /// What was counted once everything that was written is in.
    async fn counted(&self) -> (Lately, Minute) {
        self.control.runs().settled().await;
        settle().await;
        let lately = self.control.traffic(None);
        let hours = lately.lines.values().flat_map(|of| of.values());
        let hour = hours.fold(Hour::quiet(self.at()), |sum, hour| sum.and(hour));
        let sum = hour.minutes.iter().fold(Minute::default(), |sum, minute| Minute {
            begun: sum.begun + minute.begun,
            ended: sum.ended + minute.ended,
            errors: sum.errors + minute.errors,
        });
        (lately, sum)
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_served_is_the_same_after_a_restart() {
    let bench = Bench::new(Tier::Standard).await;
    for outcome in [Outcome::Ok, Outcome::Error, Outcome::Cancelled] {
        bench.call(outcome).await;
    }
    let open = bench.created(Some("s")).await;
    let (lately, counted) = bench.counted().await;
    assert_eq!(counted, Minute { begun: 4, ended: 3, errors: 1 });
    assert_eq!((lately.dropped, lately.complete, lately.lines.len()), (0, false, 1));
    bench.control.drain().await;
    // Another process, a second later, knows nothing until it has read.
    bench.clock.0.fetch_add(1_000, std::sync::atomic::Ordering::SeqCst);
    let (again, _) = bench.another().await;
    assert_eq!(again.counted().await.1, Minute::default());
    again.finish(open).await.unwrap();
    again.call(Outcome::Ok).await;
    let mut changed = again.control.traffic_changed();
    again.control.recall_traffic();
    while !again.control.traffic(None).complete {
        changed.changed().await.unwrap();
    }
    assert_eq!(again.counted().await.1, Minute { begun: 5, ended: 5, errors: 1 });
}

#[tokio::test(start_paused = true)]
async fn writes_that_wait_for_nobody_are_dropped_and_counted() {
    let bench = Bench::new(Tier::Standard).await;
    // One batch each, and nobody takes them: the queue holds fewer.
    for _ in 0..100 {
        let run = bench.created(None).await;
        bench.finish(run).await.unwrap();
    }
    let (lately, counted) = bench.counted().await;
    assert_eq!(lately.dropped + u64::from(counted.begun + counted.ended), 200);
    // A write whose outcome nobody knows may be missing.
    bench.store.fail(1, Strike::AfterEffect);
    bench.call(Outcome::Ok).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(bench.counted().await.0.dropped > lately.dropped);
}

#[tokio::test(start_paused = true)]
async fn followers_hear_of_runs_and_of_minutes_that_pass() {
    let bench = Bench::new(Tier::Standard).await;
    let mut changed = bench.control.traffic_changed();
    bench.call(Outcome::Ok).await;
    changed.changed().await.unwrap();
    bench.counted().await;
    changed.mark_unchanged();
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    assert!(changed.has_changed().unwrap(), "a minute passed");
    tokio::time::sleep(std::time::Duration::from_secs(2 * 3_600)).await;
    changed.mark_unchanged();
    tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
    assert!(!changed.has_changed().unwrap(), "nothing is left to change");
}

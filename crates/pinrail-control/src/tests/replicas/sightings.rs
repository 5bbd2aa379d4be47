//! What one replica sees of providers, all of them say.

use pinrail_domain::model::{Fact, Source};
use pinrail_domain::time::Clock as _;
use pinrail_domain::warm::{Callable, Failed, Fault, Probe, Probed};
use pinrail_store::StoreError;
use pinrail_store::memory::Strike;

use super::*;
use crate::lists;
use crate::readiness::{Indicator, Surroundings};
use crate::warm::WarmRelease;

impl Crew {
    /// Probes everything that is warm, at one replica, a moment after whatever was seen before.
    async fn probe(&self, replica: usize, fault: Option<Fault>) {
        self.clock.0.fetch_add(1, Ordering::SeqCst);
        let failed = fault.map(|fault| Failed { fault, status: Some(404), why: "no such model".to_owned() });
        let probe = Probe { at: self.clock.now(), latency_ms: Some(5), served: None, failed };
        for wanted in self.replicas[replica].probes_wanted(None) {
            self.replicas[replica].keep_probe(&wanted, probe.clone()).await;
        }
    }

    async fn read_list(&self, replica: usize, models: &[&str]) {
        self.clock.0.fetch_add(1, Ordering::SeqCst);
        let source = Source {
            part: "house".to_owned(),
            from: "a test".to_owned(),
            whole: true,
            models: models.iter().map(|id| Fact { id: (*id).to_owned(), ..Fact::default() }).collect(),
        };
        self.replicas[replica].keep_list(&"p".parse().unwrap(), self.clock.now(), Ok(source)).await;
    }

    /// Until what one saw all have read.
    async fn seen_by_all(&self) {
        tokio::time::sleep(Duration::from_secs(31)).await;
        for replica in &self.replicas {
            self.caught_up(replica).await;
        }
    }

    fn warm(&self, replica: usize) -> Vec<WarmRelease> {
        self.replicas[replica].warm_set(&Surroundings::default(), None)
    }

    fn callable(&self, replica: usize) -> Callable {
        self.warm(replica)[0].callable
    }

    fn probed(&self, replica: usize) -> Probed {
        self.warm(replica)[0].probed.clone().unwrap()
    }

    fn list(&self, replica: usize) -> lists::Seen {
        self.replicas[replica].list_seen(&"p".parse().unwrap()).unwrap()
    }

    /// Whether a rollback has somewhere to go, and how fresh what is known of models is.
    async fn ready(&self, replica: usize) -> Vec<Indicator> {
        let rows = self.replicas[replica].readiness(&Surroundings::default()).await;
        rows.into_iter().filter(|row| ["rollback target", "models"].contains(&row.name)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_replica_saw_of_providers_all_say() {
    let crew = Crew::new(3, Tier::Standard).await;
    let [one, two, three] = [0, 1, 2];
    crew.deploy("m2-2026-01-01", Traffic::Canary(share("20"))).await;
    crew.seen_by_all().await;
    assert_eq!(crew.callable(two), Callable::Unknown);
    crew.probe(one, None).await;
    crew.read_list(one, &["m1-2026-01-01", "m2-2026-01-01"]).await;
    crew.seen_by_all().await;
    for replica in [two, three] {
        assert_eq!(crew.callable(replica), Callable::Yes);
        assert_eq!(crew.warm(replica), crew.warm(one));
        assert_eq!(crew.list(replica), crew.list(one));
        assert_eq!(crew.ready(replica).await, crew.ready(one).await);
    }
    // A person asks another replica: whoever asked before learns of it, and the count goes on from what all saw.
    crew.probe(two, Some(Fault::Gone)).await;
    crew.read_list(two, &["m2-2026-01-01"]).await;
    crew.seen_by_all().await;
    crew.probe(three, Some(Fault::Gone)).await;
    crew.read_list(three, &["m2-2026-01-01"]).await;
    crew.seen_by_all().await;
    for replica in [one, two, three] {
        assert_eq!((crew.callable(replica), crew.probed(replica).in_a_row), (Callable::Gone, 2));
        assert_eq!(crew.list(replica).lost.get("m1-2026-01-01"), Some(&2));
        assert_eq!(crew.warm(replica), crew.warm(three));
        assert_eq!(crew.ready(replica).await, crew.ready(three).await);
        assert!(!crew.replicas[replica].snapshot().world.findings.is_empty());
    }
}

/// What the store didn't take stays known where it was seen, and what was seen later anywhere goes before it.
#[tokio::test(start_paused = true)]
async fn the_newest_sighting_counts_whoever_saw_it() {
    let crew = Crew::new(2, Tier::Standard).await;
    crew.probe(0, None).await;
    crew.seen_by_all().await;
    crew.store.fail_next(
        1_000_000,
        Strike::BeforeEffect,
        &StoreError::Unavailable(Arc::new(std::io::Error::other("unplugged"))),
    );
    crew.probe(0, Some(Fault::Refused)).await;
    crew.store.forget_failures();
    crew.seen_by_all().await;
    assert_eq!((crew.callable(0), crew.callable(1)), (Callable::Refused, Callable::Yes));
    crew.probe(1, Some(Fault::Outage)).await;
    crew.seen_by_all().await;
    assert_eq!((crew.callable(0), crew.callable(1)), (Callable::Failing, Callable::Failing));
}

//! Which database what is spooled belongs to.

use serde_json::Value;

use super::*;

/// Leaves a finished run in a spool, and the store as if it were back; the run's stamp.
async fn spooled(crew: &mut Crew, pile: &Arc<Pile>) -> Arc<Stamp> {
    let n = crew.join_with("spooling", Some(Arc::clone(pile) as _)).await;
    crew.unplug();
    let stamp = crew.begin(n, None).await.unwrap().stamp;
    crew.end(n, stamp.run, Outcome::Ok).await;
    crew.replicas[n].drain().await;
    crew.store.forget_failures();
    assert!(pile.left() > 0);
    stamp
}

impl Crew {
    /// Joins with a spool that is of this database, and waits until it was played.
    async fn takes(&mut self, pile: &Arc<Pile>, stamp: &Stamp) {
        self.join_with("next", Some(Arc::clone(pile) as _)).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(pile.left(), 0);
        assert_eq!(self.store.run_get(stamp.run).await.unwrap().expect("I3").stamp, *stamp);
    }
}

/// A replica that is started with another database neither plays what it spooled there nor loses it.
#[tokio::test(start_paused = true)]
async fn a_spool_of_another_database_is_refused_and_kept() {
    let mut crew = Crew::new(1, Tier::Standard).await;
    let pile = Arc::new(Pile::default());
    let stamp = spooled(&mut crew, &pile).await;
    let kept = pile.lock().clone();
    let theirs = crew.replicas[0].snapshot().world.origin.unwrap();

    let nothing_there = Crew::empty(0).await;
    let begun_later = Crew::empty(1).await;
    begun_later.clock.0.fetch_add(1, Ordering::SeqCst);
    let first = &begun_later.replicas[0];
    first.provider_put(by("p"), &"p".parse().unwrap(), &ProviderSpec::simulated()).await.unwrap();
    for (mut another, ours) in [(nothing_there, None), (begun_later, Some(()))] {
        match another.try_join("astray", Some(Arc::clone(&pile) as _), true).await {
            Err(OpenError::Spool(foreign)) => {
                assert_eq!((foreign.writes, foreign.theirs), (kept.len() as u64, theirs));
                assert_eq!(foreign.ours.map(|_| ()), ours);
            }
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(another.store.run_list(&Default::default(), None, 9).await.unwrap(), []);
        assert_eq!(*pile.lock(), kept, "it stays as it is");
    }
    crew.takes(&pile, &stamp).await;
}

/// What a version before this one spooled names no ledger, and is played as it was by that one.
#[tokio::test(start_paused = true)]
async fn a_spool_that_names_no_database_is_played() {
    let mut crew = Crew::new(1, Tier::Standard).await;
    let pile = Arc::new(Pile::default());
    let stamp = spooled(&mut crew, &pile).await;
    for record in pile.lock().iter_mut() {
        let mut value: Value = serde_json::from_slice(record).unwrap();
        assert!(value.as_object_mut().unwrap().remove("ledger").is_some());
        *record = serde_json::to_vec(&value).unwrap();
    }
    crew.takes(&pile, &stamp).await;
}

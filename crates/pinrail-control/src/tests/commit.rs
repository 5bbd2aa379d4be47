//! One commit point: exactly one effect, and nobody sees an old world after it.

use pinrail_domain::deploy::Traffic;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::tier::Tier;
use pinrail_store::memory::Strike;

use super::bench::*;
use crate::CommitError;

/// A rollback that is in the ledger is in force, whether or not its caller waited for it (I5).
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_leaves_no_rollback_that_is_not_in_force() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    bench.store.shut();
    let rolling_back = bench.control.roll_back(by("bad"), two);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(5), rolling_back).await.is_err());
    bench.store.unlock();
    settle().await;
    assert!(bench.control.snapshot().world.deployments[&two].is_rolled_back());
    assert_eq!(bench.begin(None).await.unwrap().stamp.deployment, DeploymentId(1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_gives_one_effect_and_it_is_in_force() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let before = bench.control.snapshot().world.head.seq;
    bench.store.fail(1, Strike::AfterEffect);
    let lost = bench.control.roll_back(keyed("k", "roll back 2"), two).await;
    assert!(matches!(lost, Err(CommitError::Store(_))));
    assert_eq!(bench.control.snapshot().world.head.seq, before.next());
    assert_eq!(bench.begin(None).await.unwrap().stamp.deployment, DeploymentId(1));
    let again = bench.control.roll_back(keyed("k", "roll back 2"), two).await.unwrap();
    assert!(again.replayed);
    assert_eq!(bench.control.ledger_read(before, 9).await.unwrap().len(), 1);
}

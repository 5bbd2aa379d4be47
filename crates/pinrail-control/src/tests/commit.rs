//! One commit point: exactly one effect, and nobody sees an old world after it.

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::deploy::{TakeBack, Traffic};
use pinrail_domain::id::DeploymentId;
use pinrail_domain::ledger::REASON_BYTES_MAX;
use pinrail_domain::tier::Tier;
use pinrail_store::memory::Strike;

use super::bench::*;
use crate::CommitError;
use crate::agents::Change;

/// A rollback that is in the ledger is in force, whether or not its caller waited for it (I5).
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_leaves_no_rollback_that_is_not_in_force() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    bench.store.ledger.shut();
    let rolling_back = bench.control.roll_back(by("bad"), two, TakeBack::default());
    assert!(tokio::time::timeout(std::time::Duration::from_millis(5), rolling_back).await.is_err());
    bench.store.ledger.unlock();
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
    let lost = bench.control.roll_back(keyed("k", "roll back 2"), two, TakeBack::default()).await;
    assert!(matches!(lost, Err(CommitError::Store(_))));
    assert_eq!(bench.control.snapshot().world.head.seq, before.next());
    assert_eq!(bench.begin(None).await.unwrap().stamp.deployment, DeploymentId(1));
    let again = bench.control.roll_back(keyed("k", "roll back 2"), two, TakeBack::default()).await.unwrap();
    assert!(again.replayed);
    assert_eq!(bench.control.ledger_read(before, 9).await.unwrap().len(), 1);
}

/// I7: a rollback with an idempotency key goes through where earlier answers can't be read, and happens once.
#[tokio::test(start_paused = true)]
async fn answers_that_cannot_be_read_block_no_rollback() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let before = bench.control.snapshot().world.head.seq;
    bench.store.without_answers(true);
    let taken = bench.control.roll_back(keyed("k", "roll back 2"), two, TakeBack::default()).await.unwrap();
    assert!(!taken.replayed);
    // Whether it was done before can't be known now: that is no refusal.
    let again = bench.control.roll_back(keyed("k", "roll back 2"), two, TakeBack::default()).await;
    assert!(matches!(again, Err(CommitError::Store(_))));
    bench.store.without_answers(false);
    let again = bench.control.roll_back(keyed("k", "roll back 2"), two, TakeBack::default()).await.unwrap();
    assert!(again.replayed);
    assert_eq!(bench.control.ledger_read(before, 9).await.unwrap().len(), 1);
}

/// The acknowledgement is lost and the ledger can't be read either: the world follows when it can.
#[tokio::test(start_paused = true)]
async fn the_world_follows_a_ledger_that_was_away() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    bench.store.fail(1, Strike::AfterEffect);
    bench.store.unreadable(true);
    assert!(bench.control.roll_back(by("bad"), two, TakeBack::default()).await.is_err());
    assert!(matches!(
        bench.control.roll_back(by("bad"), two, TakeBack::default()).await,
        Err(CommitError::Store(_))
    ));
    bench.store.unreadable(false);
    let mut epochs = bench.control.epochs();
    epochs.mark_unchanged();
    epochs.changed().await.unwrap();
    assert_eq!(bench.begin(None).await.unwrap().stamp.deployment, DeploymentId(1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_leaves_the_world_as_it_was() {
    let bench = Bench::new(Tier::Standard).await;
    let epochs = bench.control.epochs();
    let before = bench.control.snapshot();
    bench.store.fail(1, Strike::BeforeEffect);
    let failed = bench.control.roll_back(by("bad"), DeploymentId(1), TakeBack::default()).await;
    assert!(matches!(failed, Err(CommitError::Store(_))));
    assert!(std::sync::Arc::ptr_eq(&before, &bench.control.snapshot()));
    assert!(!epochs.has_changed().unwrap());
    bench.roll_back(DeploymentId(1)).await;
    assert!(epochs.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_key_gives_one_answer_for_one_request_also_after_a_restart() {
    let bench = Bench::new(Tier::Standard).await;
    let put = async |bench: &Bench, request: &str| {
        let spec = AgentSpec { description: "new".to_owned(), ..AgentSpec::default() };
        bench.control.agent_put(keyed("k", request), &agent("planner"), &spec).await
    };
    let first = put(&bench, "one").await.unwrap();
    assert_eq!((first.value, first.replayed), (Change::Updated, false));
    let head = bench.control.snapshot().world.head;
    let (again, _) = bench.another().await;
    for bench in [&bench, &again] {
        let replayed = put(bench, "one").await.unwrap();
        assert_eq!((replayed.value, replayed.replayed), (Change::Updated, true));
        assert!(matches!(put(bench, "two").await, Err(CommitError::KeyReused)));
        assert_eq!(bench.control.snapshot().world.head, head);
    }
    // The same key on another operation, whose answer looks different.
    let other = bench.control.roll_back(keyed("k", "three"), DeploymentId(1), TakeBack::default()).await;
    assert!(matches!(other, Err(CommitError::KeyReused)));
    let long = by(&"x".repeat(REASON_BYTES_MAX + 1));
    let refused = bench.control.roll_back(long, DeploymentId(1), TakeBack::default()).await;
    assert!(matches!(refused, Err(CommitError::ReasonTooLong(2_001))));
}

/// Two control planes over one ledger: one wins, the other decides again on what the first one did.
#[tokio::test(start_paused = true)]
async fn of_two_that_decide_at_once_one_wins_and_the_other_catches_up() {
    let bench = Bench::new(Tier::Standard).await;
    let (replica, _) = bench.another().await;
    let two = bench.canary("m2-2026-01-01", "5%").await;
    // The replica has not heard of it.
    let promoted = replica.control.promote(by("late"), two, false).await.unwrap().value;
    assert_eq!(promoted.active[&agent("planner")], Some(two));
    // And now the first one hasn't heard of that; it is told what is true, not what it remembers.
    let again = bench.control.promote(by("again"), two, false).await;
    let Err(CommitError::Refused(why)) = again else { panic!("{again:?}") };
    assert_eq!(why.to_string(), "deployment 2 is active, so there is nothing to promote");
    bench.control.roll_back(by("bad"), two, TakeBack::default()).await.unwrap();
    let (ours, theirs) = (bench.control.snapshot(), replica.control.snapshot());
    assert!(ours.world.deployments[&two].is_rolled_back() && ours.world.head.seq > theirs.world.head.seq);
    let gone = replica.control.roll_back(by("bad"), two, TakeBack::default()).await;
    assert!(matches!(gone, Err(CommitError::Refused(_))));
    assert_eq!(replica.control.snapshot().world.head, bench.control.snapshot().world.head);
}

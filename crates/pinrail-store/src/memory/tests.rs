//! The reference passes its own suite, and its hooks do what they say.

use std::sync::Arc;

use pinrail_domain::id::{DeploymentId, EventSeq};

use super::*;
use crate::conformance::sample::state;
use crate::conformance::sample::{grow, note, run, starting, write};
use crate::conformance::{Damage, Subject, sample};
use crate::journal::WriteError;
use crate::{Journal as _, State as _};

mod conformance {
    crate::conformance_tests!(super::open);
}

mod conformance_of_replicas {
    crate::conformance_tests!(super::open_shared);
}

mod conformance_of_members {
    use crate::conformance::members;
    use crate::memory::Memory;

    #[tokio::test]
    async fn members_are_the_same_at_every_replica() {
        let (one, two) = shared();
        members::members_are_the_same_at_every_replica(&one, &two, |ms| one.pass(ms)).await;
    }

    #[tokio::test]
    async fn a_lease_that_lapsed_is_not_renewed() {
        let (one, two) = shared();
        members::a_lease_that_lapsed_is_not_renewed(&one, &two, |ms| one.pass(ms)).await;
    }

    #[tokio::test]
    async fn registrations_count_once() {
        let (one, two) = shared();
        members::registrations_count_once(&one, &two, |ms| one.pass(ms)).await;
    }

    fn shared() -> (Memory, Memory) {
        let one = Memory::new();
        let two = one.join("second");
        (one, two)
    }
}

fn open() -> Subject {
    subject(Memory::new(), None)
}

fn open_shared() -> Subject {
    let memory = Memory::new();
    let other = memory.join("second");
    subject(memory, Some(Arc::new(other)))
}

fn subject(memory: Memory, other: Option<Arc<dyn crate::Store>>) -> Subject {
    let memory = Arc::new(memory);
    let store = Arc::clone(&memory);
    let damage = Box::new(move |damage| match damage {
        Damage::Artifact(digest) => memory.damage_artifact(digest),
        Damage::Entry(seq) => memory.damage_entry(seq),
        Damage::Record(seq) => memory.damage_record(seq),
    });
    Subject { store, other, damage, keep: Box::new(()) }
}

fn full() -> StoreError {
    StoreError::Full(Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull)))
}

#[tokio::test]
async fn a_write_that_fails_before_its_effect_leaves_nothing() {
    let store = Memory::new();
    store.fail_next(2, Strike::BeforeEffect, &full());
    let results = store.journal_write(vec![starting(1), starting(2)].into()).await;
    assert!(results.iter().all(|result| matches!(result, Err(WriteError::Store(StoreError::Full(_))))));
    assert!(matches!(store.artifact_put(b"a").await, Err(StoreError::Full(_))));
    assert_eq!(store.run_get(run(1)).await.unwrap(), None);
    assert_eq!(store.artifact_get(Digest::of(b"a")).await.unwrap(), None);
    write(&store, starting(1)).await.unwrap();
}

#[tokio::test]
async fn a_write_that_fails_after_its_effect_has_happened() {
    let store = Memory::new();
    store.fail_next(1, Strike::AfterEffect, &full());
    assert!(write(&store, starting(1)).await.is_err());
    assert!(store.run_get(run(1)).await.unwrap().is_some());

    store.fail_next(1, Strike::AfterEffect, &full());
    let entries = sample::entries(Head::START, 1, "r");
    let append = ledger::Append::of(entries);
    assert!(matches!(store.ledger_append(append).await, Err(AppendError::Store(_))));
    assert_eq!(store.ledger_head().await.unwrap().seq, LedgerSeq(1));
    grow(&store, 1).await;
}

#[tokio::test]
async fn a_write_that_happens_later_is_seen_with_the_next_one() {
    let store = Memory::new();
    write(&store, starting(1)).await.unwrap();
    store.fail_next(1, Strike::Later, &full());
    assert!(write(&store, sample::appending(1, vec![note("late")])).await.is_err());
    assert_eq!(store.run_events(run(1), EventSeq(0), 9).await.unwrap().len(), 1);
    write(&store, starting(2)).await.unwrap();
    assert_eq!(store.run_events(run(1), EventSeq(0), 9).await.unwrap().len(), 2);
    store.fail_next(1, Strike::Later, &full());
    assert!(store.artifact_put(b"a").await.is_err());
    assert_eq!(store.artifact_get(Digest::of(b"a")).await.unwrap(), None);
}

#[tokio::test]
async fn planned_failures_strike_in_their_order() {
    let store = Memory::new();
    write(&store, starting(1)).await.unwrap();
    store.fail_next(1, Strike::BeforeEffect, &full());
    store.fail_next(1, Strike::AfterEffect, &full());
    for name in ["lost", "kept"] {
        assert!(write(&store, sample::appending(1, vec![note(name)])).await.is_err());
    }
    assert_eq!(store.run_events(run(1), EventSeq(0), 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn planned_failures_strike_state_too() {
    let store = Memory::new();
    let batch = || state::batch(&state::author(1), 1, vec![state::set(&state::facts(), "a", "1")]);
    let seqs = [StateSeq(1)];
    store.fail_next(4, Strike::BeforeEffect, &full());
    assert!(store.state_append(batch()).await.is_err());
    assert!(store.reads_note(&[], Timestamp(1)).await.is_err());
    assert!(store.state_erase(&seqs).await.is_err());
    assert!(store.state_remove(DeploymentId(1), StateSeq(9), 9).await.is_err());
    assert_eq!(store.state_head().await.unwrap().state, StateSeq(0));

    store.fail_next(1, Strike::AfterEffect, &full());
    assert!(store.state_append(batch()).await.is_err());
    assert_eq!(store.state_records(&seqs).await.unwrap().len(), 1);
    store.fail_next(1, Strike::AfterEffect, &full());
    assert!(store.state_erase(&seqs).await.is_err());
    assert_eq!(store.state_erase(&seqs).await.unwrap(), 0);
    store.fail_next(1, Strike::AfterEffect, &full());
    assert!(store.state_remove(DeploymentId(1), StateSeq(9), 9).await.is_err());
    assert_eq!(store.state_records(&seqs).await.unwrap(), []);
    store.fail_next(1, Strike::BeforeEffect, &full());
    assert!(store.run_erase(&[run(1)]).await.is_err());
}

//! What removal and erasure promise: they take what is asked for and nothing else (I8).

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, EventSeq, LedgerSeq, StateSeq};
use pinrail_domain::journal::{Body, Event};
use pinrail_domain::state::{Content, Layer, Moment, Record, Space};

use super::Subject;
use super::sample::state::{append, author, batch, enter, facts, key, set, space, unset};
use super::sample::{appending, grow, note, one_call, run, starting, write};
use crate::Store;
use crate::state::{AppendError, Batch, Expect, SpaceFacts, SpaceFilter, Written};

async fn all(store: &dyn Store, space: &Space) -> Vec<Record> {
    store.state_scan(space, StateSeq(0), usize::MAX).await.unwrap()
}

fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.operation.seq.0).collect()
}

pub async fn removal_takes_only_what_is_asked(subject: Subject) {
    let store = &*subject.store;
    let other = space("acme", Layer::Memory, "a/1");
    let mut derived = set(&facts(), "d", "1");
    derived.parents = vec![StateSeq(2)];
    append(store, 1, vec![set(&facts(), "a", "1"), set(&other, "b", "1"), unset(&facts(), "a")]).await;
    append(store, 2, vec![set(&facts(), "a", "2"), derived.clone()]).await;
    append(store, 1, vec![derived, set(&facts(), "a", "3")]).await;
    let (facts_before, other_before) = (all(store, &facts()).await, all(store, &other).await);

    let remove = async |deployment, until, limit| {
        store.state_remove(DeploymentId(deployment), StateSeq(until), limit).await.unwrap()
    };
    assert_eq!(remove(9, 99, 99).await, 0);
    assert_eq!(remove(1, 0, 99).await, 0);
    assert_eq!(remove(1, 99, 0).await, 0);
    assert_eq!(
        (all(store, &facts()).await, all(store, &other).await),
        (facts_before.clone(), other_before.clone())
    );

    // The oldest first, and no more than the limit.
    assert_eq!(remove(1, 6, 1).await, 1);
    assert_eq!(seqs(&all(store, &facts()).await), [3, 4, 5, 6, 7]);
    assert_eq!(remove(1, 6, 99).await, 3);
    assert_eq!(remove(1, 6, 99).await, 0);
    let left = all(store, &facts()).await;
    assert_eq!(seqs(&left), [4, 5, 7]);
    assert_eq!(left, [2, 3, 5].map(|place| facts_before[place].clone()), "they are as they were");
    assert_eq!(all(store, &other).await, []);
    assert_eq!(store.state_records(&[StateSeq(6), StateSeq(2)]).await.unwrap(), []);
    assert_eq!(store.state_children(&[StateSeq(2)]).await.unwrap(), [StateSeq(5)]);
    let of_run = store.state_of_run(run(1), StateSeq(0), 9).await.unwrap();
    assert_eq!(of_run.len(), 1);
}

pub async fn counts_follow_removal(subject: Subject) {
    let store = &*subject.store;
    let other = space("acme", Layer::Memory, "a/1");
    append(store, 1, vec![set(&facts(), "a", "1"), unset(&facts(), "a"), set(&other, "b", "1")]).await;
    append(store, 2, vec![set(&facts(), "a", "2")]).await;
    append(store, 1, vec![set(&facts(), "c", "2"), set(&facts(), "c", "3")]).await;
    let check = async |until: u64, spaces: &[(&Space, u64, u64, u64)], written: &[(&Space, u64, u64)]| {
        store.state_remove(DeploymentId(1), StateSeq(until), 99).await.unwrap();
        let facts = |(space, puts, deletes, newest): &(&Space, u64, u64, u64)| SpaceFacts {
            space: (*space).clone(),
            puts: *puts,
            deletes: *deletes,
            newest: StateSeq(*newest),
        };
        let expected: Vec<SpaceFacts> = spaces.iter().map(facts).collect();
        assert_eq!(store.space_list(&SpaceFilter::default(), None, 9).await.unwrap(), expected);
        let written = written.iter().map(|(space, puts, deletes)| Written {
            space: (*space).clone(),
            puts: *puts,
            deletes: *deletes,
        });
        let expected: Vec<Written> = written.collect();
        assert_eq!(store.state_written(DeploymentId(1)).await.unwrap(), expected);
    };
    let (here, there) = (&facts(), &other);
    check(0, &[(there, 1, 0, 3), (here, 4, 1, 6)], &[(there, 1, 0), (here, 3, 1)]).await;
    check(1, &[(there, 1, 0, 3), (here, 3, 1, 6)], &[(there, 1, 0), (here, 2, 1)]).await;
    check(3, &[(here, 3, 0, 6)], &[(here, 2, 0)]).await;
    check(6, &[(here, 1, 0, 4)], &[]).await;
    let one = [Written { space: facts(), puts: 1, deletes: 0 }];
    assert_eq!(store.state_written(DeploymentId(2)).await.unwrap(), one);
    append(store, 1, vec![set(&other, "b", "1")]).await;
    check(0, &[(there, 1, 0, 7), (here, 1, 0, 4)], &[(there, 1, 0)]).await;
}

pub async fn a_place_is_never_given_twice(subject: Subject) {
    let store = &*subject.store;
    grow(store, 1).await;
    append(store, 1, vec![set(&facts(), "a", "1"), set(&facts(), "b", "1")]).await;
    enter(
        store,
        1,
        pinrail_domain::ledger::Body::DeploymentPromoted {
            deployment: DeploymentId(1),
            overridden: None,
            evidence: None,
        },
    )
    .await;
    append(store, 2, vec![set(&facts(), "a", "1")]).await;
    for deployment in [2, 1] {
        store.state_remove(DeploymentId(deployment), StateSeq(99), 99).await.unwrap();
        let head = Moment { state: StateSeq(3), ledger: LedgerSeq(2) };
        assert_eq!(store.state_head().await.unwrap(), head);
        let until =
            [store.state_until(LedgerSeq(1)).await.unwrap(), store.state_until(LedgerSeq(2)).await.unwrap()];
        assert_eq!(until, [StateSeq(2), StateSeq(3)]);
    }
    // Of a key whose operations are all gone, there is no newest.
    let expect = |newest| Some(Expect { space: facts(), key: key("a"), newest });
    let batch = |expect| Batch { expect, ..batch(&author(3), 1, vec![set(&facts(), "a", "2")]) };
    let moved = store.state_append(batch(expect(Some(StateSeq(3))))).await;
    assert!(matches!(moved, Err(AppendError::Moved { newest: None })), "{moved:?}");
    assert_eq!(store.state_append(batch(expect(None))).await.unwrap().first, StateSeq(4));
}

pub async fn erasure_takes_content_and_leaves_the_record(subject: Subject) {
    let store = &*subject.store;
    let secret = "{\"name\":\"Ada\"}";
    append(store, 1, vec![set(&facts(), "a", secret), unset(&facts(), "a"), set(&facts(), "b", "1")]).await;
    let before = all(store, &facts()).await;
    let erase = async |seqs: &[u64]| {
        let seqs: Vec<StateSeq> = seqs.iter().copied().map(StateSeq).collect();
        store.state_erase(&seqs).await.unwrap()
    };
    assert_eq!(erase(&[]).await, 0);
    assert_eq!(erase(&[2, 77]).await, 0, "a delete says nothing");
    assert_eq!(all(store, &facts()).await, before);
    assert_eq!(erase(&[1, 1, 2]).await, 1);
    assert_eq!(erase(&[1]).await, 0);
    let erased = Record { content: Content::Erased, ..before[0].clone() };
    assert_eq!(all(store, &facts()).await, [erased.clone(), before[1].clone(), before[2].clone()]);
    assert!(erased.is_whole(), "its digests still fit");
    assert_eq!(store.state_records(&[StateSeq(1)]).await.unwrap(), [erased]);
    let spaces = store.space_list(&SpaceFilter::default(), None, 9).await.unwrap();
    assert_eq!(spaces, [SpaceFacts { space: facts(), puts: 2, deletes: 1, newest: StateSeq(3) }]);
    assert_eq!(store.state_remove(DeploymentId(1), StateSeq(1), 9).await.unwrap(), 1);
}

/// I2: what the run is bound to and what happened in it stays.
pub async fn erasure_takes_the_content_of_runs(subject: Subject) {
    let store = &*subject.store;
    let body = Body::Text { text: "my name is Ada".to_owned(), truncated: false };
    let said = Event::ModelRequest { call: 1, stream: false, dropped: vec![], body: Some(body) };
    for n in 1..=3 {
        write(store, starting(n)).await.unwrap();
    }
    let spoken: Vec<Event> = one_call().into_iter().map(|(_, event)| event).take(2).collect();
    write(store, appending(1, spoken)).await.unwrap();
    write(store, appending(1, vec![said, note("mood")])).await.unwrap();
    for _ in 0..600 {
        write(store, appending(1, vec![note("again")])).await.unwrap();
    }
    write(store, appending(3, vec![note("other")])).await.unwrap();
    let read = async |n| store.run_events(run(n), EventSeq(0), 9_999).await.unwrap();
    let (before, summary) = (read(1).await, store.run_get(run(1)).await.unwrap());
    let untouched = [read(2).await, read(3).await];

    assert_eq!(store.run_erase(&[]).await.unwrap(), 0);
    assert_eq!(store.run_erase(&[run(2), run(77), run(1)]).await.unwrap(), 1);
    assert_eq!(store.run_erase(&[run(1)]).await.unwrap(), 0);
    let after = read(1).await;
    assert_eq!(after.len(), before.len());
    for (before, after) in before.into_iter().zip(&after) {
        assert_eq!((before.seq, before.at), (after.seq, after.at));
        assert_eq!(before.event.without_content(), after.event);
    }
    let digest = Body::Digest { digest: Digest::of(b"my name is Ada"), bytes: 14 };
    let expected = Event::ModelRequest { call: 1, stream: false, dropped: vec![], body: Some(digest) };
    assert_eq!(after[3].event, expected);
    assert_eq!(store.run_get(run(1)).await.unwrap(), summary);
    assert_eq!([read(2).await, read(3).await], untouched);
    // The run goes on.
    write(store, appending(1, vec![note("more")])).await.unwrap();
    assert_eq!(read(1).await.len(), after.len() + 1);
}

//! What the ledger promises.

use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::Head;

use super::sample::{all_at_once, entries, grow};
use super::{Damage, Subject};
use crate::StoreError;
use crate::ledger::{Append, AppendError};

pub async fn an_empty_ledger_starts_at_the_start(subject: Subject) {
    let store = &*subject.store;
    assert_eq!(store.ledger_head().await.unwrap(), Head::START);
    assert_eq!(store.ledger_read(LedgerSeq(0), 10).await.unwrap(), []);
}

pub async fn entries_come_back_in_order_and_move_the_head(subject: Subject) {
    let store = &*subject.store;
    let mut all = grow(store, 1).await;
    all.extend(grow(store, 3).await);
    all.extend(grow(store, 1).await);
    let head = store.ledger_head().await.unwrap();
    assert_eq!(head, Head { seq: LedgerSeq(5), hash: all[4].hash });

    let check = async |after: u64, limit: usize, expected: &[_]| {
        let read = store.ledger_read(LedgerSeq(after), limit).await.unwrap();
        assert_eq!(read, expected, "after {after}, {limit}");
    };
    check(0, 100, &all).await;
    check(0, usize::MAX, &all).await;
    check(0, 2, &all[..2]).await;
    check(2, 2, &all[2..4]).await;
    check(4, 2, &all[4..]).await;
    check(5, 2, &[]).await;
    check(99, 2, &[]).await;
    check(0, 0, &[]).await;
}

pub async fn an_append_on_an_old_head_changes_nothing(subject: Subject) {
    let store = &*subject.store;
    let before = store.ledger_head().await.unwrap();
    let kept = grow(store, 2).await;
    let head = store.ledger_head().await.unwrap();
    let ahead = entries(head, 3, "ahead").split_off(1);
    for late in [entries(before, 1, "late"), entries(before, 3, "late"), ahead] {
        match store.ledger_append(Append::of(late)).await {
            Err(AppendError::Moved { head: now }) => assert_eq!(now, head),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.ledger_read(LedgerSeq(0), 10).await.unwrap(), kept);
    grow(store, 1).await;
}

pub async fn of_many_appends_on_one_head_one_wins(subject: Subject) {
    let head = grow(&*subject.store, 1).await[0].clone();
    let head = Head { seq: head.seq, hash: head.hash };
    let tries = (0..16).map(|n| {
        let append = Append::of(entries(head, 1, &format!("try {n}")));
        subject.store.ledger_append(append)
    });
    let won = all_at_once(tries).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
    assert_eq!(subject.store.ledger_head().await.unwrap().seq, LedgerSeq(2));
}

pub async fn a_damaged_entry_is_named(subject: Subject) {
    let store = &*subject.store;
    let all = grow(store, 4).await;
    (subject.damage)(Damage::Entry(LedgerSeq(3)));
    match store.ledger_read(LedgerSeq(0), 10).await {
        Err(StoreError::Damaged(what)) => assert!(what.contains("ledger entry 3"), "{what}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.ledger_read(LedgerSeq(0), 2).await.unwrap(), all[..2]);
    assert_eq!(store.ledger_read(LedgerSeq(3), 9).await.unwrap(), all[3..]);
}

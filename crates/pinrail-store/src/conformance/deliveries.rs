//! What deliveries promise: a cursor that only moves forward, and dead letters kept in the same step.

use pinrail_domain::id::LedgerSeq;
use pinrail_domain::time::Timestamp;

use super::Subject;
use crate::deliveries::{DeadLetter, Outlet};

fn outlet(webhook: &str, since: u64) -> Outlet {
    Outlet { webhook: webhook.parse().unwrap(), since: LedgerSeq(since) }
}

fn letter(seq: u64, attempts: u32) -> DeadLetter {
    DeadLetter { seq: LedgerSeq(seq), attempts, why: format!("no'; -- {seq}"), at: Timestamp(seq * 10) }
}

pub async fn a_cursor_moves_forward_and_never_back(subject: Subject) {
    let store = &*subject.store;
    let to = outlet("chat", 3);
    assert_eq!(store.delivery_cursor(&to).await.unwrap(), None);
    for (cursor, moves) in [(5, true), (5, false), (4, false), (9, true), (1, false)] {
        assert_eq!(store.delivery_advance(&to, LedgerSeq(cursor), None).await.unwrap(), moves, "{cursor}");
    }
    assert_eq!(store.delivery_cursor(&to).await.unwrap(), Some(LedgerSeq(9)));
    // The same name, added again, is another.
    assert_eq!(store.delivery_cursor(&outlet("chat", 8)).await.unwrap(), None);
    assert_eq!(store.delivery_cursor(&outlet("alarm", 3)).await.unwrap(), None);
}

pub async fn a_dead_letter_comes_with_its_cursor_or_not_at_all(subject: Subject) {
    let store = &*subject.store;
    let to = outlet("chat", 1);
    for seq in [4, 6, 9] {
        assert!(store.delivery_advance(&to, LedgerSeq(seq), Some(letter(seq, 2))).await.unwrap());
    }
    // Somebody was there before: nothing is kept twice, and nothing that was delivered meanwhile.
    assert!(!store.delivery_advance(&to, LedgerSeq(6), Some(letter(6, 7))).await.unwrap());
    assert!(!store.delivery_advance(&to, LedgerSeq(5), Some(letter(5, 7))).await.unwrap());
    let all = store.dead_letter_list(&to, LedgerSeq(0), 10).await.unwrap();
    assert_eq!(all, [letter(4, 2), letter(6, 2), letter(9, 2)]);
    assert_eq!(store.dead_letter_list(&to, LedgerSeq(4), 1).await.unwrap(), [letter(6, 2)]);
    assert_eq!(store.dead_letter_list(&outlet("chat", 2), LedgerSeq(0), 9).await.unwrap(), []);
    assert_eq!(store.dead_letter_count(&to).await.unwrap(), 3);
    assert_eq!(store.dead_letter_count(&outlet("alarm", 1)).await.unwrap(), 0);
}

pub async fn dead_letters_change_and_go_singly(subject: Subject) {
    let store = &*subject.store;
    let (to, other) = (outlet("chat", 1), outlet("alarm", 1));
    for outlet in [&to, &other] {
        assert!(store.delivery_advance(outlet, LedgerSeq(4), Some(letter(4, 2))).await.unwrap());
    }
    assert!(store.dead_letter_put(&to, letter(4, 3)).await.unwrap());
    assert_eq!(store.dead_letter_get(&to, LedgerSeq(4)).await.unwrap(), Some(letter(4, 3)));
    assert!(store.dead_letter_delete(&to, LedgerSeq(4)).await.unwrap());
    assert!(!store.dead_letter_delete(&to, LedgerSeq(4)).await.unwrap());
    // What is gone doesn't come back with the outcome of an attempt that was under way.
    assert!(!store.dead_letter_put(&to, letter(4, 4)).await.unwrap());
    assert_eq!(store.dead_letter_get(&to, LedgerSeq(4)).await.unwrap(), None);
    assert_eq!(store.dead_letter_get(&other, LedgerSeq(4)).await.unwrap(), Some(letter(4, 2)));
    assert_eq!(store.delivery_cursor(&to).await.unwrap(), Some(LedgerSeq(4)));
}

pub async fn an_outlet_that_is_forgotten_leaves_nothing(subject: Subject) {
    let store = &*subject.store;
    assert_eq!(store.delivery_outlets().await.unwrap(), []);
    let outlets = [outlet("alarm", 7), outlet("chat", 1), outlet("chat", 20)];
    for outlet in outlets.iter().rev() {
        let dead = Some(letter(30, 1));
        assert!(store.delivery_advance(outlet, LedgerSeq(30), dead).await.unwrap());
    }
    assert_eq!(store.delivery_outlets().await.unwrap(), outlets);
    store.delivery_forget(&outlets[1]).await.unwrap();
    store.delivery_forget(&outlets[1]).await.unwrap();
    assert_eq!(store.delivery_outlets().await.unwrap(), [outlets[0].clone(), outlets[2].clone()]);
    assert_eq!(store.dead_letter_count(&outlets[1]).await.unwrap(), 0);
    assert_eq!(store.dead_letter_count(&outlets[2]).await.unwrap(), 1);
}

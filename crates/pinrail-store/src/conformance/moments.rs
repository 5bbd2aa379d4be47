//! What moments promise: records and ledger entries are in one order, and a time names a point in it.

use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::ledger::Body;
use pinrail_domain::state::Moment;
use pinrail_domain::time::Timestamp;

use super::Subject;
use super::sample::all_at_once;
use super::sample::state::{append, author, batch, enter, facts, set};
use crate::ledger;

pub async fn records_and_entries_are_in_one_order(subject: Subject) {
    let store = &*subject.store;
    let mut marks: Vec<LedgerSeq> = Vec::new();
    assert_eq!(store.state_until(LedgerSeq(9)).await.unwrap(), StateSeq(0));
    for step in 0..14_u64 {
        let ledger = store.ledger_head().await.unwrap().seq;
        let state = StateSeq(marks.len() as u64);
        assert_eq!(store.state_head().await.unwrap(), Moment { state, ledger });
        if step % 3 == 1 {
            enter(store, step, promoted()).await;
        } else {
            let changes = (0..=step % 4).map(|n| set(&facts(), &format!("k{n}"), "1")).collect();
            let appended = append(store, step, changes).await;
            assert_eq!(appended.ledger, ledger);
            marks.resize(usize::try_from(appended.last.0).unwrap(), ledger);
        }
    }
    let operations = store.state_operations(&facts(), StateSeq(0), 999).await.unwrap();
    let read: Vec<LedgerSeq> = operations.iter().map(|operation| operation.ledger).collect();
    assert_eq!(read, marks);
    for ledger in (0..9).map(LedgerSeq) {
        let until = marks.iter().filter(|mark| **mark <= ledger).count() as u64;
        assert_eq!(store.state_until(ledger).await.unwrap(), StateSeq(until), "ledger {ledger}");
    }
}

/// I5: whoever appends while the ledger moves is before the entry or after it.
pub async fn marks_never_go_back_while_both_move(subject: Subject) {
    let store = &*subject.store;
    let entries = super::sample::entries(store.ledger_head().await.unwrap(), 20, "r");
    let appends = (0..60_u64).map(|n| {
        let batch = batch(&author(n % 3), n, vec![set(&facts(), &n.to_string(), "1")]);
        let entry = (n % 3 == 0).then(|| entries[usize::try_from(n / 3).unwrap()].clone());
        async move {
            if let Some(entry) = entry {
                // Another's entry, which comes before it, may be under way still.
                while let Err(error) = store.ledger_append(ledger::Append::of(vec![entry.clone()])).await {
                    assert!(matches!(error, ledger::AppendError::Moved { .. }), "{error:?}");
                }
            }
            store.state_append(batch).await.unwrap()
        }
    });
    let mut appended = all_at_once(appends).await;
    appended.sort_by_key(|appended| appended.first);
    assert!(appended.is_sorted_by_key(|appended| appended.ledger), "{appended:?}");
    let last = appended.last().unwrap();
    let (state, ledger) = (StateSeq(60), LedgerSeq(20));
    assert_eq!((last.last, store.state_head().await.unwrap()), (state, Moment { state, ledger }));
}

pub async fn a_time_names_the_last_of_both_by_sequence(subject: Subject) {
    let store = &*subject.store;
    assert_eq!(store.state_moment(Timestamp(9)).await.unwrap(), Moment::default());
    // The clock jumps ahead and back.
    for (n, at) in [10, 20, 20, 500, 30, 25, 40].into_iter().enumerate() {
        store.state_append(batch(&author(1), at, vec![set(&facts(), &n.to_string(), "1")])).await.unwrap();
    }
    for at in [15, 400, 35, 38] {
        enter(store, at, promoted()).await;
    }
    let check = async |at: u64, state: u64, ledger: u64| {
        let found = store.state_moment(Timestamp(at)).await.unwrap();
        assert_eq!(found, Moment { state: StateSeq(state), ledger: LedgerSeq(ledger) }, "at {at}");
    };
    check(0, 0, 0).await;
    check(9, 0, 0).await;
    check(10, 1, 0).await;
    check(15, 1, 1).await;
    check(20, 3, 1).await;
    check(24, 3, 1).await;
    check(25, 6, 1).await;
    check(30, 6, 1).await;
    check(36, 6, 3).await;
    check(40, 7, 4).await;
    check(u64::MAX, 7, 4).await;
}

/// However many there are.
pub async fn a_time_is_found_among_many(subject: Subject) {
    let store = &*subject.store;
    for round in 0..5_u64 {
        let changes = (0..700).map(|n| set(&facts(), &format!("k{n}"), "1")).collect();
        let at = if round == 3 { 9_000 } else { 100 * (round + 1) };
        store.state_append(batch(&author(round), at, changes)).await.unwrap();
    }
    let check = async |at: u64, state: u64| {
        let found = store.state_moment(Timestamp(at)).await.unwrap().state;
        assert_eq!(found, StateSeq(state), "at {at}");
    };
    let checks =
        [(99, 0), (100, 700), (250, 1_400), (300, 2_100), (499, 2_100), (500, 3_500), (9_000, 3_500)];
    for (at, state) in checks {
        check(at, state).await;
    }
    // What was removed is no longer there to be named.
    while store.state_remove(DeploymentId(1), StateSeq(u64::MAX), 256).await.unwrap() > 0 {}
    for (at, state) in [(100, 700), (250, 700), (300, 2_100), (500, 3_500)] {
        check(at, state).await;
    }
}

fn promoted() -> Body {
    Body::DeploymentPromoted { deployment: DeploymentId(7), overridden: None, evidence: None }
}

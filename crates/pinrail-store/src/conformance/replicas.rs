//! What replicas over one store rely on. A store that one process has for itself keeps these promises, too.

use pinrail_domain::id::{Epoch, LedgerSeq, RunId};
use pinrail_domain::journal::Stamp;
use pinrail_domain::ledger::Head;

use super::Subject;
use super::sample::{all_at_once, entries, run, stamp, start, starting, write};
use crate::Store;
use crate::journal::{RunFilter, Start, Write, WriteError};
use crate::ledger::{Append, AppendError};
use crate::replicas::ReplicaId;

/// A start that asks for it begins on the newest epoch or not at all.
pub async fn a_start_on_old_pointers_begins_nothing(subject: Subject) {
    let store = &subject.store;
    let decided = |run, epoch| {
        let stamp = Stamp { epoch: Epoch(epoch), ..stamp(run) };
        Write::Start(Box::new(Start { current: true, ..start(stamp) }))
    };
    assert!(write(&**store, decided(1, 0)).await.is_ok());
    let flip = entries(Head::START, 2, "flips");
    store.ledger_append(Append::of(flip)).await.unwrap();
    match write(&**store, decided(2, 1)).await {
        Err(WriteError::Stale { epoch }) => assert_eq!(epoch, Epoch(2)),
        other => panic!("begun on old pointers: {other:?}"),
    }
    let run = stamp(2).run;
    assert_eq!(store.run_get(run).await.unwrap(), None);
    assert!(write(&**store, decided(2, 2)).await.is_ok());
    // Whoever doesn't ask has decided before, and says so in the stamp.
    let before = Stamp { epoch: Epoch(1), ..stamp(3) };
    assert!(write(&**store, Write::Start(Box::new(start(before)))).await.is_ok());
}

/// An append of a term that is over changes nothing; the head is looked at after the term.
pub async fn an_append_of_an_old_term_changes_nothing(subject: Subject) {
    let store = &subject.store;
    if !store.is_shared() {
        assert!(store.lead().await.unwrap().is_some(), "who is alone leads");
        return;
    }
    let first = store.lead().await.unwrap().expect("nobody else leads");
    assert_eq!(store.lead().await.unwrap(), Some(first), "it goes on leading");
    store.resign().await.unwrap();
    let second = store.lead().await.unwrap().expect("nobody else leads");
    assert!(second > first, "terms strictly rise");
    let append = |fence| Append { fence: Some(fence), ..Append::of(entries(Head::START, 1, "late")) };
    match store.ledger_append(append(first)).await {
        Err(AppendError::Fenced { newest }) => assert_eq!(newest, second),
        other => panic!("appended in an old term: {other:?}"),
    }
    assert_eq!(store.ledger_head().await.unwrap(), Head::START);
    store.ledger_append(append(second)).await.unwrap();
}

/// Of many that append flips to what they last saw, on all replicas, each gets an epoch of its own and none is lost.
pub async fn epochs_strictly_rise(subject: Subject) {
    let stores: Vec<&dyn Store> =
        [Some(&subject.store), subject.other.as_ref()].into_iter().flatten().map(|store| &**store).collect();
    let mut epochs = all_at_once((0..8).map(|n| flip(stores[n % stores.len()]))).await;
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=8).collect::<Vec<u64>>());
    let last = Stamp { epoch: Epoch(8), ..stamp(1) };
    let start = Start { current: true, ..start(last) };
    assert!(write(&*subject.store, Write::Start(Box::new(start))).await.is_ok());
}

/// What one replica was told is done, the others find; of two that start one run or lead, one does.
pub async fn replicas_share_one_store(subject: Subject) {
    let Some(other) = &subject.other else { return };
    let store = &subject.store;
    assert!(store.is_shared() && other.is_shared());
    assert_ne!(store.replica(), other.replica());
    let known: Vec<ReplicaId> =
        store.replica_list().await.unwrap().iter().map(|replica| replica.id).collect();
    assert!(known.contains(&store.replica()) && known.contains(&other.replica()), "{known:?}");

    let term = store.lead().await.unwrap().expect("nobody else leads");
    assert_eq!(other.lead().await.unwrap(), None, "one leads at a time");
    store.resign().await.unwrap();
    assert!(other.lead().await.unwrap().expect("nobody else leads") > term);
    assert_eq!(store.lead().await.unwrap(), None);

    let before = other.reached().await.unwrap();
    let mut news = other.news();
    let seen = *news.borrow_and_update();
    let started = all_at_once([store, other].into_iter().map(|store| write(&**store, starting(1)))).await;
    assert_eq!(started.iter().filter(|started| started.is_ok()).count(), 1, "{started:?}");
    write(&**store, starting(2)).await.unwrap();
    write(&**other, starting(3)).await.unwrap();
    while news.borrow_and_update().journal == seen.journal {
        news.changed().await.unwrap();
    }
    let touched = other.runs_touched(&before, 100).await.unwrap();
    assert!(touched.runs.contains(&run(2)) && !touched.runs.contains(&run(3)), "{touched:?}");
    assert!(!touched.gap && !touched.more);
    assert_eq!(other.runs_touched(&touched.reached, 100).await.unwrap().runs, []);
    let own = RunFilter { replica: Some(store.replica()), ..RunFilter::default() };
    let own: Vec<RunId> =
        other.run_list(&own, None, 10).await.unwrap().iter().map(|run| run.stamp.run).collect();
    assert!(own.contains(&run(2)) && !own.contains(&run(3)), "{own:?}");

    let mut found: Vec<RunId> = other
        .run_get_many(&[run(1), run(2), run(9)])
        .await
        .unwrap()
        .iter()
        .map(|found| found.stamp.run)
        .collect();
    found.sort();
    assert_eq!(found, [run(1), run(2)]);
    assert!(!store.replica_forget(other.replica(), 60_000).await.unwrap(), "it was heard of just now");
    assert!(!store.replica_forget(ReplicaId(u64::from(u32::MAX)), 0).await.unwrap(), "nobody knows it");
    assert!(store.replica_forget(other.replica(), 0).await.unwrap());
}

/// The ledger as a replica sees it is a prefix of what it is, and never has a gap, while others append to it.
pub async fn appends_are_heard_of_and_read_without_gaps(subject: Subject) {
    let Some(other) = &subject.other else { return };
    let store = &subject.store;
    let mut news = other.news();
    let seen = *news.borrow_and_update();
    let mut head = Head::START;
    for _ in 0..5 {
        let next = entries(head, 1, "one of five");
        head = Head { seq: next[0].seq, hash: next[0].hash };
        store.ledger_append(Append::of(next)).await.unwrap();
        let read = other.ledger_read(LedgerSeq(0), 100).await.unwrap();
        assert_eq!(read.last().map(|entry| entry.seq), Some(head.seq));
        assert_eq!(read.len() as u64, head.seq.0);
    }
    while news.borrow_and_update().ledger == seen.ledger {
        news.changed().await.unwrap();
    }
}

async fn flip(store: &dyn Store) -> u64 {
    loop {
        let head = store.ledger_head().await.unwrap();
        match store.ledger_append(Append::of(entries(head, 1, "flip"))).await {
            Ok(()) => return head.seq.0 + 1,
            Err(AppendError::Moved { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

//! What answers promise: kept with the effect they report, replayed before anything else, for a while.

use pinrail_domain::ledger::Head;
use pinrail_domain::time::Timestamp;

use super::Subject;
use super::sample::{answer, appending, appending_at, entries, note, run, stamp, start, starting, write};
use crate::journal::{Start, Write, WriteError};
use crate::ledger::{Append, AppendError};
use crate::{Answer, Store};

pub async fn a_ledger_answer_is_kept_with_its_entries(subject: Subject) {
    let store = &*subject.store;
    let given = answer("key", "deploy-1", 10);
    assert_eq!(store.answer_get(&given.key).await.unwrap(), None);
    let append =
        Append { entries: entries(Head::START, 2, "deploy"), answer: Some(given.clone()), fence: None };
    store.ledger_append(append.clone()).await.unwrap();
    assert_eq!(store.answer_get(&given.key).await.unwrap().as_ref(), Some(&given));

    // Again, with the stale head it had then: the answer, not `Moved`.
    match store.ledger_append(append).await {
        Err(AppendError::Answered(again)) => assert_eq!(*again, given),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.ledger_head().await.unwrap().seq.0, 2);
}

pub async fn a_replay_is_answered_before_anything_else_is_looked_at(subject: Subject) {
    let store = &*subject.store;
    let given = answer("key", "k", 10);
    write(store, with_answer(starting(1), &given)).await.unwrap();
    assert_eq!(store.answer_get(&given.key).await.unwrap().as_ref(), Some(&given));

    let later = Answer { status: 500, at: Timestamp(99), ..given.clone() };
    let replays = [
        starting(1),
        starting(2),
        appending(9, vec![note("no such run")]),
        appending_at(1, 77, vec![note("not the place")]),
    ];
    for replay in replays {
        match write(store, with_answer(replay, &later)).await {
            Err(WriteError::Answered(again)) => assert_eq!(*again, given),
            other => panic!("{other:?}"),
        }
    }
    assert!(store.run_get(run(2)).await.unwrap().is_none());
    assert_eq!(store.run_get(run(1)).await.unwrap().unwrap().summary.next.0, 1);

    // The ledger and the journal share one set of answers.
    let append = Append { entries: entries(Head::START, 1, "r"), answer: Some(later), fence: None };
    assert!(matches!(store.ledger_append(append).await, Err(AppendError::Answered(_))));
    assert_eq!(store.ledger_head().await.unwrap(), Head::START);
}

pub async fn a_refused_write_keeps_no_answer(subject: Subject) {
    let store = &*subject.store;
    write(store, starting(1)).await.unwrap();
    let given = answer("key", "k", 10);
    for refused in [starting(1), appending(2, vec![note("a")]), appending_at(1, 5, vec![note("a")])] {
        assert!(write(store, with_answer(refused, &given)).await.is_err());
        assert_eq!(store.answer_get(&given.key).await.unwrap(), None);
    }
    let stale = entries(Head { seq: pinrail_domain::id::LedgerSeq(4), hash: Head::START.hash }, 1, "r");
    let append = Append { entries: stale, answer: Some(given.clone()), fence: None };
    assert!(matches!(store.ledger_append(append).await, Err(AppendError::Moved { .. })));
    assert_eq!(store.answer_get(&given.key).await.unwrap(), None);
}

pub async fn callers_have_keys_of_their_own(subject: Subject) {
    let store = &*subject.store;
    let (one, two) = (answer("one", "same", 1), answer("two", "same", 2));
    let batch = vec![with_answer(starting(1), &one), with_answer(starting(2), &two)];
    assert!(store.journal_write(batch.into()).await.iter().all(Result::is_ok));
    assert_eq!(store.answer_get(&one.key).await.unwrap(), Some(one));
    assert_eq!(store.answer_get(&two.key).await.unwrap(), Some(two));

    // Within one batch, the first use of a key answers the second.
    let twice = answer("one", "twice", 3);
    let batch = vec![with_answer(starting(3), &twice), with_answer(starting(4), &twice)];
    let results = store.journal_write(batch.into()).await;
    assert!(matches!(&results[..], [Ok(_), Err(WriteError::Answered(_))]), "{results:?}");
}

pub async fn old_answers_expire_and_their_keys_work_again(subject: Subject) {
    let store: &dyn Store = &*subject.store;
    for at in 1..=4 {
        let given = answer("key", &format!("k{at}"), at * 10);
        write(store, with_answer(starting(at), &given)).await.unwrap();
    }
    assert_eq!(store.answers_expire(Timestamp(10)).await.unwrap(), 0);
    assert_eq!(store.answers_expire(Timestamp(30)).await.unwrap(), 2);
    assert_eq!(store.answers_expire(Timestamp(30)).await.unwrap(), 0);
    for (key, there) in [("k1", false), ("k2", false), ("k3", true), ("k4", true)] {
        let found = store.answer_get(&answer("key", key, 0).key).await.unwrap();
        assert_eq!(found.is_some(), there, "{key}");
    }
    let again = answer("key", "k1", 50);
    write(store, with_answer(appending(1, vec![note("again")]), &again)).await.unwrap();
    assert_eq!(store.answer_get(&again.key).await.unwrap(), Some(again));
    assert_eq!(store.answers_expire(Timestamp(u64::MAX)).await.unwrap(), 3);
}

fn with_answer(write: Write, answer: &Answer) -> Write {
    match write {
        Write::Start(start) => Write::Start(Box::new(Start { answer: Some(answer.clone()), ..*start })),
        Write::Append(mut append) => {
            append.answer = Some(answer.clone());
            Write::Append(append)
        }
    }
}

/// A start may be answered with its binding: nothing of a replay reaches the session.
pub async fn a_replayed_start_binds_nothing(subject: Subject) {
    let store = &*subject.store;
    let given = answer("key", "k", 10);
    write(store, with_answer(starting(1), &given)).await.unwrap();
    let mut replay = start(stamp(2));
    replay.stamp.session = Some(super::sample::session("s"));
    replay.bind = Some(crate::journal::Bind { replaces: None });
    let replay = with_answer(Write::Start(Box::new(replay)), &given);
    assert!(matches!(write(store, replay).await, Err(WriteError::Answered(_))));
    assert_eq!(store.sessions_recent(9).await.unwrap(), []);
}

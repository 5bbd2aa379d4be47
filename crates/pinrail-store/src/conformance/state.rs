//! What appends of state promise.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{LedgerSeq, StateSeq};
use pinrail_domain::state::{
    Author, Content, KEY_BYTES_MAX, Layer, Moment, Origin, Space, VALUE_BYTES_MAX, vector_bytes,
};
use pinrail_domain::time::Timestamp;

use super::sample::state::{
    Change, append, author, batch, facts, key, records, set, set_vector, space, unset,
};
use super::sample::{agent, all_at_once, answer, grow, run};
use super::{Damage, Subject};
use crate::Answer;
use crate::state::{AppendError, Appended, BATCH_MAX, Batch, Expect, Keep, SpaceFilter};

pub async fn a_batch_gets_consecutive_places_and_comes_back_whole(subject: Subject) {
    let store = &*subject.store;
    assert_eq!(store.state_head().await.unwrap(), Moment::default());
    let other = space("umbrella", Layer::Memory, "support/s-1");
    let mut derived = set(&other, "turn 2", "{\"said\":\"ü\"}");
    derived.parents = vec![StateSeq(2), StateSeq(1)];
    let changes = vec![set(&facts(), "a", "1"), unset(&facts(), "b"), derived, set(&facts(), "a", "[2]")];
    let authors = [
        author(4),
        Author { deployment: pinrail_domain::id::DeploymentId(0), origin: Origin::External, ..author(1) },
        Author { origin: Origin::Ingest, run: None, agent: None, ..author(9) },
    ];
    let mut next = 1;
    for author in authors {
        let batch = batch(&author, 77 + next, changes.clone());
        let appended = store.state_append(batch.clone()).await.unwrap();
        let (first, last) = (StateSeq(next), StateSeq(next + 3));
        assert_eq!(appended, Appended { first, last, ledger: LedgerSeq(0) });
        let asked: Vec<StateSeq> = (next..next + 4).map(StateSeq).collect();
        let read = store.state_records(&asked).await.unwrap();
        assert_eq!(read, records(&batch, appended));
        assert!(read.iter().all(pinrail_domain::state::Record::is_whole));
        next += 4;
    }
    let ledger = LedgerSeq(0);
    assert_eq!(store.state_head().await.unwrap(), Moment { state: StateSeq(12), ledger });
}

pub async fn strange_keys_and_values_come_back(subject: Subject) {
    let store = &*subject.store;
    let longest = "ü".repeat(KEY_BYTES_MAX / 2);
    let keys =
        ["'", "\"; DROP TABLE state; --", "%_\\", " ", "🧷é\u{301}", "\u{feff}x", "0", "null", &longest];
    let large = format!("\"{}\"", "x".repeat(VALUE_BYTES_MAX - 2));
    let values = ["null", "\"\\u0000\"", "{\"a\":\"it's \\\"ü\\\"\"}", "1e308", "\"\u{10ffff}\"", &large];
    let mut changes = Vec::new();
    for (n, name) in keys.iter().enumerate() {
        changes.push(set(&facts(), name, values[n % values.len()]));
        changes.push(unset(&facts(), name));
    }
    let batch = batch(&author(1), 1, changes);
    let appended = store.state_append(batch.clone()).await.unwrap();
    assert_eq!(store.state_scan(&facts(), StateSeq(0), 99).await.unwrap(), records(&batch, appended));
    for name in keys {
        let expected = Some(Expect { space: facts(), key: key(name), newest: None });
        let again = Batch {
            expect: expected,
            ..super::sample::state::batch(&author(1), 1, vec![set(&facts(), "z", "1")])
        };
        let moved = store.state_append(again).await;
        assert!(matches!(moved, Err(AppendError::Moved { newest: Some(_) })), "{name}: {moved:?}");
    }
}

pub async fn vectors_come_back_bit_for_bit(subject: Subject) {
    let store = &*subject.store;
    let odd =
        [0.0, -0.0, f32::MIN_POSITIVE / 8.0, f32::MAX, f32::NEG_INFINITY, f32::from_bits(0x7fc0_1234), 0.1];
    let long: Vec<f32> = (0_i16..4_096).map(|n| f32::from(n).sin()).collect();
    let vectors = [vec![], odd.to_vec(), long[..384].to_vec(), long[..1_536].to_vec(), long];
    let index = space("acme", Layer::Vectors, "kb@0123456789ab");
    let changes = vectors.iter().map(|vector| set_vector(&index, "k", "{}", Some(vector.clone()))).collect();
    let mut whole: Vec<Change> = changes;
    whole.push(set(&index, "k", "{}"));
    append(store, 1, whole).await;
    let read = store.state_scan(&index, StateSeq(0), 99).await.unwrap();
    let bytes = read.iter().map(|record| match &record.content {
        Content::Value(value) => value.vector.as_deref().map(vector_bytes),
        Content::Nothing | Content::Erased => panic!("{record:?}"),
    });
    let expected = vectors.iter().map(|vector| Some(vector_bytes(vector))).chain([None]);
    assert!(bytes.eq(expected));
}

pub async fn the_largest_batch_is_one_step(subject: Subject) {
    let store = &*subject.store;
    append(store, 1, vec![set(&facts(), "before", "1")]).await;
    let changes = (0..BATCH_MAX).map(|n| set(&facts(), &format!("k{n}"), &n.to_string())).collect();
    let batch = batch(&author(2), 5, changes);
    let appended = store.state_append(batch.clone()).await.unwrap();
    let last = StateSeq(1 + BATCH_MAX as u64);
    assert_eq!(appended, Appended { first: StateSeq(2), last, ledger: LedgerSeq(0) });
    let read = store.state_scan(&facts(), StateSeq(1), usize::MAX).await.unwrap();
    assert_eq!(read, records(&batch, appended));
}

pub async fn an_append_on_old_news_changes_nothing(subject: Subject) {
    let store = &*subject.store;
    let other = space("umbrella", Layer::Context, "facts");
    let expecting = |newest: Option<u64>, change: Change| {
        let expect = Expect { space: change.space.clone(), key: key("k"), newest: newest.map(StateSeq) };
        Batch { expect: Some(expect), ..batch(&author(3), 9, vec![change, unset(&other, "x")]) }
    };
    let put = || set(&facts(), "k", "1");
    let check = async |newest: Option<u64>, expected: Result<u64, Option<u64>>| match (
        store.state_append(expecting(newest, put())).await,
        expected,
    ) {
        (Ok(appended), Ok(first)) => assert_eq!(appended.first, StateSeq(first)),
        (Err(AppendError::Moved { newest: now }), Err(there)) => assert_eq!(now, there.map(StateSeq)),
        other => panic!("{newest:?}: {other:?}"),
    };
    check(Some(1), Err(None)).await;
    assert_eq!(store.state_head().await.unwrap(), Moment::default());
    assert_eq!(store.space_list(&SpaceFilter::default(), None, 9).await.unwrap(), []);
    assert_eq!(store.state_uses(None).await.unwrap(), []);

    check(None, Ok(1)).await;
    check(None, Err(Some(1))).await;
    check(Some(2), Err(Some(1))).await;
    check(Some(1), Ok(3)).await;
    // Of whatever deployment, and a delete is news too; another key, space or tenant isn't.
    append(store, 8, vec![unset(&facts(), "k"), set(&facts(), "other", "1"), set(&other, "k", "1")]).await;
    check(Some(3), Err(Some(5))).await;
    check(Some(5), Ok(8)).await;
    assert_eq!(store.state_head().await.unwrap().state, StateSeq(9));
}

pub async fn of_many_appends_on_one_expectation_one_wins(subject: Subject) {
    let store = &*subject.store;
    append(store, 1, vec![set(&facts(), "k", "0")]).await;
    let tries = (0..16).map(|n: u64| {
        let expect = Expect { space: facts(), key: key("k"), newest: Some(StateSeq(1)) };
        let change = set(&facts(), "k", &n.to_string());
        store.state_append(Batch { expect: Some(expect), ..batch(&author(n), 1, vec![change]) })
    });
    let results = all_at_once(tries).await;
    let moved = |result: &Result<Appended, AppendError>| {
        matches!(result, Err(AppendError::Moved { newest: Some(StateSeq(2)) }))
    };
    assert_eq!(results.iter().filter(|result| moved(result)).count(), 15, "{results:?}");
    assert_eq!(store.state_head().await.unwrap().state, StateSeq(2));
}

pub async fn an_append_is_answered_once(subject: Subject) {
    let store = &*subject.store;
    grow(store, 2).await;
    let given = answer("key", "k", 0);
    let keep = Keep { key: given.key.clone(), request: given.request };
    let stale = Expect { space: facts(), key: key("a"), newest: Some(StateSeq(7)) };
    let kept = |expect| Batch {
        answer: Some(keep.clone()),
        expect,
        ..batch(&author(1), 42, vec![set(&facts(), "a", "1"), set(&facts(), "b", "1")])
    };
    // What is refused keeps no answer.
    let refused = store.state_append(kept(Some(stale.clone()))).await;
    assert!(matches!(refused, Err(AppendError::Moved { newest: None })), "{refused:?}");
    assert_eq!(store.answer_get(&given.key).await.unwrap(), None);

    let appended = store.state_append(kept(None)).await.unwrap();
    assert_eq!(appended, Appended { first: StateSeq(1), last: StateSeq(2), ledger: LedgerSeq(2) });
    let body = serde_json::to_string(&appended).unwrap();
    let expected = Answer { status: 200, body, at: Timestamp(42), ..given };
    assert_eq!(store.answer_get(&expected.key).await.unwrap().as_ref(), Some(&expected));
    // Before anything else is looked at.
    for again in [kept(None), kept(Some(stale))] {
        match store.state_append(again).await {
            Err(AppendError::Answered(answer)) => assert_eq!(*answer, expected),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.state_head().await.unwrap().state, StateSeq(2));
}

pub async fn many_writers_at_once_get_places_of_their_own(subject: Subject) {
    let store = &*subject.store;
    let of = |n: u64| -> Space { space("acme", Layer::Memory, &format!("support/s{}", n % 7)) };
    let appends = (0..120).map(|n: u64| {
        let changes = (0..=n % 3).map(|part| set(&of(n), &format!("{n}.{part}"), "1")).collect();
        store.state_append(batch(&author(n % 5), n, changes))
    });
    let mut appended: Vec<_> =
        all_at_once(appends).await.into_iter().map(Result::unwrap).enumerate().collect();
    appended.sort_by_key(|(_, appended)| appended.first);
    let mut next = StateSeq(1);
    for (n, Appended { first, last, .. }) in appended {
        assert_eq!(first, next);
        let read = store.state_scan(&of(n as u64), StateSeq(first.0 - 1), n % 3 + 1).await.unwrap();
        for (part, record) in read.iter().enumerate() {
            assert_eq!(record.operation.key, key(&format!("{n}.{part}")));
        }
        next = last.next();
    }
    assert_eq!(next, StateSeq(1 + 240));
}

pub async fn a_damaged_record_shows_it(subject: Subject) {
    let store = &*subject.store;
    append(store, 1, vec![set(&facts(), "a", "1"), set(&facts(), "b", "2"), unset(&facts(), "c")]).await;
    (subject.damage)(Damage::Record(StateSeq(2)));
    (subject.damage)(Damage::Record(StateSeq(3)));
    let read = store.state_scan(&facts(), StateSeq(0), 9).await.unwrap();
    let whole: Vec<bool> = read.iter().map(pinrail_domain::state::Record::is_whole).collect();
    assert_eq!(whole, [true, false, false]);
    let own = Author { run: Some(run(1)), agent: Some(agent("support")), ..author(1) };
    let digest = records(
        &batch(&own, 3_000, vec![set(&facts(), "b", "2")]),
        Appended { first: StateSeq(2), last: StateSeq(2), ledger: LedgerSeq(0) },
    );
    assert_eq!(read[1].digest, digest[0].digest, "what it should be is still known");
    assert_ne!(read[1].content.digest(), Some(Digest::ZERO));
}

//! What the journal promises of starts and appends.

use pinrail_domain::id::{EventSeq, RunId};
use pinrail_domain::journal::{Body, Event, Outcome, Recorded, RunStatus, Summary};
use pinrail_domain::time::Timestamp;

use super::Subject;
use super::sample::{
    all_at_once, appending, appending_at, finished, note, one_call, run, session, stamp, start, starting,
    write,
};
use crate::Store;
use crate::journal::{EVENTS_PER_RUN_MAX, Run, Start, Write, WriteError};

pub async fn a_start_is_a_plan_a_summary_and_its_events(subject: Subject) {
    let store = &*subject.store;
    let mut whole = stamp(2);
    whole.session = Some(session("s-1"));
    whole.parent = Some(run(1));
    whole.single = true;
    let starts = [
        start(stamp(1)),
        Start { events: one_call(), ..start(whole) },
        Start { queued: true, at: Timestamp(7), ..start(stamp(3)) },
    ];
    for start in starts {
        let id = start.stamp.run;
        let mut expected = vec![start.plan()];
        let mut summary = Summary::planned(start.at, start.queued);
        for (at, event) in &start.events {
            expected.push(Recorded { seq: summary.next, at: *at, event: event.clone() });
            summary.apply(*at, event).unwrap();
        }
        let stamp = start.stamp.clone();
        let written = write(store, Write::Start(Box::new(start))).await.unwrap();
        assert_eq!(written.summary, summary);
        // I3: whoever sees the run sees its stamp and its plan.
        assert_eq!(store.run_get(id).await.unwrap(), Some(Run { stamp, summary }));
        assert_eq!(store.run_events(id, EventSeq(0), 100).await.unwrap(), expected);
    }
}

pub async fn a_run_starts_once(subject: Subject) {
    let store = &*subject.store;
    write(store, starting(1)).await.unwrap();
    let before = store.run_get(run(1)).await.unwrap();
    let mut other = stamp(1);
    other.snapshot = "something else".to_owned();
    other.deployment = pinrail_domain::id::DeploymentId(9);
    let again = Start { events: one_call(), ..start(other) };
    match write(store, Write::Start(Box::new(again))).await {
        Err(WriteError::Exists(id)) => assert_eq!(id, run(1)),
        other => panic!("{other:?}"),
    }
    // I2: the stamp is the first one's for life.
    assert_eq!(store.run_get(run(1)).await.unwrap(), before);
    assert_eq!(store.run_events(run(1), EventSeq(0), 9).await.unwrap().len(), 1);
}

pub async fn events_follow_in_order(subject: Subject) {
    let store = &*subject.store;
    write(store, starting(1)).await.unwrap();
    write(store, appending(1, vec![note("a")])).await.unwrap();
    write(store, appending_at(1, 2, vec![note("b"), note("c")])).await.unwrap();
    let written = write(store, appending(1, vec![finished()])).await.unwrap();
    assert_eq!(written.summary.next, EventSeq(5));
    assert_eq!(written.summary.status, RunStatus::Finished);
    assert_eq!(written.summary.outcome, Some(Outcome::Ok));
    assert_eq!(names(store, run(1)).await, ["plan", "a", "b", "c", "finished"]);
    assert_eq!(store.run_get(run(1)).await.unwrap().unwrap().summary, written.summary);
}

pub async fn an_append_elsewhere_than_expected_changes_nothing(subject: Subject) {
    let store = &*subject.store;
    write(store, starting(1)).await.unwrap();
    write(store, appending_at(1, 1, vec![note("a")])).await.unwrap();
    for expected in [0, 1, 3, u64::MAX] {
        match write(store, appending_at(1, expected, vec![note("lost")])).await {
            Err(WriteError::Moved { next }) => assert_eq!(next, EventSeq(2)),
            other => panic!("{expected}: {other:?}"),
        }
    }
    // The place comes before what is legal.
    let moved = write(store, appending_at(1, 9, vec![Event::Started])).await;
    assert!(matches!(moved, Err(WriteError::Moved { .. })), "{moved:?}");
    assert_eq!(names(store, run(1)).await, ["plan", "a"]);
}

pub async fn an_illegal_event_changes_nothing(subject: Subject) {
    let store = &*subject.store;
    write(store, starting(1)).await.unwrap();
    let before = store.run_get(run(1)).await.unwrap();
    for events in [vec![Event::Started], vec![note("fine"), Event::Resumed], vec![finished(), note("late")]] {
        let refused = write(store, appending(1, events)).await;
        assert!(matches!(refused, Err(WriteError::Illegal(_))), "{refused:?}");
    }
    assert_eq!(store.run_get(run(1)).await.unwrap(), before);
    assert_eq!(names(store, run(1)).await, ["plan"]);

    let bad = Start { events: vec![(Timestamp(2), Event::Resumed)], ..start(stamp(2)) };
    let refused = write(store, Write::Start(Box::new(bad))).await;
    assert!(matches!(refused, Err(WriteError::Illegal(_))), "{refused:?}");
    assert_eq!(store.run_get(run(2)).await.unwrap(), None);
    assert_eq!(store.run_events(run(2), EventSeq(0), 9).await.unwrap(), []);
}

pub async fn a_batch_is_carried_out_in_order(subject: Subject) {
    let store = &*subject.store;
    let batch = vec![
        starting(1),
        appending_at(1, 1, vec![note("a")]),
        starting(2),
        appending(1, vec![note("b")]),
        appending_at(2, 1, vec![note("x")]),
        appending_at(1, 3, vec![finished()]),
    ];
    let results = store.journal_write(batch.into()).await;
    let next: Vec<u64> = results.into_iter().map(|written| written.unwrap().summary.next.0).collect();
    assert_eq!(next, [1, 2, 1, 3, 2, 4]);
    assert_eq!(names(store, run(1)).await, ["plan", "a", "b", "finished"]);
    assert_eq!(names(store, run(2)).await, ["plan", "x"]);
    assert!(store.journal_write(Vec::new().into()).await.is_empty());
}

pub async fn a_failed_write_leaves_the_others_alone(subject: Subject) {
    let store = &*subject.store;
    let batch = vec![
        starting(1),
        starting(1),
        appending(7, vec![note("nobody")]),
        appending_at(1, 4, vec![note("elsewhere")]),
        appending(1, vec![Event::Started]),
        appending(1, vec![note("a")]),
        starting(2),
    ];
    let results = store.journal_write(batch.into()).await;
    let shape: Vec<&str> = results.iter().map(kind).collect();
    assert_eq!(shape, ["ok", "exists", "no run", "moved", "illegal", "ok", "ok"]);
    assert_eq!(names(store, run(1)).await, ["plan", "a"]);
    assert_eq!(names(store, run(2)).await, ["plan"]);
}

pub async fn a_run_without_its_start_takes_nothing(subject: Subject) {
    let store = &*subject.store;
    match write(store, appending_at(5, 0, vec![note("a")])).await {
        Err(WriteError::NoRun(id)) => assert_eq!(id, run(5)),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.run_get(run(5)).await.unwrap(), None);
    assert_eq!(store.run_events(run(5), EventSeq(0), 9).await.unwrap(), []);
}

pub async fn a_full_run_takes_only_its_end(subject: Subject) {
    let store = &*subject.store;
    let notes = |count: u64| {
        let plain = || Event::Note { name: "n".to_owned(), data: serde_json::Value::Null };
        (0..count).map(|_| plain()).collect::<Vec<_>>()
    };
    write(store, starting(1)).await.unwrap();
    let too_many = write(store, appending(1, notes(EVENTS_PER_RUN_MAX))).await;
    assert!(matches!(too_many, Err(WriteError::TooManyEvents)), "{too_many:?}");
    write(store, appending(1, notes(EVENTS_PER_RUN_MAX - 2))).await.unwrap();
    let too_many = write(store, appending(1, notes(2))).await;
    assert!(matches!(too_many, Err(WriteError::TooManyEvents)), "{too_many:?}");
    let last = write(store, appending(1, notes(1))).await.unwrap();
    assert_eq!(last.summary.next, EventSeq(EVENTS_PER_RUN_MAX));
    assert_eq!(kind(&write(store, appending(1, notes(1))).await), "too many");
    let end = write(store, appending(1, vec![finished()])).await.unwrap();
    assert_eq!(end.summary.status, RunStatus::Finished);
    let tail = store.run_events(run(1), EventSeq(EVENTS_PER_RUN_MAX - 1), 9).await.unwrap();
    assert_eq!(tail.iter().map(|event| event.event.kind()).collect::<Vec<_>>(), ["note", "finished"]);

    let at = |event| (Timestamp(1), event);
    let crowded =
        Start { events: notes(EVENTS_PER_RUN_MAX).into_iter().map(at).collect(), ..start(stamp(2)) };
    assert_eq!(kind(&write(store, Write::Start(Box::new(crowded))).await), "too many");
    assert_eq!(store.run_get(run(2)).await.unwrap(), None);
}

pub async fn large_events_come_back_whole(subject: Subject) {
    let store = &*subject.store;
    let text: String = "0123456789abcdefü".repeat(120_000);
    let body = Body::Text { text, truncated: true };
    let event = Event::ModelRequest { call: 1, stream: false, dropped: vec![], body: Some(body) };
    write(store, starting(1)).await.unwrap();
    write(store, appending(1, vec![note("small"), event.clone(), note("after")])).await.unwrap();
    let read = store.run_events(run(1), EventSeq(2), 1).await.unwrap();
    assert_eq!(read, [Recorded { seq: EventSeq(2), at: Timestamp(2_000), event }]);
}

pub async fn many_writers_at_once_lose_nothing(subject: Subject) {
    let store = &*subject.store;
    write(store, starting(0)).await.unwrap();
    let writers =
        (1..=200).map(|n| store.journal_write(vec![starting(n), appending(0, vec![note("x")])].into()));
    let results: Vec<_> = all_at_once(writers).await.into_iter().flatten().collect();
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(store.run_open_total().await.unwrap(), 201);
    let events = store.run_events(run(0), EventSeq(0), 1_000).await.unwrap();
    let places: Vec<u64> = events.iter().map(|event| event.seq.0).collect();
    assert_eq!(places, (0..=200).collect::<Vec<_>>());
}

async fn names(store: &dyn Store, run: RunId) -> Vec<String> {
    let events = store.run_events(run, EventSeq(0), 1_000).await.unwrap();
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event.seq.0, place as u64);
    }
    let name = |event: Recorded| {
        if let Event::Note { name, .. } = event.event { name } else { event.event.kind().to_owned() }
    };
    events.into_iter().map(name).collect()
}

/// What became of a write, in two words.
pub(super) fn kind<T>(result: &Result<T, WriteError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(WriteError::Exists(_)) => "exists",
        Err(WriteError::Bound(_)) => "bound",
        Err(WriteError::NoRun(_)) => "no run",
        Err(WriteError::Moved { .. }) => "moved",
        Err(WriteError::TooManyEvents) => "too many",
        Err(WriteError::Illegal(_)) => "illegal",
        Err(WriteError::Answered(_)) => "answered",
        Err(WriteError::Stale { .. }) => "stale",
        Err(WriteError::Store(_)) => "store",
    }
}

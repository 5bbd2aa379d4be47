//! What retention promises: journals go by whole days, only where the ledger says so (I8), and never under an open run.

use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::collect::RunDay;
use pinrail_domain::ledger::Body;
use pinrail_domain::time::{Day, Timestamp};

use super::Subject;
use super::sample::state::enter;
use super::sample::{self, finished, note, run, stamp, start, write};
use crate::Store;
use crate::journal::{Append, Bind, CollectError, RunFilter, SessionKey, Start, Write, WriteError};

/// 2026-01-01.
const DAY: Day = Day(20_454);

/// The `n`th run of the `day`th day.
fn id(day: u32, n: u64) -> RunId {
    RunId::from_parts(Day(DAY.0 + day).begins().0 + n, u128::from(n))
}

fn day(day: u32, runs: u64, open: u64) -> RunDay {
    RunDay { day: Day(DAY.0 + day), runs, open }
}

fn starting(run: RunId) -> Start {
    let mut start = start(stamp(1));
    start.stamp.run = run;
    start.events = vec![(start.at, note("said"))];
    start
}

async fn begin(store: &dyn Store, run: RunId) {
    write(store, Write::Start(Box::new(starting(run)))).await.unwrap();
}

async fn end(store: &dyn Store, run: RunId) {
    let events = vec![(Timestamp(2_000), finished())];
    let append = Append { run, expected: None, events, answer: None, follows: None };
    write(store, Write::Append(append)).await.unwrap();
}

/// Runs of four days: on the second one a run is open.
async fn fill(store: &dyn Store) {
    for (day, n) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (3, 0), (5, 0)] {
        begin(store, id(day, n)).await;
        if (day, n) != (1, 1) {
            end(store, id(day, n)).await;
        }
    }
    // Nobody's day.
    begin(store, run(7)).await;
    end(store, run(7)).await;
}

async fn entered(store: &dyn Store, before: u32) {
    enter(store, 9, Body::JournalCollected { before: Day(DAY.0 + before), runs: 3 }).await;
}

pub async fn days_are_counted_by_the_ids_of_their_runs(subject: Subject) {
    let store = &*subject.store;
    assert_eq!(store.run_days(Day(u32::MAX)).await.unwrap(), []);
    fill(store).await;
    let all = [day(0, 3, 0), day(1, 2, 1), day(3, 1, 0), day(5, 1, 0)];
    assert_eq!(store.run_days(Day(DAY.0 + 99)).await.unwrap(), all);
    assert_eq!(store.run_days(Day(DAY.0 + 5)).await.unwrap(), all[..3]);
    assert_eq!(store.run_days(DAY).await.unwrap(), []);
}

pub async fn a_day_goes_whole_once_the_ledger_says_so(subject: Subject) {
    let store = &*subject.store;
    fill(store).await;
    let mut bound = Start { bind: Some(Bind { replaces: None }), ..starting(id(0, 9)) };
    bound.stamp.session = Some(sample::session("s1"));
    let session = SessionKey::of(&bound.stamp).unwrap();
    write(store, Write::Start(Box::new(bound))).await.unwrap();
    end(store, id(0, 9)).await;
    let asked = super::approvals::approval(1, "1");
    let asked = pinrail_domain::approval::Approval { run: id(0, 9), ..asked };
    store.approval_ask(asked.clone()).await.unwrap();

    let refused = store.run_collect(DAY).await;
    assert!(matches!(refused, Err(CollectError::NotEntered(DAY))), "{refused:?}");
    entered(store, 1).await;
    for later in [1, 3] {
        let refused = store.run_collect(Day(DAY.0 + later)).await;
        assert!(matches!(refused, Err(CollectError::NotEntered(_))), "{refused:?}");
    }
    assert_eq!(store.run_collect(DAY).await.unwrap(), 4);
    assert_eq!(store.run_collect(DAY).await.unwrap(), 0);

    assert_eq!(store.run_days(Day(DAY.0 + 3)).await.unwrap(), [day(1, 2, 1)]);
    let left = store.run_list(&RunFilter::default(), None, 99).await.unwrap();
    let left: Vec<RunId> = left.iter().map(|run| run.stamp.run).collect();
    assert_eq!(left, [id(5, 0), id(3, 0), id(1, 1), id(1, 0), run(7)]);
    assert_eq!(store.run_get(id(0, 1)).await.unwrap(), None);
    assert_eq!(store.run_events(id(0, 1), EventSeq(0), 9).await.unwrap(), []);
    assert_eq!(store.run_events(id(1, 0), EventSeq(0), 9).await.unwrap().len(), 3);
    let events = vec![(Timestamp(3_000), note("late"))];
    let late = Append { run: id(0, 1), expected: None, events, answer: None, follows: None };
    let refused = write(store, Write::Append(late)).await;
    assert!(matches!(refused, Err(WriteError::NoRun(_))), "{refused:?}");
    // What was asked in a run goes with it; the session stays where it is.
    assert_eq!(store.approval_get(asked.id).await.unwrap(), Some(asked.without_content()));
    assert_eq!(store.session_get(&session).await.unwrap(), Some(DeploymentId(1)));
    // An id of such a day can begin once more, and waits for the next collection.
    begin(store, id(0, 1)).await;
    end(store, id(0, 1)).await;
    assert_eq!(store.run_events(id(0, 1), EventSeq(0), 9).await.unwrap().len(), 3);
    assert_eq!(store.run_days(Day(DAY.0 + 1)).await.unwrap(), [day(0, 1, 0)]);
    assert_eq!(store.run_collect(DAY).await.unwrap(), 1);
}

pub async fn a_day_stays_while_a_run_is_open(subject: Subject) {
    let store = &*subject.store;
    fill(store).await;
    entered(store, 5).await;
    let second = Day(DAY.0 + 1);
    let refused = store.run_collect(second).await;
    assert!(matches!(refused, Err(CollectError::Open { open: 1, .. })), "{refused:?}");
    assert_eq!(store.run_days(Day(DAY.0 + 2)).await.unwrap(), [day(0, 3, 0), day(1, 2, 1)]);
    assert_eq!(store.run_open_total().await.unwrap(), 1);
    end(store, id(1, 1)).await;
    assert_eq!(store.run_collect(second).await.unwrap(), 2);
    assert_eq!(store.run_collect(Day(DAY.0 + 3)).await.unwrap(), 1);
    let last = Day(DAY.0 + 5);
    assert!(matches!(store.run_collect(last).await, Err(CollectError::NotEntered(_))));
    // Not even with an entry.
    enter(store, 9, Body::JournalCollected { before: Day(DAY.0 + 99), runs: 0 }).await;
    let nobodys = store.run_collect(Day(0)).await;
    assert!(matches!(nobodys, Err(CollectError::NotEntered(Day(0)))), "{nobodys:?}");
    assert!(store.run_get(run(7)).await.unwrap().is_some());
}

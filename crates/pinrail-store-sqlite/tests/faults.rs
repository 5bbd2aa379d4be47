//! A full store, a busy one, damaged rows, and hands that would change history.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{EventSeq, LedgerSeq};
use pinrail_domain::journal::{Body, Event};
use pinrail_store::conformance::sample::{
    all_at_once, appending, finished, grow, note, run, starting, write,
};
use pinrail_store::journal::{Write, WriteError};
use pinrail_store::{Artifacts, Journal, Ledger, Probe, StoreError};
use pinrail_store_sqlite::{Options, Sqlite};
use rusqlite::Connection;

fn is_full<T>(result: &Result<T, WriteError>) -> bool {
    matches!(result, Err(WriteError::Store(StoreError::Full(_))))
}

fn large(n: u64) -> Write {
    let body = Body::Text { text: "x".repeat(100_000), truncated: false };
    appending(n, vec![Event::ModelRequest { call: 1, stream: false, body: Some(body), dropped: Vec::new() }])
}

#[tokio::test]
async fn a_full_store_says_so_reads_on_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(folder.path().join("pinrail.db"));
    let store = Sqlite::open(Options { size_bytes_max: Some(1 << 20), ..options.clone() }).unwrap();
    let kept = grow(&store, 3).await;
    write(&store, starting(1)).await.unwrap();
    let mut fitted = 0;
    let refused = loop {
        match write(&store, large(1)).await {
            Ok(_) => fitted += 1,
            refused @ Err(_) => break refused,
        }
    };
    assert!(is_full(&refused), "{refused:?}");
    assert!((3..12).contains(&fitted), "{fitted} in a megabyte");
    assert!(is_full(&write(&store, large(1)).await));
    assert!(matches!(store.artifact_put(&[7; 500_000]).await, Err(StoreError::Full(_))));

    // In one group with what doesn't fit, what does fit is written.
    let batch = vec![large(1), appending(1, vec![note("small")]), large(1)];
    let results = store.journal_write(batch.into()).await;
    assert!(is_full(&results[0]) && results[1].is_ok() && is_full(&results[2]), "{results:?}");
    let groups = [large(1), appending(1, vec![note("small")]), large(1)].map(|write| vec![write]);
    let results =
        all_at_once(groups.into_iter().map(|group| store.journal_write(group.into()))).await.concat();
    assert!(is_full(&results[0]) && results[1].is_ok() && is_full(&results[2]), "{results:?}");

    // Nothing that was refused left a trace, and reads go on.
    assert_eq!(store.ledger_read(LedgerSeq(0), 9).await.unwrap(), kept);
    assert_eq!(store.artifact_get(Digest::of(&[7; 500_000])).await.unwrap(), None);
    let events = store.run_events(run(1), EventSeq(0), 99).await.unwrap();
    assert_eq!(events.len(), 1 + fitted + 2);
    assert_eq!(store.run_get(run(1)).await.unwrap().unwrap().summary.next.0, events.len() as u64);
    drop(store);

    let store = Sqlite::open(Options { size_bytes_max: Some(4 << 20), ..options }).unwrap();
    write(&store, large(1)).await.unwrap();
    write(&store, appending(1, vec![finished()])).await.unwrap();
}

#[tokio::test]
async fn a_write_that_another_process_blocks_fails_and_works_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = Sqlite::open(Options { busy_ms: 0, ..Options::new(&path) }).unwrap();
    write(&store, starting(1)).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let results = store.journal_write(vec![starting(2), starting(3)].into()).await;
    let unavailable =
        |result: &Result<_, _>| matches!(result, Err(WriteError::Store(StoreError::Unavailable(_))));
    assert!(results.iter().all(unavailable), "{results:?}");
    assert!(store.run_get(run(1)).await.unwrap().is_some());
    other.execute_batch("ROLLBACK").unwrap();
    let results = store.journal_write(vec![starting(2), starting(3)].into()).await;
    assert!(results.iter().all(Result::is_ok));
}

#[tokio::test]
async fn more_writes_than_the_queue_holds_wait_for_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = Sqlite::open(Options::new(&path)).unwrap();
    let writes = (0..3_000).map(|n| store.journal_write(vec![starting(n)].into()));
    assert!(all_at_once(writes).await.concat().iter().all(Result::is_ok));
    assert_eq!(store.run_open_total().await.unwrap(), 3_000);
    // Nobody waits for these, and they are whole all the same: closing carries out what is queued.
    for n in 3_000..3_100 {
        let mut write =
            Box::pin(store.journal_write(vec![starting(n), appending(n, vec![note("a")])].into()));
        let _ = std::future::poll_fn(|context| Poll::Ready(write.as_mut().poll(context))).await;
        // Gives the runtime its turn: a task that never waits is refused places in the queue.
        tokio::task::yield_now().await;
    }
    drop(store);
    let store = Sqlite::open(Options::new(&path)).unwrap();
    assert_eq!(store.run_open_total().await.unwrap(), 3_100);
    assert_eq!(store.run_events(run(3_099), EventSeq(0), 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn history_refuses_to_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = Sqlite::open(Options::new(&path)).unwrap();
    grow(&store, 2).await;
    store.artifact_put(b"prompt").await.unwrap();
    write(&store, starting(1)).await.unwrap();
    write(&store, appending(1, vec![note("a")])).await.unwrap();
    let db = Connection::open(&path).unwrap();
    // I2, I8
    for sql in [
        "UPDATE ledger SET entry = '{}'",
        "DELETE FROM ledger WHERE seq = 2",
        "UPDATE artifacts SET bytes = x''",
        "UPDATE runs SET stamp = '{}'",
        "UPDATE runs SET deployment = 9, summary = summary",
        "DELETE FROM runs",
        "UPDATE run_events SET events = '[]'",
        "DELETE FROM run_events",
    ] {
        assert!(db.execute(sql, ()).is_err(), "{sql}");
    }
}

async fn damaged(sql: &str, check: impl AsyncFn(&Sqlite) -> Result<(), StoreError>, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = Sqlite::open(Options::new(&path)).unwrap();
    grow(&store, 4).await;
    write(&store, starting(1)).await.unwrap();
    write(&store, appending(1, vec![note("a")])).await.unwrap();
    without_triggers(&path).execute_batch(sql).unwrap();
    match check(&store).await {
        Err(StoreError::Damaged(what)) => assert!(what.contains(expected), "{sql}: {what}"),
        other => panic!("{sql}: {other:?}"),
    }
}

fn without_triggers(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    for name in ["ledger_keep", "ledger_whole", "runs_keep", "run_events_keep"] {
        db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    db
}

#[tokio::test]
async fn what_is_damaged_is_named() {
    let ledger = async |store: &Sqlite| store.ledger_read(LedgerSeq(0), 9).await.map(drop);
    let swap = "UPDATE ledger SET entry = (SELECT entry FROM ledger WHERE seq = 1) WHERE seq = 3";
    damaged("UPDATE ledger SET entry = '{' WHERE seq = 2", ledger, "ledger entry 2").await;
    damaged("UPDATE ledger SET entry = '{\"seq\":2}' WHERE seq = 2", ledger, "ledger entry 2").await;
    damaged("DELETE FROM ledger WHERE seq = 2", ledger, "ledger entry 2").await;
    damaged(swap, ledger, "ledger entry 3").await;
    // The column is what the next append builds on.
    damaged("UPDATE ledger SET hash = zeroblob(32) WHERE seq = 4", ledger, "ledger entry 4").await;
    damaged("UPDATE ledger SET hash = x'00' WHERE seq = 2", ledger, "ledger entry 2").await;

    let id = run(1).to_string();
    let get = async |store: &Sqlite| store.run_get(run(1)).await.map(drop);
    let events = async |store: &Sqlite| store.run_events(run(1), EventSeq(0), 9).await.map(drop);
    let append = async |store: &Sqlite| match write(store, appending(1, vec![note("b")])).await {
        Err(WriteError::Store(error)) => Err(error),
        other => panic!("{other:?}"),
    };
    damaged("UPDATE runs SET stamp = '?'", get, &id).await;
    damaged("UPDATE runs SET summary = 'null'", get, &id).await;
    damaged("UPDATE runs SET summary = 'null'", append, &id).await;
    damaged("UPDATE run_events SET events = '[[1]]'", events, &format!("{id}, event 1")).await;
}

#[derive(Default)]
struct Seen(Mutex<Vec<&'static str>>);

impl Probe for Seen {
    fn at(&self, point: &'static str) {
        self.0.lock().unwrap().push(point);
    }
}

#[tokio::test]
async fn the_probe_is_asked_around_every_commit() {
    let folder = tempfile::tempdir().unwrap();
    let seen = Arc::new(Seen::default());
    let options = Options { probe: seen.clone(), ..Options::new(folder.path().join("pinrail.db")) };
    let store = Sqlite::open(options).unwrap();
    let points = || std::mem::take(&mut *seen.0.lock().unwrap());
    assert!(points().is_empty());
    store.artifact_put(b"a").await.unwrap();
    assert_eq!(points(), ["artifact.before_commit"]);
    grow(&store, 2).await;
    assert_eq!(points(), ["ledger.before_commit", "ledger.after_commit"]);
    store.journal_write(vec![starting(1), starting(2)].into()).await;
    assert_eq!(points(), ["journal.before_commit", "journal.after_commit"]);
}

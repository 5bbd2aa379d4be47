//! State on this file: full disks, damaged rows, hands that would change history, and what erasure leaves on the disk.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::journal::Event;
use pinrail_domain::state::{Layer, Moment};
use pinrail_domain::time::Timestamp;
use pinrail_store::conformance::sample::state::{
    append, author, batch, facts, records, set, set_vector, space, unset,
};
use pinrail_store::conformance::sample::{agent, all_at_once, appending, grow, run, starting, write};
use pinrail_store::state::{AppendError, Read, Seen, SpaceFilter};
use pinrail_store::{Ledger, Probe, State, Store, StoreError};
use pinrail_store_sqlite::{Options, Sqlite};
use rusqlite::Connection;

fn open(path: &Path) -> Sqlite {
    Sqlite::open(Options::new(path)).unwrap()
}

fn is_full<T>(result: &Result<T, AppendError>) -> bool {
    matches!(result, Err(AppendError::Store(StoreError::Full(_))))
}

async fn sample(store: &dyn Store) {
    let mut derived = set(&facts(), "b", "{\"from\":\"a\"}");
    derived.parents = vec![StateSeq(1)];
    let vector = set_vector(&space("acme", Layer::Vectors, "kb@0"), "p", "{}", Some(vec![0.5; 8]));
    append(store, 1, vec![set(&facts(), "a", "1"), derived, unset(&facts(), "a"), vector]).await;
    let at = Moment { state: StateSeq(2), ledger: LedgerSeq(0) };
    let read = Read {
        run: run(1),
        agent: agent("support"),
        space: facts(),
        at,
        what: Seen::Records(vec![StateSeq(1)]),
    };
    store.reads_note(&[read], Timestamp(9)).await.unwrap();
}

#[tokio::test]
async fn state_is_there_again_after_an_end_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("pinrail.db");
    let store = open(&path);
    grow(&store, 2).await;
    let batch = batch(&author(4), 30, vec![set(&facts(), "x", "[\"ü\"]"), unset(&facts(), "y")]);
    let appended = store.state_append(batch.clone()).await.unwrap();
    store.state_erase(&[]).await.unwrap();
    let expected = records(&batch, appended);
    for name in ["pinrail.db", "pinrail.db-wal"] {
        fs::copy(folder.path().join(name), copies.path().join(name)).unwrap();
    }
    drop(store);
    for path in [&path, &copy] {
        let store = open(path);
        assert_eq!(store.state_scan(&facts(), StateSeq(0), 9).await.unwrap(), expected);
        let head = Moment { state: StateSeq(2), ledger: LedgerSeq(2) };
        assert_eq!(store.state_head().await.unwrap(), head);
        assert_eq!(store.state_moment(Timestamp(29)).await.unwrap().state, StateSeq(0));
        assert_eq!(store.state_moment(Timestamp(30)).await.unwrap(), head);
        assert_eq!(append(&store, 1, vec![set(&facts(), "z", "1")]).await.first, StateSeq(3));
    }
}

#[tokio::test]
async fn a_torn_log_gives_whole_batches() {
    let original = tempfile::tempdir().unwrap();
    let store = open(&original.path().join("pinrail.db"));
    for n in 0..12 {
        let changes = (0..5).map(|part| set(&facts(), &format!("{n}.{part}"), "1")).collect();
        append(&store, n % 2, changes).await;
    }
    let copy = tempfile::tempdir().unwrap();
    for name in ["pinrail.db", "pinrail.db-wal"] {
        fs::copy(original.path().join(name), copy.path().join(name)).unwrap();
    }
    let log = fs::read(copy.path().join("pinrail.db-wal")).unwrap();
    let mut found = BTreeSet::new();
    for keep in 0..=16 {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(copy.path().join("pinrail.db"), folder.path().join("pinrail.db")).unwrap();
        fs::write(folder.path().join("pinrail.db-wal"), &log[..log.len() * keep / 16]).unwrap();
        let store = open(&folder.path().join("pinrail.db"));
        let there = store.state_scan(&facts(), StateSeq(0), 99).await.unwrap().len() as u64;
        assert!(there.is_multiple_of(5), "{there} records");
        assert_eq!(store.state_head().await.unwrap().state, StateSeq(there));
        let listed = store.space_list(&SpaceFilter::default(), None, 9).await.unwrap();
        assert_eq!(listed.iter().map(|space| space.puts).sum::<u64>(), there);
        let mut written = 0;
        for deployment in [0, 1] {
            let counts = store.state_written(DeploymentId(deployment)).await.unwrap();
            written += counts.iter().map(|space| space.puts).sum::<u64>();
        }
        assert_eq!(written, there);
        assert_eq!(append(&store, 1, vec![set(&facts(), "z", "1")]).await.first, StateSeq(there + 1));
        found.insert(there);
    }
    assert!(found.len() > 3 && found.contains(&60), "{found:?}");
}

#[tokio::test]
async fn a_full_store_refuses_whole_batches_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(folder.path().join("pinrail.db"));
    let store = Sqlite::open(Options { size_bytes_max: Some(1 << 20), ..options.clone() }).unwrap();
    let large = || {
        let changes = (0..4).map(|n| set(&facts(), &format!("k{n}"), &format!("\"{}\"", "x".repeat(25_000))));
        batch(&author(1), 1, changes.collect())
    };
    let small = || batch(&author(2), 1, vec![set(&facts(), "small", "1")]);
    let mut fitted = 0;
    let refused = loop {
        match store.state_append(large()).await {
            Ok(_) => fitted += 4,
            refused @ Err(_) => break refused,
        }
    };
    assert!(is_full(&refused) && fitted > 8, "{fitted}, {refused:?}");
    // In one group with what doesn't fit, what does fit is written.
    let appends = [large(), small(), large()].map(|batch| store.state_append(batch));
    let results = all_at_once(appends.into_iter()).await;
    assert!(is_full(&results[0]) && results[1].is_ok() && is_full(&results[2]), "{results:?}");
    let there = store.state_operations(&facts(), StateSeq(0), 999).await.unwrap();
    assert_eq!(there.len(), fitted + 1);
    assert_eq!(store.state_head().await.unwrap().state, StateSeq(fitted as u64 + 1), "no place is lost");
    let spaces = store.space_list(&SpaceFilter::default(), None, 9).await.unwrap();
    assert_eq!(spaces[0].puts, fitted as u64 + 1);
    // What is removed makes room.
    assert_eq!(store.state_remove(DeploymentId(1), StateSeq(u64::MAX), 999).await.unwrap(), fitted as u64);
    store.state_append(large()).await.unwrap();
    drop(store);
    let store = Sqlite::open(Options { size_bytes_max: Some(4 << 20), ..options }).unwrap();
    store.state_append(large()).await.unwrap();
}

#[tokio::test]
async fn an_append_that_another_process_blocks_fails_and_works_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = Sqlite::open(Options { busy_ms: 0, ..Options::new(&path) }).unwrap();
    let one = || batch(&author(1), 1, vec![set(&facts(), "a", "1")]);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.state_append(one()).await;
    assert!(matches!(refused, Err(AppendError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.state_append(one()).await.unwrap().first, StateSeq(1));
}

#[tokio::test]
async fn history_refuses_to_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = open(&path);
    sample(&store).await;
    write(&store, starting(1)).await.unwrap();
    write(&store, appending(1, vec![Event::Started])).await.ok();
    store.state_erase(&[StateSeq(2)]).await.unwrap();
    store.state_remove(DeploymentId(9), StateSeq(9), 9).await.unwrap();
    let db = Connection::open(&path).unwrap();
    // I8: no permit is left lying about either.
    for sql in [
        "UPDATE state SET deployment = 9",
        "UPDATE state SET digest = zeroblob(32)",
        "DELETE FROM state WHERE seq = 1",
        "UPDATE state_content SET json = '2'",
        "UPDATE state_content SET salt = NULL, json = NULL, vector = NULL",
        "DELETE FROM state_content",
        "UPDATE state_parents SET parent = 9",
        "DELETE FROM state_parents",
        "UPDATE state_marks SET last = last - 1",
        "UPDATE state_marks SET ledger = ledger + 1",
        "DELETE FROM state_marks",
        "UPDATE state_reads SET records = NULL",
        "DELETE FROM state_reads",
        "INSERT OR REPLACE INTO state (seq, space, key, op, deployment, origin, ledger, at, content_digest, digest) \
         SELECT seq, space, key, op, 9, origin, ledger, at, content_digest, digest FROM state",
        "INSERT OR REPLACE INTO state_content (seq, salt, json) VALUES (1, zeroblob(16), '2')",
    ] {
        db.pragma_update(None, "recursive_triggers", true).unwrap();
        assert!(db.execute(sql, ()).is_err(), "{sql}");
    }
    assert_eq!(db.query_row("SELECT count(*) FROM permits", (), |row| row.get(0)), Ok(0));
}

async fn damaged(sql: &str, check: impl AsyncFn(&Sqlite) -> Result<(), StoreError>, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = open(&path);
    sample(&store).await;
    let db = Connection::open(&path).unwrap();
    for name in ["state_keep", "state_content_keep", "state_reads_keep"] {
        db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    db.execute_batch(sql).unwrap();
    match check(&store).await {
        Err(StoreError::Damaged(what)) => assert!(what.contains(expected), "{sql}: {what}"),
        other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_damaged_is_named() {
    let vectors = || space("acme", Layer::Vectors, "kb@0");
    let operations = async |store: &Sqlite| store.state_operations(&facts(), StateSeq(0), 9).await.map(drop);
    let scan = async |store: &Sqlite| store.state_scan(&facts(), StateSeq(0), 9).await.map(drop);
    let vector = async |store: &Sqlite| store.state_scan(&vectors(), StateSeq(0), 9).await.map(drop);
    let list = async |store: &Sqlite| store.space_list(&SpaceFilter::default(), None, 9).await.map(drop);
    let reads = async |store: &Sqlite| store.reads_of_space(&facts(), StateSeq(0), 0, 9).await.map(drop);
    damaged("UPDATE state SET key = '' WHERE seq = 2", operations, "state record 2").await;
    damaged("UPDATE state SET op = 7 WHERE seq = 2", operations, "state record 2").await;
    damaged("UPDATE state SET origin = 7 WHERE seq = 2", scan, "state record 2").await;
    damaged("UPDATE state SET run = x'00' WHERE seq = 2", scan, "state record 2").await;
    damaged("UPDATE state SET parents = '{' WHERE seq = 2", scan, "state record 2").await;
    damaged("UPDATE state SET content_digest = x'' WHERE seq = 2", scan, "state record 2").await;
    damaged("UPDATE state_content SET salt = x'00' WHERE seq = 2", scan, "state record 2").await;
    damaged("UPDATE state_content SET vector = x'010203' WHERE seq = 4", vector, "state record 4").await;
    damaged("UPDATE spaces SET layer = 9 WHERE name = 'facts'", list, "a space").await;
    damaged("UPDATE spaces SET tenant = '' WHERE name = 'facts'", list, "a space").await;
    damaged("UPDATE state_reads SET records = '[-1]'", reads, &run(1).to_string()).await;
}

#[derive(Default)]
struct Met(Mutex<Vec<&'static str>>);

impl Probe for Met {
    fn at(&self, point: &'static str) {
        self.0.lock().unwrap().push(point);
    }
}

#[tokio::test]
async fn the_probe_is_asked_around_every_commit_of_state() {
    let folder = tempfile::tempdir().unwrap();
    let met = Arc::new(Met::default());
    let options = Options { probe: met.clone(), ..Options::new(folder.path().join("pinrail.db")) };
    let store = Sqlite::open(options).unwrap();
    let points = || std::mem::take(&mut *met.0.lock().unwrap());
    let around = ["state.before_commit", "state.after_commit"];
    append(&store, 1, vec![set(&facts(), "a", "1")]).await;
    assert_eq!(points(), around);
    sample(&store).await;
    assert_eq!(points(), [around, around].concat());
    store.state_remove(DeploymentId(1), StateSeq(1), 9).await.unwrap();
    assert_eq!(points(), around);
    store.state_erase(&[StateSeq(2)]).await.unwrap();
    assert_eq!(points(), around);
}

/// A store of the version before state: its ledger's times are taken over.
#[tokio::test]
async fn an_older_store_is_brought_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = open(&path);
    grow(&store, 3).await;
    drop(store);
    let db = Connection::open(&path).unwrap();
    let newer = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT IN \
         ('artifacts', 'ledger', 'runs', 'run_events', 'sessions', 'answers', 'refinery_schema_history')";
    let newer: Vec<String> = {
        let mut select = db.prepare(newer).unwrap();
        select.query_map((), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    for name in newer {
        db.execute_batch(&format!("DROP TABLE {name}")).unwrap();
    }
    db.execute_batch(
        "DROP TRIGGER run_events_keep;
         CREATE TRIGGER run_events_keep BEFORE UPDATE ON run_events BEGIN SELECT RAISE(ABORT, 'journals are append-only'); END;
         DROP TRIGGER run_events_whole;
         CREATE TRIGGER run_events_whole BEFORE DELETE ON run_events BEGIN SELECT RAISE(ABORT, 'journals are append-only'); END;
         DROP TRIGGER runs_whole;
         CREATE TRIGGER runs_whole BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'runs are append-only'); END;
         DROP TRIGGER runs_keep;
         DROP INDEX runs_shadow;
         ALTER TABLE runs DROP COLUMN shadow;
         CREATE TRIGGER runs_keep BEFORE UPDATE OF stamp ON runs BEGIN SELECT RAISE(ABORT, 'a run never changes its stamp'); END;
         DROP TRIGGER ledger_keep;
         UPDATE ledger SET entry = '{' WHERE seq = 3;
         DELETE FROM refinery_schema_history WHERE version > 1;",
    )
    .unwrap();
    drop(db);
    let store = open(&path);
    let at = async |ms| store.state_moment(Timestamp(ms)).await.unwrap().ledger;
    assert_eq!((at(4).await, at(5).await), (LedgerSeq(0), LedgerSeq(2)), "what can't be read has no time");
    append(&store, 1, vec![set(&facts(), "a", "1")]).await;
    assert_eq!(store.ledger_head().await.unwrap().seq, LedgerSeq(3));
    assert_eq!(store.state_head().await.unwrap(), Moment { state: StateSeq(1), ledger: LedgerSeq(3) });
}

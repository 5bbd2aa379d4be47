//! What opens, what doesn't and why, and what is there again afterwards.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::fs;
use std::path::Path;

use pinrail_domain::id::{EventSeq, LedgerSeq};
use pinrail_domain::ledger::Head;
use pinrail_store::conformance::sample::{
    answer, appending, entries, grow, note, one_call, run, session, stamp, start, starting, write,
};
use pinrail_store::journal::{Bind, Start, Write};
use pinrail_store::ledger::Append;
use pinrail_store::{Answers, Artifacts, Journal, Ledger};
use pinrail_store_sqlite::{OpenError, Options, Sqlite};
use rusqlite::Connection;

fn open(path: &Path) -> Sqlite {
    Sqlite::open(Options::new(path)).unwrap()
}

/// The error with everything behind it.
fn refusal(options: Options) -> (OpenError, String) {
    let Err(error) = Sqlite::open(options) else { panic!("it opened") };
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    (error, text)
}

#[tokio::test]
async fn a_store_that_is_opened_again_holds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = open(&path);
    let digest = store.artifact_put(b"prompt").await.unwrap();
    let given = answer("key", "deploy", 10);
    let appended = entries(Head::START, 3, "r");
    store
        .ledger_append(Append { entries: appended.clone(), answer: Some(given.clone()), fence: None })
        .await
        .unwrap();
    let mut stamp = stamp(1);
    stamp.session = Some(session("s"));
    let begun =
        Start { events: one_call()[..2].to_vec(), bind: Some(Bind { replaces: None }), ..start(stamp) };
    write(&store, Write::Start(Box::new(begun))).await.unwrap();
    write(&store, appending(1, vec![note("a")])).await.unwrap();
    let run_before = store.run_get(run(1)).await.unwrap();
    let events = store.run_events(run(1), EventSeq(0), 99).await.unwrap();
    let sessions = store.sessions_recent(9).await.unwrap();
    drop(store);

    let bytes = fs::read(&path).unwrap();
    for _ in 0..2 {
        let store = open(&path);
        assert!(fs::read(&path).unwrap() == bytes, "opening writes nothing: the disk may be full");
        assert_eq!(store.recovered_bytes(), 0, "an orderly end leaves no log behind");
        assert_eq!(store.artifact_get(digest).await.unwrap().as_deref(), Some(&b"prompt"[..]));
        assert_eq!(store.ledger_read(LedgerSeq(0), 9).await.unwrap(), appended);
        assert_eq!(store.answer_get(&given.key).await.unwrap().as_ref(), Some(&given));
        assert_eq!(store.run_get(run(1)).await.unwrap(), run_before);
        assert_eq!(store.run_events(run(1), EventSeq(0), 99).await.unwrap(), events);
        assert_eq!(store.sessions_recent(9).await.unwrap(), sessions);
        assert_eq!(store.run_open_total().await.unwrap(), 1);
    }
    write(&open(&path), appending(1, vec![note("b")])).await.unwrap();
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (error, text) = refusal(Options::new(folder.path().join("no/pinrail.db")));
    assert!(matches!(error, OpenError::NoFolder { .. }), "{text}");
    assert!(text.contains("/no"), "{text}");
}

#[test]
fn a_file_that_is_no_database_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let letter = "Dear Sir or Madam, ".repeat(1_000);
    fs::write(&path, &letter).unwrap();
    let (error, text) = refusal(Options::new(&path));
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{text}");
    assert_eq!(fs::read_to_string(&path).unwrap(), letter);
}

#[test]
fn another_programs_database_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    let before = fs::read(&path).unwrap();
    let (error, text) = refusal(Options::new(&path));
    assert!(matches!(error, OpenError::Foreign { .. }), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_pinrails_store_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    drop(open(&path));
    let newer = "INSERT INTO refinery_schema_history VALUES (900, 'more', '2026-01-01T00:00:00Z', '1')";
    Connection::open(&path).unwrap().execute(newer, ()).unwrap();
    let (error, text) = refusal(Options::new(&path));
    assert!(matches!(error, OpenError::Newer { found: 900, .. }), "{text}");
    assert!(text.contains("made by a newer Pinrail"), "{text}");
}

#[test]
fn a_locked_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    drop(open(&path));
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (error, text) = refusal(Options { busy_ms: 0, ..Options::new(&path) });
    assert!(matches!(error, OpenError::Locked { .. }), "{text}");
    other.execute_batch("COMMIT").unwrap();
    drop(open(&path));
}

#[test]
fn a_file_or_folder_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let path = folder.path().join("pinrail.db");
    drop(open(&path));
    mode(folder.path(), 0o555);
    // The superuser may write everywhere, so that for it there is nothing to refuse.
    let refused = fs::File::create(folder.path().join("probe")).is_err();
    let check = |path: &Path| {
        if refused {
            let (error, text) = refusal(Options::new(path));
            assert!(matches!(error, OpenError::ReadOnly { .. }), "{text}");
        } else {
            drop(open(path));
        }
    };
    check(&path);
    check(&folder.path().join("new.db"));
    mode(folder.path(), 0o755);
    mode(&path, 0o444);
    check(&path);
}

/// The files of a store whose process was killed: they are copied while it is open.
async fn killed(folder: &Path, runs: u64) {
    let original = tempfile::tempdir().unwrap();
    let path = original.path().join("pinrail.db");
    let store = open(&path);
    for n in 1..=runs {
        write(&store, starting(n)).await.unwrap();
    }
    for name in ["pinrail.db", "pinrail.db-wal"] {
        fs::copy(original.path().join(name), folder.join(name)).unwrap();
    }
}

#[tokio::test]
async fn a_log_left_behind_is_taken_in_again() {
    let folder = tempfile::tempdir().unwrap();
    killed(folder.path(), 20).await;
    let store = open(&folder.path().join("pinrail.db"));
    assert!(store.recovered_bytes() > 0);
    assert_eq!(store.run_open_total().await.unwrap(), 20);
}

#[tokio::test]
async fn a_torn_log_gives_a_prefix_and_no_half_write() {
    let whole = tempfile::tempdir().unwrap();
    killed(whole.path(), 12).await;
    let log = fs::read(whole.path().join("pinrail.db-wal")).unwrap();
    let check = async |log: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pinrail.db");
        fs::copy(whole.path().join("pinrail.db"), &path).unwrap();
        fs::write(folder.path().join("pinrail.db-wal"), log).unwrap();
        let store = open(&path);
        let there = store.run_open_total().await.unwrap();
        for n in 1..=12 {
            // What was acknowledged first is there first, whole.
            let found = store.run_get(run(n)).await.unwrap();
            assert_eq!(found.is_some(), n <= there, "run {n} of {there}");
            let events = store.run_events(run(n), EventSeq(0), 9).await.unwrap();
            assert_eq!(events.len(), usize::from(n <= there));
        }
        write(&store, starting(50)).await.unwrap();
        grow(&store, 1).await;
        there
    };
    assert_eq!(check(&log).await, 12);
    let mut last = 12;
    for keep in (1..8).rev() {
        let there = check(&log[..log.len() * keep / 8 + 7]).await;
        assert!(there <= last, "{there} after {last}");
        last = there;
    }
    assert!(last < 12, "a torn log loses its end");
    let mut garbage = log.clone();
    let middle = garbage.len() / 2;
    garbage[middle..].fill(0xa5);
    assert!(check(&garbage).await < 12);
    assert!(check(&[0xa5; 5_000]).await < 12);
    let tail = [&log[..], &[0x5a; 9_999]].concat();
    assert_eq!(check(&tail).await, 12);
}

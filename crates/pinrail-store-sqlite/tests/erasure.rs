//! What erasure leaves on the disk, and who waits for it.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pinrail_domain::id::StateSeq;
use pinrail_domain::journal::{Body, Event};
use pinrail_store::conformance::sample::state::{append, facts, set};
use pinrail_store::conformance::sample::{all_at_once, appending, run, starting, write};
use pinrail_store::{Journal, State, StoreError};
use pinrail_store_sqlite::{Options, Sqlite};
use rusqlite::Connection;

fn open(path: &Path) -> Sqlite {
    Sqlite::open(Options::new(path)).unwrap()
}

/// The files' bytes, as whoever steals the disk finds them.
fn disk(folder: &Path) -> Vec<u8> {
    let mut bytes = fs::read(folder.join("pinrail.db")).unwrap();
    bytes.extend(fs::read(folder.join("pinrail.db-wal")).unwrap_or_default());
    bytes
}

/// The numbers of the secrets that the bytes hold.
fn secrets(bytes: &[u8]) -> BTreeSet<u64> {
    let text = String::from_utf8_lossy(bytes);
    let ends = text.split("Ada-").skip(1).filter_map(|after| after.split_once("-Lovelace"));
    ends.filter_map(|(number, _)| number.parse().ok()).collect()
}

#[tokio::test]
async fn what_is_erased_is_gone_from_the_file_and_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("pinrail.db"));
    let text =
        |n: u64| format!("\"Ada-{n:04}-Lovelace {}\"", "x".repeat(usize::try_from(n % 9).unwrap() * 900));
    for n in 0..200 {
        append(&store, 1, vec![set(&facts(), &format!("k{n}"), &text(n))]).await;
    }
    for n in 200..260 {
        let body = Body::Text { text: text(n), truncated: false };
        let said = Event::ModelRequest { call: 1, stream: false, body: Some(body), dropped: Vec::new() };
        write(&store, starting(n)).await.unwrap();
        write(&store, appending(n, vec![said])).await.unwrap();
    }
    let mut left: BTreeSet<u64> = (0..260).collect();
    assert_eq!(secrets(&disk(folder.path())), left);
    // One after the other, so that what goes later lies where SQLite moved it when others went.
    for part in [3, 1, 0, 4, 2] {
        let gone: Vec<u64> = left.iter().copied().filter(|n| n % 5 == part).collect();
        let seqs: Vec<StateSeq> = gone.iter().filter(|n| **n < 200).map(|n| StateSeq(n + 1)).collect();
        let runs: Vec<_> = gone.iter().filter(|n| **n >= 200).map(|n| run(*n)).collect();
        assert_eq!(store.state_erase(&seqs).await.unwrap(), seqs.len() as u64);
        assert_eq!(store.run_erase(&runs).await.unwrap(), runs.len() as u64);
        left.retain(|n| n % 5 != part);
        assert_eq!(secrets(&disk(folder.path())), left, "after {part}");
    }
}

#[tokio::test]
async fn erasure_says_when_the_log_could_not_be_cleaned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = open(&path);
    append(&store, 1, vec![set(&facts(), "a", "\"Ada-0001-Lovelace\"")]).await;
    assert_eq!(secrets(&disk(folder.path())), BTreeSet::from([1]));
    let backup = Connection::open(&path).unwrap();
    backup.execute_batch("BEGIN; SELECT count(*) FROM state").unwrap();
    let refused = store.state_erase(&[StateSeq(1)]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    // Nobody else had to wait for the backup.
    append(&store, 1, vec![set(&facts(), "b", "1")]).await;
    backup.execute_batch("COMMIT").unwrap();
    assert_eq!(store.state_erase(&[StateSeq(1)]).await.unwrap(), 0);
    assert_eq!(secrets(&disk(folder.path())), BTreeSet::new());
}

/// Lists that are under way end first, and those that come meanwhile are answered afterwards.
#[tokio::test]
async fn reads_and_erasure_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("pinrail.db"));
    let changes = (0..500).map(|n| set(&facts(), &format!("k{n}"), "\"text\"")).collect();
    append(&store, 1, changes).await;
    let store = &store;
    let work = (1..=60_u64).map(|n| async move {
        match n % 3 {
            0 => store.state_erase(&[StateSeq(n)]).await.unwrap(),
            1 => store.state_scan(&facts(), StateSeq(0), 999).await.unwrap().len() as u64,
            _ => store.state_head().await.unwrap().state.0,
        }
    });
    let done = all_at_once(work).await;
    assert_eq!(done.iter().filter(|count| **count == 500).count(), 40);
    assert_eq!(done.iter().filter(|count| **count == 1).count(), 20);
}

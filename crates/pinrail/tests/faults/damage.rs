//! Files that were damaged while the server was down: refused by name, or mended where the store can mend.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use rusqlite::Connection;

use crate::node::{Node, data, database};
use crate::seen::Seen;
use crate::stage::Stage;

#[test]
fn a_changed_ledger_is_refused_and_the_entry_is_named() {
    for (damage, named) in [
        // One byte of the content, of the link, of the hash, of the hash's column; and an entry that is gone.
        ("UPDATE ledger SET entry = replace(entry, '\"at\":1', '\"at\":2') WHERE seq = 3", Some(3)),
        ("UPDATE ledger SET entry = replace(entry, '\"standard\"', '\"standarc\"') WHERE seq = 2", Some(2)),
        (
            "UPDATE ledger SET entry = replace(entry, '\"prev\":\"sha256:', '\"prev\":\"sha255:') WHERE seq = 4",
            Some(4),
        ),
        ("UPDATE ledger SET entry = (SELECT entry FROM ledger WHERE seq = 6) WHERE seq = 7", Some(7)),
        ("DELETE FROM ledger WHERE seq = 5", Some(5)),
        ("UPDATE ledger SET hash = zeroblob(32) WHERE seq = (SELECT max(seq) FROM ledger)", None),
        ("UPDATE ledger SET hash = zeroblob(32) WHERE seq = 2", Some(2)),
    ] {
        let dir = stopped();
        let db = Connection::open(database(dir.path())).unwrap();
        db.execute_batch("DROP TRIGGER ledger_keep; DROP TRIGGER ledger_whole").unwrap();
        let last: i64 = db.query_row("SELECT max(seq) FROM ledger", (), |row| row.get(0)).unwrap();
        assert_eq!(db.execute(damage, ()).unwrap(), 1, "{damage}");
        drop(db);
        let refusal = Node::refused(dir.path());
        assert_eq!(refusal.code, Some(1), "{damage}");
        let named = format!("ledger entry {}", named.unwrap_or(last));
        assert!(refusal.said.contains(&named), "{damage}: {}", refusal.said);
    }
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(data(dir.path())).unwrap();
    let garbage = b"not a database at all, but long enough to have a header of 100 bytes ".repeat(20);
    fs::write(database(dir.path()), &garbage).unwrap();
    let refusal = Node::refused(dir.path());
    assert_eq!(refusal.code, Some(1));
    assert!(refusal.said.contains("is not a database"), "{}", refusal.said);
    assert_eq!(fs::read(database(dir.path())).unwrap(), garbage);

    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(data(dir.path())).unwrap();
    let db = Connection::open(database(dir.path())).unwrap();
    db.execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    drop(db);
    let before = fs::read(database(dir.path())).unwrap();
    let refusal = Node::refused(dir.path());
    assert_eq!(refusal.code, Some(1));
    assert!(refusal.said.contains("another program's database"), "{}", refusal.said);
    assert_eq!(fs::read(database(dir.path())).unwrap(), before);
}

#[test]
fn a_store_that_was_cut_short_is_refused() {
    let dir = stopped();
    let file = OpenOptions::new().write(true).open(database(dir.path())).unwrap();
    let pages = file.metadata().unwrap().len() / 4_096;
    file.set_len(pages / 2 * 4_096).unwrap();
    let refusal = Node::refused(dir.path());
    assert_eq!(refusal.code, Some(1));
    assert!(!refusal.said.contains("panicked"), "{}", refusal.said);
}

#[test]
fn a_torn_end_of_the_log_costs_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    Stage::set(&node.client, None);
    let mut seen = Seen::look(&node.client, dir.path());
    node.kill();
    let log = data(dir.path()).join("pinrail.db-wal");
    let whole = fs::read(&log).unwrap();
    assert!(whole.len() > 3_000, "the kill leaves a log");
    // As a power cut may: a frame that began as a copy of an older one and was never finished.
    for torn in [&whole[..whole.len().min(32 + 1_500)][32..], &[0; 5_000], &[0xa5; 24 + 4_096]] {
        append(&log, torn);
        let node = Node::start(dir.path());
        seen.look_again(&node.client, dir.path()); // I9
        node.kill();
    }
}

/// A folder with a stage in it, stopped in peace.
fn stopped() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    Stage::set(&node.client, None);
    node.stop();
    dir
}

fn append(file: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(file).unwrap().write_all(bytes).unwrap();
}

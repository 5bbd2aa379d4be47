//! SQLite keeps every promise of the store.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::sync::Arc;

use pinrail_store::conformance::{Damage, Subject};
use pinrail_store_sqlite::{Options, Sqlite};
use rusqlite::Connection;

pinrail_store::conformance_tests!(open);

fn open() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = Arc::new(Sqlite::open(Options::new(&path)).unwrap());
    let damage = Box::new(move |damage| {
        let db = Connection::open(&path).unwrap();
        match damage {
            Damage::Artifact(digest) => {
                db.execute_batch("DROP TRIGGER artifacts_keep").unwrap();
                let sql = "UPDATE artifacts SET bytes = CAST(bytes || '!' AS BLOB) WHERE digest = ?1";
                assert_eq!(db.execute(sql, [digest.as_bytes()]).unwrap(), 1);
            }
            Damage::Entry(seq) => {
                db.execute_batch("DROP TRIGGER ledger_keep").unwrap();
                let sql = "UPDATE ledger SET entry = substr(entry, 1, 40) WHERE seq = ?1";
                assert_eq!(db.execute(sql, [i64::try_from(seq.0).unwrap()]).unwrap(), 1);
            }
            Damage::Record(seq) => {
                db.execute_batch("DROP TRIGGER IF EXISTS state_content_keep").unwrap();
                let sql = "INSERT INTO state_content (seq, salt, json) VALUES (?1, zeroblob(16), '1') \
                     ON CONFLICT DO UPDATE SET json = json || ' '";
                assert_eq!(db.execute(sql, [i64::try_from(seq.0).unwrap()]).unwrap(), 1);
            }
        }
    });
    Subject { store, other: None, damage, keep: Box::new(folder) }
}

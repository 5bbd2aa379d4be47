use std::sync::Arc;

use pinrail_store::Store;
use pinrail_store::conformance::sample::{appending, note, starting};
use pinrail_store::transfer::Depth;

use super::*;
use crate::{Options, Sqlite};

fn store() -> (tempfile::TempDir, PathBuf, Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    let store = Arc::new(Sqlite::open(Options::new(&path)).unwrap());
    (folder, path, store)
}

/// Nothing is sorted, and no page begins at the table's beginning again.
#[test]
fn pages_are_read_along_an_index() {
    let (_folder, path, _store) = store();
    let db = Connection::open(path).unwrap();
    for part in Part::ALL {
        let cell = |column: &pinrail_store::transfer::Column| match column.kind {
            Kind::Text => Cell::Text(String::new()),
            Kind::Bytes | Kind::Id => Cell::Bytes(vec![0; 16]),
            Kind::Number | Kind::Short | Kind::Small | Kind::Flag | Kind::Places | Kind::Vector => {
                Cell::Number(0)
            }
        };
        let key: Row = part.columns()[..part.key()].iter().map(cell).collect();
        let page = Page { part, after: Some(&key), until: Some(&key), depth: Depth::Whole, limit: 10 };
        let (sql, params) = select(&page);
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = explain.query_map(params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
        let plan = steps.map(Result::unwrap).collect::<Vec<_>>().join("; ");
        // The few uses are sorted, and so are a run's or a gate's own rows at most.
        let sorted = plan.contains("USE TEMP B-TREE FOR ORDER BY");
        assert!(!plan.contains("SCAN ") && !sorted || part == Part::Uses, "{}: {plan}", part.as_str());
    }
}

#[tokio::test]
async fn a_served_file_is_read_and_never_written() {
    let (_folder, path, store) = store();
    let file = File::open(&path).unwrap();
    let page = |part| Page { part, after: None, until: None, depth: Depth::Whole, limit: 10 };
    assert_eq!(file.rows(&page(Part::Runs)).await.unwrap(), Vec::<Row>::new());
    store.journal_write(Arc::new(vec![starting(1), appending(1, vec![note("one")])])).await;
    let events = file.rows(&page(Part::Events)).await.unwrap();
    assert_eq!((events.len(), &events[0][1]), (1, &Cell::Number(1)));
    let refused = file.ask(|db| Ok(db.execute("DELETE FROM sessions", ())?)).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
}

#[test]
fn a_file_of_another_version_is_refused() {
    let (folder, path, store) = store();
    drop(store);
    let db = Connection::open(&path).unwrap();
    db.execute("DELETE FROM refinery_schema_history WHERE version > 3", ()).unwrap();
    assert!(matches!(File::open(&path).err(), Some(OpenError::Older { found: 3, .. })));
    let other = folder.path().join("other.db");
    assert!(File::open(&other).is_err() && !other.exists());
}

//! What a server must be before anything is asked of it, and who may do what.

use pinrail_domain::digest::Digest;
use pinrail_domain::ledger::Head;
use pinrail_store::conformance::sample::entries;
use pinrail_store::ledger::{Append, AppendError};
use pinrail_store::{Artifacts, Ledger};
use pinrail_store_postgres::testing::Cluster;
use pinrail_store_postgres::{OpenError, Options, Postgres, Statements};

#[tokio::test]
async fn a_store_that_is_opened_again_holds_everything() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    for statements in [Statements::Prepared, Statements::Unnamed] {
        let open = || Postgres::connect(Options { statements, ..database.options() });
        let store = open().await.unwrap();
        assert!(store.found().server_version >= 140_000);
        let prompt = format!("{statements:?}");
        let digest = store.artifact_put(prompt.as_bytes()).await.unwrap();
        let head = store.ledger_head().await.unwrap();
        let appended = entries(head, 3, "r");
        store.ledger_append(Append::of(appended.clone())).await.unwrap();
        let late = store.ledger_append(Append::of(entries(head, 1, "late"))).await;
        assert!(matches!(late, Err(AppendError::Moved { .. })), "{late:?}");
        drop(store);

        let store = open().await.unwrap();
        assert_eq!(store.artifact_get(digest).await.unwrap().as_deref(), Some(prompt.as_bytes()));
        assert_eq!(store.artifact_get(Digest::of(b"never stored")).await.unwrap(), None);
        assert_eq!(store.ledger_read(head.seq, 9).await.unwrap(), appended);
        let last = appended.last().unwrap();
        assert_eq!(store.ledger_head().await.unwrap(), Head { seq: last.seq, hash: last.hash });
    }
}

#[tokio::test]
async fn an_empty_database_is_refused_until_it_is_migrated() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    database.execute("DROP SCHEMA pinrail CASCADE");
    let refused = Postgres::connect(database.options_of_owner()).await.map(|_| ());
    assert!(matches!(refused, Err(OpenError::Older { found: 0, .. })), "{refused:?}");
    // Two at once: one applies, the other finds it done.
    let (one, two) = tokio::join!(Postgres::migrate(&database.url), Postgres::migrate(&database.url));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.version, two.version);
    assert!(one.applied.is_empty() != two.applied.is_empty(), "{one:?} {two:?}");
    assert_eq!(Postgres::migrate(&database.url).await.unwrap().applied, Vec::<String>::new());
    let store = Postgres::connect(database.options_of_owner()).await.unwrap();
    assert_eq!(store.found().schema_version, one.version);

    database.execute("UPDATE pinrail.migrations SET digest = '\\x00' WHERE version = 1");
    let refused = Postgres::connect(database.options_of_owner()).await.map(|_| ());
    assert!(matches!(refused, Err(OpenError::Changed { version: 1, .. })), "{refused:?}");
}

/// An index is made a partition at a time; where that was cut off, it goes on, and what was half made doesn't stay.
#[tokio::test]
async fn a_migration_that_was_cut_off_goes_on() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    // As it was before the sixth, and then cut off: one index for one partition alone, of another partition a remainder.
    database.execute(
        "CREATE TABLE pinrail.runs_before PARTITION OF pinrail.runs
         FOR VALUES FROM ('00000000-0000-0000-0000-000000000000') TO ('01000000-0000-0000-0000-000000000000')",
    );
    database.execute("DROP INDEX pinrail.runs_by_outcome, pinrail.runs_by_single, pinrail.runs_of_tenant, pinrail.runs_of_replica");
    database.execute(
        "CREATE INDEX runs_failed ON pinrail.runs (outcome, id) WHERE outcome <> 0;
         CREATE INDEX runs_by_tenant ON pinrail.runs (tenant, id) WHERE tenant <> 'default';
         CREATE INDEX runs_by_replica ON pinrail.runs (replica, id) WHERE replica <> 0",
    );
    database.execute("DELETE FROM pinrail.migrations WHERE version IN (6, 7)");
    database
        .execute("CREATE INDEX runs_by_outcome ON ONLY pinrail.runs (outcome, id) WHERE outcome IS NOT NULL");
    database.execute("CREATE INDEX own ON pinrail.runs_rest (outcome, id) WHERE outcome IS NOT NULL");
    database.execute("ALTER INDEX pinrail.runs_by_outcome ATTACH PARTITION pinrail.own");
    database.execute("CREATE INDEX runs_before_runs_by_outcome ON pinrail.runs_before (agent)");

    let migrated = Postgres::migrate(&database.url).await.unwrap();
    assert_eq!(migrated.applied, ["V6__lists", "V7__lists_before"]);
    let session = Cluster::session(&database.url).await;
    let one = async |sql: &str| session.query(sql, &[]).await.unwrap()[0].get::<_, i64>(0);
    let of_table = "FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid WHERE t.relname";
    let invalid = format!("SELECT count(*) {of_table} LIKE 'runs%' AND NOT x.indisvalid");
    assert_eq!(one(&invalid).await, 0);
    let of = async |table: &str| one(&format!("SELECT count(*) {of_table} = '{table}'")).await;
    assert_eq!(of("runs_before").await, of("runs").await, "what was half made is gone");
    assert_eq!(of("runs_rest").await, of("runs").await);
}

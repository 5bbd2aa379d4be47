//! Sessions that stand in others' way, or fail in the middle.

use pinrail_domain::ledger::Head;
use pinrail_store::conformance::sample::{appending, entries, note, starting};
use pinrail_store::ledger::Append;
use pinrail_store::{Journal as _, Ledger as _};

use super::*;
use crate::testing::Cluster;

/// I7: a replica that was stopped in the middle of a transaction keeps no rollback waiting.
#[tokio::test]
async fn a_transaction_that_does_nothing_is_ended_and_others_go_on() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let stopped = Options { lease_ms: 2_000, ..database.options() };
    let idle_ms = stopped.idle_timeout_ms();
    assert!(idle_ms < stopped.lock_timeout_ms && idle_ms < stopped.lease_ms);
    let (one, two) = (Postgres::connect(stopped).await.unwrap(), Postgres::connect(database.options()).await);
    let two = two.unwrap();
    let tx = one.begin(Lane::Work).await.unwrap();
    let set = tx.row("SELECT pg_catalog.current_setting('idle_in_transaction_session_timeout')", &[]).await;
    assert_eq!(set.unwrap().get::<_, &str>(0), format!("{}s", idle_ms / 1_000));
    // It holds what a flip and every append to the ledger must have.
    tx.row("SELECT pinrail.epoch_stays(0)", &[]).await.unwrap();
    tx.row("SELECT term FROM pinrail.heads FOR UPDATE", &[]).await.unwrap();
    two.ledger_append(Append::of(entries(Head::START, 1, "a"))).await.unwrap();
    // And it hears of it in a way that has it try again.
    assert!(tx.commit().await.unwrap_err().may_repeat());
}

/// I9: however long lists take, journals are written.
#[tokio::test]
async fn lists_that_hold_all_connections_leave_journals_theirs() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let options = database.options();
    let store = Postgres::connect(options.clone()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..options.pool_max {
        held.push(store.session(Lane::Work).await.unwrap());
    }
    let written = store.journal_write(vec![starting(1), appending(1, vec![note("a")])].into()).await;
    assert!(written.iter().all(Result::is_ok), "{written:?}");
    let append = Append::of(entries(store.ledger_head().await.unwrap(), 1, "a"));
    store.ledger_append(append).await.unwrap();
}

/// A transaction whose settings are refused after its BEGIN leaves nobody a connection on which nothing works any more.
#[tokio::test]
async fn a_transaction_that_fails_at_its_beginning_leaves_no_connection_behind() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    // More than the server takes.
    let options =
        Options { statements: Statements::Unnamed, lock_timeout_ms: u64::MAX, ..database.options() };
    let store = Postgres::connect(options).await.unwrap();
    assert!(store.begin(Lane::Quick).await.is_err());
    assert_eq!(store.ledger_head().await.unwrap(), Head::START);
}

/// What is concluded is there, or all of it is undone, and the connection is good for the next one.
#[tokio::test]
async fn a_last_statement_and_its_commit_are_one() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    for statements in [Statements::Prepared, Statements::Unnamed] {
        let store = Postgres::connect(Options { statements, ..database.options() }).await.unwrap();
        let run = |sql: &'static str, divisor: i32| {
            let store = store.clone();
            async move {
                let tx = store.begin(Lane::Journal).await.unwrap();
                let pid: i32 = tx.row("SELECT pg_catalog.pg_backend_pid()", &[]).await.unwrap().get(0);
                tx.execute("UPDATE pinrail.heads SET term = term + 1", &[]).await.unwrap();
                (pid, tx.conclude(sql, &[(&divisor, Type::INT4)]).await)
            }
        };
        let term = async || {
            let row = store.maybe(Lane::Quick, "SELECT term FROM pinrail.heads", &[]).await.unwrap();
            row.unwrap().get::<_, i64>(0)
        };
        let before = term().await;
        let (one, concluded) = run("SELECT 6 / $1", 3).await;
        assert_eq!(concluded.unwrap()[0].get::<_, i32>(0), 2);
        assert_eq!(term().await, before + 1);
        let (two, failed) = run("SELECT 6 / $1", 0).await;
        assert!(!failed.unwrap_err().may_repeat());
        let ended =
            "SELECT $1 FROM (SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())) AS done";
        let (three, failed) = run(ended, 0).await;
        // A pooler may have said so after the COMMIT.
        let failed = failed.unwrap_err();
        assert!(!failed.may_repeat() && failed.of_one_that_looks().may_repeat());
        assert_eq!(term().await, before + 1);
        let (four, concluded) = run("SELECT 6 / $1", 3).await;
        assert!(concluded.is_ok());
        assert_eq!((one, two), (two, three));
        assert_ne!(three, four);
    }
}

//! A server that is killed, connections that are cut, and hands that would change history.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use pinrail_domain::id::{EventSeq, LedgerSeq};
use pinrail_store::conformance::sample::{appending, entries, finished, note, run, starting};
use pinrail_store::journal::{Write, WriteError};
use pinrail_store::ledger::{Append, AppendError};
use pinrail_store::{Artifacts, Journal, Ledger, Probe, StoreError};
use pinrail_store_postgres::testing::{Cluster, Database, Server};
use pinrail_store_postgres::{Options, Postgres};

/// What writers were told.
#[derive(Default)]
struct Told {
    /// Runs whose start was acknowledged; those of them that also ended.
    started: Mutex<Vec<(u64, bool)>>,
    /// Entries whose append was acknowledged.
    entries: AtomicU64,
    failures: AtomicU64,
    next: AtomicU64,
    stop: AtomicBool,
}

impl Told {
    fn acknowledged(&self) -> usize {
        self.started.lock().unwrap().len()
    }
}

fn unavailable(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_))
}

/// Starts runs and ends them, over and over, until told to stop.
async fn write_runs(store: Postgres, told: Arc<Told>) {
    while !told.stop.load(Ordering::Relaxed) {
        let n = told.next.fetch_add(1, Ordering::Relaxed);
        let started =
            store.journal_write(vec![starting(n), appending(n, vec![note("a"), note("b")])].into()).await;
        match &started[..] {
            [Ok(_), Ok(_)] => {}
            [Err(WriteError::Store(one)), Err(WriteError::Store(two))]
                if unavailable(one) && unavailable(two) =>
            {
                told.failures.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                continue;
            }
            other => panic!("{other:?}"),
        }
        let ended = store.journal_write(vec![appending(n, vec![finished()])].into()).await;
        let ended = match &ended[0] {
            Ok(_) => true,
            Err(WriteError::Store(error)) if unavailable(error) => false,
            other => panic!("{other:?}"),
        };
        told.started.lock().unwrap().push((n, ended));
    }
}

async fn write_ledger(store: Postgres, told: Arc<Told>) {
    while !told.stop.load(Ordering::Relaxed) {
        let Ok(head) = store.ledger_head().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let next = entries(head, 1, "x");
        let seq = next[0].seq.0;
        match store.ledger_append(Append::of(next)).await {
            Ok(()) => drop(told.entries.fetch_max(seq, Ordering::Relaxed)),
            Err(AppendError::Store(error)) if unavailable(&error) => {}
            Err(AppendError::Moved { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// All that was acknowledged is there, and nothing is there in part (I9).
async fn check(store: &Postgres, told: &Told) {
    let started = told.started.lock().unwrap().clone();
    for (n, ended) in &started {
        let found = store.run_get(run(*n)).await.unwrap().unwrap_or_else(|| panic!("run {n} is lost"));
        let length = found.summary.next.0;
        assert!(length == 4 || (length == 3 && !ended), "run {n} has {length} events");
    }
    for n in 0..told.next.load(Ordering::Relaxed) {
        let Some(found) = store.run_get(run(n)).await.unwrap() else { continue };
        let events = store.run_events(run(n), EventSeq(0), 99).await.unwrap();
        assert_eq!(events.len() as u64, found.summary.next.0, "run {n}");
        let places: Vec<u64> = events.iter().map(|event| event.seq.0).collect();
        assert_eq!(places, (0..events.len() as u64).collect::<Vec<_>>(), "run {n}");
        assert!(events.len() >= 3, "run {n} is there in part: {events:?}");
    }
    let ledger = store.ledger_read(LedgerSeq(0), usize::MAX).await.unwrap();
    let head = store.ledger_head().await.unwrap();
    assert_eq!(ledger.len() as u64, head.seq.0);
    assert!(head.seq.0 >= told.entries.load(Ordering::Relaxed), "an entry is lost");
    for pair in ledger.windows(2) {
        assert_eq!(pair[1].prev, pair[0].hash);
    }
}

async fn until(told: &Told, acknowledged: usize) {
    while told.acknowledged() < acknowledged {
        tokio::task::yield_now().await;
    }
}

async fn under_fire(database: &Database, fire: impl AsyncFn(&Told)) {
    let store = Postgres::connect(database.options()).await.unwrap();
    let told = Arc::new(Told::default());
    let mut writers = Vec::new();
    for _ in 0..3 {
        writers.push(tokio::spawn(write_runs(store.clone(), Arc::clone(&told))));
        writers.push(tokio::spawn(write_ledger(store.clone(), Arc::clone(&told))));
    }
    fire(&told).await;
    told.stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    check(&store, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_server_that_is_killed() {
    let Some(server) = Server::start() else { return };
    let database = server.cluster().database();
    under_fire(&database, async |told| {
        for round in 1..=3 {
            until(told, round * 40).await;
            server.kill();
            let failed = told.failures.load(Ordering::Relaxed);
            while told.failures.load(Ordering::Relaxed) == failed {
                tokio::task::yield_now().await;
            }
            tokio::task::block_in_place(|| server.start_again());
        }
        // The pool finds its way back by itself.
        let now = told.acknowledged();
        until(told, now + 40).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_lose_nothing_and_come_back() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name = 'pinrail/0' AND pid <> pg_backend_pid()";
    let admin = Cluster::session(&database.url).await;
    under_fire(&database, async |told| {
        for round in 1..=20 {
            until(told, round * 8).await;
            // Some of them are in the middle of a transaction.
            admin.batch_execute(cut).await.unwrap();
        }
        let now = told.acknowledged();
        until(told, now + 20).await;
    })
    .await;
}

/// Kills the server at one point, once.
struct Killing<K> {
    point: &'static str,
    kill: K,
}

impl<K: Fn() + Send + Sync> Probe for Killing<K> {
    fn at(&self, point: &'static str) {
        if point == self.point {
            (self.kill)();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_went_unanswered_is_all_or_nothing() {
    let Some(server) = Server::start() else { return };
    let database = server.cluster().database();
    let calm = Postgres::connect(database.options()).await.unwrap();
    for (n, point) in (0..).zip(["ledger.before_commit", "journal.before_commit"]) {
        let probe = Arc::new(Killing { point, kill: server.killer() });
        let store = Postgres::connect(Options { probe, ..database.options() }).await.unwrap();
        let head = calm.ledger_head().await.unwrap();
        let writes: Arc<Vec<Write>> = vec![starting(n), appending(n, vec![note("a")])].into();
        let (told_ledger, told_runs) = if point.starts_with("ledger") {
            (Some(store.ledger_append(Append::of(entries(head, 3, "x"))).await.is_ok()), None)
        } else {
            (None, Some(store.journal_write(writes).await.iter().all(Result::is_ok)))
        };
        tokio::task::block_in_place(|| server.start_again());
        let now = calm.ledger_head().await.unwrap().seq.0;
        let events = calm.run_events(run(n), EventSeq(0), 9).await.unwrap().len();
        assert!(now == head.seq.0 || now == head.seq.0 + 3, "{point}: {now}");
        assert!(events == 0 || events == 2, "{point}: {events}");
        assert!(told_ledger != Some(true) || now == head.seq.0 + 3);
        assert!(told_runs != Some(true) || events == 2);
    }
}

/// What nobody may do to what is kept.
const FORBIDDEN: &[&str] = &[
    "UPDATE pinrail.ledger SET entry = '{}'",
    "DELETE FROM pinrail.ledger WHERE seq = 2",
    "TRUNCATE pinrail.ledger",
    "UPDATE pinrail.artifacts SET bytes = ''",
    "DELETE FROM pinrail.artifacts",
    "UPDATE pinrail.runs SET stamp = '{}'",
    "UPDATE pinrail.runs SET deployment = 9, summary = summary",
    "DELETE FROM pinrail.runs",
    "DELETE FROM pinrail.runs_d20260101",
    "UPDATE pinrail.run_events SET events = '[]'",
    "UPDATE pinrail.run_events SET seq = 9",
    "DELETE FROM pinrail.run_events",
    "UPDATE pinrail.heads SET ledger_seq = 0",
    "DELETE FROM pinrail.heads",
    "TRUNCATE pinrail.heads",
    "TRUNCATE pinrail.spans",
    "TRUNCATE pinrail.cascades",
    "TRUNCATE pinrail.runs",
    "TRUNCATE pinrail.runs_rest",
    "TRUNCATE pinrail.run_events",
    "TRUNCATE pinrail.run_events_rest",
    "TRUNCATE pinrail.sessions",
    "TRUNCATE pinrail.state_marks",
    "TRUNCATE pinrail.gates CASCADE",
    "TRUNCATE pinrail.gate_rows",
    "TRUNCATE pinrail.approvals",
    "TRUNCATE pinrail.leaders",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_refuses_to_be_changed() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let role = format!("pinrail_app_{}", std::process::id());
    let reader = format!("pinrail_reader_{}", std::process::id());
    database.execute(&format!(
        "DROP ROLE IF EXISTS {role}; DROP ROLE IF EXISTS {reader}; CREATE ROLE {role} LOGIN; CREATE ROLE {reader} LOGIN"
    ));
    Postgres::grant(&database.url, &role, pinrail_store_postgres::Access::App).await.unwrap();
    Postgres::grant(&database.url, &reader, pinrail_store_postgres::Access::Reader).await.unwrap();

    // The role of replicas can do all that replicas do.
    let store =
        Postgres::connect(Options { url: database.url_of(&role), ..database.options() }).await.unwrap();
    store.ledger_append(Append::of(entries(store.ledger_head().await.unwrap(), 2, "x"))).await.unwrap();
    store.artifact_put(b"prompt").await.unwrap();
    let real = pinrail_domain::id::RunId::from_parts(1_767_225_600_000, 7);
    let mut start = pinrail_store::conformance::sample::start(pinrail_store::conformance::sample::stamp(1));
    start.stamp.run = real;
    let written = store.journal_write(
        vec![Write::Start(Box::new(start)), starting(1), appending(1, vec![note("a")])].into(),
    );
    assert!(written.await.iter().all(Result::is_ok));
    assert_eq!(store.run_open_total().await.unwrap(), 2);

    // I2, I8: neither that role nor the schema's owner can do more.
    for sql in FORBIDDEN {
        for url in [&database.url, &database.url_of(&role), &database.url_of(&reader)] {
            assert!(database.try_execute(url, sql).is_err(), "{sql} by {url}");
        }
    }
    for sql in [
        "INSERT INTO pinrail.permits VALUES ('erase'); UPDATE pinrail.run_events SET events = '[]'",
        "ALTER TABLE pinrail.ledger DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SELECT pinrail.grant_to(current_user, 'app')",
        "DROP TABLE pinrail.runs_d20260101",
    ] {
        assert!(database.try_execute(&database.url_of(&role), sql).is_err(), "{sql}");
    }
    for sql in [
        "SELECT * FROM pinrail.runs",
        "SELECT key FROM pinrail.visible(1, NULL, NULL, NULL)",
        "SELECT pinrail.counts(1, 1, 1, NULL, 1, 1)",
    ] {
        let read = database.try_execute(&database.url_of(&reader), sql);
        assert!(read.is_ok(), "{sql}: {read:?}");
    }
    assert!(database.try_execute(&database.url_of(&reader), "SELECT pinrail.state_erase('{1}')").is_err());
    assert!(database.try_execute(&database.url_of(&reader), "INSERT INTO pinrail.spans VALUES (1)").is_err());
    drop(store);
    database.execute(&format!(
        "DROP OWNED BY {role}; DROP OWNED BY {reader}; DROP ROLE {role}; DROP ROLE {reader}"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_says_who_may_do_what() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let sql = "SELECT c.relname::text FROM pg_catalog.pg_class c WHERE c.relnamespace = 'pinrail'::regnamespace \
               AND c.relkind IN ('r', 'p', 'S', 'v') AND NOT c.relispartition \
               AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i') \
               AND c.relname NOT IN (SELECT name FROM pinrail.rights)";
    let silent = Cluster::session(&database.url).await.query(sql, &[]).await.unwrap();
    let silent: Vec<String> = silent.iter().map(|row| row.get(0)).collect();
    assert_eq!(silent, Vec::<String>::new(), "their migration must add them to pinrail.rights");
}

async fn damaged(sql: &str, check: impl AsyncFn(&Postgres) -> Result<(), StoreError>, expected: &str) {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let store = Postgres::connect(database.options()).await.unwrap();
    store.ledger_append(Append::of(entries(store.ledger_head().await.unwrap(), 4, "x"))).await.unwrap();
    let written = store.journal_write(vec![starting(1), appending(1, vec![note("a")])].into()).await;
    assert!(written.iter().all(Result::is_ok));
    database.execute(&format!("SET session_replication_role = replica; {sql}"));
    match check(&store).await {
        Err(StoreError::Damaged(what)) => assert!(what.contains(expected), "{sql}: {what}"),
        other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_is_named() {
    let ledger = async |store: &Postgres| store.ledger_read(LedgerSeq(0), 9).await.map(drop);
    damaged("UPDATE pinrail.ledger SET entry = '{' WHERE seq = 2", ledger, "ledger entry 2").await;
    damaged("DELETE FROM pinrail.ledger WHERE seq = 2", ledger, "ledger entry 2").await;
    damaged("UPDATE pinrail.ledger SET hash = '\\x00' WHERE seq = 2", ledger, "ledger entry 2").await;
    let id = run(1).to_string();
    let get = async |store: &Postgres| store.run_get(run(1)).await.map(drop);
    let append = async |store: &Postgres| match &store
        .journal_write(vec![appending(1, vec![note("b")])].into())
        .await[0]
    {
        Err(WriteError::Store(error)) => Err(error.clone()),
        other => panic!("{other:?}"),
    };
    damaged("UPDATE pinrail.runs SET stamp = '?'", get, &id).await;
    damaged("UPDATE pinrail.runs SET summary = 'null'", append, &id).await;
    let events = async |store: &Postgres| store.run_events(run(1), EventSeq(0), 9).await.map(drop);
    damaged("UPDATE pinrail.run_events SET events = '[[1]]'", events, &format!("{id}, event 1")).await;
}

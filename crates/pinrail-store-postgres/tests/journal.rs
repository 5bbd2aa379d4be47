//! Journals in partitions, and through a pooler.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::process::{Child, Command};

use pinrail_domain::id::{DeploymentId, RunId, TenantId};
use pinrail_domain::journal::{Event, Outcome, RunStatus};
use pinrail_domain::ledger::Body;
use pinrail_domain::time::{Day, Timestamp};
use pinrail_store::conformance::sample::state::enter;
use pinrail_store::conformance::sample::{self, finished};
use pinrail_store::journal::{Append, RunFilter, Start, Write};
use pinrail_store::{Journal, Ledger, ReplicaId, Replicas};
use pinrail_store_postgres::testing::{Cluster, Server};
use pinrail_store_postgres::{OpenError, Options, Postgres, SessionError, Statements};

/// 2026-01-01, in days since 1970.
const DAY: u64 = 20_454;
const DAY_MS: u64 = 86_400_000;

fn id(day: u64, n: u64) -> RunId {
    RunId::from_parts((DAY + day) * DAY_MS + n, u128::from(n))
}

fn starting(run: RunId, at: u64) -> Write {
    let mut start = sample::start(sample::stamp(1));
    start.stamp.run = run;
    start.at = Timestamp(at);
    Write::Start(Box::new(start))
}

fn ending(run: RunId) -> Write {
    let events = vec![(Timestamp(5), finished())];
    Write::Append(Append { run, expected: None, events, answer: None, follows: None })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_have_partitions_that_are_dropped_unless_a_run_is_open() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let store = Postgres::connect(database.options()).await.unwrap();
    let mut writes = Vec::new();
    for day in 0..3 {
        for n in 0..4 {
            writes.push(starting(id(day, n), (DAY + day) * DAY_MS + n));
            if (day, n) != (1, 2) {
                writes.push(ending(id(day, n)));
            }
        }
    }
    // Nobody's day.
    writes.extend([starting(sample::run(7), 7), ending(sample::run(7))]);
    assert!(store.journal_write(writes.into()).await.iter().all(Result::is_ok));
    let admin = Cluster::session(&database.url).await;
    let count = async |sql: &str| admin.query(sql, &[]).await.unwrap()[0].get::<_, i64>(0);
    assert_eq!(count("SELECT count(*) FROM pinrail.runs_d20260101").await, 4);
    assert_eq!(count("SELECT count(*) FROM pinrail.run_events_d20260103").await, 4);
    assert_eq!(count("SELECT count(*) FROM pinrail.runs_d20260105").await, 0, "made ahead");
    assert_eq!(count("SELECT count(*) FROM pinrail.runs_rest").await, 1);
    assert_eq!(store.run_open_total().await.unwrap(), 1);

    let before = Day(DAY as u32 + 2);
    enter(&store, 9, Body::JournalCollected { before, runs: 8 }).await;
    // Of 2026-01-01 nothing is left but what came when it had no partition, and that goes, too.
    let day = Day(DAY as u32);
    assert_eq!(store.run_collect(day).await.unwrap(), 4);
    assert_eq!(count("SELECT count(*) FROM pg_catalog.pg_class WHERE relname LIKE '%d20260101%'").await, 0);
    let late = vec![starting(id(0, 9), 9), ending(id(0, 9))];
    assert!(store.journal_write(late.into()).await.iter().all(Result::is_ok));
    assert_eq!(count("SELECT count(*) FROM pinrail.run_events_rest WHERE seq > 0").await, 2);
    assert_eq!(store.run_collect(day).await.unwrap(), 1);
    assert_eq!(count("SELECT count(*) FROM pinrail.run_events_rest WHERE seq > 0").await, 1);
    assert!(store.run_collect(day.next()).await.is_err(), "an open run");
    assert!(store.run_get(id(1, 1)).await.unwrap().is_some());
    assert!(store.journal_write(vec![ending(id(1, 2))].into()).await[0].is_ok());
    assert_eq!(store.run_collect(day.next()).await.unwrap(), 4);
    let left = store.run_list(&RunFilter::default(), None, 99).await.unwrap();
    let left: Vec<RunId> = left.iter().map(|run| run.stamp.run).collect();
    assert_eq!(left, [id(2, 3), id(2, 2), id(2, 1), id(2, 0), sample::run(7)]);
}

/// Runs whose times aren't those of their ids are found by their times all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_by_time_trust_times_and_not_ids() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let store = Postgres::connect(database.options()).await.unwrap();
    let at = |day: u64| (DAY + day) * DAY_MS;
    let listed = async |since: Option<u64>, until: Option<u64>| {
        let filter =
            RunFilter { since: since.map(Timestamp), until: until.map(Timestamp), ..RunFilter::default() };
        let runs = store.run_list(&filter, None, 99).await.unwrap();
        runs.iter().map(|run| run.stamp.run).collect::<Vec<_>>()
    };
    let write = async |run: RunId, at: u64| {
        assert!(store.journal_write(vec![starting(run, at)].into()).await[0].is_ok())
    };
    write(id(1, 1), at(1) + 1).await;
    write(id(2, 1), at(2) + 1).await;
    assert_eq!(listed(Some(at(2)), None).await, [id(2, 1)]);
    assert_eq!(listed(None, Some(at(2))).await, [id(1, 1)]);
    // Began a day after its id, and a day before.
    write(id(1, 9), at(2) + 9).await;
    write(id(2, 9), at(1) + 9).await;
    assert_eq!(listed(Some(at(2)), None).await, [id(2, 1), id(1, 9)]);
    assert_eq!(listed(None, Some(at(2))).await, [id(2, 9), id(1, 1)]);
    assert_eq!(listed(Some(at(1) + 9), Some(at(2) + 2)).await, [id(2, 9), id(2, 1)]);
}

/// However few runs have what a filter asks for, the others aren't looked at: no list takes longer for every run there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_list_walks_the_runs_that_it_does_not_want() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let store = Postgres::connect(database.options()).await.unwrap();
    // The first run of all has what no other has.
    for batch in 0..4 {
        let batch: Vec<Write> =
            (batch * 500..(batch + 1) * 500).map(|n| Write::Start(Box::new(lopsided(n)))).collect();
        assert!(store.journal_write(batch.into()).await.iter().all(Result::is_ok));
    }
    Cluster::session(&database.url).await.batch_execute("ANALYZE").await.unwrap();
    let all = RunFilter::default;
    let shared = || Some(vec![TenantId::shared()]);
    let agent = || Some(sample::stamp(1).agent);
    for (filter, found) in [
        (RunFilter { outcome: Some(Outcome::Ok), ..all() }, 1),
        (RunFilter { single: Some(true), ..all() }, 1),
        (RunFilter { tenants: shared(), ..all() }, 1),
        (RunFilter { gate: Some(false), ..all() }, 1),
        (RunFilter { status: Some(RunStatus::Running), ..all() }, 1),
        (RunFilter { status: Some(RunStatus::Paused), ..all() }, 0),
        (RunFilter { replica: Some(ReplicaId(0)), ..all() }, 0),
        (RunFilter { shadow: Some(true), ..all() }, 1),
        (RunFilter { agent: agent(), status: Some(RunStatus::Running), ..all() }, 1),
        (RunFilter { agent: agent(), single: Some(true), ..all() }, 1),
        (RunFilter { single: Some(true), outcome: Some(Outcome::Cancelled), ..all() }, 0),
        (RunFilter { tenants: shared(), outcome: Some(Outcome::Ok), ..all() }, 0),
    ] {
        assert_eq!(store.run_list(&filter, None, 50).await.unwrap().len(), found, "{filter:?}");
        let plan = store.run_list_explained(&filter, None, 50).await.unwrap();
        let walked: u64 = plan
            .iter()
            .filter_map(|line| line.trim().strip_prefix("Rows Removed by Filter: "))
            .map(|rows| rows.parse::<u64>().unwrap())
            .sum();
        assert!(walked <= 10, "{filter:?} walks {walked} runs:\n{}", plan.join("\n"));
    }
}

/// One run of two thousand: all but the first are the same, in every respect that a filter asks for.
fn lopsided(n: u64) -> Start {
    let mut start = sample::start(sample::stamp(1));
    start.stamp.run = id(1, n);
    start.at = Timestamp((DAY + 1) * DAY_MS + n);
    start.stamp.single = n == 0;
    start.stamp.deployment = DeploymentId(u64::from(n == 1));
    start.stamp.tenant = if n == 2 { TenantId::shared() } else { TenantId::new("acme").unwrap() };
    start.stamp.shadow = (n == 3).then(|| id(1, 0));
    let outcome = if n == 4 { Outcome::Ok } else { Outcome::Error };
    if n != 5 {
        start.events = vec![(Timestamp(5), Event::Finished { outcome, why: None })];
    }
    start
}

struct Pooler(Child);

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_transaction_mode_may_stand_between() {
    let Some(server) = Server::start() else { return };
    let Some((_pooler, port)) = pooler(&server) else { return };
    let database = server.cluster().database();
    let (_, at) = database.url.rsplit_once('/').unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{port}/{at}");
    let through = Options { url, statements: Statements::Unnamed, ..database.options() };
    let refused = loop {
        // It may not listen yet.
        match Postgres::connect(through.clone()).await {
            Err(OpenError::Connect { .. }) => tokio::task::yield_now().await,
            refused => break refused,
        }
    };
    // Listening and leading need a session, which it doesn't give.
    let refused = refused.map(|_| ());
    assert!(matches!(refused, Err(OpenError::Session(SessionError::Pooled { .. }))), "{refused:?}");
    let around = Options { direct_url: Some(database.url.clone()), ..through };
    let store = Postgres::connect(around).await.unwrap();
    assert!(store.lead().await.unwrap().is_some());
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..10 {
                let run = id(0, writer * 100 + n);
                let written = store.journal_write(vec![starting(run, 1), ending(run)].into()).await;
                assert!(written.iter().all(Result::is_ok), "{written:?}");
                assert!(store.run_get(run).await.unwrap().is_some());
                let head = store.ledger_head().await.unwrap();
                let append = pinrail_store::ledger::Append::of(sample::entries(head, 1, "x"));
                let _ = store.ledger_append(append).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(store.run_list(&RunFilter::default(), None, 999).await.unwrap().len(), 80);
    assert!(store.ledger_head().await.unwrap().seq.0 >= 10);
}

/// A pgbouncer with two connections to the server; where there is no pgbouncer, says loudly that the test is skipped.
fn pooler(server: &Server) -> Option<(Pooler, u16)> {
    if Command::new("pgbouncer").arg("--version").output().is_err() {
        eprintln!("SKIPPED: a test needs pgbouncer in the PATH");
        return None;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = server.folder();
    let users = folder.join("users");
    std::fs::write(&users, "\"postgres\" \"\"\n").unwrap();
    let settings = folder.join("pgbouncer.ini");
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         auth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 2\nunix_socket_dir =\n",
        server.port(),
        users.display()
    );
    std::fs::write(&settings, text).unwrap();
    let mut command = server.as_its_user("pgbouncer");
    command
        .args(["-q"])
        .arg(&settings)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    Some((Pooler(command.spawn().unwrap()), port))
}

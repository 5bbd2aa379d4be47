//! Leaders that are killed and stopped: real processes, since a paused one can't be played.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "the test starts itself again as another process, and tells it what to do"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use pinrail_domain::ledger::Head;
use pinrail_store::conformance::sample::entries;
use pinrail_store::ledger::{Append, AppendError};
use pinrail_store::{Ledger, Replicas, Term};
use pinrail_store_postgres::testing::{Cluster, Database};
use pinrail_store_postgres::{Options, Postgres};

/// Tells this program that it is the other process, and where the store is.
const URL: &str = "PINRAIL_TEST_LEADER";

fn options(database: &Database) -> Options {
    Options { lease_ms: 500, ..database.options() }
}

/// A process that leads.
struct Leader {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
    term: Term,
}

impl Leader {
    fn start(database: &Database) -> Leader {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "leads_until_it_is_ended", "--nocapture"])
            .env(URL, &database.url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let mut leader = Leader { process, lines, term: Term(0) };
        leader.term = Term(leader.hear("leads ").parse().unwrap());
        leader
    }

    /// The rest of the next line that has this in it.
    fn hear(&mut self, what: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended without a word");
            if let Some((_, rest)) = line.split_once(what) {
                return rest.trim().to_owned();
            }
        }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Leads once the other doesn't; each question is a round trip to the server.
async fn leading(store: &Postgres) -> Term {
    loop {
        if let Ok(Some(term)) = store.lead().await {
            return term;
        }
        tokio::task::yield_now().await;
    }
}

/// The other process. As a test of its own it has nothing to do.
#[tokio::test]
async fn leads_until_it_is_ended() {
    let Ok(url) = std::env::var(URL) else { return };
    let store = Postgres::connect(Options { lease_ms: 500, ..Options::new(url) }).await.unwrap();
    let term = leading(&store).await;
    println!("leads {term}");
    let head = store.ledger_head().await.unwrap();
    let late = Append { fence: Some(term), ..Append::of(entries(head, 1, "late")) };
    loop {
        match store.lead().await {
            Ok(Some(still)) => assert_eq!(still, term),
            Ok(None) => break,
            // Its session was ended while it slept, and is made anew.
            Err(_) => tokio::task::yield_now().await,
        }
    }
    match store.ledger_append(late).await {
        Err(AppendError::Fenced { newest }) => println!("fenced by {newest}"),
        other => println!("fenced by nobody: {other:?}"),
    }
}

#[tokio::test]
async fn a_leader_that_is_killed_is_replaced() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let store = Postgres::connect(options(&database)).await.unwrap();
    let leader = Leader::start(&database);
    assert_eq!(store.lead().await.unwrap(), None);
    leader.signal("-KILL");
    assert!(leading(&store).await > leader.term);
}

#[tokio::test]
async fn a_leader_that_is_stopped_is_replaced_and_wakes_up_to_old_news() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let store = Postgres::connect(options(&database)).await.unwrap();
    let mut leader = Leader::start(&database);
    leader.signal("-STOP");
    let term = leading(&store).await;
    assert!(term > leader.term);
    let append = |fence| Append { fence: Some(fence), ..Append::of(entries(Head::START, 1, "new")) };
    let late = store.ledger_append(append(leader.term)).await;
    assert!(matches!(late, Err(AppendError::Fenced { newest }) if newest == term), "{late:?}");
    leader.signal("-CONT");
    assert_eq!(leader.hear("fenced by "), term.to_string());
    store.ledger_append(append(term)).await.unwrap();
}

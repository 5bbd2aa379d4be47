//! I7: wherever a replica is stopped, nothing that a rollback of another one waits for is held by it.
//!
//! A relay stands between a store and its server. Before it hands on what the store says next, it looks whether the store's session
//! is in the middle of a transaction that holds the heads or the epoch: a process that is stopped there would go on holding them.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use pinrail_domain::id::{DeploymentId, Epoch, LedgerSeq, StateSeq};
use pinrail_domain::ledger::Head;
use pinrail_store::conformance::sample::state::{author, batch, facts, key, set};
use pinrail_store::conformance::sample::{answer, entries, stamp, start, starting};
use pinrail_store::journal::{Write, WriteError};
use pinrail_store::ledger::Append;
use pinrail_store::state::{AppendError, Batch, Expect, Keep};
use pinrail_store::{Journal as _, Ledger as _, Probe, Replicas as _, State as _};
use pinrail_store_postgres::testing::{Cluster, Database};
use pinrail_store_postgres::{Options, Postgres, Statements};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

/// What a session holds while it waits for its process: the heads, or the lock of the epoch.
const HELD: &str = "SELECT a.query, l.mode FROM pg_stat_activity a JOIN pg_locks l USING (pid) \
     WHERE a.client_port = $1 AND a.state LIKE 'idle in transaction%' \
     AND (l.relation = 'pinrail.heads'::regclass AND l.mode IN ('RowShareLock', 'RowExclusiveLock') \
     OR l.locktype = 'advisory' AND l.classid::bigint = 1885957746 AND l.objid::bigint = 1634298882)";

/// What was held, and after which statement.
type Held = Arc<Mutex<Vec<String>>>;

/// Puts a relay in front of the database's server; gives the URL by way of it.
async fn relayed(database: &Database) -> (String, Held) {
    let (before, rest) = database.url.split_once('@').unwrap();
    let (server, path) = rest.split_once('/').unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("{before}@{}/{path}", listener.local_addr().unwrap());
    let held = Held::default();
    let (server, noted) = (server.to_owned(), Arc::clone(&held));
    let looks = Arc::new(Cluster::session(&database.url).await);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(relay(client, server, Arc::clone(&looks), Arc::clone(&noted)));
        }
    });
    (url, held)
}

async fn relay(client: TcpStream, server: TcpStream, looks: Arc<Client>, held: Held) {
    let port = i32::from(server.local_addr().unwrap().port());
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { drop(tokio::io::copy(&mut from_server, &mut to_client).await) });
    let mut said = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from_client.read(&mut said).await {
        for row in looks.query_typed(HELD, &[(&port, Type::INT4)]).await.unwrap() {
            held.lock().unwrap().push(format!("{} after {}", row.get::<_, &str>(1), row.get::<_, &str>(0)));
        }
        if to_server.write_all(&said[..length]).await.is_err() {
            return;
        }
    }
}

/// Starts a run that was decided in this epoch, if that is the newest.
fn current(epoch: u64) -> Write {
    let mut start = start(stamp(1));
    (start.stamp.epoch.0, start.current) = (epoch, true);
    Write::Start(Box::new(start))
}

async fn holds_nothing(statements: Statements) {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let (url, held) = relayed(&database).await;
    let store = Postgres::connect(Options { url, statements, ..database.options() }).await.unwrap();

    let kept = answer("open", "flip", 1);
    let append = Append { answer: Some(kept), ..Append::of(entries(Head::START, 2, "flip")) };
    store.ledger_append(append.clone()).await.unwrap();
    // Refused, which holds them no longer.
    assert!(store.ledger_append(Append { answer: None, ..append }).await.is_err());

    let written = store.journal_write(vec![current(2)].into()).await;
    assert!(written.iter().all(Result::is_ok), "{written:?}");

    let keep = answer("open", "put", 1);
    let keep = Some(Keep { key: keep.key, request: keep.request });
    let open = Some(LedgerSeq(2));
    let put = Batch { open, answer: keep, ..batch(&author(3), 1, vec![set(&facts(), "k", "1")]) };
    store.state_append(put).await.unwrap();
    assert_eq!(store.state_remove(DeploymentId(3), StateSeq(1), 9).await.unwrap(), 1);

    assert!(store.lead().await.unwrap().is_some());
    let held = std::mem::take(&mut *held.lock().unwrap());
    assert_eq!(held, Vec::<String>::new(), "{statements:?}");
}

#[tokio::test]
async fn a_process_that_is_stopped_anywhere_holds_nothing_that_a_rollback_waits_for() {
    holds_nothing(Statements::Prepared).await;
    holds_nothing(Statements::Unnamed).await;
}

/// Raises the epoch, under its lock as a flip does, each time that a group is about to be committed.
struct Flips {
    database: Database,
    left: AtomicU64,
}

impl Probe for Flips {
    fn at(&self, point: &'static str) {
        let again = |left: u64| left.checked_sub(1);
        if point == "journal.before_commit"
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, again).is_ok()
        {
            let flip = "BEGIN; SELECT pg_advisory_xact_lock(8100126842342173698); \
                        UPDATE pinrail.heads SET epoch = epoch + 1; COMMIT";
            self.database.execute(flip);
        }
    }
}

/// I3: the epoch is held by the last statement, so one that rises before it is seen.
#[tokio::test]
async fn a_start_that_a_flip_overtakes_is_refused_and_those_beside_it_are_written() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let options = database.options();
    let probe = Arc::new(Flips { database, left: AtomicU64::new(1) });
    let store = Postgres::connect(Options { probe: probe.clone(), ..options }).await.unwrap();
    let written = store.journal_write(vec![current(0), starting(2)].into()).await;
    assert_eq!(probe.left.load(Ordering::Relaxed), 0);
    assert!(matches!(written[0], Err(WriteError::Stale { epoch: Epoch(1) })), "{written:?}");
    assert!(written[1].is_ok(), "{written:?}");
    assert!(store.journal_write(vec![current(1)].into()).await[0].is_ok());
}

/// What is refused leaves nothing behind, its content least of all: erasure would never find it.
#[tokio::test]
async fn a_batch_that_is_refused_under_the_lock_leaves_no_content() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let store = Postgres::connect(database.options()).await.unwrap();
    store.ledger_append(Append::of(entries(Head::START, 1, "job"))).await.unwrap();
    let load = batch(&author(7), 1, vec![set(&facts(), "k", "1")]);
    let late = store.state_append(Batch { open: Some(LedgerSeq(0)), ..load.clone() }).await;
    assert!(matches!(late, Err(AppendError::Ended { by: LedgerSeq(1) })), "{late:?}");
    let sql = Cluster::session(&database.url).await;
    let count = "SELECT (SELECT count(*) FROM pinrail.state_content), (SELECT count(*) FROM pinrail.state)";
    let row = &sql.query_typed(count, &[]).await.unwrap()[0];
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 0));
    drop(sql);

    // Another replica writes the key after the first look.
    let other = Arc::new(Others { store: database.open(), left: AtomicU64::new(1) });
    let store = Postgres::connect(Options { probe: other, ..database.options() }).await.unwrap();
    let expect = Expect { space: facts(), key: key("k"), newest: None };
    let moved = store.state_append(Batch { expect: Some(expect), ..load }).await;
    assert!(matches!(moved, Err(AppendError::Moved { newest: Some(StateSeq(1)) })), "{moved:?}");
    let sql = Cluster::session(&database.url).await;
    let row = &sql.query_typed(count, &[]).await.unwrap()[0];
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 1));
}

/// Writes the key through another replica, once, when an append is about to be sent.
struct Others {
    store: Postgres,
    left: AtomicU64,
}

impl Probe for Others {
    fn at(&self, point: &'static str) {
        if point != "state.before_commit" || self.left.swap(0, Ordering::Relaxed) == 0 {
            return;
        }
        let store = self.store.clone();
        let write = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let put = batch(&author(8), 1, vec![set(&facts(), "k", "2")]);
            runtime.unwrap().block_on(store.state_append(put)).unwrap();
        };
        std::thread::spawn(write).join().unwrap();
    }
}

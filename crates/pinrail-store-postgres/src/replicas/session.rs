//! The session of a replica: one connection that listens, keeps the replica's row fresh, and holds the lock of whoever leads.
//!
//! It lives in a thread with a runtime of its own. When the connection is lost, it is made again, with growing pauses; then all news
//! rise, since nobody knows what was missed, and leadership is gone until somebody asks for it again.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use pinrail_store::StoreError;
use pinrail_store::replicas::Term;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Connection, Row, SimpleQueryMessage, Socket};

use super::{Ask, Shared};
use crate::db::Param;
use crate::failure::{Failure, column, integer, number};
use crate::options::Options;
use crate::secure::SecureStream;
use crate::url::Address;

/// What one statement of the session may take.
const ANSWER_MS: u64 = 5_000;
/// How often a replica says that it is there while its lease lasts.
const BEATS_PER_LEASE: u64 = 5;
/// The shortest lease: less, and a healthy replica loses it to a busy moment.
const LEASE_MS_MIN: u64 = 100;
/// How often others are told that runs were written: each telling is one transaction without a write to disk.
pub(super) const JOURNAL_EVERY_MS: u64 = 20;
/// How often what is old is pruned, in beats.
const PRUNE_BEATS: u32 = 60;
/// Epochs of which it is kept who acknowledged them.
const EPOCHS_KEPT: u64 = 1_024;
/// Members that ended, or lapsed a day ago, and acknowledgements go with the flips that they were awaited for.
const PRUNE: &str = "\
    DELETE FROM pinrail.flips WHERE epoch <= (SELECT epoch FROM pinrail.heads) - KEPT; \
    DELETE FROM pinrail.members m WHERE least(m.ended_us, m.heard_us + m.lease_us) < least( \
    pinrail.now_us() - 86400000000, coalesce((SELECT min(at_us) FROM pinrail.flips), pinrail.now_us())); \
    DELETE FROM pinrail.epoch_acks a WHERE a.epoch <= (SELECT epoch FROM pinrail.heads) - KEPT \
    AND NOT EXISTS (SELECT 1 FROM pinrail.members m WHERE m.id = a.member AND m.generation = a.generation \
    AND m.acknowledged = a.epoch);";
/// The first pause before connecting again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Why a replica can't have the session that it needs.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Listening and leases would silently end with each transaction.
    #[error(
        "{place} is behind a transaction-mode pooler, which can't listen or hold a lease: name a direct address beside it \
         (PINRAIL_STORE_DIRECT), or pool by session"
    )]
    Pooled { place: String },
    #[error("cannot become a replica at {place}")]
    Store { place: String, source: StoreError },
}

/// A connection that is this replica's alone.
pub(super) struct Held {
    client: Client,
    /// Passes on what is heard; ends with the connection.
    driver: JoinHandle<()>,
    shared: Arc<Shared>,
    /// The server's process; another one would mean that a pooler stands in between.
    pid: i32,
    /// The term that was begun in this session.
    pub(super) term: Option<Term>,
    beat_ms: u64,
}

struct Settings {
    direct: Address,
    connect_timeout: Duration,
    lease_ms: u64,
    name: String,
    shared: Arc<Shared>,
}

/// Why a session ended.
enum Ended {
    /// Nobody needs it any more.
    Done,
    Lost,
}

/// Starts the thread; returns once the first session stands.
pub(super) async fn begin(
    direct: &Address,
    options: &Options,
    shared: Arc<Shared>,
    asked: mpsc::Receiver<Ask>,
) -> Result<(), SessionError> {
    let settings = Settings {
        direct: direct.clone(),
        connect_timeout: options.connect_timeout(),
        lease_ms: options.lease_ms.max(LEASE_MS_MIN),
        name: options.replica.clone(),
        shared,
    };
    let place = direct.place.clone();
    let unavailable = |why: &str| SessionError::Store {
        place: place.clone(),
        source: Failure::unavailable(why.to_owned()).into(),
    };
    let (ready, is_ready) = oneshot::channel();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(live(settings, asked, ready)),
            Err(_) => drop(ready),
        }
    };
    let started = thread::Builder::new().name("pinrail-session".to_owned()).spawn(work);
    started.map_err(|error| unavailable(&error.to_string()))?;
    is_ready.await.map_err(|_| unavailable("its thread didn't start"))?
}

async fn live(
    settings: Settings,
    mut asked: mpsc::Receiver<Ask>,
    ready: oneshot::Sender<Result<(), SessionError>>,
) {
    let mut held = match settings.connect().await {
        Ok(held) => held,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    loop {
        let ended = held.serve(&mut asked).await;
        drop(held);
        match ended {
            Ended::Done => return,
            Ended::Lost => {}
        }
        match settings.connect_again(&mut asked).await {
            Some(again) => held = again,
            None => return,
        }
        settings.shared.news.send_modify(|news| {
            news.ledger += 1;
            news.state += 1;
            news.journal += 1;
            news.rest += 1;
        });
    }
}

impl Settings {
    /// Tries until there is a session; meanwhile nobody leads. None once nobody needs it any more.
    async fn connect_again(&self, asked: &mut mpsc::Receiver<Ask>) -> Option<Held> {
        let mut pause = PAUSE;
        loop {
            let mut why = match self.connect().await {
                Ok(held) => return Some(held),
                Err(error) => Some(error),
            };
            let until = Instant::now() + pause;
            pause = (pause * 2).min(PAUSE_MAX);
            loop {
                let ask = tokio::select! {
                    ask = asked.recv() => ask?,
                    () = sleep_until(until) => break,
                };
                let text = why.take().map_or_else(
                    || "the session of this replica is lost".to_owned(),
                    |error| crate::failure::chain(&error),
                );
                ask.fail(Failure::unavailable(text).into());
            }
        }
    }

    async fn connect(&self) -> Result<Held, SessionError> {
        let place = || self.direct.place.clone();
        let store = |failure: Failure| SessionError::Store { place: place(), source: failure.into() };
        let limit = self.connect_timeout + Duration::from_millis(ANSWER_MS);
        let silent = |_| store(Failure::unavailable("the server doesn't answer"));
        let opened = timeout(limit, self.open()).await.map_err(silent)?;
        opened.map_err(store)?.ok_or_else(|| SessionError::Pooled { place: place() })
    }

    /// None where it isn't one session from one statement to the next.
    async fn open(&self) -> Result<Option<Held>, Failure> {
        let (client, connection) = self.direct.config.connect(self.direct.secure.clone()).await?;
        let driver = tokio::spawn(drive(connection, Arc::clone(&self.shared)));
        let mut held = Held {
            client,
            driver,
            shared: Arc::clone(&self.shared),
            pid: 0,
            term: None,
            beat_ms: self.lease_ms / BEATS_PER_LEASE,
        };
        held.pid = held.backend().await?;
        if self.is_pooled(&held).await? {
            return Ok(None);
        }
        let lease_ms = self.lease_ms;
        let begin = format!(
            "SET statement_timeout = {ANSWER_MS}; SET lock_timeout = {ANSWER_MS}; \
             SET idle_in_transaction_session_timeout = {lease_ms}; SET idle_session_timeout = {lease_ms}; \
             SET synchronous_commit = off; SET default_transaction_isolation = 'read committed'; LISTEN pinrail;"
        );
        held.client.batch_execute(&begin).await?;
        held.enter(&self.name).await?;
        Ok(Some(held))
    }

    /// A pooler gives the session that we just used to the next who asks for one, or us another than before.
    async fn is_pooled(&self, held: &Held) -> Result<bool, Failure> {
        let (client, connection) = self.direct.config.connect(self.direct.secure.clone()).await?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        client.batch_execute("BEGIN").await?;
        let rows = client.query_typed("SELECT pg_catalog.pg_backend_pid()", &[]).await?;
        let other: i32 = column(first(&rows)?, 0, "a session")?;
        let again = held.backend().await?;
        drop(client);
        let _ = driver.await;
        Ok(other == held.pid || again != held.pid)
    }
}

impl Held {
    async fn serve(&mut self, asked: &mut mpsc::Receiver<Ask>) -> Ended {
        let shared = Arc::clone(&self.shared);
        let mut beats = interval(Duration::from_millis(self.beat_ms));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut beat, mut told) = (0_u32, None::<Instant>);
        loop {
            let done = tokio::select! {
                _ = &mut self.driver => return Ended::Lost,
                ask = asked.recv() => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => return Ended::Done,
                },
                _ = beats.tick() => {
                    beat = beat.wrapping_add(1);
                    self.keep(beat.is_multiple_of(PRUNE_BEATS)).await
                }
                () = due(&shared, told) => {
                    told = Some(Instant::now());
                    self.ask("SELECT pg_catalog.pg_notify('pinrail', 'journal')", &[]).await.map(drop)
                }
            };
            if done.is_err() {
                return Ended::Lost;
            }
        }
    }

    async fn answer(&mut self, ask: Ask) -> Result<(), Failure> {
        match ask {
            Ask::Lead(reply) => pass_on(self.lead().await, reply),
            Ask::Resign(reply) => pass_on(self.resign().await, reply),
        }
    }

    /// Runs a statement on the session; whoever gets no answer takes the session for lost.
    pub(super) async fn ask(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        let answered = timeout(Duration::from_millis(ANSWER_MS), self.client.query_typed(sql, params)).await;
        Ok(answered.map_err(|_| Failure::unavailable("the server doesn't answer"))??)
    }

    /// The same of several without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        let answered = timeout(Duration::from_millis(ANSWER_MS), self.client.batch_execute(sql)).await;
        Ok(answered.map_err(|_| Failure::unavailable("the server doesn't answer"))??)
    }

    /// The same, and gives the first value that one of them gave.
    pub(super) async fn script(&self, sql: &str) -> Result<Option<String>, Failure> {
        let answered = timeout(Duration::from_millis(ANSWER_MS), self.client.simple_query(sql)).await;
        let said = answered.map_err(|_| Failure::unavailable("the server doesn't answer"))??;
        let value = |said: &SimpleQueryMessage| {
            let SimpleQueryMessage::Row(row) = said else { return None };
            row.get(0).map(str::to_owned)
        };
        Ok(said.iter().find_map(value))
    }

    /// This process, as the others know it.
    pub(super) fn me(&self) -> i64 {
        integer(self.shared.me.load(Ordering::Acquire))
    }

    async fn backend(&self) -> Result<i32, Failure> {
        let rows = self.ask("SELECT pg_catalog.pg_backend_pid()", &[]).await?;
        column(first(&rows)?, 0, "a session")
    }

    async fn keep(&self, prune: bool) -> Result<(), Failure> {
        if !self.is_known().await? {
            // Made anew with the next session: what this one holds was the other's.
            return Err(Failure::unavailable("this replica was given up by the others"));
        }
        if prune { self.prune().await } else { Ok(()) }
    }

    /// Becomes a replica, or goes on being the one that it was.
    async fn enter(&self, name: &str) -> Result<(), Failure> {
        if self.is_known().await? {
            return Ok(());
        }
        let sql =
            "INSERT INTO pinrail.replicas (name, pid) VALUES ($1, pg_catalog.pg_backend_pid()) RETURNING id";
        let rows = self.ask(sql, &[(&name, Type::TEXT)]).await?;
        self.shared.me.store(number(first(&rows)?, 0, "a replica")?, Ordering::Release);
        Ok(())
    }

    /// Says that it is there. False where its row is gone, since the others gave it up.
    async fn is_known(&self) -> Result<bool, Failure> {
        let sql = "UPDATE pinrail.replicas SET heard_us = pinrail.now_us(), pid = pg_catalog.pg_backend_pid() \
                   WHERE id = $1 RETURNING pid";
        let rows = self.ask(sql, &[(&self.me(), Type::INT8)]).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        if column::<i32>(row, 0, "a replica")? != self.pid {
            return Err(Failure::unavailable("a pooler gave the session to somebody else"));
        }
        Ok(true)
    }

    /// Forgets how old epochs were received.
    async fn prune(&self) -> Result<(), Failure> {
        self.batch(&PRUNE.replace("KEPT", &EPOCHS_KEPT.to_string())).await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The connection closes, and the server lets go of what the session held.
        self.driver.abort();
    }
}

impl Ask {
    fn fail(self, error: StoreError) {
        match self {
            Ask::Lead(reply) => drop(reply.send(Err(error))),
            Ask::Resign(reply) => drop(reply.send(Err(error))),
        }
    }
}

impl Shared {
    /// Takes in a notification: `ledger:SEQ`, `state:SEQ`, `journal` or `rest`.
    fn hear(&self, payload: &str) {
        let what = payload.split_once(':').map_or(payload, |(what, _)| what);
        self.news.send_if_modified(|news| {
            let risen = match what {
                "ledger" => &mut news.ledger,
                "state" => &mut news.state,
                "journal" => &mut news.journal,
                "rest" => &mut news.rest,
                // Of a version to come.
                _ => return false,
            };
            *risen += 1;
            true
        });
    }
}

/// Drives the connection until it ends, and passes on what is heard.
async fn drive(mut connection: Connection<Socket, SecureStream<Socket>>, shared: Arc<Shared>) {
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        // What the server says beside (that it stops, for example) shows in the connection's end.
        if let AsyncMessage::Notification(heard) = message {
            shared.hear(heard.payload());
        }
    }
}

/// Waits until others are to be told that runs were written.
async fn due(shared: &Shared, told: Option<Instant>) {
    shared.wrote.notified().await;
    if let Some(told) = told {
        let next = told + Duration::from_millis(JOURNAL_EVERY_MS);
        sleep(next.saturating_duration_since(Instant::now())).await;
    }
}

/// Tells whoever asked; an error is also the session's, so that it is made anew.
fn pass_on<T>(
    result: Result<T, Failure>,
    reply: oneshot::Sender<Result<T, StoreError>>,
) -> Result<(), Failure> {
    match result {
        Ok(value) => {
            let _ = reply.send(Ok(value));
            Ok(())
        }
        Err(failure) => {
            let _ = reply.send(Err(failure.error.clone()));
            Err(failure)
        }
    }
}

pub(super) fn first(rows: &[Row]) -> Result<&Row, Failure> {
    rows.first().ok_or_else(|| Failure::damaged("the store", "a statement gave no row"))
}

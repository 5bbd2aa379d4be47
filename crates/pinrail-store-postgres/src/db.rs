//! Sessions and transactions: how every statement of this crate is run.
//!
//! - **Reading** is [`Postgres::rows`] and [`Postgres::maybe`]: one statement, tried again once its connection was lost.
//! - **Writing** is [`repeat`] around a function that calls [`Postgres::begin`], works, and ends with [`Tx::commit`]. A
//!   transaction that was undone by another one, or lost its connection before its COMMIT, is tried again; one whose COMMIT
//!   went unanswered is not, and is `Unavailable`: nobody knows.
//! - **What a rollback waits for**, the heads and the epoch, is locked by a transaction's last statement alone, and by way of
//!   [`Tx::conclude`]: this process may be stopped at any moment, and would go on holding it (I7).
//! - Parameters come with their types, so that [`Statements::Unnamed`] needs no statement with a name and works through a
//!   transaction-mode pooler. Columns and parameters are of built-in types alone: an extension's (`vector`) would
//!   be looked up by a statement with a name, so cast them to and from text or `real[]` in SQL.
//! - A future that is dropped in the middle, an answer that doesn't come, a transaction without its end: the connection
//!   is closed and the server undoes the rest. None of them ever goes back to the pool.

use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Connection, Error, Row, Socket};

use crate::Postgres;
use crate::failure::Failure;
use crate::options::{Options, Statements};
use crate::secure::{Secure, SecureStream};
use crate::url::Address;

/// A parameter and its type.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// Who waits for whom: lists never stand in the way of a call, its journal or a rollback (I7, I9, I13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The ledger, and questions about one thing that an index finds.
    Quick,
    /// What is journaled. One group at a time, so nobody waits here.
    Journal,
    /// State, lists, searches and pages.
    Work,
}

pub(crate) struct Pools {
    quick: Pool,
    journal: Pool,
    work: Pool,
}

/// Connections for questions about one thing: each takes microseconds. One may be held by an append to the ledger.
const QUICK_CONNECTIONS: usize = 4;
/// One group is written at a time. The other is made while a connection that went silent is still being given up.
const JOURNAL_CONNECTIONS: usize = 2;
/// How often a transaction is tried again. Others got through each time, so this is a very busy store.
const REPEATS_MAX: u32 = 12;
/// The first pause before trying again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(64);

impl Pools {
    pub(crate) fn new(address: &Address, options: &Options) -> Pools {
        let pool = |size: usize| {
            let connect = Connecting { secure: address.secure.clone(), options: options.clone() };
            let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
            let manager = Manager::from_connect(address.config.clone(), connect, recycling);
            let wait = Some(options.connect_timeout());
            Pool::builder(manager)
                .max_size(size)
                .runtime(Runtime::Tokio1)
                .wait_timeout(wait)
                .create_timeout(wait)
                .recycle_timeout(wait)
                .build()
                .expect("a runtime is named")
        };
        Pools {
            quick: pool(QUICK_CONNECTIONS),
            journal: pool(JOURNAL_CONNECTIONS),
            work: pool(options.pool_max.max(1)),
        }
    }
}

/// Makes a connection of the pool and tells its session what every session is told.
struct Connecting {
    secure: Secure,
    options: Options,
}

impl deadpool_postgres::Connect for Connecting {
    fn connect(
        &self,
        config: &tokio_postgres::Config,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = Result<(Client, tokio::task::JoinHandle<()>), Error>> + Send + '_>,
    > {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = config.connect(self.secure.clone()).await?;
            // Ends with the connection; whoever uses it is told of errors.
            let task = tokio::spawn(async move { drop(connection.await) });
            if self.options.statements == Statements::Prepared {
                client.batch_execute(&self.options.settings("SESSION")).await?;
            }
            Ok((client, task))
        })
    }
}

/// A connection from a pool.
pub(crate) struct Session {
    object: Option<Object>,
    statements: Statements,
    answer_timeout: Duration,
    /// Set while an answer is awaited, and for good when it didn't come: the connection isn't for anybody else then.
    unfit: AtomicBool,
    /// A statement failed, so a COMMIT would be a ROLLBACK.
    failed: AtomicBool,
}

/// A transaction. Undone, by closing its connection, unless it is committed or rolled back.
pub(crate) struct Tx {
    session: Session,
}

impl Postgres {
    /// A session of a lane. For reads, prefer [`Postgres::rows`].
    pub(crate) async fn session(&self, lane: Lane) -> Result<Session, Failure> {
        let pool = match lane {
            Lane::Quick => &self.inner.pools.quick,
            Lane::Journal => &self.inner.pools.journal,
            Lane::Work => &self.inner.pools.work,
        };
        let options = &self.inner.options;
        Ok(Session {
            object: Some(pool.get().await?),
            statements: options.statements,
            answer_timeout: options.answer_timeout(),
            unfit: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        })
    }

    /// Begins a transaction (read committed).
    pub(crate) async fn begin(&self, lane: Lane) -> Result<Tx, Failure> {
        let tx = Tx { session: self.session(lane).await? };
        let begin = match self.inner.options.statements {
            Statements::Prepared => "BEGIN".to_owned(),
            // The session may be anybody's, so what it is told ends with the transaction.
            Statements::Unnamed => {
                format!("BEGIN ISOLATION LEVEL READ COMMITTED; {}", self.inner.options.settings("LOCAL"))
            }
        };
        // From here on only an orderly end makes the connection fit for others again: what fails after the BEGIN leaves it open.
        tx.unfit.store(true, Ordering::Relaxed);
        tx.batch(&begin).await?;
        Ok(tx)
    }

    /// Reads rows with one statement.
    pub(crate) async fn rows(
        &self,
        lane: Lane,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Failure> {
        repeat(|| async { self.session(lane).await?.rows(sql, params).await }).await
    }

    /// Reads the one row that there may be.
    pub(crate) async fn maybe(
        &self,
        lane: Lane,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Option<Row>, Failure> {
        Ok(self.rows(lane, sql, params).await?.into_iter().next())
    }

    /// Writes with one statement; tells how many rows it touched.
    pub(crate) async fn change(&self, lane: Lane, sql: &str, params: &[Param<'_>]) -> Result<u64, Failure> {
        let changed = repeat(|| async {
            let tx = self.begin(lane).await?;
            let touched = tx.execute(sql, params).await?;
            tx.commit().await?;
            Ok(touched)
        });
        changed.await
    }
}

impl Postgres {
    /// A connection outside the pool, by [`Options::direct_url`] where there is one: for what a session must hold.
    ///
    /// The caller drives the connection, and hears its notifications.
    pub(crate) async fn direct(&self) -> Result<(Client, Connection<Socket, SecureStream<Socket>>), Failure> {
        let Address { config, secure, .. } = &self.inner.direct;
        let connecting = config.connect(secure.clone());
        match tokio::time::timeout(self.inner.options.connect_timeout(), connecting).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(Failure::unavailable("the server doesn't answer")),
        }
    }
}

impl Session {
    /// All rows of a statement.
    pub(crate) async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        let client = self.object();
        self.answer(async {
            match self.statements {
                Statements::Unnamed => client.query_typed(sql, params).await,
                Statements::Prepared => {
                    let types: Vec<Type> = params.iter().map(|(_, of)| of.clone()).collect();
                    let statement = client.prepare_typed_cached(sql, &types).await?;
                    let values: Vec<_> = params.iter().map(|(value, _)| *value).collect();
                    client.query(&statement, &values).await
                }
            }
        })
        .await
    }

    /// The one row of a statement; that there is one is the statement's promise.
    pub(crate) async fn row(&self, sql: &str, params: &[Param<'_>]) -> Result<Row, Failure> {
        let row = self.maybe(sql, params).await?;
        row.ok_or_else(|| Failure::damaged("the store", format_args!("no row for `{sql}`")))
    }

    /// The first row of a statement, if it has any.
    pub(crate) async fn maybe(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, Failure> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Runs a statement; tells how many rows it touched.
    pub(crate) async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, Failure> {
        let client = self.object();
        self.answer(async {
            match self.statements {
                Statements::Unnamed => client.execute_typed(sql, params).await,
                Statements::Prepared => {
                    let types: Vec<Type> = params.iter().map(|(_, of)| of.clone()).collect();
                    let statement = client.prepare_typed_cached(sql, &types).await?;
                    let values: Vec<_> = params.iter().map(|(value, _)| *value).collect();
                    client.execute(&statement, &values).await
                }
            }
        })
        .await
    }

    /// Runs statements without parameters.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        let client = self.object();
        self.answer(client.batch_execute(sql)).await
    }

    fn object(&self) -> &Object {
        self.object.as_ref().expect("a session has its connection until it is dropped")
    }

    /// Waits for an answer, but not forever: a server that was stopped in its tracks says nothing at all.
    async fn answer<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        let was_unfit = self.unfit.swap(true, Ordering::Relaxed);
        let answered = tokio::time::timeout(self.answer_timeout, asked).await;
        let result = match answered {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::from(error)),
            Err(_) => {
                self.failed.store(true, Ordering::Relaxed);
                return Err(Failure::unavailable("the server doesn't answer"));
            }
        };
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.unfit.store(was_unfit, Ordering::Relaxed);
        result
    }
}

impl Tx {
    /// Commits. An error says whether it may be tried again; see [`Failure::at_commit`].
    pub(crate) async fn commit(self) -> Result<(), Failure> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Failure::unavailable("a statement failed, so its transaction was undone"));
        }
        if self.session.object().is_closed() {
            return Err(Failure::cut_off());
        }
        let committing = self.session.object().batch_execute("COMMIT");
        match tokio::time::timeout(self.session.answer_timeout, committing).await {
            Ok(Ok(())) => {
                self.session.unfit.store(false, Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(error)) => Err(Failure::at_commit(error)),
            Err(_) => Err(Failure::unavailable("the server didn't answer the commit")),
        }
    }

    /// Carries out the last statement and commits, both sent together: what the statement locks is let go of by the server alone, even
    /// if this process is stopped as soon as it has asked (I7). Gives the statement's rows; where it fails, all is undone. An error says
    /// whether it may be tried again.
    pub(crate) async fn conclude(self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Failure::unavailable("a statement failed, so its transaction was undone"));
        }
        let client = self.session.object();
        let statement = match self.session.statements {
            Statements::Unnamed => None,
            Statements::Prepared => {
                let types: Vec<Type> = params.iter().map(|(_, of)| of.clone()).collect();
                Some(self.session.answer(client.prepare_typed_cached(sql, &types)).await?)
            }
        };
        if client.is_closed() {
            return Err(Failure::cut_off());
        }
        let values: Vec<_> = params.iter().map(|(value, _)| *value).collect();
        let asking = async {
            match &statement {
                None => client.query_typed(sql, params).await,
                Some(statement) => client.query(statement, &values).await,
            }
        };
        // Sent in this order, by the first poll of both.
        let both = async { tokio::join!(biased; asking, client.batch_execute("COMMIT")) };
        let (rows, committed) = match tokio::time::timeout(self.session.answer_timeout, both).await {
            Ok(answered) => answered,
            Err(_) => return Err(Failure::unavailable("the server didn't answer the commit")),
        };
        // A COMMIT after a statement that failed undoes, and then the connection is as good as before.
        self.session.unfit.store(committed.is_err(), Ordering::Relaxed);
        // Without an answer to the first, the second may have been carried out all the same.
        let rows = rows.map_err(Failure::at_commit)?;
        committed.map_err(Failure::at_commit)?;
        Ok(rows)
    }

    /// Undoes all of it and keeps the connection for others.
    pub(crate) async fn rollback(self) -> Result<(), Failure> {
        self.session.batch("ROLLBACK").await?;
        self.session.unfit.store(false, Ordering::Relaxed);
        Ok(())
    }
}

impl Deref for Tx {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if *self.unfit.get_mut()
            && let Some(object) = self.object.take()
        {
            // Out of the pool, and closed.
            drop(Object::take(object));
        }
    }
}

/// Carries out a transaction, again when it was surely undone.
pub(crate) async fn repeat<T, F>(once: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut pause = PAUSE;
    for _ in 0..REPEATS_MAX {
        match once().await {
            Err(failure) if failure.may_repeat() => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            result => return result,
        }
    }
    once().await
}

#[cfg(test)]
mod tests;

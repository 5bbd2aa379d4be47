//! Replicas in PostgreSQL.
//!
//! What needs a session that is nobody else's (listening, and the lock of whoever leads) is done by [`session`] on a connection of
//! its own, in a thread of its own: it goes on when the process is busy, and ends when the process is stopped or cut off, because
//! the server ends a session that says nothing for [`Options::lease_ms`]. Everything else goes through the pool.
//!
//! 1. **Who leads** holds an advisory lock in its session; the lock ends with the session, and the server knows of both. Taking it
//!    begins a term, one above the last, under the lock of `heads`: an append that names an older term is refused from then on.
//! 2. **News** are notifications. Writers of the ledger, of state and of the rest notify in their transactions. Journals don't:
//!    NOTIFY takes a lock of the whole server at commit, which thousands of writes a second would wait for. They are told of by
//!    their replica's session, as often as [`session::JOURNAL_EVERY_MS`] allows, outside of any write.
//! 3. **A replica that was given up** (its row is gone) takes another id before it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::replicas::{Lead, News, Reached, Replica, ReplicaId, Replicas, Term, Touched};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::Postgres;
use crate::db::{Lane, Param, Session};
use crate::failure::{Failure, column, integer, natural, number};
use crate::options::Options;
use crate::url::Address;

mod leading;
mod session;
mod touched;

pub use session::SessionError;

/// This process among the replicas. Its session ends with it.
pub(crate) struct Here {
    shared: Arc<Shared>,
    asks: mpsc::Sender<Ask>,
}

/// What the session and the rest of the process both know.
struct Shared {
    /// Zero until the first session.
    me: AtomicU64,
    news: watch::Sender<News>,
    /// Runs were written that nobody was told of yet.
    wrote: Notify,
}

/// What only the session can do.
enum Ask {
    Lead(oneshot::Sender<Result<Option<Term>, StoreError>>),
    Resign(oneshot::Sender<Result<(), StoreError>>),
}

/// Questions that wait for the session: nobody asks more than a few at once.
const ASKS_MAX: usize = 16;

impl Here {
    /// Becomes a replica: makes its row, and listens.
    pub(crate) async fn open(direct: &Address, options: &Options) -> Result<Here, SessionError> {
        let shared = Arc::new(Shared {
            me: AtomicU64::new(0),
            news: watch::Sender::new(News::default()),
            wrote: Notify::new(),
        });
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        session::begin(direct, options, Arc::clone(&shared), asked).await?;
        Ok(Here { shared, asks })
    }

    /// This process.
    pub(crate) fn me(&self) -> ReplicaId {
        ReplicaId(self.shared.me.load(Ordering::Acquire))
    }

    /// Has the others told, soon, that runs were written. To be called after each commit; costs nothing.
    pub(crate) fn wrote_runs(&self) {
        self.shared.wrote.notify_one();
    }

    async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Ask,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::from(Failure::unavailable("the session of this replica has ended"));
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[async_trait]
impl Replicas for Postgres {
    fn is_shared(&self) -> bool {
        true
    }

    fn replica(&self) -> ReplicaId {
        self.inner.here.me()
    }

    fn news(&self) -> watch::Receiver<News> {
        self.inner.here.shared.news.subscribe()
    }

    async fn lead(&self) -> Result<Option<Term>, StoreError> {
        self.inner.here.ask(Ask::Lead).await
    }

    async fn resign(&self) -> Result<(), StoreError> {
        self.inner.here.ask(Ask::Resign).await
    }

    async fn replica_list(&self) -> Result<Vec<Replica>, StoreError> {
        let sql = format!(
            "SELECT id, name, started_us, greatest(pinrail.now_us() - heard_us, 0), n.term, n.since \
             FROM pinrail.replicas r \
             LEFT JOIN (SELECT term, replica, since FROM pinrail.leaders ORDER BY term DESC LIMIT 1) n \
             ON n.replica = r.id AND EXISTS ({}) ORDER BY id",
            leading::held_by("r.pid")
        );
        let rows = self.rows(Lane::Work, &sql, &[]).await?;
        Ok(rows.iter().map(replica).collect::<Result<_, _>>()?)
    }

    async fn replica_forget(&self, replica: ReplicaId, silent_ms: u64) -> Result<bool, StoreError> {
        // A row that is being renewed at this moment is looked at again once it was.
        let sql =
            "DELETE FROM pinrail.replicas WHERE id = $1 AND greatest(pinrail.now_us() - heard_us, 0) >= $2";
        let silent_us = integer(silent_ms.saturating_mul(1_000));
        let params: [Param<'_>; 2] = [(&integer(replica.0), Type::INT8), (&silent_us, Type::INT8)];
        Ok(self.change(Lane::Work, sql, &params).await? == 1)
    }

    async fn reached(&self) -> Result<Reached, StoreError> {
        Ok(touched::reached(self).await?)
    }

    async fn runs_touched(&self, after: &Reached, limit: usize) -> Result<Touched, StoreError> {
        Ok(touched::runs(self, after, limit).await?)
    }
}

/// Tells all replicas, when this transaction commits, that something beside ledger, state and journals changed.
pub(crate) async fn tell_rest(db: &Session) -> Result<(), Failure> {
    db.execute("SELECT pg_catalog.pg_notify('pinrail', 'rest')", &[]).await.map(drop)
}

fn replica(row: &Row) -> Result<Replica, Failure> {
    let id = ReplicaId(number(row, 0, "a replica")?);
    let term = column::<Option<i64>>(row, 4, id)?.map(natural).map(Term);
    let since = column::<Option<i64>>(row, 5, id)?.map(natural).map(Timestamp);
    Ok(Replica {
        id,
        name: column(row, 1, id)?,
        started_at: Timestamp(number(row, 2, id)? / 1_000),
        silent_ms: number(row, 3, id)? / 1_000,
        leads: term.zip(since).map(|(term, since)| Lead { term, since }),
    })
}

#[cfg(test)]
mod tests;

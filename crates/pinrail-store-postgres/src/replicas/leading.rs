//! Who leads: a lock that lives as long as a session, and a term for each time that it was taken.
//!
//! Nothing here is remembered between two questions but which term this session began: whether it still holds the lock, and
//! whether its term is still the newest, the server says each time.

use pinrail_store::replicas::Term;
use tokio_postgres::types::Type;

use super::session::{Held, first};
use crate::failure::{Failure, column, natural};

/// The leader's lock. Stored by nobody, but shared by all versions: never change.
const LOCK: (u32, u32) = (0x7069_6e72, 0x6c65_6164);

impl Held {
    /// Leads, or goes on leading, if nobody else does.
    pub(super) async fn lead(&mut self) -> Result<Option<Term>, Failure> {
        let holds = format!(
            "SELECT EXISTS ({}), (SELECT term FROM newest), (SELECT replica FROM newest)",
            held_by("pg_catalog.pg_backend_pid()")
        );
        let sql = format!(
            "WITH newest AS (SELECT term, replica FROM pinrail.leaders ORDER BY term DESC LIMIT 1) {holds}"
        );
        let rows = self.ask(&sql, &[]).await?;
        let row = first(&rows)?;
        let what = "who leads";
        let holds: bool = column(row, 0, what)?;
        let newest = column::<Option<i64>>(row, 1, what)?.map(natural).map(Term);
        let is_me = column::<Option<i64>>(row, 2, what)? == Some(self.me());
        if holds && is_me && self.term.is_some() && self.term == newest {
            return Ok(self.term);
        }
        self.term = None;
        if !holds {
            let sql = "SELECT pg_catalog.pg_try_advisory_lock($1)";
            let rows = self.ask(sql, &[(&lock(), Type::INT8)]).await?;
            if !column::<bool>(first(&rows)?, 0, what)? {
                return Ok(None);
            }
        }
        self.term = Some(self.begin_term().await?);
        Ok(self.term)
    }

    /// Leads no more.
    pub(super) async fn resign(&mut self) -> Result<(), Failure> {
        self.term = None;
        // Whoever doesn't hold the lock is warned by the server, so it is looked at first.
        let sql = format!(
            "SELECT pg_catalog.pg_advisory_unlock($1) WHERE EXISTS ({})",
            held_by("pg_catalog.pg_backend_pid()")
        );
        self.ask(&sql, &[(&lock(), Type::INT8)]).await.map(drop)
    }

    /// One above the last. No append to the ledger is under way meanwhile, so whoever is past its check has committed.
    ///
    /// All of it is sent at once: whoever is stopped in the middle doesn't keep the heads from others (I7).
    async fn begin_term(&self) -> Result<Term, Failure> {
        let me = self.me();
        let said = self
            .script(&format!(
                "BEGIN; SET LOCAL synchronous_commit = on; \
                 WITH risen AS (UPDATE pinrail.heads SET term = term + 1 RETURNING term) \
                 INSERT INTO pinrail.leaders (term, replica, since) \
                 SELECT term, {me}, pinrail.now_us() / 1000 FROM risen RETURNING term; COMMIT"
            ))
            .await?;
        let term = said.as_deref().and_then(|term| term.parse().ok());
        term.map(Term).ok_or_else(|| Failure::damaged("the heads", "their row is missing"))
    }
}

/// A condition for `EXISTS`: the leader's lock is held by the server's process `pid`.
pub(super) fn held_by(pid: &str) -> String {
    let (class, object) = LOCK;
    format!(
        "SELECT 1 FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.classid = {class} \
         AND l.objid = {object} AND l.objsubid = 1 AND l.pid = {pid} AND l.database = (SELECT oid \
         FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
    )
}

fn lock() -> i64 {
    let (class, object) = LOCK;
    i64::from(class) << 32 | i64::from(object)
}

//! The store on PostgreSQL: one schema `pinrail`, a pool of connections, several replicas at once.
//!
//! It carries out what the traits of `pinrail-store` promise and decides nothing: which event may follow and what
//! a run adds up to is `pinrail-domain`. It reads no clock and no environment, and no statement relies on a session: every name
//! is written in full, so that a transaction-mode pooler may stand in between.
//!
//! Start reading at [`Postgres::connect`], then `db` (how statements and transactions are run, and what is tried again),
//! `migrations/` (what a row is), `migrate` (how versions run side by side) and `failure`. There is one file for each trait.

mod answers;
mod artifacts;
mod db;
mod failure;
mod journal;
mod ledger;
mod migrate;
mod open;
mod options;
mod secure;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod url;

pub use migrate::{Access, MigrateError, Migrated};
pub use open::{Found, OpenError};
pub use options::{Options, Statements};

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use db::Pools;

/// An open store. Cloning it is cheap; all clones share the connections, which close with the last of them.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    pools: Pools,
    #[allow(dead_code, reason = "replicas listen and lead by it")]
    direct: url::Address,
    found: Found,
    /// Which replica this is: what runs that begin here are filed under. Zero until it joined the others.
    replica: AtomicU64,
    journal: journal::Keeping,
    spaces: state::Known,
    vectors: state::Indexes,
}

impl Postgres {
    /// What the server is, as seen when the store was opened.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.inner.found
    }
}

//! The store on PostgreSQL: one schema `pinrail`, a pool of connections, several replicas at once.
//!
//! It carries out what the traits of `pinrail-store` promise and decides nothing: which event may follow and what
//! a run adds up to is `pinrail-domain`. It reads no clock and no environment, and no statement relies on a session: every name
//! is written in full, so that a transaction-mode pooler may stand in between.
//!
//! Start reading at [`Postgres::connect`], then `db` (how statements and transactions are run, and what is tried again),
//! `migrations/` (what a row is), `migrate` (how versions run side by side) and `failure`. There is one file for each trait.

mod alone;
mod answers;
mod approvals;
mod artifacts;
mod conditions;
mod db;
mod deliveries;
mod failure;
mod gates;
mod journal;
mod ledger;
mod members;
mod migrate;
mod open;
mod options;
mod replicas;
mod secure;
mod sightings;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod transfer;
mod url;
mod watches;

pub use migrate::{Access, MigrateError, Migrated};
pub use open::{Found, OpenError};
pub use options::{Options, Statements};
pub use replicas::SessionError;
pub use transfer::Transfer;

use std::sync::Arc;

use db::Pools;

/// An open store. Cloning it is cheap; all clones share the connections, which close with the last of them.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    pools: Pools,
    direct: url::Address,
    found: Found,
    journal: journal::Keeping,
    spaces: state::Known,
    vectors: state::Indexes,
    /// This process among the replicas.
    here: replicas::Here,
}

impl Postgres {
    /// What the server is, as seen when the store was opened.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.inner.found
    }
}

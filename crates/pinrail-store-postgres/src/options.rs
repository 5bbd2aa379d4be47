//! How to open a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pinrail_store::{NoProbe, Probe};

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// `postgres://user@host:port/database?…`, several hosts with `target_session_attrs=read-write` included. `sslmode` is
    /// `disable`, `prefer`, `require`, `verify-ca` or `verify-full`; `sslrootcert`, `sslcert` and `sslkey` name PEM files.
    pub url: String,
    /// Where `url` leads to a transaction-mode pooler: the way around it, for what a session must hold (listening, leases).
    pub direct_url: Option<String>,
    pub statements: Statements,
    /// Connections at most for state, lists and searches. Beside them there are four for questions about one thing, two for journals, and
    /// one by [`Options::direct_url`].
    pub pool_max: usize,
    /// What one statement may take on the server. The client waits a little longer and then gives the connection up.
    pub statement_timeout_ms: u64,
    /// What a statement may wait for a row or a table that another transaction holds.
    pub lock_timeout_ms: u64,
    /// How long to wait for a connection, made anew or given back.
    pub connect_timeout_ms: u64,
    /// What a replica may stay silent: then the server ends its session, and whoever led leads no more. Says so five times as
    /// often.
    pub lease_ms: u64,
    /// Whose connections these are: the `application_name` is `pinrail/REPLICA`.
    pub replica: String,
    /// Brings the schema up first when that is due. Needs the rights of its owner.
    pub migrate: bool,
    /// Runs on a server with `fsync` or `full_page_writes` off, whose acknowledgements mean nothing (I9). For tests.
    pub allow_unsafe_server: bool,
    pub probe: Arc<dyn Probe>,
}

/// How statements are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statements {
    /// Prepared once per connection: for connections of our own, and poolers that know prepared statements.
    #[default]
    Prepared,
    /// Parsed each time, without a name: for transaction-mode poolers that don't know them.
    Unnamed,
}

impl Options {
    /// The usual options: eight connections, no statement over thirty seconds.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Options {
        Options {
            url: url.into(),
            direct_url: None,
            statements: Statements::Prepared,
            pool_max: 8,
            statement_timeout_ms: 30_000,
            lock_timeout_ms: 10_000,
            connect_timeout_ms: 5_000,
            lease_ms: LEASE_MS_DEFAULT,
            replica: "0".to_owned(),
            migrate: false,
            allow_unsafe_server: false,
            probe: Arc::new(NoProbe),
        }
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.max(1))
    }

    /// What the client waits for an answer: the server's own limit comes first, where the server lives.
    pub(crate) fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms.max(1)) + GRACE
    }

    /// What a transaction may be open and ask nothing, in milliseconds: then the server ends its session, and what it held is free.
    ///
    /// A replica that was stopped in the middle of one must not keep a rollback waiting (I7). So it is less than whoever waits for it
    /// waits, and than the others take to give the replica up. It has lost nothing: what was undone is tried again.
    pub(crate) fn idle_timeout_ms(&self) -> u64 {
        (self.lock_timeout_ms.min(self.lease_ms) / 2).max(IDLE_MS_MIN)
    }

    /// What a session or a transaction is told first. `scope` is `SESSION` or `LOCAL`.
    pub(crate) fn settings(&self, scope: &str) -> String {
        let Options { statement_timeout_ms, lock_timeout_ms, .. } = self;
        let idle_ms = self.idle_timeout_ms();
        // `remote_apply` is more than `on`, and the operator's choice; everything else is less.
        let local = scope == "LOCAL";
        let mut settings = format!(
            "SET {scope} statement_timeout = {statement_timeout_ms}; SET {scope} lock_timeout = {lock_timeout_ms}; \
             SET {scope} idle_in_transaction_session_timeout = {idle_ms}; \
             SELECT pg_catalog.set_config('synchronous_commit', CASE \
             pg_catalog.current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, {local});"
        );
        if !local {
            settings.push_str("SET SESSION default_transaction_isolation = 'read committed';");
            // Partial indexes and partitions are chosen by the values.
            settings.push_str("SET SESSION plan_cache_mode = force_custom_plan; SET SESSION jit = off;");
        }
        settings
    }
}

/// Some seconds, so that a moment of load costs nobody the lead, and a stopped leader is soon replaced.
const LEASE_MS_DEFAULT: u64 = 5_000;
/// A replica on a busy machine is late by less.
const IDLE_MS_MIN: u64 = 1_000;
/// What the client waits beyond the server's limit before it takes the connection for dead.
const GRACE: Duration = Duration::from_secs(5);

impl fmt::Debug for Options {
    /// Leaves the addresses out: they may hold a password (I15).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("statements", &self.statements)
            .field("pool_max", &self.pool_max)
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}

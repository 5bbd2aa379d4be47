//! Databases for tests, on the server that `PINRAIL_TEST_POSTGRES` names: a URL of a role that may create databases
//! and roles.
//!
//! Every test gets a database of its own, copied from a template that was migrated once, and dropped at the end. Stores open it as the
//! role of replicas, which may do as little as docs/postgres.md says.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "test code: a surprise must panic")]

mod server;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::Client;

use crate::url::Address;
use crate::{Access, Options, Postgres, migrate};

pub use server::Server;

/// The environment variable that names the server.
pub const SERVER: &str = "PINRAIL_TEST_POSTGRES";

/// The role of replicas, in every database of the server's tests.
pub const APP: &str = "pinrail_test_app";

/// A server on which tests may create databases.
#[derive(Clone)]
pub struct Cluster {
    url: String,
}

/// An empty, migrated database of one test; dropped with this.
pub struct Database {
    cluster: Cluster,
    name: String,
    pub url: String,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Cluster {
    /// The server that the environment names; where it names none, says loudly that the test is skipped.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        clippy::print_stderr,
        reason = "tests are told by whoever runs them"
    )]
    pub fn named_by_env() -> Option<Cluster> {
        let url = std::env::var(SERVER).ok().filter(|url| !url.is_empty());
        if url.is_none() {
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            eprintln!(
                "SKIPPED: {test} needs PostgreSQL; set {SERVER} to a URL of a role that may create databases and roles"
            );
        }
        Some(Cluster { url: url? })
    }

    /// A server by its URL.
    #[must_use]
    pub fn at(url: &str) -> Cluster {
        Cluster { url: url.to_owned() }
    }

    /// Makes a database. Blocks; call it from anywhere.
    #[must_use]
    pub fn database(&self) -> Database {
        let template = format!("pinrail_tests_{}", &migrate::fingerprint().to_string()[7..19]);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("pinrail_test_{}_{number}", std::process::id());
        let url = self.of(&name);
        let (cluster, made) = (self.clone(), name.clone());
        apart(async move {
            let client = cluster.client(&cluster.url).await;
            cluster.make_template(&client, &template).await;
            client.batch_execute(&format!("DROP DATABASE IF EXISTS {made} WITH (FORCE)")).await.unwrap();
            client.batch_execute(&format!("CREATE DATABASE {made} TEMPLATE {template}")).await.unwrap();
        });
        Database { cluster: self.clone(), name, url }
    }

    /// The URL of another database of this server.
    #[must_use]
    pub fn of(&self, database: &str) -> String {
        let (rest, query) =
            self.url.split_once('?').map_or((&*self.url, None), |(rest, query)| (rest, Some(query)));
        let (server, _) = rest.rsplit_once('/').expect("a URL with a database");
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{server}/{database}{query}")
    }

    /// Runs SQL in the server's own database. Blocks.
    pub fn execute(&self, sql: &str) {
        let (cluster, sql) = (self.clone(), sql.to_owned());
        apart(async move { cluster.client(&cluster.url).await.batch_execute(&sql).await.unwrap() });
    }

    async fn make_template(&self, client: &Client, template: &str) {
        // One process makes it; the others wait. It has its name only when it is whole.
        client.batch_execute("SELECT pg_advisory_lock(7069)").await.unwrap();
        let sql = format!("SELECT 1 FROM pg_database WHERE datname = '{template}'");
        if client.query_typed(&sql, &[]).await.unwrap().is_empty() {
            let unnamed = format!("{template}_making");
            client.batch_execute(&format!("DROP DATABASE IF EXISTS {unnamed} WITH (FORCE)")).await.unwrap();
            let create = format!("CREATE DATABASE {unnamed} ENCODING 'UTF8' TEMPLATE template0");
            client.batch_execute(&create).await.unwrap();
            Postgres::migrate(&self.of(&unnamed)).await.unwrap();
            let role = format!("SELECT FROM pg_roles WHERE rolname = '{APP}'");
            if client.query_typed(&role, &[]).await.unwrap().is_empty() {
                client.batch_execute(&format!("CREATE ROLE {APP} LOGIN")).await.unwrap();
            }
            Postgres::grant(&self.of(&unnamed), APP, Access::App).await.unwrap();
            let made = self.client(&self.of(&unnamed)).await;
            // Where it is installed on the server, tests have it.
            let _ = made.batch_execute("CREATE EXTENSION vector").await;
            drop(made);
            // What still closes its connection is not waited for.
            let end =
                format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{unnamed}'");
            client.batch_execute(&end).await.unwrap();
            client.batch_execute(&format!("ALTER DATABASE {unnamed} RENAME TO {template}")).await.unwrap();
        }
        client.batch_execute("SELECT pg_advisory_unlock(7069)").await.unwrap();
    }

    async fn client(&self, url: &str) -> Client {
        Cluster::session(url).await
    }

    /// A plain connection, driven on the runtime that asks.
    pub async fn session(url: &str) -> Client {
        let address = Address::parse(url, &Options::new(url)).unwrap();
        let (client, connection) = address.config.connect(address.secure).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        client
    }
}

impl Database {
    /// The usual options for it, as the role of replicas.
    #[must_use]
    pub fn options(&self) -> Options {
        // A server for tests may be one that syncs nothing.
        Options { pool_max: 4, allow_unsafe_server: true, ..Options::new(self.url_of(APP)) }
    }

    /// The same as the schema's owner, who copies stores and makes indexes of vectors.
    #[must_use]
    pub fn options_of_owner(&self) -> Options {
        Options { url: self.url.clone(), ..self.options() }
    }

    /// Opens it. Blocks; the connections are made where the store is used.
    #[must_use]
    pub fn open(&self) -> Postgres {
        let options = self.options();
        apart(async move { Postgres::connect(options).await.unwrap() })
    }

    /// Runs SQL in it, as the role of the URL and past the store. Blocks.
    pub fn execute(&self, sql: &str) {
        self.try_execute(&self.url, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Runs SQL in it by another URL; blocks.
    pub fn try_execute(&self, url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
        let (cluster, url, sql) = (self.cluster.clone(), url.to_owned(), sql.to_owned());
        apart(async move { cluster.client(&url).await.batch_execute(&sql).await })
    }

    /// Its URL for another role.
    #[must_use]
    pub fn url_of(&self, role: &str) -> String {
        let (scheme, rest) = self.url.split_once("://").expect("a URL");
        let (_, at) = rest.split_once('@').unwrap_or(("", rest));
        format!("{scheme}://{role}@{at}")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (cluster, name) = (self.cluster.clone(), self.name.clone());
        apart(async move {
            let client = cluster.client(&cluster.url).await;
            client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        });
    }
}

/// Runs a future on a thread and a runtime of its own, so that tests with any runtime, and their ends, can wait for it.
fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(work)
    });
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

//! Numbered migrations, and how two versions of Pinrail run over one schema.
//!
//! A file is applied once, in one transaction, and never changes again: its digest is kept. Its first line, `-- oldest: N`,
//! names the oldest Pinrail that may go on running beside it, by the last migration which that one knows. Files that only add (expand) leave N as it was;
//! one that takes something away (contract) raises it to the version whose code no longer needs what goes.
//!
//! A file whose second line is `-- concurrently` makes indexes, beside replicas that write, and so not in one transaction ([`indexes`]).
//! Cut off, it goes on where it was.
//!
//! So a store opens when every migration it knows is there, and all that came later still allow it.

use pinrail_domain::digest::Digest;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use self::indexes::Index;
use crate::failure::chain;
use crate::options::Options;
use crate::url::{Address, BadUrl};
use crate::{Postgres, open};

mod indexes;

/// What there is to apply. Append, never change: [`Migration::digest`] is compared with what was applied.
const MIGRATIONS: &[Migration] = &[
    migration(1, "core", include_str!("../migrations/V1__core.sql")),
    migration(2, "state", include_str!("../migrations/V2__state.sql")),
    migration(3, "rest", include_str!("../migrations/V3__rest.sql")),
    migration(4, "retention", include_str!("../migrations/V4__retention.sql")),
    migration(5, "guards", include_str!("../migrations/V5__guards.sql")),
    migration(6, "lists", include_str!("../migrations/V6__lists.sql")),
    migration(7, "lists_before", include_str!("../migrations/V7__lists_before.sql")),
    migration(8, "at_once", include_str!("../migrations/V8__at_once.sql")),
];

/// The lock that lets one process migrate at a time. Stored by nobody, but shared by all versions: never change.
const LOCK: i64 = 0x7069_6e72_6169_6c01;
/// How long it is waited for at a time: less than the second after which PostgreSQL looks for deadlocks.
const LOCK_WAIT_MS: u32 = 300;
/// What a migration may wait for a table: longer, and everybody who uses the table waits behind it.
const LOCK_TIMEOUT_MS: u32 = 3_000;
/// How often a migration that found a table in use is tried again.
const TRIES_MAX: u32 = 10;
/// Where it is kept what was applied.
const KEPT: &str = "CREATE SCHEMA IF NOT EXISTS pinrail; \
     CREATE TABLE IF NOT EXISTS pinrail.migrations (version int PRIMARY KEY, name text NOT NULL, \
     oldest int NOT NULL, digest bytea NOT NULL, at timestamptz NOT NULL DEFAULT now())";

struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

/// What bringing a schema up did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The migrations applied now, in order.
    pub applied: Vec<String>,
    /// The schema's version.
    pub version: i32,
}

/// Why a schema couldn't be brought up. What was applied before stays applied; every file is all or nothing.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("the store's URL can't be used")]
    Url(#[from] BadUrl),
    #[error("cannot connect to {place}")]
    Connect { place: String, source: tokio_postgres::Error },
    /// Somebody changed the schema by hand, or this is another program's.
    #[error("migration {version} of {place} isn't the one that this Pinrail knows")]
    Changed { place: String, version: i32 },
    #[error("cannot apply migration {name} to {place}: {}", chain(source))]
    Apply { place: String, name: String, source: tokio_postgres::Error },
    #[error("cannot give {role} its rights in {place}: {}", chain(source))]
    Grant { place: String, role: String, source: tokio_postgres::Error },
    #[error("cannot read the migrations of {place}")]
    Read { place: String, source: tokio_postgres::Error },
}

/// A migration that was applied.
pub(crate) struct Applied {
    pub(crate) version: i32,
    /// The oldest Pinrail that it allows.
    pub(crate) oldest: i32,
    digest: Vec<u8>,
}

impl Postgres {
    /// Brings the schema up, as its owner. Safe to call from several processes at once, and while replicas of the version
    /// before are running: migrations wait for tables for a moment at most, and try again.
    ///
    /// `url` must not lead through a transaction-mode pooler.
    pub async fn migrate(url: &str) -> Result<Migrated, MigrateError> {
        let options = Options::new(url);
        let address = Address::parse(url, &options)?;
        let (client, connection) = address
            .config
            .connect(address.secure.clone())
            .await
            .map_err(|source| MigrateError::Connect { place: address.place.clone(), source })?;
        let task = tokio::spawn(async move { drop(connection.await) });
        let migrated = run(&client, &address.place).await;
        drop(client);
        let _ = task.await;
        migrated
    }
}

/// What a role may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// What replicas do: nothing that changes history or the schema.
    App,
    /// Reading.
    Reader,
}

impl Postgres {
    /// Gives a role, which there must be, what it needs in the schema. As the schema's owner; again after each migration.
    pub async fn grant(url: &str, role: &str, access: Access) -> Result<(), MigrateError> {
        let options = Options::new(url);
        let address = Address::parse(url, &options)?;
        let place = || address.place.clone();
        let connecting = address.config.connect(address.secure.clone()).await;
        let (client, connection) =
            connecting.map_err(|source| MigrateError::Connect { place: place(), source })?;
        let task = tokio::spawn(async move { drop(connection.await) });
        let access = match access {
            Access::App => "app",
            Access::Reader => "reader",
        };
        let params: [(&(dyn ToSql + Sync), Type); 2] = [(&role, Type::TEXT), (&access, Type::TEXT)];
        let granted =
            client.query_typed("SELECT 1 FROM (SELECT pinrail.grant_to($1, $2)) AS done", &params).await;
        drop(client);
        let _ = task.await;
        granted.map_err(|source| MigrateError::Grant { place: place(), role: role.to_owned(), source })?;
        Ok(())
    }
}

/// The last migration that this Pinrail knows.
pub(crate) fn known() -> i32 {
    MIGRATIONS.last().expect("there is a first migration").version
}

/// Names what all migrations together say, so that databases made for tests aren't mistaken for others'.
#[cfg(feature = "testing")]
pub(crate) fn fingerprint() -> Digest {
    let all: Vec<u8> = MIGRATIONS.iter().flat_map(|migration| migration.sql.bytes()).collect();
    Digest::of(&all)
}

/// What was applied; nothing where there is no schema of ours.
pub(crate) async fn applied(client: &Client) -> Result<Vec<Applied>, tokio_postgres::Error> {
    let there =
        client.query_typed("SELECT pg_catalog.to_regclass('pinrail.migrations') IS NOT NULL", &[]).await?;
    if !there.first().is_some_and(|row| row.get(0)) {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, oldest, digest FROM pinrail.migrations ORDER BY version";
    let rows = client.query_typed(sql, &[]).await?;
    let applied =
        |row: &tokio_postgres::Row| Applied { version: row.get(0), oldest: row.get(1), digest: row.get(2) };
    Ok(rows.iter().map(applied).collect())
}

async fn run(client: &Client, place: &str) -> Result<Migrated, MigrateError> {
    let read = |source| MigrateError::Read { place: place.to_owned(), source };
    lock(client).await.map_err(read)?;
    let migrated = bring_up(client, place).await;
    // The lock ends with the connection as well.
    client.batch_execute(&format!("SELECT pg_catalog.pg_advisory_unlock({LOCK})")).await.map_err(read)?;
    migrated
}

/// Waits until no other process migrates. A little at a time: a statement that waits has a snapshot, and who makes an index concurrently
/// waits for all that are older.
async fn lock(client: &Client) -> Result<(), tokio_postgres::Error> {
    let sql = format!("SET lock_timeout = {LOCK_WAIT_MS}; SELECT pg_catalog.pg_advisory_lock({LOCK})");
    loop {
        match client.batch_execute(&sql).await {
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {}
            locked => return locked,
        }
    }
}

async fn bring_up(client: &Client, place: &str) -> Result<Migrated, MigrateError> {
    let read = |source| MigrateError::Read { place: place.to_owned(), source };
    let before = applied(client).await.map_err(read)?;
    let mut migrated =
        Migrated { applied: Vec::new(), version: before.last().map_or(0, |last| last.version) };
    for migration in MIGRATIONS {
        if let Some(applied) = before.iter().find(|applied| applied.version == migration.version) {
            if applied.digest != migration.digest().as_bytes() {
                return Err(MigrateError::Changed { place: place.to_owned(), version: migration.version });
            }
            continue;
        }
        let name = format!("V{}__{}", migration.version, migration.name);
        let apply = |source| MigrateError::Apply { place: place.to_owned(), name: name.clone(), source };
        migration.apply(client).await.map_err(apply)?;
        migrated.applied.push(name);
        migrated.version = migrated.version.max(migration.version);
    }
    Ok(migrated)
}

const fn migration(version: i32, name: &'static str, sql: &'static str) -> Migration {
    Migration { version, name, sql }
}

impl Migration {
    fn digest(&self) -> Digest {
        Digest::of(self.sql.as_bytes())
    }

    /// The `-- oldest: N` of the first line.
    fn oldest(&self) -> i32 {
        let line = self.sql.lines().next().unwrap_or_default();
        let number = line.strip_prefix("-- oldest: ").and_then(|number| number.trim().parse().ok());
        number.expect("a migration begins with `-- oldest: N`")
    }

    fn is_concurrent(&self) -> bool {
        self.sql.lines().nth(1) == Some("-- concurrently")
    }

    async fn apply(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let Migration { version, name, sql } = self;
        let (oldest, digest) = (self.oldest(), self.digest().to_string());
        let digest = digest.rsplit(':').next().unwrap_or_default();
        let applied = format!(
            "INSERT INTO pinrail.migrations (version, name, oldest, digest) \
             VALUES ({version}, '{name}', {oldest}, '\\x{digest}')"
        );
        if !self.is_concurrent() {
            return patiently(client, &format!("{KEPT};\n{sql}\n{applied}")).await;
        }
        let settings = "SET statement_timeout = 0; SET lock_timeout = 0; SET client_min_messages = warning";
        client.batch_execute(settings).await?;
        for index in Index::of_file(sql) {
            index.make(client).await?;
        }
        patiently(client, &applied).await
    }
}

/// Does it in one transaction that waits for no table longer than a moment, and tries again where one is in use.
async fn patiently(client: &Client, sql: &str) -> Result<(), tokio_postgres::Error> {
    let all = format!(
        "BEGIN; SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = 0; \
         SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL client_min_messages = warning; {sql}; COMMIT"
    );
    let mut tries = 1;
    loop {
        let Err(error) = client.batch_execute(&all).await else { return Ok(()) };
        client.batch_execute("ROLLBACK").await?;
        let is_busy = error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE);
        if !is_busy || tries == TRIES_MAX {
            return Err(error);
        }
        tries += 1;
    }
}

/// Whether a schema on which these were applied is one for this Pinrail.
pub(crate) fn judge(place: &str, applied: &[Applied]) -> Result<(), open::OpenError> {
    let place = || place.to_owned();
    let known = known();
    let found = applied.last().map_or(0, |last| last.version);
    let oldest = applied.iter().map(|applied| applied.oldest).max().unwrap_or(0);
    if oldest > known {
        return Err(open::OpenError::Newer { place: place(), found, known });
    }
    for migration in MIGRATIONS {
        match applied.iter().find(|applied| applied.version == migration.version) {
            None => return Err(open::OpenError::Older { place: place(), found, known }),
            Some(applied) if applied.digest != migration.digest().as_bytes() => {
                return Err(open::OpenError::Changed { place: place(), version: migration.version });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_and_say_who_may_stay() {
        for (place, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, place, "{}", migration.name);
            assert!((1..=place).contains(&migration.oldest()), "{}", migration.name);
            if migration.is_concurrent() {
                assert!(Index::of_file(migration.sql).count() > 0, "{}", migration.name);
            }
        }
    }

    #[test]
    fn an_older_pinrail_runs_beside_what_only_adds() {
        let ours = || {
            let applied = |migration: &Migration| Applied {
                version: migration.version,
                oldest: migration.oldest(),
                digest: migration.digest().as_bytes().to_vec(),
            };
            MIGRATIONS.iter().map(applied).collect::<Vec<_>>()
        };
        let later = |oldest| Applied { version: known() + 1, oldest, digest: Vec::new() };
        let judged = |applied: &[Applied]| judge("db", applied);
        assert!(judged(&ours()).is_ok());
        let mut expanded = ours();
        expanded.push(later(1));
        assert!(judged(&expanded).is_ok());
        let mut contracted = ours();
        contracted.push(later(known() + 1));
        assert!(matches!(judged(&contracted), Err(open::OpenError::Newer { .. })));
        assert!(matches!(judged(&[]), Err(open::OpenError::Older { found: 0, .. })));
        let mut changed = ours();
        changed[0].digest[0] ^= 1;
        assert!(matches!(judged(&changed), Err(open::OpenError::Changed { version: 1, .. })));
    }
}

//! Opening a store: what the server must be, before anything is asked of it.

use std::sync::Arc;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::db::Pools;
use crate::failure::chain;
use crate::migrate::{self, MigrateError};
use crate::options::Options;
use crate::replicas::Here;
use crate::state::{Indexes, Known};
use crate::url::{Address, BadUrl};
use crate::{Inner, Postgres, SessionError, journal, transfer};

/// What the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// For people: hosts, ports, database.
    pub place: String,
    /// As `server_version_num`: 150004.
    pub server_version: i32,
    /// The version of the extension `vector`, where it is installed in this database.
    pub vector_version: Option<String>,
    /// The schema that holds it: an extension's functions must be named in full as well.
    pub vector_schema: Option<String>,
    /// The schema's version; may be later than the last one that this Pinrail knows.
    pub schema_version: i32,
}

/// Why a store couldn't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the store's URL can't be used")]
    Url(#[from] BadUrl),
    #[error("cannot connect to {place}: {}", chain(source))]
    Connect { place: String, source: Error },
    #[error("{place} doesn't answer")]
    Silent { place: String },
    #[error("{place} refuses the user or its password")]
    Denied { place: String, source: Error },
    #[error("{place} isn't there: create the database first")]
    NoDatabase { place: String, source: Error },
    #[error("{place} is PostgreSQL {}.{}; Pinrail needs 14 or newer", found / 10_000, found % 10_000)]
    TooOld { place: String, found: i32 },
    #[error("{place} holds text as {found}; create the database with ENCODING 'UTF8'")]
    Encoding { place: String, found: String },
    /// An acknowledged write could be lost there (I9).
    #[error("{place} runs with {setting} = off, so what it acknowledges may be lost; set it to on")]
    Unsafe { place: String, setting: &'static str },
    #[error("{place} can only be read: connect to the primary (target_session_attrs=read-write finds it)")]
    ReadOnly { place: String },
    #[error("the schema of {place} is {found}, this Pinrail needs {known}: run `pinrail migrate`")]
    Older { place: String, found: i32, known: i32 },
    /// Nothing was changed. Run that Pinrail, or a newer one.
    #[error(
        "the schema of {place} is {found} and no longer allows a Pinrail that knows {known}: run a newer one"
    )]
    Newer { place: String, found: i32, known: i32 },
    #[error("migration {version} of {place} isn't the one that this Pinrail knows: is it another program's?")]
    Changed { place: String, version: i32 },
    #[error(
        "the user of {place} has no rights in the schema `pinrail`: run `pinrail migrate --grant` as its owner"
    )]
    NoRights { place: String, source: Error },
    #[error("a copy into {place} isn't finished: go on with `pinrail store copy … --final`")]
    Unfinished { place: String },
    #[error("somebody else copies into {place}")]
    Copying { place: String },
    #[error("cannot bring the schema up")]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("cannot look at {place}: {}", chain(source))]
    Other { place: String, source: Error },
}

/// The oldest server: what it lacks would have to be written twice.
const SERVER_VERSION_MIN: i32 = 140_000;

impl Postgres {
    /// Where an address leads, for people: hosts, ports, database, and never a password (I15). Asks nobody.
    pub fn place(options: &Options) -> Result<String, BadUrl> {
        Ok(Address::parse(options.direct_url.as_ref().unwrap_or(&options.url), options)?.place)
    }

    /// Opens the store, bringing its schema up first where [`Options::migrate`] says so.
    ///
    /// Refuses servers that can't keep the store's promises, unchanged. Connections are made when they are needed.
    pub async fn connect(options: Options) -> Result<Postgres, OpenError> {
        let address = Address::parse(&options.url, &options)?;
        let direct = match &options.direct_url {
            Some(url) => Address::parse(url, &options)?,
            None => address.clone(),
        };
        if options.migrate {
            Postgres::migrate(options.direct_url.as_ref().unwrap_or(&options.url)).await?;
        }
        let looking = tokio::time::timeout(options.answer_timeout(), look(&address, &options));
        let silent = |_| OpenError::Silent { place: address.place.clone() };
        let found = looking.await.map_err(silent)??;
        let pools = Pools::new(&address, &options);
        let (journal, spaces, vectors) = (journal::Keeping::default(), Known::default(), Indexes::default());
        let here = Here::open(&direct, &options).await?;
        let inner = Inner { options, pools, direct, found, journal, spaces, vectors, here };
        Ok(Postgres { inner: Arc::new(inner) })
    }
}

/// Looks at the server through a connection of its own.
async fn look(address: &Address, options: &Options) -> Result<Found, OpenError> {
    let (client, connection) =
        address.config.connect(address.secure.clone()).await.map_err(|error| explain(address, error))?;
    let task = tokio::spawn(async move { drop(connection.await) });
    let mut found = examine(&client, address, options).await;
    if found.is_ok() {
        match client.query_typed(transfer::UNFINISHED, &[]).await {
            Ok(rows) if rows.first().is_some_and(|row| row.get(0)) => {
                found = Err(OpenError::Unfinished { place: address.place.clone() });
            }
            Ok(_) => {}
            Err(error) => found = Err(explain(address, error)),
        }
    }
    drop(client);
    let _ = task.await;
    found
}

pub(crate) async fn examine(
    client: &Client,
    address: &Address,
    options: &Options,
) -> Result<Found, OpenError> {
    let place = || address.place.clone();
    let explain = |error| explain(address, error);
    // Asked together, so that one statement says what the server is; settings that an engine doesn't have are NULL.
    let sql = "SELECT current_setting('server_version_num')::int4, \
               pg_encoding_to_char(encoding)::text, current_setting('fsync', true), \
               current_setting('full_page_writes', true), current_setting('transaction_read_only'), \
               (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector'), \
               (SELECT nspname::text FROM pg_catalog.pg_extension e \
                JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'vector') \
               FROM pg_catalog.pg_database WHERE datname = current_database()";
    let rows = client.query_typed(sql, &[]).await.map_err(explain)?;
    let row = rows.first().expect("every session is in a database");
    let server_version: i32 = row.get(0);
    if server_version < SERVER_VERSION_MIN {
        return Err(OpenError::TooOld { place: place(), found: server_version });
    }
    let encoding: String = row.get(1);
    if encoding != "UTF8" {
        return Err(OpenError::Encoding { place: place(), found: encoding });
    }
    for (column, setting) in [(2, "fsync"), (3, "full_page_writes")] {
        let off = row.get::<_, Option<&str>>(column) == Some("off");
        if off && !options.allow_unsafe_server {
            return Err(OpenError::Unsafe { place: place(), setting });
        }
    }
    if row.get::<_, &str>(4) == "on" {
        return Err(OpenError::ReadOnly { place: place() });
    }
    let applied = migrate::applied(client).await.map_err(explain)?;
    migrate::judge(&address.place, &applied)?;
    Ok(Found {
        place: place(),
        server_version,
        vector_version: row.get(5),
        vector_schema: row.get(6),
        schema_version: applied.last().map_or(0, |last| last.version),
    })
}

pub(crate) fn explain(address: &Address, source: Error) -> OpenError {
    let place = address.place.clone();
    let is = |code: SqlState| source.code() == Some(&code);
    if is(SqlState::INVALID_PASSWORD) || is(SqlState::INVALID_AUTHORIZATION_SPECIFICATION) {
        OpenError::Denied { place, source }
    } else if is(SqlState::INVALID_CATALOG_NAME) {
        OpenError::NoDatabase { place, source }
    } else if is(SqlState::INSUFFICIENT_PRIVILEGE) {
        OpenError::NoRights { place, source }
    } else if source.code().is_none() {
        OpenError::Connect { place, source }
    } else {
        OpenError::Other { place, source }
    }
}

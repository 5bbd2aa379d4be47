//! Which store it is: SQLite in the data folder, or PostgreSQL at an address.

use std::sync::Arc;

use anyhow::Context as _;
use pinrail_store::{NoProbe, Probe, Store};
use pinrail_store_postgres::{Options as PostgresOptions, Postgres};
use pinrail_store_sqlite::Sqlite;

use crate::config::{self, STORE_PASSWORD_ENV, Settings};
use crate::data::{Lock, moved};
use crate::exit::Failed;
use crate::files;
use crate::system::{CRASH_AT, CrashPoint};

/// Reads of the store at once: lists and pages; requests to the gateway read memory.
const READERS: usize = 4;

/// Opens the store that the settings say.
pub async fn open(lock: &Lock, settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    match postgres(settings)? {
        Some(options) => Ok(Arc::new(connect(options).await?)),
        None => {
            moved::check(lock.folder())?;
            let store = Sqlite::open(pinrail_store_sqlite::Options {
                probe: probe()?,
                size_bytes_max: settings.store.bytes_max,
                readers: READERS,
                ..pinrail_store_sqlite::Options::new(lock.folder().join("pinrail.db"))
            })?;
            Ok(Arc::new(store))
        }
    }
}

/// How PostgreSQL is reached, where the settings say that the store is there.
pub fn postgres(settings: &Settings) -> anyhow::Result<Option<PostgresOptions>> {
    let Some(url) = &settings.store.url else { return Ok(None) };
    if !files::is_postgres(url) {
        return Err(Failed {
            code: "bad_store",
            what: "the store's address doesn't begin with postgres:// or postgresql://".to_owned(),
            next_step: "leave it out to keep everything in a SQLite database in the data folder".to_owned(),
            source: None,
        }
        .into());
    }
    let password = password(settings)?;
    let with_password = |url: &str| with_password(url, password.as_deref());
    let store = &settings.store;
    let mut options = PostgresOptions::new(with_password(url));
    options.direct_url = store.direct_url.as_deref().map(with_password);
    options.replica = replica_name(settings);
    options.probe = probe()?;
    options.statements = store.statements.unwrap_or_default();
    if let Some(pool) = store.pool_max {
        options.pool_max = pool;
    }
    if let Some(ms) = store.statement_timeout_ms {
        options.statement_timeout_ms = ms;
    }
    Ok(Some(options))
}

/// What people call this process: as told, else the machine's name.
pub fn replica_name(settings: &Settings) -> String {
    settings.replica.name.clone().unwrap_or_else(|| {
        let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
        if node.is_empty() { "pinrail".to_owned() } else { node }
    })
}

/// Opens it; an empty database gets its schema first. Versions that are there are brought up by `pinrail migrate` alone.
async fn connect(options: PostgresOptions) -> anyhow::Result<Postgres> {
    use pinrail_store_postgres::OpenError;
    match Postgres::connect(options.clone()).await {
        Err(OpenError::Older { found: 0, place, .. }) => {
            tracing::info!(%place, "making the store's schema in an empty database");
            Postgres::migrate(options.direct_url.as_ref().unwrap_or(&options.url)).await?;
            Ok(Postgres::connect(options).await?)
        }
        opened => Ok(opened?),
    }
}

fn password(settings: &Settings) -> anyhow::Result<Option<String>> {
    match &settings.store.password_env {
        None => Ok(config::variable(STORE_PASSWORD_ENV)),
        Some(name) => config::variable(name).map(Some).ok_or_else(|| {
            Failed {
                code: "no_store_password",
                what: format!(
                    "{name} is not set, and store.password_env says that it holds the store's password"
                ),
                next_step: format!("set {name}, or take store.password_env out of pinrail.toml"),
                source: None,
            }
            .into()
        }),
    }
}

/// The address with the password as a parameter, unless it says one itself.
fn with_password(url: &str, password: Option<&str>) -> String {
    let Some(password) = password.filter(|_| !files::has_password(url)) else { return url.to_owned() };
    let joint = if url.contains('?') { '&' } else { '?' };
    let password = percent_encoding::utf8_percent_encode(password, percent_encoding::NON_ALPHANUMERIC);
    format!("{url}{joint}password={password}")
}

fn probe() -> anyhow::Result<Arc<dyn Probe>> {
    match config::variable(CRASH_AT) {
        None => Ok(Arc::new(NoProbe)),
        Some(text) => {
            let point = CrashPoint::parse(&text)
                .with_context(|| format!("{CRASH_AT}={text} is not POINT or POINT:N"))?;
            tracing::warn!(at = %text, "this process will kill itself: {CRASH_AT} is set");
            Ok(Arc::new(point))
        }
    }
}

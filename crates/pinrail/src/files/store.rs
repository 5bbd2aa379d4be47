//! `[store]` and `[replica]` of `pinrail.toml`: where everything is kept, and what this process is among others.

use pinrail_store_postgres::Statements;

use super::project::STORE_BYTES_MIN;
use super::section::Section;
use crate::output::time;

/// `[store]`. Without a `url` everything is in a SQLite database in the data folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// The largest that the SQLite database may become.
    pub bytes_max: Option<u64>,
    /// `postgres://…`, without a password.
    pub url: Option<String>,
    /// The way around a transaction-mode pooler, for what needs a session.
    pub direct_url: Option<String>,
    /// The variable with the password.
    pub password_env: Option<String>,
    pub pool_max: Option<usize>,
    pub statement_timeout_ms: Option<u64>,
    pub statements: Option<Statements>,
}

/// `[replica]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    pub name: Option<String>,
    /// How old what it shows may be before agents of tier `critical` are refused, in milliseconds.
    pub stale_max_ms: Option<u64>,
    /// How much of the journal may wait on this machine's disk while the store is away.
    pub spool_bytes_max: Option<u64>,
    /// Whether it may lead.
    pub leads: Option<bool>,
}

/// Fewer would have lists stand in the way of calls.
const POOL_MIN: usize = 2;

pub(super) fn read(store: &Section<'_>) -> Option<Store> {
    let bytes_max: Option<u64> = store.get("bytes_max");
    if bytes_max.is_some_and(|bytes| bytes < STORE_BYTES_MIN) {
        store.refuse("bytes_max", &format!("must be at least {STORE_BYTES_MIN}"));
    }
    let url = address(store, "url", "; leave it out for SQLite in the data folder");
    let direct_url = address(store, "direct_url", "");
    let pool_max: Option<usize> = store.get("pool_max");
    if pool_max.is_some_and(|pool| pool < POOL_MIN) {
        store.refuse("pool_max", &format!("must be at least {POOL_MIN}"));
    }
    let statements: Option<String> = store.get("statements");
    let statements = statements.and_then(|word| match word.as_str() {
        "prepared" => Some(Statements::Prepared),
        "unnamed" => Some(Statements::Unnamed),
        _ => {
            store.refuse(
                "statements",
                "must be \"prepared\", or \"unnamed\" for a pooler that knows no prepared ones",
            );
            None
        }
    });
    Some(Store {
        bytes_max,
        url,
        direct_url,
        password_env: store.get("password_env"),
        pool_max,
        statement_timeout_ms: span(store, "statement_timeout"),
        statements,
    })
}

/// An address of PostgreSQL, which whoever may read the file may know.
fn address(store: &Section<'_>, key: &'static str, otherwise: &str) -> Option<String> {
    let url: Option<String> = store.get(key);
    if url.as_ref().is_some_and(|url| !is_postgres(url)) {
        store.refuse(key, &format!("must begin with postgres:// or postgresql://{otherwise}"));
    }
    if url.as_ref().is_some_and(|url| has_password(url)) {
        store.refuse(key, "must not hold a password: name a variable that does in `password_env`");
    }
    url
}

pub(super) fn replica(replica: &Section<'_>) -> Option<Replica> {
    Some(Replica {
        name: replica.get("name"),
        stale_max_ms: span(replica, "stale_max"),
        spool_bytes_max: replica.get("spool_bytes_max"),
        leads: replica.get("leads"),
    })
}

/// Whether an address is one of PostgreSQL.
pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Whether an address says a password, by its place before the host or as a parameter.
pub fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let user = place.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || parameters.split('&').any(|parameter| parameter.starts_with("password="))
}

fn span(section: &Section<'_>, key: &'static str) -> Option<u64> {
    let text: String = section.get(key)?;
    let ms = time::span_ms(&text);
    if ms.is_none() {
        section.refuse(key, "must be a span of time such as \"5s\" or \"1m\"");
    }
    ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_found() {
        for (url, has) in [
            ("postgres://pinrail@db/pinrail", false),
            ("postgres://db:5432/pinrail?sslmode=require", false),
            ("postgres://pinrail:secret@db/pinrail", true),
            ("postgres://pinrail@db/pinrail?password=secret", true),
        ] {
            assert_eq!(has_password(url), has, "{url}");
        }
    }
}

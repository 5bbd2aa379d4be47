//! Addresses of servers: what tokio-postgres reads of a URL, and what it leaves to us.
//!
//! Ours are `sslmode=verify-ca|verify-full`, `sslrootcert`, `sslcert` and `sslkey`. No text made here holds the user's password (I15).

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::options::Options;
use crate::secure::{self, Secure, Trust};

/// Where to connect, and how.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) config: Config,
    pub(crate) secure: Secure,
    /// Hosts, ports and the database, for people.
    pub(crate) place: String,
}

/// Why a URL can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadUrl {
    #[error("it doesn't begin with postgres:// or postgresql://")]
    Scheme,
    #[error("its {option} can't be `{value}`")]
    Option { option: &'static str, value: String },
    #[error("it can't be read")]
    Unreadable { source: tokio_postgres::Error },
    #[error("it names no database")]
    NoDatabase,
    #[error(transparent)]
    Tls(#[from] secure::TlsError),
}

/// A peer that says nothing for this long is asked whether it lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_RETRIES: u32 = 3;
/// What was sent and isn't acknowledged after this long is lost, and the connection with it.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);

impl Address {
    pub(crate) fn parse(url: &str, options: &Options) -> Result<Address, BadUrl> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(BadUrl::Scheme);
        }
        let (rest, query) = url.split_once('?').unwrap_or((url, ""));
        let mut trust = Trust::default();
        let mut mode = SslMode::Prefer;
        let mut theirs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "sslmode" => (mode, trust.check) = ssl_mode(&value)?,
                "sslrootcert" => trust.roots = Some(value.into()),
                "sslcert" => trust.certificate = Some(value.into()),
                "sslkey" => trust.key = Some(value.into()),
                _ => theirs.push(pair),
            }
        }
        let url = if theirs.is_empty() { rest.to_owned() } else { format!("{rest}?{}", theirs.join("&")) };
        let mut config: Config = url.parse().map_err(|source| BadUrl::Unreadable { source })?;
        if trust.roots.is_some() && trust.check == secure::Check::Nothing && mode == SslMode::Require {
            // Whoever names roots wants them looked at.
            trust.check = secure::Check::Chain;
        }
        let Some(database) = config.get_dbname().map(str::to_owned) else { return Err(BadUrl::NoDatabase) };
        let place = format!("{}/{database}", hosts(&config));
        config
            .ssl_mode(mode)
            .application_name(format!("pinrail/{}", options.replica))
            .connect_timeout(options.connect_timeout())
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(UNACKNOWLEDGED_MAX);
        Ok(Address { config, secure: Secure::new(&trust)?, place })
    }
}

fn ssl_mode(value: &str) -> Result<(SslMode, secure::Check), BadUrl> {
    Ok(match value {
        "disable" => (SslMode::Disable, secure::Check::Nothing),
        "prefer" => (SslMode::Prefer, secure::Check::Nothing),
        "require" => (SslMode::Require, secure::Check::Nothing),
        "verify-ca" => (SslMode::Require, secure::Check::Chain),
        "verify-full" => (SslMode::Require, secure::Check::ChainAndName),
        _ => return Err(BadUrl::Option { option: "sslmode", value: value.to_owned() }),
    })
}

fn hosts(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(5432);
    let name = |(n, host): (usize, &Host)| match host {
        Host::Tcp(name) => format!("{name}:{}", port(n)),
        Host::Unix(folder) => format!("{}:{}", PathBuf::from(folder).display(), port(n)),
    };
    let named: Vec<String> = config.get_hosts().iter().enumerate().map(name).collect();
    if named.is_empty() { "localhost".to_owned() } else { named.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, BadUrl> {
        Address::parse(url, &Options::new(url))
    }

    #[test]
    fn urls_are_read_and_told_without_their_passwords() {
        let check = |url: &str, place: &str, mode: SslMode| {
            let address = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(address.place, place, "{url}");
            assert_eq!(address.config.get_ssl_mode(), mode, "{url}");
        };
        check("postgres://me@db/pinrail", "db:5432/pinrail", SslMode::Prefer);
        check("postgresql://me:hunter2@db:5433/pinrail?sslmode=disable", "db:5433/pinrail", SslMode::Disable);
        check(
            "postgres://me@a:1,b:2/p?target_session_attrs=read-write&sslmode=require",
            "a:1,b:2/p",
            SslMode::Require,
        );
        check("postgres://me@db/p?sslmode=verify-full", "db:5432/p", SslMode::Require);
        check("postgres://me@%2Frun%2Fpg:5433/p", "/run/pg:5433/p", SslMode::Prefer);

        let refused = |url: &str, says: &str| {
            let error = parse(url).map(|address| address.place).unwrap_err();
            let chain = crate::failure::chain(&error);
            assert!(chain.contains(says), "{url}: {chain}");
            // I15
            assert!(!chain.contains("hunter2"), "{url}: {chain}");
        };
        refused("mysql://me:hunter2@db/p", "doesn't begin with postgres://");
        refused("postgres://me:hunter2@db/p?sslmode=perhaps", "sslmode can't be `perhaps`");
        refused("postgres://me:hunter2@db/p?sslroot=x", "can't be read");
        refused("postgres://me:hunter2@db:none/p", "can't be read");
        refused("postgres://me:hunter2@db", "names no database");
        refused("postgres://me:hunter2@db/p?sslmode=verify-full&sslrootcert=/no/such.pem", "/no/such.pem");
    }
}

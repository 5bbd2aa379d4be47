//! What the environment and `pinrail.toml` say. Nothing else in this crate reads the environment.

use std::fmt;
use std::path::Path;

use pinrail_domain::model::Catalogue;

use crate::exit::Usage;
use crate::files::{self, Project};

/// The variable that holds the server's address.
pub const URL_ENV: &str = "PINRAIL_URL";
/// The variable that holds the key. There is no flag for it: a flag would be kept in the shell's history.
pub const KEY_ENV: &str = "PINRAIL_KEY";
/// The variable with the store's address.
pub const STORE_ENV: &str = "PINRAIL_STORE";
/// The variable with the address around a pooler.
const STORE_DIRECT_ENV: &str = "PINRAIL_STORE_DIRECT";
/// The variable with the store's password, unless the settings name another.
pub const STORE_PASSWORD_ENV: &str = "PINRAIL_STORE_PASSWORD";
/// The variable with the replica's name.
const REPLICA_ENV: &str = "PINRAIL_REPLICA";
/// Where `pinrail up` listens unless told otherwise.
pub const URL_DEFAULT: &str = "http://127.0.0.1:7070";

/// A bearer key. Its `Debug` shows nothing of it (I15).
#[derive(Clone)]
pub struct Secret(String);

/// What `pinrail.toml` says about the server, with the defaults where it says nothing.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[server] listen`.
    pub listen: Option<String>,
    /// `[server] half_close`: whether clients that end their side of the connection still wait for their answer.
    pub half_close: bool,
    /// `[store]`: where everything is kept. A flag or the environment may say otherwise ([`Settings::kept_in`]).
    pub store: files::Store,
    /// `[replica]`: what this process is among others.
    pub replica: files::Replica,
    /// `[limits]`: how much is taken on at once.
    pub limits: crate::capacity::Wish,
    /// `[state] aborted_kept`: how long rolled-back data is kept, in milliseconds.
    pub aborted_kept_ms: Option<u64>,
    /// `[journal] keep`: how long journals are kept, in milliseconds; forever when absent.
    pub journals_kept_ms: Option<u64>,
    /// `[gate]`: how gates are run.
    pub gate: pinrail_server::gates::Settings,
    /// `[drift]`: how models are watched.
    pub drift: pinrail_server::drift::Settings,
    /// `[mcp_commands] allow`: the programs that may be started as MCP servers.
    pub mcp_commands: Vec<String>,
    /// The embedded catalogue with the user's own laid over it.
    pub catalogue: Catalogue,
    /// What the user's own file says.
    pub own_catalogue: Option<Catalogue>,
    /// `[warm] every`: how often each model of the warm set is probed, in milliseconds.
    pub warm_every_ms: Option<u64>,
    /// `[metrics]` and `[telemetry]`: what others' tools may see.
    pub observe: files::Observe,
    /// Whether there is a `pinrail.toml` at all.
    pub has_file: bool,
}

/// Reads the server's part of `pinrail.toml`; a folder without one has the defaults.
///
/// # Errors
/// [`files::BadFiles`] with every fault of the file.
pub fn server(dir: &Path) -> Result<Settings, files::BadFiles> {
    let project = Project::read_settings(dir)?;
    Ok(Settings {
        listen: project.listen,
        half_close: project.half_close,
        store: project.store,
        replica: project.replica,
        limits: project.limits,
        aborted_kept_ms: project.aborted_kept_ms,
        journals_kept_ms: project.journals_kept_ms,
        gate: project.gate,
        drift: project.drift,
        mcp_commands: project.mcp_commands,
        catalogue: project.catalogue,
        own_catalogue: project.own_catalogue,
        warm_every_ms: project.warm_every_ms,
        observe: project.observe,
        has_file: project.has_file,
    })
}

impl Settings {
    /// Takes in what a flag or the environment says about the store and the replica's name: they go before the file.
    ///
    /// # Errors
    /// The flag holds a password: every user of the machine could read it.
    pub fn kept_in(
        mut self,
        store: Option<String>,
        direct: Option<String>,
        replica: Option<String>,
    ) -> Result<Settings, Usage> {
        if [&store, &direct].into_iter().flatten().any(|url| files::has_password(url)) {
            let text = format!(
                "a password in a flag is shown to everybody on this machine: put it into {STORE_PASSWORD_ENV}, or the whole address into {STORE_ENV}"
            );
            return Err(Usage(text));
        }
        if let Some(url) = store.or_else(|| variable(STORE_ENV)) {
            self.store.url = Some(url);
        }
        if let Some(url) = direct.or_else(|| variable(STORE_DIRECT_ENV)) {
            self.store.direct_url = Some(url);
        }
        if let Some(name) = replica.or_else(|| variable(REPLICA_ENV)) {
            self.replica.name = Some(name);
        }
        Ok(self)
    }

    /// Takes in the flag that keeps this process from leading, which goes before the file.
    pub fn leading(mut self, never: bool) -> Settings {
        if never {
            self.replica.leads = Some(false);
        }
        self
    }
}

/// The server's address: the flag, else the environment, else this machine.
pub fn server_url(flag: Option<&str>) -> String {
    let url = flag.map(str::to_owned).or_else(|| variable(URL_ENV)).unwrap_or_else(|| URL_DEFAULT.to_owned());
    url.trim_end_matches('/').to_owned()
}

/// The key to send, if there is one.
pub fn key() -> Option<Secret> {
    variable(KEY_ENV).map(|key| Secret(key.trim().to_owned()))
}

/// Whether a variable is set to something.
pub fn is_set(name: &str) -> bool {
    variable(name).is_some()
}

/// Whether the user asked for no colour (<https://no-color.org>).
pub fn no_colour() -> bool {
    is_set("NO_COLOR") || variable("TERM").is_some_and(|term| term == "dumb")
}

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A variable's value; an empty one counts as not set.
#[allow(clippy::disallowed_methods, reason = "the one reader of the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The proxies that this process's environment asks for; small letters win, as with other programs.
pub fn proxies() -> pinrail_gateway::connect::Proxies {
    let either = |small, large| variable(small).or_else(|| variable(large)).unwrap_or_default();
    pinrail_gateway::connect::Proxies::new(
        &either("https_proxy", "HTTPS_PROXY"),
        &either("http_proxy", "HTTP_PROXY"),
        &either("all_proxy", "ALL_PROXY"),
        &either("no_proxy", "NO_PROXY"),
    )
}

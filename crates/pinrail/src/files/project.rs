//! `pinrail.toml` and the agents beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::id::{AgentName, McpServerName, ProviderName, WebhookName};
use pinrail_domain::mcp::McpServerSpec;
use pinrail_domain::model::{CATALOGUE_BYTES_MAX, Catalogue, Layers};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::ModelPin;
use pinrail_domain::webhook::WebhookSpec;
use pinrail_server::warm::{EVERY_MS_MAX, EVERY_MS_MIN};

use super::observe::{self, Observe};
use super::release::Prepared;
use super::section::{Section, read_file, read_text};
use super::suites::Suites;
use super::{
    BadFiles, Fault, agent, dial, drift, gate, limits, mcp, nearest, provider, release, store, trouble,
    webhook,
};
use crate::output::time;

/// The settings file's name.
pub const PROJECT_FILE: &str = "pinrail.toml";
/// The data folder beside it.
pub const DATA_FOLDER: &str = ".pinrail";
/// A database below this can't hold even its own tables and a day's runs.
pub const STORE_BYTES_MIN: u64 = 1 << 20;

/// What the files of a folder say.
#[derive(Clone, Debug)]
pub struct Project {
    pub listen: Option<String>,
    /// Whether clients that end their side of the connection still wait for their answer.
    pub half_close: bool,
    pub store: store::Store,
    pub replica: store::Replica,
    /// How much the server takes on at once.
    pub limits: crate::capacity::Wish,
    /// How long rolled-back data is kept, in milliseconds.
    pub aborted_kept_ms: Option<u64>,
    /// How long journals are kept, in milliseconds.
    pub journals_kept_ms: Option<u64>,
    /// How the server runs gates.
    pub gate: pinrail_server::gates::Settings,
    /// How models are watched.
    pub drift: pinrail_server::drift::Settings,
    pub catalogue: Catalogue,
    /// What the user's own file says, alone.
    pub own_catalogue: Option<Catalogue>,
    /// How often each model of the warm set is probed, in milliseconds.
    pub warm_every_ms: Option<u64>,
    pub providers: BTreeMap<ProviderName, ProviderSpec>,
    pub webhooks: BTreeMap<WebhookName, WebhookSpec>,
    pub mcp_servers: BTreeMap<McpServerName, McpServerSpec>,
    /// The programs that the server may start as MCP servers.
    pub mcp_commands: Vec<String>,
    pub agents: BTreeMap<AgentName, Agent>,
    /// How the server may be observed.
    pub observe: Observe,
    /// Whether there is a `pinrail.toml`.
    pub has_file: bool,
}

/// An agent's folder.
#[derive(Clone, Debug)]
pub struct Agent {
    pub spec: AgentSpec,
    /// Fallbacks of the dial that the server is asked about, since they are named by their first digits.
    pub fallbacks: Vec<dial::Named>,
    /// What `release.toml` says, where there is one.
    pub release: Option<Prepared>,
    pub suites: Suites,
}

impl Project {
    /// Reads everything below `dir`.
    ///
    /// # Errors
    /// [`BadFiles`] with every fault of every file.
    pub fn read(dir: &Path) -> Result<Project, BadFiles> {
        let mut faults = Vec::new();
        let project = Project::read_toml(dir, &mut faults);
        if project.as_ref().is_some_and(|project| !project.has_file) {
            let what = format!("there is no {PROJECT_FILE} here; `pinrail init` makes one");
            faults.push(Fault { file: dir.to_owned(), line: None, what });
        }
        let agents = read_agents(dir, project.as_ref(), &mut faults);
        match project {
            Some(project) if faults.is_empty() => Ok(Project { agents, ..project }),
            Some(_) | None => Err(BadFiles(faults)),
        }
    }

    /// Reads `pinrail.toml` alone; a folder without one has the defaults.
    pub fn read_settings(dir: &Path) -> Result<Project, BadFiles> {
        let mut faults = Vec::new();
        let project = Project::read_toml(dir, &mut faults);
        project.filter(|_| faults.is_empty()).ok_or(BadFiles(faults))
    }

    fn read_toml(dir: &Path, faults: &mut Vec<Fault>) -> Option<Project> {
        let path = dir.join(PROJECT_FILE);
        if !path.exists() {
            return Some(Project {
                listen: None,
                half_close: false,
                store: store::Store::default(),
                replica: store::Replica::default(),
                limits: crate::capacity::Wish::default(),
                aborted_kept_ms: None,
                journals_kept_ms: None,
                gate: pinrail_server::gates::Settings::default(),
                drift: pinrail_server::drift::Settings::DEFAULT,
                catalogue: Catalogue::embedded().clone(),
                own_catalogue: None,
                warm_every_ms: None,
                providers: BTreeMap::new(),
                webhooks: BTreeMap::new(),
                mcp_servers: BTreeMap::new(),
                mcp_commands: Vec::new(),
                agents: BTreeMap::new(),
                observe: Observe::default(),
                has_file: false,
            });
        }
        read_file(&path, Path::new(PROJECT_FILE), faults, |file| {
            let server =
                file.table("server", |server| Some((server.get("listen"), server.get("half_close"))));
            let (listen, half_close) = server.unwrap_or_default();
            let store = file.table("store", store::read).unwrap_or_default();
            let replica = file.table("replica", store::replica).unwrap_or_default();
            let limits = file.table("limits", limits::read).unwrap_or_default();
            let aborted_kept_ms = file.table("state", aborted_kept_ms);
            let journals_kept_ms = file.table("journal", journals_kept_ms);
            let gate = file.table("gate", gate::read).unwrap_or_default();
            let own_catalogue = own_catalogue(file, dir);
            let catalogue = Layers::embedded(own_catalogue.clone()).with(None);
            let warm_every_ms = file.table("warm", warm_every_ms);
            let drift = file.table("drift", drift::read).unwrap_or_default();
            let providers =
                file.each("providers", |name, section| provider::read(name, section, &catalogue, dir));
            let providers: BTreeMap<ProviderName, ProviderSpec> = providers.into_iter().collect();
            trouble::check_failovers(file, &providers);
            let webhooks = file.each("webhooks", webhook::read);
            webhook::check_count(file, webhooks.len());
            let mcp_servers = file.each("mcp", mcp::server);
            let mcp_commands = file.table("mcp_commands", mcp::commands);
            Some(Project {
                listen,
                half_close: half_close.unwrap_or_default(),
                store,
                replica,
                limits,
                aborted_kept_ms,
                journals_kept_ms,
                gate,
                drift,
                catalogue,
                own_catalogue,
                warm_every_ms,
                providers,
                webhooks: webhooks.into_iter().collect(),
                mcp_servers: mcp_servers.into_iter().collect(),
                mcp_commands: mcp_commands.unwrap_or_default(),
                agents: BTreeMap::new(),
                observe: observe::read(file),
                has_file: true,
            })
        })
    }
}

/// Reads one agent's release without the rest of the project.
pub fn read_release(path: &Path, shown: &Path) -> Result<Prepared, BadFiles> {
    let mut faults = Vec::new();
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prepared = read_file(path, shown, &mut faults, |file| release::read(file, folder));
    prepared.ok_or(BadFiles(faults))
}

fn aborted_kept_ms(state: &Section<'_>) -> Option<u64> {
    let text: String = state.get("aborted_kept")?;
    let ms = time::span_ms(&text);
    if ms.is_none() {
        state.refuse("aborted_kept", "must be a span of time such as \"12h\", \"30d\" or \"4w\"");
    }
    ms
}

/// A day at least: journals go by whole days, and today's never.
fn journals_kept_ms(journal: &Section<'_>) -> Option<u64> {
    const DAY_MS: u64 = 86_400_000;
    let text: String = journal.get("keep")?;
    let ms = time::span_ms(&text).filter(|ms| *ms >= DAY_MS);
    if ms.is_none() {
        journal.refuse("keep", "must be a span of time of a day at least, such as \"90d\" or \"52w\"");
    }
    ms
}

fn warm_every_ms(warm: &Section<'_>) -> Option<u64> {
    let text: String = warm.get("every")?;
    let ms = time::span_ms(&text).filter(|ms| (EVERY_MS_MIN..=EVERY_MS_MAX).contains(ms));
    if ms.is_none() {
        warm.refuse("every", "must be a span of time from \"1m\" to \"7d\"");
    }
    ms
}

fn own_catalogue(file: &Section<'_>, dir: &Path) -> Option<Catalogue> {
    let named = file.get::<PathBuf>("catalogue")?;
    let text = read_text(&dir.join(&named), CATALOGUE_BYTES_MAX as u64);
    match text
        .and_then(|text| Catalogue::from_toml(&text).map_err(|error| format!("cannot be used: {error}")))
    {
        Ok(own) => Some(own),
        Err(what) => {
            file.refuse("catalogue", &format!("names {}, which {what}", named.display()));
            None
        }
    }
}

fn read_agents(dir: &Path, project: Option<&Project>, faults: &mut Vec<Fault>) -> BTreeMap<AgentName, Agent> {
    let mut folders: Vec<String> = Vec::new();
    if let Ok(entries) = fs::read_dir(dir.join("agents")) {
        let found = entries.flatten().filter(|entry| entry.path().is_dir());
        folders.extend(found.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    }
    folders.retain(|name| !name.starts_with('.'));
    folders.sort();
    let mut agents = BTreeMap::new();
    for folder in folders {
        let shown = Path::new("agents").join(&folder);
        match AgentName::new(&folder) {
            Ok(name) => {
                if let Some(agent) = read_agent(dir, &shown, project, faults) {
                    agents.insert(name, agent);
                }
            }
            Err(bad) => {
                faults.push(Fault { file: shown, line: None, what: format!("the folder's name is {bad}") })
            }
        }
    }
    agents
}

fn read_agent(dir: &Path, shown: &Path, project: Option<&Project>, faults: &mut Vec<Fault>) -> Option<Agent> {
    let folder = &dir.join(shown);
    let suites = Suites::read(dir, &shown.join("evals"), faults);
    let read = read_file(&folder.join("agent.toml"), &shown.join("agent.toml"), faults, |file| {
        agent::read(file, &suites)
    });
    let release_file = folder.join("release.toml");
    if !release_file.exists() {
        let (spec, fallbacks) = read?;
        return Some(Agent { spec, fallbacks, release: None, suites });
    }
    let release = read_file(&release_file, &shown.join("release.toml"), faults, |file| {
        let prepared = release::read(file, folder);
        if let (Some(project), Some(prepared)) = (project, &prepared) {
            check_providers(file, project, &prepared.manifest.model);
            check_servers(file, project, prepared.manifest.tools.mcp.keys());
        }
        prepared
    });
    let (spec, fallbacks) = read?;
    Some(Agent { spec, fallbacks, release: Some(release?), suites })
}

fn check_servers<'n>(file: &Section<'_>, project: &Project, named: impl Iterator<Item = &'n McpServerName>) {
    for server in named.filter(|server| !project.mcp_servers.contains_key(*server)) {
        let names: Vec<&str> = project.mcp_servers.keys().map(McpServerName::as_str).collect();
        let hint = match nearest(server.as_str(), names.iter().copied()) {
            Some(like) => format!("did you mean `{like}`?"),
            None => format!("add [mcp.{server}] with its url or command"),
        };
        file.refuse_in("tools", "mcp", &format!("names `{server}`, which is not in {PROJECT_FILE}; {hint}"));
    }
}

fn check_providers(file: &Section<'_>, project: &Project, model: &ModelPin) {
    let place = |index: usize| match index {
        0 => "provider".to_owned(),
        listed => format!("fallbacks[{}].provider", listed - 1),
    };
    for (index, model) in model.models().enumerate() {
        check_provider(file, project, &place(index), model.provider);
    }
}

fn check_provider(file: &Section<'_>, project: &Project, place: &str, named: &ProviderName) {
    if project.providers.contains_key(named) {
        return;
    }
    let names: Vec<&str> = project.providers.keys().map(ProviderName::as_str).collect();
    let hint = match nearest(named.as_str(), names.iter().copied()) {
        Some(like) => format!("did you mean `{like}`?"),
        None => format!("it has {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") }),
    };
    file.refuse_in("model", place, &format!("`{named}` is not in {PROJECT_FILE}; {hint}"));
}

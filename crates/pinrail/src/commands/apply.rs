//! `pinrail apply`: makes the server's providers, agents, webhooks and releases equal to the files.
//!
//! Everything is read and checked here before the first change, so a mistake in one file changes nothing. Then, in
//! this order: providers, MCP servers, agents, webhooks, releases with their artifacts, and last what is to go. An agent's suites are
//! stored before the agent that names them. Each step is safe to do twice: an apply that was cut off is finished by the
//! next one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pinrail_api::agents::{Agent, Changed, Provider};
use pinrail_api::mcp::McpServer;
use pinrail_api::problem::Code;
use pinrail_api::releases::Release;
use pinrail_api::webhooks::Webhook;
use pinrail_domain::id::{AgentName, ProviderName, ReleaseId};
use pinrail_domain::provider::ProviderSpec;
use serde::Serialize;
use serde_json::json;

use super::release::{Extra, publish};
use crate::cli::Context;
use crate::client::{ClientError, Query, escape};
use crate::files::project::PROJECT_FILE;
use crate::files::release::Prepared;
use crate::files::{BadFiles, Fault, Project};
use crate::output::{clean, talk};

mod fallbacks;
mod suites;

/// Make the server's agents, providers, MCP servers, webhooks and releases equal to the files
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail apply
  pinrail apply -f my-agents --dry-run
  pinrail apply --prune                 removes agents, providers and webhooks that are not in the files

The second time changes nothing. It deploys nothing: `pinrail deploy` moves traffic. docs/files.md explains the files.")]
pub struct Args {
    /// Folder of pinrail.toml
    #[arg(short = 'f', long = "dir", value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Remove agents, providers and webhooks that are not in the files
    #[arg(long)]
    prune: bool,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "pinrail apply")]
    reason: String,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// One thing and what happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Step {
    kind: &'static str,
    name: String,
    /// `created`, `updated`, `unchanged`, `removed`, or `extra`: on the server, not in the files.
    change: String,
    /// Of a suite: its cases, and how many there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cases_before: Option<usize>,
}

/// What the server has.
struct There {
    providers: Vec<Provider>,
    agents: Vec<Agent>,
    webhooks: Vec<Webhook>,
    mcp_servers: Vec<McpServer>,
    /// The files' releases that exist already.
    releases: Vec<(AgentName, ReleaseId)>,
}

struct Apply<'c> {
    context: &'c Context,
    args: &'c Args,
    project: Project,
    there: There,
    steps: Vec<Step>,
    /// What looks wrong about suites, and about rollout plans that were changed.
    doubts: Vec<String>,
    /// Whether steps are shown as they are done.
    shows: bool,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut apply = Apply::prepare(args, context)?;
    let result = apply.all();
    apply.report(result.is_ok())?;
    result
}

/// Makes the server equal to the files in `dir` and shows nothing: for whoever tells it in words of his own.
pub fn quietly(dir: &Path, reason: &str, context: &Context) -> anyhow::Result<()> {
    let args = Args { dir: dir.to_owned(), prune: false, reason: reason.to_owned(), dry_run: false };
    let mut apply = Apply { shows: false, ..Apply::prepare(&args, context)? };
    apply.all()
}

impl There {
    fn ask(context: &Context, project: &Project) -> anyhow::Result<There> {
        let providers = context.client.all("/api/v1/providers", "after")?;
        let agents = context.client.all("/api/v1/agents", "after")?;
        let webhooks = context.client.all("/api/v1/webhooks", "after")?;
        let mcp_servers = context.client.all("/api/v1/mcp/servers", "after")?;
        let mut releases = Vec::new();
        for (name, agent) in &project.agents {
            let Some(prepared) = &agent.release else { continue };
            match context.client.get::<Release>(&format!("/api/v1/releases/{}", prepared.id)) {
                Ok(reply) if reply.value.agents.contains(name) => releases.push((name.clone(), prepared.id)),
                Ok(_) => {}
                Err(ClientError::Refused(problem)) if problem.code == Code::NotFound => {}
                Err(other) => return Err(other.into()),
            }
        }
        Ok(There { providers, agents, webhooks, mcp_servers, releases })
    }

    fn has_release(&self, agent: &AgentName, release: ReleaseId) -> bool {
        self.releases.iter().any(|(owner, id)| owner == agent && *id == release)
    }
}

/// Refuses the models that the agents' tiers refuse, all at once. A release that exists was let in before.
fn check_models(project: &Project, there: &There) -> Result<(), BadFiles> {
    let mut faults = Vec::new();
    for (name, agent) in &project.agents {
        let Some(Prepared { id, manifest, snapshot_line, .. }) = &agent.release else { continue };
        if there.has_release(name, *id) {
            continue;
        }
        for (index, model) in manifest.model.models().enumerate() {
            let Some(provider) = project.providers.get(model.provider) else { continue };
            let identity = project.catalogue.judge(&provider.catalogue, model.snapshot);
            let Err(refused) = agent.spec.tier.admit(model.snapshot, &identity, false) else { continue };
            let place = match index {
                0 => "model.snapshot".to_owned(),
                listed => format!("model.fallbacks[{}].snapshot", listed - 1),
            };
            let hint = match refused.can_override {
                true => format!(
                    "; `pinrail release create {name} --allow-unknown-model REASON` lets it in, on record"
                ),
                false => String::new(),
            };
            let file = Path::new("agents").join(name.as_str()).join("release.toml");
            faults.push(Fault { file, line: *snapshot_line, what: format!("{place}: {refused}{hint}") });
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(BadFiles(faults)) }
}

/// Refuses webhooks that name agents which there won't be.
fn check_webhooks(project: &Project, there: &There) -> Result<(), BadFiles> {
    let is_known = |agent: &AgentName| {
        project.agents.contains_key(agent) || there.agents.iter().any(|there| there.agent == *agent)
    };
    let mut faults = Vec::new();
    for (name, spec) in &project.webhooks {
        for agent in spec.agents.iter().filter(|agent| !is_known(agent)) {
            let what =
                format!("webhooks.{name}.agents names `{agent}`, which is no agent here or on the server");
            faults.push(Fault { file: PROJECT_FILE.into(), line: None, what });
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(BadFiles(faults)) }
}

impl<'c> Apply<'c> {
    /// Reads the files and asks the server what it has; nothing is changed yet.
    fn prepare(args: &'c Args, context: &'c Context) -> anyhow::Result<Apply<'c>> {
        let mut project = Project::read(&args.dir)?;
        fallbacks::resolve(context, &mut project)?;
        let there = There::ask(context, &project)?;
        check_models(&project, &there)?;
        check_webhooks(&project, &there)?;
        suites::check_judges(&project, &there)?;
        let doubts = suites::doubts(&project);
        Ok(Apply { context, args, project, there, steps: Vec::new(), doubts, shows: true })
    }

    fn all(&mut self) -> anyhow::Result<()> {
        self.providers()?;
        self.mcp_servers()?;
        self.agents()?;
        self.webhooks()?;
        self.releases()?;
        self.extras()
    }

    fn providers(&mut self) -> anyhow::Result<()> {
        let all = self.project.providers.clone();
        // A failover must be there before it is named, and two may name each other: those that are new and named come
        // without their own first.
        let named: BTreeSet<&ProviderName> = all.values().flat_map(|spec| &spec.failover).collect();
        let is_new = |name: &ProviderName| !self.there.providers.iter().any(|there| there.provider == *name);
        let first: Vec<&ProviderName> = named.into_iter().filter(|name| is_new(name)).collect();
        for name in &first {
            let Some(spec) = all.get(*name).filter(|_| !self.args.dry_run) else { continue };
            let alone = ProviderSpec { failover: Vec::new(), ..spec.clone() };
            self.context.client.put::<Changed>(&self.path("provider", name.as_str()), &alone)?;
        }
        for (name, spec) in &all {
            let before = self.there.providers.iter().find(|there| there.provider == *name);
            let change = change(before.map(|there| there.spec == *spec));
            match first.contains(&name) && !self.args.dry_run {
                true if spec.failover.is_empty() => {
                    self.note("provider", name.to_string(), change.to_owned())?;
                }
                true => {
                    self.context.client.put::<Changed>(&self.path("provider", name.as_str()), spec)?;
                    self.note("provider", name.to_string(), change.to_owned())?;
                }
                false => self.put("provider", name.as_str(), change, spec)?,
            }
        }
        Ok(())
    }

    fn mcp_servers(&mut self) -> anyhow::Result<()> {
        for (name, spec) in self.project.mcp_servers.clone() {
            let before = self.there.mcp_servers.iter().find(|there| there.server == name);
            let change = change(before.map(|there| there.spec == spec));
            self.put("mcp", name.as_str(), change, &spec)?;
        }
        Ok(())
    }

    fn agents(&mut self) -> anyhow::Result<()> {
        for (name, agent) in self.project.agents.clone() {
            let before = self.there.agents.iter().find(|there| there.agent == name);
            let change = change(before.map(|there| there.spec == agent.spec));
            self.suites(&name, &agent)?;
            self.put("agent", name.as_str(), change, &agent.spec)?;
        }
        Ok(())
    }

    fn webhooks(&mut self) -> anyhow::Result<()> {
        for (name, spec) in self.project.webhooks.clone() {
            let before = self.there.webhooks.iter().find(|there| there.webhook == name);
            let change = change(before.map(|there| there.spec == spec));
            self.put("webhook", name.as_str(), change, &spec)?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        kind: &'static str,
        name: &str,
        change: &str,
        spec: &impl Serialize,
    ) -> anyhow::Result<()> {
        let mut change = change.to_owned();
        if change != "unchanged" && !self.args.dry_run {
            let path = self.path(kind, name);
            let changed = self.context.client.put::<Changed>(&path, spec)?.value;
            self.doubts.extend(changed.doubts.into_iter().map(|doubt| format!("{kind} {name}: {doubt}")));
            change = changed.change;
        }
        self.note(kind, name.to_owned(), change)
    }

    fn releases(&mut self) -> anyhow::Result<()> {
        for (name, agent) in self.project.agents.clone() {
            let Some(prepared) = &agent.release else { continue };
            let shown = format!("{name}={}", prepared.id.short());
            let mut created = !self.there.has_release(&name, prepared.id);
            if created && !self.args.dry_run {
                let extra = Extra { reason: self.args.reason.clone(), model_override: None };
                created = publish(self.context, &name, prepared, extra)?.value.created;
            }
            let change = if created { "created" } else { "unchanged" };
            self.note("release", shown, change.to_owned())?;
        }
        Ok(())
    }

    fn path(&self, kind: &str, name: &str) -> String {
        let reason = Query::default().add("reason", Some(&self.args.reason));
        let folder = if kind == "mcp" { "mcp/servers".to_owned() } else { format!("{kind}s") };
        reason.on(&format!("/api/v1/{folder}/{}", escape(name)))
    }

    /// What the server has and the files don't. Agents go first: a provider may be in use by one.
    fn extras(&mut self) -> anyhow::Result<()> {
        let agents = self.there.agents.iter().map(|there| &there.agent);
        let agents = agents.filter(|name| !self.project.agents.contains_key(*name)).map(ToString::to_string);
        let providers = self.there.providers.iter().map(|there| &there.provider);
        let providers =
            providers.filter(|name| !self.project.providers.contains_key(*name)).map(ToString::to_string);
        let webhooks = self.there.webhooks.iter().map(|there| &there.webhook);
        let webhooks =
            webhooks.filter(|name| !self.project.webhooks.contains_key(*name)).map(ToString::to_string);
        let extras = agents.map(|name| ("agent", name)).chain(providers.map(|name| ("provider", name)));
        let servers = self.there.mcp_servers.iter().map(|there| &there.server);
        let servers =
            servers.filter(|name| !self.project.mcp_servers.contains_key(*name)).map(ToString::to_string);
        let extras = extras.chain(webhooks.map(|name| ("webhook", name)));
        let extras: Vec<(&'static str, String)> = extras.chain(servers.map(|name| ("mcp", name))).collect();
        for (kind, name) in extras {
            let mut change = if self.args.prune { "removed".to_owned() } else { "extra".to_owned() };
            if self.args.prune && !self.args.dry_run {
                let path = self.path(kind, &name);
                change = self.context.client.delete::<Changed>(&path)?.value.change;
            }
            self.note(kind, name, change)?;
        }
        Ok(())
    }

    /// Keeps a step, and shows it at once: what was done stays told when a later step fails.
    fn note(&mut self, kind: &'static str, name: String, change: String) -> anyhow::Result<()> {
        if self.shows && !self.context.out.is_json() {
            let note = if change == "extra" { "  (not in the files; --prune removes it)" } else { "" };
            self.context.out.data(&clean(&format!("{change:9}  {kind:8}  {name}{note}")))?;
        }
        self.steps.push(Step { kind, name, change, cases: None, cases_before: None });
        Ok(())
    }

    fn report(&self, complete: bool) -> anyhow::Result<()> {
        let is_change = |step: &&Step| step.change != "unchanged" && step.change != "extra";
        let changed = self.steps.iter().filter(is_change).count();
        if self.context.out.is_json() {
            let all = json!({ "steps": self.steps, "changed": changed, "dry_run": self.args.dry_run, "doubts": self.doubts });
            return Ok(self.context.out.value(&all, String::new)?);
        }
        for doubt in &self.doubts {
            talk(&format!("warning: {doubt}"));
        }
        if !complete {
            talk(&format!("{changed} changed before this one was refused; the next apply goes on from here"));
            return Ok(());
        }
        talk(&match (changed, self.args.dry_run) {
            (0, _) => "nothing to change: the server is as the files say".to_owned(),
            (_, true) => format!("{changed} would change; nothing was changed (--dry-run)"),
            (_, false) => format!("{changed} changed"),
        });
        let new = self.steps.iter().find(|step| step.kind == "release" && step.change == "created");
        if let (Some(step), false) = (new, self.args.dry_run) {
            talk(&format!(
                "next: pinrail deploy {}    (--now where nothing is deployed yet; --dry-run says what it takes)",
                step.name
            ));
        }
        Ok(())
    }
}

fn change(same_as_before: Option<bool>) -> &'static str {
    match same_as_before {
        None => "created",
        Some(false) => "updated",
        Some(true) => "unchanged",
    }
}

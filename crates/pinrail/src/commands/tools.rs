//! `pinrail tools`: pins live MCP servers, and shows what became of them.

use std::path::PathBuf;
use std::process::ExitCode;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, McpServerName};
use pinrail_domain::mcp::Pin;
use pinrail_mcp::{Live, Reach};

use crate::cli::Context;
use crate::exit::{Failed, Usage};
use crate::files::Project;
use crate::system::EnvSecrets;

mod check;
mod pin;
mod show;
mod status;

/// Pin the tools of live MCP servers, and see what changed behind their pins
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail tools pin support --mcp files             reads [mcp.files] live, writes agents/support/mcp/files.json
  pinrail tools pin support --mcp files --write     takes what changed since, after it was shown
  pinrail tools pin support --mcp kb --url https://kb.example.com/mcp
  pinrail tools pin support --mcp fs -- npx -y @modelcontextprotocol/server-filesystem /srv
  pinrail tools check                                  all pins against the live servers; 1 when one differs (for CI)
  pinrail tools status                                 what the server's proxy sees, and what is in quarantine
  pinrail tools diff files                             where a live server differs from what releases pin

`pin`, `check` and `show` work on files and ask the MCP servers from here. docs/mcp.md explains pins and the proxy.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Read a live server's tools into agents/AGENT/mcp/NAME.json
    Pin(pin::Args),
    /// Compare all pins with the live servers
    Check(check::Args),
    /// Show what is pinned in the files
    Show(show::Args),
    /// Show the servers as the proxy sees them: state, pins in use, quarantine
    Status,
    /// Show where a live server differs from a pin in use
    Diff {
        #[arg(value_name = "SERVER")]
        mcp: McpServerName,
        /// The pin, where several are in use
        #[arg(long, value_name = "DIGEST")]
        pin: Option<Digest>,
    },
}

/// Where the files are.
#[derive(Debug, clap::Args)]
struct Files {
    /// Folder of pinrail.toml
    #[arg(short = 'f', long = "dir", value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Pin(args) => pin::run(args, context),
        What::Check(args) => check::run(&args, context),
        What::Show(args) => show::run(&args, context).map(|()| ExitCode::SUCCESS),
        What::Status => status::run(context).map(|()| ExitCode::SUCCESS),
        What::Diff { mcp, pin } => status::diff(context, &mcp, pin).map(|()| ExitCode::SUCCESS),
    }
}

/// Reads a live server's tools, from here.
fn read(name: &McpServerName, reach: &Reach) -> anyhow::Result<Pin> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let read = runtime.block_on(async {
        let live = Live::connect(reach).await.map_err(anyhow::Error::new)?;
        let pin = live.tools().await.map_err(anyhow::Error::new);
        live.close().await;
        pin
    });
    read.map_err(|error| {
        let what = format!("MCP server {name} cannot be read: {error:#}");
        let next_step =
            "see that it runs and that its settings are right; it is asked from this machine".to_owned();
        Failed { code: "mcp_server_failed", what, next_step, source: None }.into()
    })
}

/// How a server that `pinrail.toml` names is reached from here.
fn reach(project: &Project, name: &McpServerName) -> anyhow::Result<Reach> {
    use pinrail_gateway::port::Secrets as _;
    let spec = project.mcp_servers.get(name).ok_or_else(|| {
        Usage(format!(
            "pinrail.toml has no [mcp.{name}]; add it, or name the server with --url or -- COMMAND"
        ))
    })?;
    Reach::of(spec, |name| EnvSecrets.secret(name)).map_err(|error| {
        let next_step = "set it in this shell, too: the server is asked from here".to_owned();
        Failed {
            code: "mcp_server_failed",
            what: format!("MCP server {name}: {error}"),
            next_step,
            source: None,
        }
        .into()
    })
}

/// The agents' folders: the one that is named, or all.
fn agents(dir: &std::path::Path, named: Option<&AgentName>) -> anyhow::Result<Vec<AgentName>> {
    if let Some(agent) = named {
        return Ok(vec![agent.clone()]);
    }
    let mut found = Vec::new();
    if let Ok(entries) = std::fs::read_dir(dir.join("agents")) {
        for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
            found.extend(AgentName::new(&entry.file_name().to_string_lossy()).ok());
        }
    }
    found.sort();
    Ok(found)
}

/// The pins in an agent's folder, by file name.
fn pinned(dir: &std::path::Path, agent: &AgentName) -> Vec<McpServerName> {
    let folder = dir.join("agents").join(agent.as_str()).join("mcp");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        McpServerName::new(name.strip_suffix(".json")?).ok()
    });
    let mut names: Vec<McpServerName> = names.collect();
    names.sort();
    names
}

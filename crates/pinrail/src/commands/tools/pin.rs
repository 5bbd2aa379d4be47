//! `pinrail tools pin`: a live server's tools become a file that people review.
//!
//! The first time the file is written. Later, what differs is shown, and only `--write` takes it: a pin that renews
//! itself would pin nothing.

use std::path::Path;
use std::process::ExitCode;

use pinrail_domain::id::{AgentName, McpServerName};
use pinrail_domain::mcp::{McpServerSpec, Pin, PinnedTool};
use pinrail_domain::release::diff::{ToolsDiff, diff_tools};
use pinrail_mcp::Reach;
use serde_json::{Value, json};

use super::{Files, agents, reach, read};
use crate::cli::Context;
use crate::exit::{FAILED, Usage};
use crate::files::Project;
use crate::files::mcp::{pin_file, read_pin};
use crate::output::table::table;
use crate::output::{diff, talk};
use crate::system::EnvSecrets;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose folder it goes to; may be left out where there is one agent
    agent: Option<AgentName>,
    /// The server: [mcp.NAME] of pinrail.toml, or what to call one that --url or -- COMMAND describes
    #[arg(long, value_name = "NAME")]
    mcp: McpServerName,
    /// Its address, where pinrail.toml doesn't name it
    #[arg(long)]
    url: Option<String>,
    /// A header and the variable of its value, such as authorization=KB_KEY (with --url)
    #[arg(long = "header-env", value_name = "HEADER=VARIABLE", requires = "url")]
    headers: Vec<String>,
    /// A variable that the program gets besides PATH and HOME (with -- COMMAND)
    #[arg(long, value_name = "VARIABLE", requires = "command")]
    env: Vec<String>,
    /// Take what changed
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Write nothing, and end with 1 when the file isn't what the server says (for CI)
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    files: Files,
    /// The program that is the server, with its arguments, where pinrail.toml doesn't name it
    #[arg(last = true, conflicts_with = "url")]
    command: Vec<String>,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let agent = the_agent(&args)?;
    let name = args.mcp.clone();
    let is_said = args.url.is_some() || !args.command.is_empty();
    let reach = if is_said { said(&args)? } else { reach(&Project::read_settings(&args.files.dir)?, &name)? };
    let folder = args.files.dir.join("agents").join(agent.as_str());
    let live = read(&name, &reach)?;
    let file = folder.join(pin_file(&name));
    let before = if file.exists() {
        Some(read_pin(&folder, &name).map_err(|what| Usage(format!("{} {what}", file.display())))?)
    } else {
        None
    };
    let differs = before.as_ref().is_none_or(|before| !before.differences(&live).is_empty());
    let writes = differs && !args.check && (before.is_none() || args.write);
    if writes {
        write(&file, &live)?;
    }
    show(
        context,
        &Told { agent: &agent, name: &name, file: &file, before: before.as_ref(), live: &live, writes },
    )?;
    let waits = differs && !writes;
    if waits {
        talk("the file is not what the server says now; --write takes it, after a look at the above");
    }
    Ok(if waits { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// What is told at the end.
struct Told<'a> {
    agent: &'a AgentName,
    name: &'a McpServerName,
    file: &'a Path,
    before: Option<&'a Pin>,
    live: &'a Pin,
    writes: bool,
}

/// Where two pins differ, tool by tool.
pub fn places(before: &Pin, after: &Pin) -> ToolsDiff {
    let text = |pin: &Pin| serde_json::to_string(&pin.tools).unwrap_or_default();
    diff_tools(Some(&text(before)), Some(&text(after)))
}

/// What a tool's annotations say of a call, in a word.
pub fn effect(tool: &PinnedTool) -> &'static str {
    match (tool.only_reads(), tool.may_destroy()) {
        (true, _) => "only reads",
        (false, true) if tool.annotations.is_none() => "may destroy (says nothing)",
        (false, true) => "may destroy",
        (false, false) => "writes",
    }
}

fn show(context: &Context, told: &Told<'_>) -> anyhow::Result<()> {
    let Told { agent, name, file, before, live, writes } = told;
    let digest = live.digest()?;
    let places = before.map(|before| places(before, live)).unwrap_or_default();
    let identity = before.filter(|before| before.server != live.server).map(|before| &before.server);
    if context.out.is_json() {
        let tools: Vec<Value> = live.tools.iter().map(tool_json).collect::<Result<_, _>>()?;
        let value = json!({
            "agent": agent, "server": name, "file": file, "identity": live.server, "pin": digest,
            "pinned": before.map(Pin::digest).transpose()?, "tools": tools, "changes": places,
            "changed": before.is_none_or(|before| !before.differences(live).is_empty()), "written": writes,
        });
        return Ok(context.out.value(&value, String::new)?);
    }
    if let Some(identity) = identity {
        talk(&format!("the server says that it is {} now; it was {identity}", live.server));
    }
    if before.is_some() {
        context.out.styled(&diff::render_tools(&places, context.out.colours()))?;
    }
    let unchanged = before.is_some_and(|before| before.differences(live).is_empty());
    if unchanged {
        talk(&format!("nothing changed: {} is what {name} says", file.display()));
        return Ok(());
    }
    if *writes {
        let rows = live.tools.iter().map(|tool| {
            let short = tool.digest().map(|digest| digest.short()).unwrap_or_default();
            vec![tool.name.to_string(), short, effect(tool).to_owned()]
        });
        context.out.data(
            table(&["tool", "definition", "by its annotations"], rows.collect(), "no tools").trim_end(),
        )?;
        talk(&format!("pinned {} of {} in {}", live.tools.len(), live.server, file.display()));
        talk(&format!("pin {digest}"));
        suggest(name, live);
    }
    Ok(())
}

/// What belongs into `release.toml`.
fn suggest(name: &McpServerName, live: &Pin) {
    let changing: Vec<String> = live
        .tools
        .iter()
        .filter(|tool| !tool.only_reads())
        .map(|tool| format!("\"{}\"", tool.name))
        .collect();
    talk("release.toml:");
    talk(&format!("  [tools]\n  mcp = [\"{name}\"]"));
    match changing.is_empty() {
        true => talk("  # by their annotations, all of them only read"),
        false => talk(&format!(
            "  # side_effects = [{}]    # what counts while the list names none of them; name those that do",
            changing.join(", ")
        )),
    }
}

fn tool_json(tool: &PinnedTool) -> anyhow::Result<Value> {
    Ok(json!({
        "name": tool.name, "definition": tool.digest()?, "only_reads": tool.only_reads(),
        "may_destroy": tool.may_destroy(),
    }))
}

/// Formatted for people; what is stored is the canonical form.
fn write(file: &Path, pin: &Pin) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut text = serde_json::to_string_pretty(pin)?;
    text.push('\n');
    let beside = file.with_extension("json.new");
    std::fs::write(&beside, text)?;
    Ok(std::fs::rename(&beside, file)?)
}

fn the_agent(args: &Args) -> anyhow::Result<AgentName> {
    let agents = agents(&args.files.dir, args.agent.as_ref())?;
    match &agents[..] {
        [one] => Ok(one.clone()),
        [] => Err(Usage("there is no agents/*/ here: name the agent, or use --dir".to_owned()).into()),
        several => {
            let names: Vec<&str> = several.iter().map(AgentName::as_str).collect();
            Err(Usage(format!("name the agent: there are {}", names.join(", "))).into())
        }
    }
}

/// A server that the arguments themselves describe.
fn said(args: &Args) -> anyhow::Result<Reach> {
    use pinrail_gateway::port::Secrets as _;
    let headers = args.headers.iter().map(|pair| {
        let (header, variable) =
            pair.split_once('=').ok_or_else(|| Usage(format!("`{pair}` is not HEADER=VARIABLE")))?;
        Ok((header.to_owned(), variable.to_owned()))
    });
    let spec = McpServerSpec {
        url: args.url.clone(),
        headers_env: headers.collect::<Result<_, Usage>>()?,
        command: args.command.clone(),
        env: args.env.clone(),
        poll: None,
        timeout: None,
    };
    spec.check().map_err(|bad| Usage(bad.to_string()))?;
    Ok(Reach::of(&spec, |name| EnvSecrets.secret(name)).map_err(|error| Usage(error.to_string()))?)
}

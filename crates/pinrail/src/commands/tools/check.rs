//! `pinrail tools check`: every pin in the files against its live server, for CI.

use std::process::ExitCode;

use pinrail_domain::id::AgentName;
use serde_json::{Value, json};

use super::{Files, agents, pin, pinned, reach, read};
use crate::cli::Context;
use crate::exit::FAILED;
use crate::files::Project;
use crate::files::mcp::read_pin;
use crate::output::diff;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this agent's pins
    agent: Option<AgentName>,
    #[command(flatten)]
    files: Files,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let dir = &args.files.dir;
    let project = Project::read_settings(dir)?;
    let mut found: Vec<Value> = Vec::new();
    let mut good = true;
    for agent in agents(dir, args.agent.as_ref())? {
        let folder = dir.join("agents").join(agent.as_str());
        for server in pinned(dir, &agent) {
            let checked = read_pin(&folder, &server).map_err(anyhow::Error::msg).and_then(|before| {
                let live = read(&server, &reach(&project, &server)?)?;
                Ok((before, live))
            });
            let (says, changes) = match &checked {
                Ok((before, live)) => {
                    let differences = before.differences(live);
                    let same = differences.is_empty();
                    let says =
                        if same { "as pinned".to_owned() } else { differences.sentence(server.as_str()) };
                    (says, (!same).then(|| pin::places(before, live)))
                }
                // What can't be checked isn't good.
                Err(error) => (format!("{error:#}"), None),
            };
            let same = checked.is_ok() && changes.is_none();
            good &= same;
            if !context.out.is_json() {
                context.out.data(&format!("{agent}  {server}  {says}"))?;
                if let Some(changes) = &changes {
                    context.out.styled(&diff::render_tools(changes, context.out.colours()))?;
                }
            }
            found.push(
                json!({ "agent": agent, "server": server, "same": same, "says": says, "changes": changes }),
            );
        }
    }
    if context.out.is_json() {
        context.out.value(&json!({ "pins": found, "same": good }), String::new)?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

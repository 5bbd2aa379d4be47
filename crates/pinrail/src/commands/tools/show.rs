//! `pinrail tools show`: what the files pin.

use pinrail_domain::id::AgentName;
use serde_json::{Value, json};

use super::{Files, agents, pin, pinned};
use crate::cli::Context;
use crate::exit::Usage;
use crate::files::mcp::{pin_file, read_pin};
use crate::output::table::table;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this agent's pins
    agent: Option<AgentName>,
    #[command(flatten)]
    files: Files,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let dir = &args.files.dir;
    let mut rows = Vec::new();
    let mut shown: Vec<Value> = Vec::new();
    for agent in agents(dir, args.agent.as_ref())? {
        let folder = dir.join("agents").join(agent.as_str());
        for server in pinned(dir, &agent) {
            let file = folder.join(pin_file(&server));
            let pinned = read_pin(&folder, &server);
            let pinned = pinned.map_err(|what| Usage(format!("{} {what}", file.display())))?;
            let digest = pinned.digest()?;
            for tool in &pinned.tools {
                let effect = pin::effect(tool).to_owned();
                let definition = tool.digest()?.short();
                rows.push(vec![
                    agent.to_string(),
                    server.to_string(),
                    tool.name.to_string(),
                    definition,
                    effect,
                ]);
            }
            shown.push(json!({ "agent": agent, "server": server, "pin": digest, "identity": pinned.server, "tools": pinned.tools }));
        }
    }
    let header = ["agent", "server", "tool", "definition", "by its annotations"];
    Ok(context.out.value(&json!({ "pins": shown }), || {
        table(&header, rows, "no pins; `pinrail tools pin` makes them")
    })?)
}

//! `pinrail pointers`: the rail: what every agent and segment serves.

use pinrail_api::pointers::{Pointer, Pointers, Side};
use pinrail_domain::id::AgentName;

use crate::cli::Context;
use crate::output::table::{or_dash, table};
use crate::output::{one_line, time};

/// Show what every agent and segment serves now
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "status",
    after_help = "Examples:
  pinrail pointers
  pinrail pointers --agent support
  pinrail status --json"
)]
pub struct Args {
    /// Only this agent's
    #[arg(long)]
    agent: Option<AgentName>,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let reply = context.client.get::<Pointers>("/api/v1/pointers")?;
    context.out.reply(&reply, |pointers| {
        let wanted = |pointer: &&Pointer| args.agent.as_ref().is_none_or(|agent| *agent == pointer.agent);
        let rows = pointers.pointers.iter().filter(wanted).map(|pointer| row(pointer, context)).collect();
        let header = ["agent", "segment", "active", "candidate", "weight", "hold"];
        let empty = "nothing is deployed; `pinrail deploy AGENT=RELEASE --now` puts a release on the rail";
        format!("{}\nepoch {}, ledger entry {}", table(&header, rows, empty), pointers.epoch, pointers.seq)
    })?;
    Ok(())
}

fn row(pointer: &Pointer, context: &Context) -> Vec<String> {
    let side = |side: &Side| format!("{} · {} · {}", side.deployment, side.release.short(), side.model);
    let weight = pointer.candidate.as_ref().map(|_| pointer.weight);
    let hold = pointer.hold.as_ref().map(|hold| {
        let since = time::relative(context.now, hold.since);
        format!("by {}, {since}: {}", hold.deployment, one_line(&hold.why, 60))
    });
    vec![
        pointer.agent.to_string(),
        pointer.segment.to_string(),
        or_dash(pointer.active.as_ref().map(side)),
        or_dash(pointer.candidate.as_ref().map(side)),
        or_dash(weight),
        or_dash(hold),
    ]
}

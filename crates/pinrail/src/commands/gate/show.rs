//! `pinrail gate show`, `cancel` and `resume`: one gate.

use pinrail_api::deployments::Because;
use pinrail_api::gates::Gate;
use pinrail_domain::id::GateId;

use super::follow;
use crate::cli::Context;

#[derive(Debug, clap::Args)]
pub struct Show {
    gate: GateId,
}

#[derive(Debug, clap::Args)]
pub struct Act {
    gate: GateId,
    /// Why; the server's log keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

pub fn show(args: &Show, context: &Context) -> anyhow::Result<()> {
    let reply = context.client.get::<Gate>(&format!("/api/v1/gates/{}", args.gate))?;
    context.out.reply(&reply, |gate| follow::shown(gate, context))?;
    Ok(())
}

pub fn cancel(args: Act, context: &Context) -> anyhow::Result<()> {
    act(args, "cancel", context)
}

pub fn resume(args: Act, context: &Context) -> anyhow::Result<()> {
    act(args, "resume", context)
}

fn act(args: Act, what: &str, context: &Context) -> anyhow::Result<()> {
    let Act { gate, reason } = args;
    let reply = context.client.post::<Gate>(&format!("/api/v1/gates/{gate}/{what}"), &Because { reason })?;
    context.out.reply(&reply, |gate| follow::shown(gate, context))?;
    Ok(())
}

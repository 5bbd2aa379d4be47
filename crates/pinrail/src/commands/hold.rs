//! `pinrail hold`: lifts what a rollback has set.

use pinrail_api::deployments::{HoldLifted, LiftHold};
use pinrail_domain::id::{AgentName, SegmentName};

use crate::cli::Context;

/// Lift the hold that a rollback has set
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail hold lift support --reason 'the prompt is fixed'
  pinrail hold lift support --segment enterprise --reason 'checked by hand'

A hold keeps everyone from opening or promoting deployments at a pointer; it never hinders a rollback.
`pinrail pointers` shows the holds.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Lift an agent's hold
    Lift {
        agent: AgentName,
        /// Segment [default: default]
        #[arg(long)]
        segment: Option<SegmentName>,
        /// Why it may go on; the ledger keeps it
        #[arg(long)]
        reason: String,
    },
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let What::Lift { agent, segment, reason } = args.what;
    let wish = LiftHold { agent, segment, reason };
    let reply = context.client.post::<HoldLifted>("/api/v1/holds/lift", &wish)?;
    context.out.reply(&reply, |lifted| {
        let HoldLifted { agent, segment, seq } = lifted;
        format!("the hold of {agent}, segment {segment}, is lifted (ledger entry {seq})")
    })?;
    Ok(())
}

//! `pinrail gate override` and `pinrail gate second`: a promotion without its gate, as somebody's word.

use pinrail_api::deployments::rollout::OverrideGate;
use pinrail_api::deployments::{Because, Flip};
use pinrail_domain::gate::SuiteKind;

use super::kind::Kind;
use crate::cli::Context;
use crate::commands::deployment::rollout;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The candidate's deployment
    id: u64,
    /// Kinds of suites to do without [default: all that it waits for]
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<Kind>,
    /// Why; the ledger keeps it
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub struct Second {
    /// The candidate's deployment
    id: u64,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Args { id, kinds, reason } = args;
    let wish = OverrideGate { kinds: kinds.into_iter().map(SuiteKind::from).collect(), reason };
    let reply = context.client.post::<Flip>(&format!("/api/v1/deployments/{id}/override"), &wish)?;
    told(id, "overridden", &reply, context)
}

pub fn second(args: Second, context: &Context) -> anyhow::Result<()> {
    let Second { id, reason } = args;
    let path = format!("/api/v1/deployments/{id}/override/second");
    let reply = context.client.post::<Flip>(&path, &Because { reason })?;
    told(id, "override seconded", &reply, context)
}

fn told(id: u64, what: &str, reply: &crate::client::Reply<Flip>, context: &Context) -> anyhow::Result<()> {
    // It is kept; what follows from it is told as well as it can be.
    let stands = if context.out.is_json() { None } else { rollout::get(id, context).ok() };
    context.out.reply(reply, |flip| {
        let stands = stands.map(|stands| format!("{}\n", stands.value.sentence)).unwrap_or_default();
        format!("gate of deployment {id}: {what} (ledger entry {})\n{stands}", flip.seq)
    })?;
    Ok(())
}

//! `pinrail deployment`: what was deployed, and moving it on or back.

use pinrail_api::Page;
use pinrail_api::deployments::{Because, Blocking, Deployment, Drain, Flip, OpenRuns, SetWeight};
use pinrail_domain::id::{AgentName, DeploymentId};
use pinrail_domain::share::Share;
use serde::Serialize;

use super::paging::with_next;
use crate::cli::Context;
use crate::client::Query;
use crate::output::table::{or_dash, pairs, table};
use crate::output::{one_line, time};

/// List, show, promote and roll back deployments
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment list
  pinrail deployment show 3                       with what still runs on it
  pinrail deployment weight 3 20%
  pinrail deployment promote 3 --reason 'a day without complaints'
  pinrail deployment rollback 3 --reason 'wrong refunds'")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List deployments, newest first
    List {
        /// Only those that cover this agent
        #[arg(long)]
        agent: Option<AgentName>,
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Only older ones than this
        #[arg(long, value_name = "ID")]
        before: Option<u64>,
    },
    /// Show one deployment and what still runs on it
    Show { id: u64 },
    /// Give a candidate all of its segment's traffic
    Promote {
        id: u64,
        /// Why; the ledger keeps it
        #[arg(long, default_value = "")]
        reason: String,
        /// Lift the hold of an earlier rollback with it
        #[arg(long)]
        lift_hold: bool,
    },
    /// Take a deployment back: runs in flight finish on what they started with
    Rollback {
        id: u64,
        /// Why; the ledger keeps it
        #[arg(long)]
        reason: String,
    },
    /// Set a candidate's share of traffic
    Weight {
        id: u64,
        /// Such as 5% or 0.25%
        share: Share,
        /// Why; the ledger keeps it
        #[arg(long, default_value = "")]
        reason: String,
    },
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::List { agent, limit, before } => {
            let query = Query::default().add("agent", agent).add("limit", limit).add("before", before);
            let reply = context.client.get::<Page<Deployment>>(&query.on("/api/v1/deployments"))?;
            Ok(context.out.reply(&reply, |page| list(page, context))?)
        }
        What::Show { id } => {
            let reply = context.client.get::<Deployment>(&format!("/api/v1/deployments/{id}"))?;
            Ok(context.out.reply(&reply, |deployment| show(deployment, context))?)
        }
        What::Promote { id, reason, lift_hold } => {
            flip(context, id, "promote", &Because { reason, lift_hold })
        }
        What::Rollback { id, reason } => flip(context, id, "rollback", &Because { reason, lift_hold: false }),
        What::Weight { id, share, reason } => {
            flip(context, id, "weight", &SetWeight { weight: share, reason })
        }
    }
}

fn flip(context: &Context, id: u64, verb: &str, body: &impl Serialize) -> anyhow::Result<()> {
    let reply = context.client.post::<Flip>(&format!("/api/v1/deployments/{id}/{verb}"), body)?;
    Ok(context.out.reply(&reply, |flip| show_flip(flip, None))?)
}

/// What a change to a deployment led to, for a person. `weight` is the share that was asked for.
pub fn show_flip(flip: &Flip, weight: Option<Share>) -> String {
    let weight = weight.map(|weight| format!(" at {weight}")).unwrap_or_default();
    let article = if flip.state == "candidate" { "a " } else { "" };
    let mut text = format!(
        "deployment {} is {article}{}{weight} in segment {} (epoch {}, ledger entry {}, took {})\n",
        flip.deployment,
        flip.state,
        flip.segment,
        flip.epoch,
        flip.seq,
        time::millis(flip.took_us)
    );
    for (agent, active) in &flip.active {
        text.push_str(&format!("  {agent}: active is {}\n", or_nothing(*active)));
    }
    let open = flip.open_runs;
    if total(open) > 0 {
        text.push_str(&format!("  {} finish on deployment {}'s stamp\n", runs(open), flip.deployment));
    } else {
        text.push_str("  no runs in flight on it\n");
    }
    text
}

fn list(page: &Page<Deployment>, context: &Context) -> String {
    let rows = page.items.iter().map(|deployment| {
        vec![
            deployment.deployment.to_string(),
            deployment.state.clone(),
            releases(deployment),
            deployment.segment.to_string(),
            or_dash(deployment.weight),
            time::relative(context.now, deployment.opened_at),
            one_line(&deployment.reason, 50),
        ]
    });
    let header = ["id", "state", "releases", "segment", "weight", "opened", "reason"];
    with_next(table(&header, rows.collect(), "no deployments"), "--before", page.next.as_ref())
}

fn show(deployment: &Deployment, context: &Context) -> String {
    let at = |at| time::both(context.now, at);
    let back = deployment.rolled_back.as_ref().map(|back| format!("{}: {}", at(back.at), back.why));
    let replaced = deployment.replaced.iter();
    let replaced =
        replaced.map(|(agent, old)| format!("{agent}: {}", or_nothing(*old))).collect::<Vec<_>>().join(", ");
    let text = pairs(&[
        ("deployment", Some(deployment.deployment.to_string())),
        ("state", Some(deployment.state.clone())),
        ("releases", Some(releases(deployment))),
        ("segment", Some(deployment.segment.to_string())),
        ("weight", deployment.weight.map(|weight| weight.to_string())),
        ("reason", Some(deployment.reason.clone()).filter(|reason| !reason.is_empty())),
        ("opened", Some(at(deployment.opened_at))),
        ("promoted", deployment.promoted_at.map(at)),
        ("rolled back", back),
        ("replaced", Some(replaced).filter(|text| !text.is_empty())),
    ]);
    match &deployment.drain {
        Some(drain) => text + &show_drain(drain, deployment.deployment, context),
        None => text,
    }
}

fn show_drain(drain: &Drain, deployment: DeploymentId, context: &Context) -> String {
    if drain.drained {
        return "drained: no run needs it any more\n".to_owned();
    }
    let mut text = format!("not drained: {}\n", runs(drain.open));
    for Blocking { run, agent, status, since } in &drain.blocking {
        text.push_str(&format!("  {run}  {agent}  {status}, began {}\n", time::both(context.now, *since)));
    }
    if drain.more > 0 {
        let more = drain.more;
        text.push_str(&format!("  … and {more} more: pinrail run list --deployment {deployment}\n"));
    }
    text
}

fn releases(deployment: &Deployment) -> String {
    let named = deployment.releases.iter().map(|(agent, release)| format!("{agent}={}", release.short()));
    named.collect::<Vec<_>>().join(" ")
}

fn or_nothing(deployment: Option<DeploymentId>) -> String {
    deployment.map_or_else(|| "nothing".to_owned(), |id| format!("deployment {id}"))
}

fn total(open: OpenRuns) -> u64 {
    open.queued + open.running + open.paused + open.parked
}

fn runs(open: OpenRuns) -> String {
    let OpenRuns { queued, running, paused, parked } = open;
    format!(
        "{} open runs ({running} running, {queued} queued, {paused} paused, {parked} parked)",
        total(open)
    )
}

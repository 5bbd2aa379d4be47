//! `pinrail deployment`: what was deployed, and moving it on or back.

use std::process::ExitCode;

use pinrail_api::Page;
use pinrail_api::deployments::{
    Because, Blocking, Conflict, Conflicts, Deployment, Drain, Flip, OpenRuns, Promote, SetWeight,
};
use pinrail_domain::gate::Waiver;
use pinrail_domain::id::{AgentName, DeploymentId, RunId};
use pinrail_domain::share::Share;
use pinrail_domain::state::index::Winner;
use serde::Serialize;

use super::paging::with_next;
use crate::cli::Context;
use crate::client::Query;
use crate::exit;
use crate::output::table::{or_dash, pairs, table};
use crate::output::{one_line, time};

mod back;
mod blast;
mod history;
mod pairs;
mod proof;
pub mod rollout;
mod summary;
mod timeline;
mod wait;

/// List, show, promote, freeze and roll back deployments, and say what they did
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment list
  pinrail deployment show 3                       where it stands, and what still runs on it
  pinrail deployment wait 3                       until it is promoted, taken back, or asks
  pinrail deployment timeline 3                   what happened, with samples and bounds
  pinrail deployment history 3                    how its guardrails moved
  pinrail deployment freeze 3 --reason 'a fair is on'
  pinrail deployment resume 3
  pinrail deployment weight 3 20%
  pinrail deployment promote 3 --reason 'a day without complaints'
  pinrail deployment rollback 3 --reason 'wrong refunds'
  pinrail deployment rollback 3 --cascade --dry-run          what would go, and what can't
  pinrail deployment verify 3                                proof that everything is as before
  pinrail deployment blast-radius 3                          who was misled, and what they did
  pinrail deployment pairs 3 --worst                         what it says to copies of live requests
  pinrail deployment commit 7                                of a data job")]
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
        /// Promote although its rollout isn't through, and say why: the ledger keeps it
        #[arg(long = "override", value_name = "REASON")]
        overridden: Option<String>,
    },
    /// Make count what a data job wrote
    Commit {
        id: u64,
        /// Why; the ledger keeps it
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Take a deployment back with all that it wrote: runs in flight finish on what they started with
    Rollback(back::Args),
    /// Show the state as it was when the deployment was opened
    Manifest { id: u64 },
    /// Prove that what is visible is what was visible when it was opened, plus what others did since
    Verify { id: u64 },
    /// Say what a deployment came to, and how its rollback went
    Report {
        id: u64,
        /// With the proof
        #[arg(long)]
        verify: bool,
    },
    /// List the runs that its writes may have misled, what they wrote, and what they did to the world
    BlastRadius(blast::Args),
    /// List what a candidate answered to copies of live requests, beside what was served
    Pairs(pairs::Args),
    /// Show one such pair side by side
    Pair {
        id: u64,
        /// The candidate's run, as `pairs` lists it
        run: RunId,
    },
    /// Report the calls that a rollback can't take back to the agents' compensation webhooks
    Compensate(blast::Compensating),
    /// Stop a rollout: nothing widens by itself any more, and guardrails go on watching
    Freeze(rollout::Change),
    /// Let a stopped rollout go on, or end a pause
    Resume(rollout::Change),
    /// Approve the step that a rollout is at
    Approve(rollout::Change),
    /// Tell what happened to a deployment, with the numbers that it rests on
    Timeline(timeline::Args),
    /// Show how a rollout's guardrails moved: both arms and the bounds, against the margin
    History(history::Args),
    /// Wait until a rollout is promoted, taken back, or stops and asks
    Wait(wait::Args),
    /// Write a rollout's state as Markdown, for a step summary
    Summary(summary::Args),
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

pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let done = match args.what {
        What::List { agent, limit, before } => {
            let query = Query::default().add("agent", agent).add("limit", limit).add("before", before);
            let reply = context.client.get::<Page<Deployment>>(&query.on("/api/v1/deployments"))?;
            Ok(context.out.reply(&reply, |page| list(page, context))?)
        }
        What::Show { id } => {
            let reply = context.client.get::<Deployment>(&format!("/api/v1/deployments/{id}"))?;
            let stands = match reply.value.rollout.is_some() && !context.out.is_json() {
                true => rollout::show(&rollout::get(id, context)?.value, context.now),
                false => String::new(),
            };
            Ok(context.out.reply(&reply, |deployment| stands + &show(deployment, context))?)
        }
        What::Promote { id, reason, lift_hold, overridden } => {
            flip(context, id, "promote", &Promote { reason, lift_hold, overridden })
        }
        What::Commit { id, reason } => flip(context, id, "commit", &Because { reason }),
        What::Rollback(args) => back::run(args, context),
        What::Manifest { id } => proof::manifest(id, context),
        What::Verify { id } => return proof::verify(id, context).map(exit::verdict),
        What::Report { id, verify } => return blast::report(id, verify, context).map(exit::verdict),
        What::BlastRadius(args) => blast::run(args, context),
        What::Compensate(args) => return blast::compensate(args, context).map(exit::verdict),
        What::Freeze(change) => change.run("freeze", context),
        What::Resume(change) => change.run("resume", context),
        What::Approve(change) => change.run("approve", context),
        What::Timeline(args) => timeline::run(&args, context),
        What::History(args) => history::run(&args, context),
        What::Wait(args) => return wait::run(&args, context),
        What::Summary(args) => summary::run(&args, context),
        What::Pairs(args) => pairs::run(args, context),
        What::Pair { id, run } => pairs::one(id, run, context),
        What::Weight { id, share, reason } => {
            flip(context, id, "weight", &SetWeight { weight: share, reason })
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn flip(context: &Context, id: u64, verb: &str, body: &impl Serialize) -> anyhow::Result<()> {
    let reply = context.client.post::<Flip>(&format!("/api/v1/deployments/{id}/{verb}"), body)?;
    Ok(context.out.reply(&reply, |flip| show_flip(flip, None))?)
}

/// What a change to a deployment led to, for a person. `weight` is the share that was asked for.
pub fn show_flip(flip: &Flip, weight: Option<Share>) -> String {
    let weight = weight.map(|weight| format!(" at {weight}")).unwrap_or_default();
    let article = if flip.state == "candidate" { "a " } else { "" };
    let place = match &flip.ingest {
        Some(name) => format!(", data job {name}"),
        None => format!(" in segment {}", flip.segment),
    };
    let mut text = format!(
        "deployment {} is {article}{}{weight}{place} (epoch {}, ledger entry {}, took {})\n",
        flip.deployment,
        flip.state,
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
    } else if flip.ingest.is_none() {
        text.push_str("  no runs in flight on it\n");
    }
    if let Some(taken_along) = flip.taken_along {
        text.push_str(&format!("  {taken_along} records of others, derived from its own, went with it\n"));
    }
    if let Some(conflicts) = &flip.conflicts {
        text.push_str(&show_conflicts(conflicts, "decided"));
    }
    text
}

/// Keys that were written by several, for a person.
fn show_conflicts(conflicts: &Conflicts, verb: &str) -> String {
    let count = conflicts.count;
    let mut text = format!(
        "  {count} {} written by others too, without seeing each other; {verb}:\n",
        if count == 1 { "key was" } else { "keys were" }
    );
    for Conflict { space, key, own, theirs, their_deployment, wins } in
        conflicts.shown.iter().take(CONFLICTS_SHOWN)
    {
        let winner = match wins {
            Winner::Own => {
                format!("its record {own} wins over record {theirs} of deployment {their_deployment}")
            }
            Winner::Theirs => {
                format!("record {theirs} of deployment {their_deployment} wins over its record {own}")
            }
        };
        text.push_str(&format!("    {space} {key} ({}): {winner}\n", space.tenant));
    }
    if count > CONFLICTS_SHOWN as u64 {
        text.push_str(&format!(
            "    … and {} more; --json lists the first 100\n",
            count - CONFLICTS_SHOWN as u64
        ));
    }
    text
}

/// Conflicts shown to a person.
const CONFLICTS_SHOWN: usize = 20;

fn list(page: &Page<Deployment>, context: &Context) -> String {
    let rows = page.items.iter().map(|deployment| {
        vec![
            deployment.deployment.to_string(),
            deployment.state.clone(),
            what(deployment),
            if deployment.ingest.is_some() { "-".to_owned() } else { deployment.segment.to_string() },
            or_dash(deployment.weight),
            time::relative(context.now, deployment.opened_at),
            one_line(&deployment.reason, 50),
        ]
    });
    let header = ["id", "state", "what", "segment", "weight", "opened", "reason"];
    with_next(table(&header, rows.collect(), "no deployments"), "--before", page.next.as_ref())
}

fn show(deployment: &Deployment, context: &Context) -> String {
    let at = |at| time::both(context.now, at);
    let back = deployment.rolled_back.as_ref().map(|back| {
        let kept = if back.kept_state { " (pointers only: what it wrote counts still)" } else { "" };
        format!("{}: {}{kept}", at(back.at), back.why)
    });
    let replaced = deployment.replaced.iter();
    let replaced =
        replaced.map(|(agent, old)| format!("{agent}: {}", or_nothing(*old))).collect::<Vec<_>>().join(", ");
    let text = pairs(&[
        ("deployment", Some(deployment.deployment.to_string())),
        ("state", Some(deployment.state.clone())),
        ("data job", deployment.ingest.as_ref().map(ToString::to_string)),
        ("releases", Some(releases(deployment)).filter(|_| deployment.ingest.is_none())),
        ("segment", Some(deployment.segment.to_string()).filter(|_| deployment.ingest.is_none())),
        ("weight", deployment.weight.map(|weight| weight.to_string())),
        ("reason", Some(deployment.reason.clone()).filter(|reason| !reason.is_empty())),
        ("opened", Some(at(deployment.opened_at))),
        ("promoted", deployment.promoted_at.map(at).filter(|_| deployment.ingest.is_none())),
        ("committed", deployment.promoted_at.map(at).filter(|_| deployment.ingest.is_some())),
        ("rolled back", back),
        ("manifest", deployment.manifest.map(|digest| digest.to_string())),
        ("replaced", Some(replaced).filter(|text| !text.is_empty())),
        ("gate", deployment.gate.as_ref().map(rollout::gate_words)),
        ("gate needs", Some(gate_needs(deployment)).filter(|text| !text.is_empty())),
        ("overrides", Some(overrides(deployment)).filter(|text| !text.is_empty())),
    ]);
    let conflicts = deployment.conflicts.as_ref().filter(|conflicts| conflicts.count > 0);
    let conflicts = conflicts.map(|conflicts| show_conflicts(conflicts, "promoting it now would decide"));
    let drain = deployment.drain.as_ref().filter(|_| deployment.ingest.is_none());
    let drain = drain.map(|drain| show_drain(drain, deployment.deployment, context));
    text + &conflicts.unwrap_or_default() + &drain.unwrap_or_default()
}

/// What promoting it still needs of the gate.
fn gate_needs(deployment: &Deployment) -> String {
    deployment.gate_missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn overrides(deployment: &Deployment) -> String {
    let words = |waiver: &Waiver| {
        let kinds: Vec<&str> = waiver.kinds.iter().map(|kind| kind.as_str()).collect();
        let second = match &waiver.seconded {
            Some(seconded) => format!(", seconded by {}", seconded.by),
            None => String::new(),
        };
        format!("{} by {}{second}: {}", kinds.join(", "), waiver.by, waiver.reason)
    };
    deployment.overrides.iter().map(words).collect::<Vec<_>>().join("; ")
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

fn what(deployment: &Deployment) -> String {
    deployment.ingest.as_ref().map_or_else(|| releases(deployment), |name| format!("data job {name}"))
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

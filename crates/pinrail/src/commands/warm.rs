//! `pinrail warm`: what serves and what a rollback may return to, and whether it can be called.

use pinrail_api::warm::{ProbeNow, WarmRelease, WarmSet};
use pinrail_domain::id::AgentName;
use pinrail_domain::time::Timestamp;
use pinrail_domain::warm::Callable;

use crate::cli::Context;
use crate::client::Query;
use crate::output::table::{or_dash, table};
use crate::output::time;

/// Show and probe the releases that a rollback may return to
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail warm list                     what the newest probes found
  pinrail warm probe --agent support    calls each model once, now

Each agent keeps its last releases warm: as many as `warm` in its agent.toml says, else its tier. Exit code 4 when one
cannot be called; what was not probed yet leaves it at 0.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what serves and what a rollback may return to
    List(Of),
    /// Call each model once, now, and show what came of it
    Probe(Of),
}

#[derive(Debug, clap::Args)]
struct Of {
    /// Only this agent's
    #[arg(long)]
    agent: Option<AgentName>,
}

/// Returns whether nothing is known not to be callable.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<bool> {
    let reply = match &args.what {
        What::List(of) => {
            let path = Query::default().add("agent", of.agent.as_ref()).on("/api/v1/warm");
            context.client.get::<WarmSet>(&path)?
        }
        What::Probe(of) => {
            let wish = ProbeNow { agent: of.agent.clone() };
            context.client.post::<WarmSet>("/api/v1/warm/probe", &wish)?
        }
    };
    context.out.reply(&reply, |set| show(&set.items, context.now))?;
    let bad = |item: &WarmRelease| match item.state {
        Callable::Yes | Callable::Unknown => false,
        Callable::Failing | Callable::Refused | Callable::Gone => true,
    };
    Ok(!reply.value.items.iter().any(bad))
}

/// The table, and below it why a release can't be called.
pub fn show(items: &[WarmRelease], now: Timestamp) -> String {
    let row = |item: &WarmRelease| {
        let place = match item.steps_back {
            None => "candidate".to_owned(),
            Some(0) => "active".to_owned(),
            Some(steps) => format!("{steps} back"),
        };
        vec![
            format!("{}/{}", item.agent, item.segment),
            place,
            item.deployment.to_string(),
            item.release.short(),
            item.snapshot.clone(),
            word(item.state).to_owned(),
            or_dash(item.latency_ms.map(|ms| format!("{ms} ms"))),
            or_dash(item.probed_at.map(|at| time::relative(now, at))),
            or_dash(item.retires.map(|at| at.rfc3339()[..10].to_owned())),
        ]
    };
    let header =
        ["agent", "place", "deployment", "release", "model", "callable", "latency", "probed", "retires"];
    let mut text = table(&header, items.iter().map(row).collect(), "nothing is deployed");
    for item in items {
        if let Some(why) = &item.why {
            text.push_str(&format!("\n{}/{} {}: {why}", item.agent, item.segment, item.release.short()));
        }
    }
    text
}

fn word(state: Callable) -> &'static str {
    match state {
        Callable::Yes => "yes",
        Callable::Unknown => "not probed",
        Callable::Failing => "FAILING",
        Callable::Refused => "REFUSED",
        Callable::Gone => "GONE",
    }
}

//! `pinrail replica`: the processes over one store.

use pinrail_api::replicas::{Replica, Replicas};

use crate::cli::Context;
use crate::output::table::table;
use crate::output::time;

/// See the processes that share one store, and who leads
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail replica list
  pinrail replica list --server http://10.0.0.7:7070    as that replica sees it

Several `pinrail up --store postgres://…` over one PostgreSQL are replicas: any of them takes any request. One leads:
it conducts rollouts, delivers webhooks and runs gates, until another takes over in a new term.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the replicas: who leads, who is silent
    List,
}

const NEVER: &str =
    "never leads: it conducts no rollout, runs no gate, probes nothing and delivers no webhook";

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::List => {
            let reply = context.client.get::<Replicas>("/api/v1/replicas")?;
            context.out.reply(&reply, list)?;
        }
    }
    Ok(())
}

fn list(replicas: &Replicas) -> String {
    if !replicas.shared && replicas.never_leads {
        return format!("one process has the store for itself, and {NEVER}");
    }
    if !replicas.shared {
        return "one process has the store for itself: it leads".to_owned();
    }
    let row = |replica: &Replica| {
        let here = if replica.id == replicas.here { "answers" } else { "" };
        vec![
            replica.id.to_string(),
            replica.name.clone(),
            role(replica),
            format!("{} ago", time::span(replica.silent_ms)),
            here.to_owned(),
        ]
    };
    let rows = replicas.items.iter().map(row).collect();
    let mut text = table(&["replica", "name", "role", "heard of", ""], rows, "no replica is known");
    text.push_str(&format!("\nwhat it shows is at most {} old", time::span(replicas.stale_ms)));
    if replicas.never_leads {
        text.push_str(&format!("\nthe one that answers {NEVER}"));
    }
    if let Some(by) = &replicas.vectors_by {
        text.push_str(&format!("\nnear vectors are looked for by {by}"));
    }
    text
}

fn role(replica: &Replica) -> String {
    match (replica.term, replica.leads_since) {
        (Some(term), Some(since)) => format!("leads in term {term}, since {}", time::absolute(since)),
        (Some(term), None) => format!("leads in term {term}"),
        (None, _) => "follows".to_owned(),
    }
}

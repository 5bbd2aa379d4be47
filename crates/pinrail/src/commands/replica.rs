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

#[cfg(test)]
mod tests {
    use pinrail_domain::time::Timestamp;

    use super::*;

    #[test]
    fn the_list_says_who_leads_and_since_when() {
        let since = Timestamp(1_795_132_800_000);
        let replica = |id, term: Option<u64>, leads_since| Replica {
            id,
            name: format!("replica-{id}"),
            started_at: Timestamp(0),
            silent_ms: 0,
            term,
            leads_since,
        };
        let replicas = Replicas {
            shared: true,
            here: 2,
            leads: false,
            never_leads: false,
            stale_ms: 0,
            vectors_by: None,
            // A server before this version says no time.
            items: vec![replica(1, Some(7), Some(since)), replica(2, None, None), replica(3, Some(8), None)],
        };
        let text = list(&replicas);
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
        assert!(
            line("replica-1").contains(&format!("leads in term 7, since {}", time::absolute(since))),
            "{text}"
        );
        assert!(line("replica-2").contains("follows") && line("replica-2").contains("answers"), "{text}");
        assert!(line("replica-3").contains("leads in term 8 "), "{text}");
    }
}

//! `pinrail release bump`: the release that differs from what runs in its model's snapshot only.

use pinrail_api::releases::{Bump, Bumped};
use pinrail_domain::id::AgentName;

use crate::cli::Context;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail release bump support                        the newest snapshot of the model that support runs
  pinrail release bump support --dry-run              what there is, without creating anything
  pinrail release bump support --to gpt-4.1-2025-04-14

Newer snapshots are those of the same name that the catalogue or the provider's own list shows. A new snapshot is a
candidate like any other: `pinrail deploy` and its gate decide.")]
pub struct Args {
    agent: AgentName,
    /// Release to start from, by id or 6 or more digits of it [default: what the agent runs]
    #[arg(long, value_name = "RELEASE")]
    from: Option<String>,
    /// Model id to pin [default: the newest snapshot of the pinned model]
    #[arg(long, value_name = "MODEL")]
    to: Option<String>,
    /// Look at the catalogue alone, without asking the provider
    #[arg(long)]
    offline: bool,
    /// Say what there is, and create nothing
    #[arg(long)]
    dry_run: bool,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let Args { agent, from, to, offline, dry_run, reason } = args;
    let (from, to, reason) = (from.clone(), to.clone(), reason.clone());
    let wish = Bump { from, to, offline: *offline, dry_run: *dry_run, reason };
    let reply = context.client.post::<Bumped>(&format!("/api/v1/agents/{agent}/bump"), &wish)?;
    context.out.reply(&reply, words)?;
    Ok(())
}

fn words(bumped: &Bumped) -> String {
    let Bumped { agent, from, model, newer, unlisted, release, to } = bumped;
    let mut text = String::new();
    for one in newer {
        let place = if one.catalogued { "in the catalogue" } else { "listed by the provider" };
        text.push_str(&format!("newer than {model}: {} of {}, {place}\n", one.id, one.released));
    }
    if newer.is_empty() {
        text.push_str(&format!("no newer snapshot of {model} is known\n"));
    }
    if let Some(why) = unlisted {
        text.push_str(&format!("the provider's own list is not part of this: {why}\n"));
    }
    match (release, to) {
        (Some(release), Some(to)) => {
            let made = if release.created { "created" } else { "exists" };
            text.push_str(&format!(
                "release {} of {agent} {made}: as {} but for the model, {to}\n  see it: pinrail release diff {} {}\n  \
                 prove it: pinrail deploy {agent}={}\n",
                release.short,
                from.short(),
                from.short(),
                release.short,
                release.short
            ));
        }
        (None, Some(to)) => text.push_str(&format!("would pin {to}; nothing was created\n")),
        (_, None) => {}
    }
    text
}

//! `pinrail gc journal`: drops journals that are older than they are kept.

use pinrail_api::gc::{Collect, JournalCollection};

use super::{LOOK_MS, parse_span};
use crate::cli::Context;
use crate::client::Query;
use crate::output::table::table;
use crate::output::{progress, time};

/// Drop the journals of old runs, by whole days
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail gc journal --older-than 90d --dry-run   which days would go, and why older ones stay
  pinrail gc journal --older-than 90d
  pinrail gc journal                              as `[journal] keep` of pinrail.toml says, which the server does daily by itself

Days are in UTC. A day stays while a run of it is open, and while a deployment is undecided that was open then: it is
judged by its runs. What runs wrote into memory, context and vectors stays, and so do the ledger and sessions. The ledger
says what was dropped; whoever asks for such a run is told so.")]
pub struct Args {
    /// Say what would be dropped, and drop nothing
    #[arg(long)]
    dry_run: bool,
    /// Keep the journals of this time, such as 90d or 52w [default: `[journal] keep`]
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    older_than: Option<u64>,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

const PATH: &str = "/api/v1/gc/journal";

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Args { dry_run, older_than, reason } = args;
    let wish = Collect { older_than_ms: older_than, dry_run, reason };
    let mut reply = context.client.post::<JournalCollection>(PATH, &wish)?;
    if !dry_run {
        let bar = progress::bar("dropping days of journals", reply.value.dropping.days);
        let kept = reply.value.older_than_ms;
        let mut dropping = reply.value.dropping.clone();
        while dropping.running {
            let path =
                Query::default().add("wait_ms", Some(LOOK_MS)).add("older_than_ms", Some(kept)).on(PATH);
            dropping = context.client.get::<JournalCollection>(&path)?.value.dropping;
            bar.set_length(dropping.days);
            bar.set_position(dropping.done);
        }
        bar.finish_and_clear();
        reply.value.dropping = dropping;
    }
    if context.out.is_json() {
        context.out.value(&reply.value, String::new)?;
    } else {
        context.out.reply(&reply, |collection| describe(collection, dry_run))?;
    }
    Ok(())
}

fn describe(collection: &JournalCollection, dry_run: bool) -> String {
    let verb = if dry_run { "would be dropped" } else { "dropped" };
    let before = format!("before {}, kept {}", collection.kept_from, time::span(collection.older_than_ms));
    let mut text = if collection.runs == 0 {
        format!("no journals to drop ({before})")
    } else {
        let entry = collection.seq.map(|seq| format!(", ledger entry {seq}")).unwrap_or_default();
        let (runs, days) = (count(collection.runs, "run"), count(collection.collect.len() as u64, "day"));
        format!("{runs} of {days} {verb} ({before}){entry}")
    };
    let gone =
        collection.collect.iter().map(|day| vec![day.day.to_string(), day.runs.to_string(), verb.to_owned()]);
    let kept = collection
        .keep
        .iter()
        .map(|day| vec![day.day.to_string(), day.runs.to_string(), format!("kept: {}", day.because)]);
    let mut rows: Vec<Vec<String>> = gone.chain(kept).collect();
    rows.sort();
    if !rows.is_empty() {
        text.push_str(&format!("\n\n{}", table(&["day", "runs", "what"], rows, "")));
    }
    if let Some(trouble) = &collection.dropping.trouble {
        text.push_str(&format!("\nNOT FINISHED: {trouble}; `pinrail gc journal` goes on"));
    }
    text
}

fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;

//! `pinrail deployment timeline`.

use pinrail_api::Page;
use pinrail_api::deployments::rollout::Happened;
use pinrail_domain::rollout::Evidence;

use crate::cli::Context;
use crate::client::Query;
use crate::commands::paging::with_next;
use crate::output::time;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment timeline 3
  pinrail deployment timeline 3 --json | jq -r '.items[] | [.seq, .what] | @tsv'

Each line is a ledger entry; below it are the numbers that it rests on: both arms, their bounds, and how many units.")]
pub struct Args {
    id: u64,
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only what came after this ledger entry
    #[arg(long, value_name = "ENTRY")]
    after: Option<u64>,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let query = Query::default().add("limit", args.limit).add("after", args.after);
    let path = query.on(&format!("/api/v1/deployments/{}/timeline", args.id));
    let reply = context.client.get::<Page<Happened>>(&path)?;
    context.out.reply(&reply, |page| {
        let text: String = page.items.iter().map(show).collect();
        with_next(text, "--after", page.next.as_ref())
    })?;
    Ok(())
}

fn show(happened: &Happened) -> String {
    let Happened { at, seq, actor, what, reason, evidence } = happened;
    let mut text = format!("{}  entry {seq}  {what}  ({actor})\n", time::absolute(*at));
    if !reason.is_empty() && !what.contains(reason.as_str()) {
        text.push_str(&format!("    {reason}\n"));
    }
    text + &evidence.as_ref().map(numbers).unwrap_or_default()
}

/// The numbers of a ledger entry, one line each.
fn numbers(evidence: &Evidence) -> String {
    let Evidence { findings, runs, units, pairs } = evidence;
    let mut text = format!(
        "    runs {} and {}, units {} and {} (candidate and incumbent)\n",
        runs.candidate, runs.incumbent, units.candidate, units.incumbent
    );
    for finding in findings {
        text.push_str(&format!("    {}\n", finding.sentence()));
    }
    if pairs.compared > 0 {
        let divergence = pairs.divergence.map(|mean| format!(", divergence {mean:.3} on average"));
        text.push_str(&format!(
            "    {} answers compared{}\n",
            pairs.compared,
            divergence.unwrap_or_default()
        ));
    }
    text
}

//! `pinrail gc`: removes rolled-back data that nobody needs any more; `pinrail gc journal` drops old journals.

use pinrail_api::gc::{Collect, Collection};

use crate::cli::Context;
use crate::client::Query;
use crate::output::table::table;
use crate::output::{progress, time};

mod journal;

/// Remove rolled-back data that nobody needs any more
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail gc --dry-run                  what would go, and why the rest stays
  pinrail gc                            what was rolled back longer ago than the server keeps it (30d)
  pinrail gc --older-than 7d --reason 'the disk is nearly full'
  pinrail gc journal --older-than 90d --dry-run   which days of journals would go, and why older ones stay

The ledger says what was removed. As-of reads that would show it answer `collected` from then on; nothing that a
pointer, a fallback or an open run needs changes.")]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Keep what was rolled back within this time, such as 30d or 12h [default: `[state] aborted_kept`, else 30d]
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    older_than: Option<u64>,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Journal(journal::Args),
}

const PATH: &str = "/api/v1/gc";
/// How often somebody who looks is shown how far the removal is, in milliseconds.
const LOOK_MS: u64 = 250;

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Args { what, dry_run, older_than, reason } = args;
    if let Some(What::Journal(args)) = what {
        return journal::run(args, context);
    }
    let wish = Collect { older_than_ms: older_than, dry_run, reason };
    let mut reply = context.client.post::<Collection>(PATH, &wish)?;
    if !dry_run {
        let bar = progress::bar("removing records", reply.value.removal.records);
        let mut removal = reply.value.removal.clone();
        while removal.running {
            let path = Query::default().add("wait_ms", Some(LOOK_MS)).on(PATH);
            removal = context.client.get::<Collection>(&path)?.value.removal;
            bar.set_length(removal.records);
            bar.set_position(removal.removed);
        }
        bar.finish_and_clear();
        reply.value.removal = removal;
    }
    if context.out.is_json() {
        context.out.value(&reply.value, String::new)?;
    } else {
        context.out.reply(&reply, |collection| describe(collection, dry_run, context))?;
    }
    Ok(())
}

fn describe(collection: &Collection, dry_run: bool, context: &Context) -> String {
    let verb = if dry_run { "would be removed" } else { "removed" };
    let mut text = if collection.records == 0 {
        "nothing to remove".to_owned()
    } else {
        let layers: Vec<String> =
            collection.layers.iter().map(|(layer, records)| format!("{layer} {records}")).collect();
        let entry = collection.seq.map(|seq| format!(", ledger entry {seq}")).unwrap_or_default();
        format!("{} records {verb}: {}{entry}", collection.records, layers.join(", "))
    };
    let gone = collection
        .collect
        .iter()
        .map(|gone| vec![gone.deployment.to_string(), gone.records.to_string(), verb.to_owned()]);
    let kept = collection.keep.iter().map(|kept| {
        use pinrail_domain::state::collect::Why;
        let until = match kept.why {
            Why::Lately { rolled_back_at, kept_until } => format!(
                "kept: rolled back {}, until {}",
                time::relative(context.now, rolled_back_at),
                time::absolute(kept_until)
            ),
            Why::StateKept | Why::RunsOpen { .. } | Why::Needed { .. } => format!("kept: {}", kept.because),
        };
        vec![kept.deployment.to_string(), kept.records.to_string(), until]
    });
    let rows: Vec<Vec<String>> = gone.chain(kept).collect();
    if !rows.is_empty() {
        text.push_str(&format!("\n\n{}", table(&["deployment", "records", "what"], rows, "")));
    }
    if let Some(trouble) = &collection.removal.trouble {
        text.push_str(&format!("\nNOT FINISHED: {trouble}; `pinrail gc` goes on"));
    }
    text
}

/// Reads `30d`.
fn parse_span(text: &str) -> Result<u64, String> {
    time::span_ms(text).ok_or_else(|| format!("`{text}` is no span of time; write 12h, 30d or 4w"))
}

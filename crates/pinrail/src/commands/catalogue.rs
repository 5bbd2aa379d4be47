//! `pinrail catalogue`: what the server knows about models, and where it learnt it.

use std::path::PathBuf;

use anyhow::Context as _;
use pinrail_api::catalogue::{Catalogue, History, Update, UpdateCatalogue, Updated};
use pinrail_domain::id::ProviderName;
use pinrail_domain::model::{CATALOGUE_BYTES_MAX, Changes, Listed, STALE_DAYS};

use crate::cli::Context;
use crate::client::Query;
use crate::exit::Usage;
use crate::output::table::{or_dash, table};
use crate::output::time;

/// Show and update what is known about models
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail catalogue show openai                 each model with its source and date
  pinrail catalogue update --provider openai    what the provider's own list would change
  pinrail catalogue update --provider openai --yes --reason 'new dates'
  pinrail catalogue update --litellm model_prices_and_context_window.json --yes
  pinrail catalogue diff                        what was learnt beside what Pinrail brings
  pinrail catalogue history

What your own catalogue file states (`catalogue` in pinrail.toml) wins over everything learnt. `pinrail model check` and
`pinrail scan` ask no server: they know what Pinrail brings and your file.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what is known of each model, with source and date
    Show {
        /// Only this part: openai, anthropic, gemini, mistral, …
        provider: Option<String>,
    },
    /// Learn from a provider's own list, or from LiteLLM's price list; without --yes, only what would change is shown
    Update(UpdateArgs),
    /// Show what was learnt beside what Pinrail brings
    Diff,
    /// Show what was learnt when, from where and by whom
    History,
}

#[derive(Debug, clap::Args)]
struct UpdateArgs {
    /// A registered provider, whose own list is read by the server
    #[arg(long, value_name = "NAME", conflicts_with = "litellm")]
    provider: Option<ProviderName>,
    /// LiteLLM's model_prices_and_context_window.json
    #[arg(long, value_name = "FILE")]
    litellm: Option<PathBuf>,
    /// Change nothing, also with --yes
    #[arg(long)]
    dry_run: bool,
    /// Do it: without this, only what would change is shown
    #[arg(long)]
    yes: bool,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::Show { provider } => {
            let path = Query::default().add("provider", provider).on("/api/v1/catalogue");
            let reply = context.client.get::<Catalogue>(&path)?;
            context.out.reply(&reply, |catalogue| show(catalogue, context))?;
        }
        What::Update(args) => update(args, context)?,
        What::Diff => {
            let reply = context.client.get::<Changes>("/api/v1/catalogue/diff")?;
            context.out.reply(&reply, changes)?;
        }
        What::History => {
            let reply = context.client.get::<History>("/api/v1/catalogue/history")?;
            context.out.reply(&reply, |history| past(&history.items, context))?;
        }
    }
    Ok(())
}

fn update(args: UpdateArgs, context: &Context) -> anyhow::Result<()> {
    let UpdateArgs { provider, litellm, dry_run, yes, reason } = args;
    if provider.is_none() && litellm.is_none() {
        return Err(Usage("name a source: --provider NAME or --litellm FILE".to_owned()).into());
    }
    let litellm = litellm.map(|path| {
        let length = std::fs::metadata(&path).map(|file| file.len());
        let length = length.with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::ensure!(
            length <= CATALOGUE_BYTES_MAX as u64,
            "{} has {length} bytes, more than the {CATALOGUE_BYTES_MAX} allowed",
            path.display()
        );
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    });
    let dry_run = dry_run || !yes;
    let wish = UpdateCatalogue { provider, litellm: litellm.transpose()?, dry_run, reason };
    let reply = context.client.post::<Updated>("/api/v1/catalogue/update", &wish)?;
    context.out.reply(&reply, |updated| told(updated, dry_run))?;
    Ok(())
}

fn told(updated: &Updated, dry_run: bool) -> String {
    let Updated { source, changes: found, whole: _, passed_over, catalogue, seq } = updated;
    let mut text = changes(found);
    if *passed_over > 0 {
        text.push_str(&format!("\n{passed_over} entries are of other providers or other kinds of models\n"));
    }
    let end = match (seq, catalogue) {
        (Some(seq), Some(catalogue)) => {
            format!("learnt from {source}: ledger entry {seq}, catalogue {catalogue}")
        }
        _ if found.added.is_empty() && found.changed.is_empty() => format!("{source} says nothing new"),
        _ if dry_run => format!("{source} would change this; add --yes to learn it"),
        _ => format!("{source} says nothing new"),
    };
    text.push_str(&format!("\n{end}"));
    text
}

fn changes(changes: &Changes) -> String {
    let Changes { added, changed, unlisted } = changes;
    let new = added.iter().map(|one| {
        let known = [one.retires.as_ref().map(|at| format!("retires {at}")), one.price.clone()];
        let known: Vec<String> = known.into_iter().flatten().collect();
        vec!["+".to_owned(), one.provider.clone(), one.id.clone(), one.identity.clone(), known.join("; ")]
    });
    let other = changed.iter().map(|one| {
        let before = or_dash(one.before.as_ref());
        let after = or_dash(one.after.as_ref());
        let what = format!("{before} -> {after}");
        vec!["~".to_owned(), one.provider.clone(), one.id.clone(), one.field.clone(), what]
    });
    let gone = unlisted.iter().map(|one| {
        let why = "not listed for this key; stays as it is known".to_owned();
        vec!["?".to_owned(), one.provider.clone(), one.id.clone(), "not listed".to_owned(), why]
    });
    let rows: Vec<Vec<String>> = new.chain(other).chain(gone).collect();
    table(&["", "provider", "model", "what", "known"], rows, "no difference") + "\n"
}

fn show(catalogue: &Catalogue, context: &Context) -> String {
    let rows = catalogue.models.iter().map(|model| {
        let Listed { provider, id, identity, retires, price, source, as_of, stale, .. } = model;
        let as_of = if *stale { format!("{as_of} STALE") } else { as_of.clone() };
        vec![
            provider.clone(),
            id.clone(),
            identity.clone(),
            or_dash(retires.as_ref()),
            or_dash(price.as_ref()),
            as_of,
            source.clone(),
        ]
    });
    let header = ["provider", "model", "identity", "retires", "price per million tokens", "as of", "source"];
    let mut text = table(&header, rows.collect(), "the catalogue lists no such model");
    text.push_str(&format!("\n\nas of {}", time::absolute(catalogue.as_of)));
    if catalogue.stale {
        text.push_str(&format!(
            ": STALE, older than {STALE_DAYS} days; `pinrail catalogue update` learns anew"
        ));
    }
    if let Some(update) = &catalogue.learnt {
        let when = time::relative(context.now, update.at);
        text.push_str(&format!("; learnt {when} from {} (ledger entry {})", update.source, update.seq));
    }
    if catalogue.own_file {
        text.push_str("; your own file is laid over it");
    }
    text
}

fn past(updates: &[Update], context: &Context) -> String {
    let rows = updates.iter().map(|update| {
        let count = |of: fn(&pinrail_api::catalogue::Counts) -> u64| or_dash(update.counts.as_ref().map(of));
        vec![
            update.seq.to_string(),
            time::relative(context.now, update.at),
            update.source.clone(),
            count(|counts| counts.added),
            count(|counts| counts.changed),
            count(|counts| counts.unlisted),
            or_dash(update.actor.as_ref()),
            update.reason.clone(),
        ]
    });
    let header = ["entry", "when", "source", "added", "changed", "not listed", "by", "reason"];
    table(&header, rows.collect(), "nothing was learnt yet: the catalogue is what Pinrail brings")
}

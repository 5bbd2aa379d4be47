//! `pinrail state`: what is kept of memory, shared context and vectors, for the people who run it.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{IngestName, TenantId};
use pinrail_domain::state::Layer;

use crate::cli::Context;

mod export;
mod import;
mod map;
mod records;
mod spaces;
mod verify;

/// Look at memory, shared context and vectors; verify, export and import them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail state spaces --layer memory
  pinrail state get context/orders order-17
  pinrail state get memory/support/s-17 --deployment 5        through the eyes of deployment 5's runs
  pinrail state history memory/support/s-17                   with the reason why each record is hidden
  pinrail state as-of context/orders 2026-11-20T21:00:00Z
  pinrail state verify                                        exit code 4 where something is damaged
  pinrail state map --dot | dot -Tsvg > map.svg
  pinrail state export vectors/kb@1f2e3d4c5b6a > kb.jsonl
  pinrail state import kb.jsonl --space vectors/kb --job reload --commit

A space is written memory/AGENT/SESSION, context/NAME or vectors/NAME@EMBEDDER; `pinrail state spaces` lists them.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the spaces, with what is visible and who wrote there
    Spaces {
        #[arg(long)]
        layer: Option<Layer>,
        #[arg(long)]
        tenant: Option<TenantId>,
        /// What the space's name begins with
        #[arg(long)]
        prefix: Option<String>,
        /// The next page: the `more` of the page before
        #[arg(long)]
        after: Option<String>,
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show what is visible in a space, or one key of it
    Get {
        space: String,
        key: Option<String>,
        #[command(flatten)]
        eyes: Eyes,
        #[command(flatten)]
        page: Page,
    },
    /// Show everything that was ever written to a space, or to one key of it, with the reason why it is hidden
    History {
        space: String,
        key: Option<String>,
        #[command(flatten)]
        eyes: Eyes,
        #[command(flatten)]
        page: Page,
    },
    /// Show what was visible at a moment
    AsOf {
        space: String,
        /// A `moment` (1200.87), state:N, ledger:N, a time, or Unix milliseconds
        moment: String,
        key: Option<String>,
        #[arg(long)]
        tenant: Option<TenantId>,
        #[arg(long)]
        deployment: Option<u64>,
        #[command(flatten)]
        page: Page,
    },
    /// Recompute the digests of records; exit code 4 where one is damaged
    Verify {
        /// Without it, every space
        space: Option<String>,
        #[arg(long)]
        tenant: Option<TenantId>,
    },
    /// Show which agents read and write which spaces, and so depend on each other
    Map {
        #[arg(long)]
        tenant: Option<TenantId>,
        /// Each space by itself, also every session
        #[arg(long)]
        spaces: bool,
        /// For graphviz
        #[arg(long, conflicts_with = "json")]
        dot: bool,
    },
    /// Print what is visible in a space, one record a line
    Export {
        space: String,
        #[command(flatten)]
        eyes: Eyes,
    },
    /// Take an export into a space, through a data job of its own; run again, it goes on
    Import {
        file: std::path::PathBuf,
        /// Where to; of vectors NAME alone will do
        #[arg(long)]
        space: String,
        #[arg(long)]
        tenant: Option<TenantId>,
        /// The data job's name: the same one again goes on where it stopped
        #[arg(long)]
        job: IngestName,
        /// Commit the job at the end; without it nobody sees the records yet
        #[arg(long)]
        commit: bool,
        /// The digest that the file must have, as `export` said it
        #[arg(long, value_name = "SHA256")]
        expect: Option<Digest>,
    },
}

/// Through whose eyes, and as of when.
#[derive(Debug, clap::Args)]
struct Eyes {
    /// Whose [default: default]
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Look as the runs of this deployment do
    #[arg(long)]
    deployment: Option<u64>,
    /// A `moment` (1200.87), state:N, ledger:N, a time, or Unix milliseconds
    #[arg(long, value_name = "MOMENT")]
    as_of: Option<String>,
}

/// Which page.
#[derive(Debug, clap::Args)]
struct Page {
    /// Only records after this one
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Returns whether everything is whole; always, unless it was asked.
pub fn run(args: Args, context: &Context) -> anyhow::Result<bool> {
    match args.what {
        What::Spaces { layer, tenant, prefix, after, limit } => {
            let wish = spaces::Wish { layer, tenant, prefix, after, limit };
            spaces::run(&wish, context)?;
        }
        What::Get { space, key, eyes, page } => {
            records::run(&space, key.as_deref(), false, &eyes, &page, context)?;
        }
        What::History { space, key, eyes, page } => {
            records::run(&space, key.as_deref(), true, &eyes, &page, context)?;
        }
        What::AsOf { space, moment, key, tenant, deployment, page } => {
            let eyes = Eyes { tenant, deployment, as_of: Some(moment) };
            records::run(&space, key.as_deref(), false, &eyes, &page, context)?;
        }
        What::Verify { space, tenant } => return verify::run(space, tenant, context),
        What::Map { tenant, spaces, dot } => map::run(tenant.as_ref(), spaces, dot, context)?,
        What::Export { space, eyes } => export::run(&space, &eyes, context)?,
        What::Import { file, space, tenant, job, commit, expect } => {
            import::run(&import::Wish { file, space, tenant, job, commit, expect }, context)?;
        }
    }
    Ok(true)
}

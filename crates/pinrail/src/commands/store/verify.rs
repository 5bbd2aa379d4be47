//! `pinrail store verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::copy::verify;
use super::{compared, file, source, target};
use crate::exit;
use crate::output::Output;

/// Read a SQLite store and its copy in PostgreSQL, and say whether they are equal
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail store verify . postgres://owner@db/pinrail

Follows the ledger's chain on both sides, hashes every artifact, and compares all rows and, per space, what everybody sees.
Both are only read. Where either is served meanwhile, what was written since the last copy differs. Exit code 4: they differ.")]
pub struct Args {
    /// Folder in which `pinrail up` ran, or its database
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// Address of the database
    #[arg(value_name = "TO")]
    to: String,
}

pub fn run(args: &Args, out: Output) -> anyhow::Result<ExitCode> {
    let file = file(&args.from)?;
    let held = super::runtime()?.block_on(async {
        let (source, target) = (source(&file)?, target(&args.to, &file, false).await?);
        verify(&source, &target).await
    })?;
    out.value(&held, || compared(&held))?;
    Ok(exit::verdict(held.iter().all(|held| held.equal)))
}

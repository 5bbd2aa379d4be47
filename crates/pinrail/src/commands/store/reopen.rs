//! `pinrail store reopen`.

use std::path::PathBuf;

use serde::Serialize;

use super::{file, folder};
use crate::data::Lock;
use crate::data::moved::{self, Moved};
use crate::output::Output;

/// Make a SQLite store that was moved a store again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail store reopen .

What was written to the database since the move stays there and isn't brought back: the two go their own ways from here. To
move again, copy into an empty database.")]
pub struct Args {
    /// Folder in which `pinrail up` ran, or its database
    #[arg(value_name = "FROM")]
    from: PathBuf,
}

#[derive(Serialize)]
struct Done {
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<Moved>,
}

pub fn run(args: &Args, out: Output) -> anyhow::Result<()> {
    let file = file(&args.from)?;
    let folder = folder(&file);
    let _lock = Lock::take(folder)?;
    let done = Done { was: moved::unmark(folder)? };
    out.value(&done, || match &done.was {
        None => "it wasn't moved: nothing to do".to_owned(),
        Some(was) => {
            let (to, ledger) = (&was.to, was.ledger);
            format!("goes on from ledger entry {ledger}; what was written to {to} since then is there alone")
        }
    })?;
    Ok(())
}

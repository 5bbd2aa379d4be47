//! `pinrail store`: moves everything that is kept from SQLite to PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use pinrail_store::transfer::{Comparison, CopyError, Line};
use pinrail_store_postgres::{Options, Transfer};
use pinrail_store_sqlite::File;
use serde::Serialize;

use crate::config;
use crate::data::store;
use crate::exit::{Failed, Usage};
use crate::output::Output;
use crate::output::table::table;

mod copy;
mod reopen;
mod verify;

/// Move everything that is kept from SQLite to PostgreSQL.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail store copy . postgres://owner@db/pinrail --dry-run    how much it is
  pinrail store copy . postgres://owner@db/pinrail              while `pinrail up` goes on; again, and it copies what came since
  pinrail store copy . postgres://owner@db/pinrail --final      with `pinrail up` stopped: the rest, verified, and moved
  pinrail store verify . postgres://owner@db/pinrail            whether both are equal
  pinrail store reopen .                                        goes on from SQLite after all")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Copy(copy::Args),
    Verify(verify::Args),
    Reopen(reopen::Args),
}

pub fn run(args: Args, out: Output) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Copy(args) => copy::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Reopen(args) => reopen::run(&args, out).map(|()| ExitCode::SUCCESS),
    }
}

/// The file that `from` means: a folder with `.pinrail/pinrail.db`, a data folder, or the file itself.
fn file(from: &Path) -> anyhow::Result<PathBuf> {
    if from.to_str().is_some_and(crate::files::is_postgres) {
        return Err(Usage("a store is moved from SQLite to PostgreSQL, not the other way".to_owned()).into());
    }
    let places = [from.join(".pinrail").join("pinrail.db"), from.join("pinrail.db"), from.to_owned()];
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Failed {
            code: "no_store",
            what: format!("there is no store in {}", from.display()),
            next_step: "name the folder in which `pinrail up` ran, or its .pinrail/pinrail.db".to_owned(),
            source: None,
        }
        .into()
    })
}

/// The folder that a store's file is in.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn source(file: &Path) -> anyhow::Result<File> {
    Ok(File::open(file)?)
}

/// Connects to the database.
async fn target(to: &str, file: &Path, writes: bool) -> anyhow::Result<Transfer> {
    Ok(Transfer::connect(&reached(to, file)?, writes).await?)
}

/// How the database is reached. `file` tells whose `pinrail.toml` may say more about it.
fn reached(to: &str, file: &Path) -> anyhow::Result<Options> {
    if !crate::files::is_postgres(to) {
        return Err(Usage("the target's address begins with postgres:// or postgresql://".to_owned()).into());
    }
    let dir = folder(file).parent().unwrap_or(Path::new("."));
    let settings = config::server(dir)?.kept_in(Some(to.to_owned()), None, None)?;
    Ok(store::postgres(&settings)?.expect("the settings name the store just given"))
}

/// A copy's end as this program's own.
fn failed(error: CopyError) -> anyhow::Error {
    let (code, next_step) = match &error {
        CopyError::InUse => ("target_in_use", "name a database that is empty: CREATE DATABASE, then again"),
        CopyError::Foreign { .. } => {
            ("target_foreign", "name an empty database, or the store that this database is a copy of")
        }
        CopyError::Source(_) | CopyError::Target(_) => return error.into(),
    };
    Failed { code, what: error.to_string(), next_step: next_step.to_owned(), source: None }.into()
}

/// What both sides hold of something, as it is printed.
#[derive(Serialize)]
struct Held {
    what: String,
    source: u64,
    target: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_digest: Option<String>,
    equal: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
}

impl Held {
    fn of(comparison: &Comparison) -> Held {
        let digest = |line: &Line| line.digest.map(|digest| digest.to_string());
        let faults = [("source", &comparison.source), ("target", &comparison.target)];
        let faults = faults
            .into_iter()
            .flat_map(|(side, line)| line.faults.iter().map(move |fault| format!("{side}: {fault}")));
        Held {
            what: comparison.what.clone(),
            source: comparison.source.count,
            target: comparison.target.count,
            source_digest: digest(&comparison.source),
            target_digest: digest(&comparison.target),
            equal: comparison.is_equal(),
            faults: faults.collect(),
        }
    }
}

/// The table of what both sides hold.
fn compared(held: &[Held]) -> String {
    let rows = held.iter().map(|held| {
        let equal = if held.equal { "yes" } else { "NO" };
        vec![held.what.clone(), held.source.to_string(), held.target.to_string(), equal.to_owned()]
    });
    let mut text = table(&["what", "source", "target", "equal"], rows.collect(), "");
    for held in held {
        held.faults.iter().for_each(|fault| text.push_str(&format!("\n{}: {fault}", held.what)));
    }
    text
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

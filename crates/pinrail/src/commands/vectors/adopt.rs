//! `pinrail vectors adopt`, `unadopt` and `adopted`: tables of one's own under the visibility rule.
//!
//! They talk to PostgreSQL, not to a server: what they do is DDL, by a role that may.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use pinrail_adopt::iterative::{For, Scans};
use pinrail_adopt::plan::Plan;
use pinrail_adopt::{Error, Unadopted, Unadopting, adopt, hidden, list, plan_for, unadopt};
use pinrail_store_postgres::Postgres;
use serde::Serialize;
use tokio_postgres::Client;

use crate::cli::Context;
use crate::config::{self, STORE_ENV};
use crate::data::store;
use crate::exit::{Failed, Usage};
use crate::output::{progress, talk};

mod words;

/// Where the table is.
#[derive(Debug, clap::Args)]
pub struct Store {
    /// The PostgreSQL that holds the store and the table, by a role that may change the table [default: PINRAIL_STORE, else
    /// `[store] url` of DIR/pinrail.toml]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Folder of pinrail.toml
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail vectors adopt public.documents --store postgres://keeper@db/app --dry-run
  pinrail vectors adopt public.documents --reason 'roll back what agents write' --set-iterative-scan database

The application goes on with the same name and the same SQL; with `SET LOCAL pinrail.run = 'run_…'` it writes in the name of
its run's deployment. What changes for it is printed, and told in docs/adopt.md.")]
pub struct Adopt {
    /// The table, as in SQL: documents, public.documents, \"My Schema\".\"Docs\"
    table: String,
    /// Print what would be done, with its SQL, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Why; kept in pinrail_adopted.history
    #[arg(long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Let searches go on past hidden rows (hnsw.iterative_scan = strict_order): for the database, or one role
    #[arg(long, value_name = "database|ROLE")]
    set_iterative_scan: Option<String>,
    #[command(flatten)]
    store: Store,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail vectors unadopt public.documents --reason 'moving to pinrail vectors'
  pinrail vectors unadopt public.documents --export hidden.jsonl --drop-hidden --reason 'candidate 7 is off'

The table holds what everybody sees at that moment, under its name, with its indexes, constraints, rights and sequences.")]
pub struct Unadopt {
    table: String,
    /// Why; kept in pinrail_adopted.history
    #[arg(long)]
    reason: String,
    /// Let go of what not everybody sees: rows of open and rolled-back deployments, and what they replaced or deleted
    #[arg(long)]
    drop_hidden: bool,
    /// Write what not everybody sees to a new file first, a line of JSON each
    #[arg(long, value_name = "FILE")]
    export: Option<String>,
    /// How many keys are settled at a time, at most; fewer where writers would wait longer than 0.1 s for them
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    batch: i64,
    #[command(flatten)]
    store: Store,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail vectors adopted                                    what is adopted, and what each deployment wrote
  pinrail vectors adopted public.documents --deployment 7    how many rows deployment 7 wrote, and how many are visible")]
pub struct Adopted {
    /// This table alone
    table: Option<String>,
    /// This deployment alone
    #[arg(long, value_name = "N")]
    deployment: Option<u32>,
    #[command(flatten)]
    store: Store,
}

/// What adopting did.
#[derive(Serialize)]
struct Done {
    #[serde(flatten)]
    adopted: pinrail_adopt::Adopted,
    iterative_scan: Scans,
}

/// What adopting would do.
#[derive(Serialize)]
struct Would {
    #[serde(flatten)]
    plan: Plan,
    iterative_scan: Scans,
}

/// What is adopted.
#[derive(Serialize)]
struct Shown {
    tables: Vec<list::Listed>,
    iterative_scan: Scans,
}

pub fn run_adopt(args: &Adopt, context: &Context) -> anyhow::Result<()> {
    let Adopt { table, dry_run, reason, set_iterative_scan, store } = args;
    block(store, async |client| {
        if *dry_run {
            let plan = plan_for(client, table).await.map_err(told)?;
            let would = Would { plan, iterative_scan: Scans::read(client).await.map_err(told)? };
            return Ok(context.out.value(&would, || words::would(&would))?);
        }
        let adopted = adopt(client, table, reason.as_deref().unwrap_or_default()).await.map_err(told)?;
        if let Some(whom) = set_iterative_scan {
            let whom = if whom == "database" { For::Database } else { For::Role(whom.clone()) };
            Scans::set(client, &whom).await.map_err(told)?;
        }
        let done = Done { adopted, iterative_scan: Scans::read(client).await.map_err(told)? };
        Ok(context.out.value(&done, || words::done(&done))?)
    })
}

pub fn run_unadopt(args: &Unadopt, context: &Context) -> anyhow::Result<()> {
    let Unadopt { table, reason, drop_hidden, export, batch, store } = args;
    block(store, async |client| {
        if let Some(path) = export {
            let rows = keep(client, table, path).await?;
            talk(&format!("{rows} hidden rows and ends kept in {path}"));
        }
        let how = Unadopting { drop_hidden: *drop_hidden, reason: reason.clone(), batch: *batch };
        let bar = progress::bar("settling keys that were written", 0);
        let each = |settled, of| {
            bar.set_length(of);
            bar.set_position(settled);
        };
        let done: Unadopted = unadopt(client, table, &how, each).await.map_err(told)?;
        bar.finish_and_clear();
        Ok(context.out.value(&done, || words::undone(&done))?)
    })
}

pub fn run_adopted(args: &Adopted, context: &Context) -> anyhow::Result<()> {
    let Adopted { table, deployment, store } = args;
    block(store, async |client| {
        let tables =
            list::adopted(client, table.as_deref(), deployment.map(i64::from)).await.map_err(told)?;
        let shown = Shown { tables, iterative_scan: Scans::read(client).await.map_err(told)? };
        Ok(context.out.value(&shown, || words::shown(&shown))?)
    })
}

/// Writes hidden rows to a file that isn't there yet.
async fn keep(client: &Client, table: &str, path: &str) -> anyhow::Result<u64> {
    let cannot = || format!("cannot write {path}");
    let file = File::create_new(path).with_context(cannot)?;
    let mut file = BufWriter::new(file);
    let rows = hidden::export(client, table, |line| writeln!(file, "{line}")).await.map_err(told)?;
    let rows = rows.with_context(cannot)?;
    let file = file.into_inner().with_context(cannot)?;
    file.sync_all().with_context(cannot)?;
    Ok(rows)
}

/// Connects and does something.
fn block<T>(at: &Store, work: impl AsyncFnOnce(&mut Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let settings = config::server(&at.dir)?.kept_in(at.store.clone(), None, None)?;
    let Some(options) = store::postgres(&settings)? else {
        let text = format!("there is no store in PostgreSQL: pass --store postgres://…, or set {STORE_ENV}");
        return Err(Usage(text).into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Postgres::alone(&options, "pinrail vectors adopt").await?;
        work(&mut client).await
    })
}

/// An error with its code and its next step.
fn told(error: Error) -> anyhow::Error {
    let (code, what, next_step) = (error.code(), error.to_string(), error.next_step());
    let source = match error {
        Error::Sql { source, .. } | Error::Collides(source) => Some(source.into()),
        Error::Unreadable(source) => Some(source.into()),
        Error::NoStore(_)
        | Error::NoTable(_)
        | Error::NotAdopted(_)
        | Error::Already(_)
        | Error::Refused { .. }
        | Error::Changed(_)
        | Error::Busy { .. }
        | Error::Hidden { .. }
        | Error::Used { .. } => None,
    };
    Failed { code, what, next_step, source }.into()
}

//! `pinrail vectors`: what an agent finds by meaning.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use pinrail_api::vectors::{CountVectors, DeleteVectors, VectorsCounted, VectorsDeleted, WhichEmbedder};
use pinrail_domain::id::CollectionName;
use pinrail_domain::state::StateKey;
use serde_json::Value;

use super::state_by::{Reader, Writer};
use crate::cli::Context;
use crate::exit::Usage;

mod adopt;
mod canaries;
mod search;
mod show;
mod upsert;

/// Keep, find, count and delete vectors
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail vectors upsert kb docs.jsonl --external --embedder minilm.json
  pinrail vectors upsert kb - --deployment 7 < docs.jsonl            as a data job
  pinrail vectors search kb --vector @query.json --top 5 --filter '{\"lang\": \"en\"}'
  pinrail vectors search kb --vector '[0.1, 0.9]' --as-of 1200.87    as it was then
  pinrail vectors delete kb faq/7 faq/8 --run run_01j…
  pinrail vectors show kb --deployment 9                             how far a candidate's embedder is
  pinrail vectors canaries kb --check texts.jsonl
  pinrail vectors adopt public.documents --dry-run                   a pgvector table of your own (docs/adopt.md)

A line of a file is a record: {\"key\": \"faq/7\", \"vector\": [0.1, 0.9], \"payload\": {\"lang\": \"en\"}}; a vector may be base64
of little-endian 32-bit floats too. docs/state.md tells what filters can say and what an embedder's contract holds.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Keep the vectors of a file; a key that is there gets the new one
    Upsert(upsert::Upsert),
    /// Find the records nearest to a vector
    Search(search::Search),
    /// Count the vectors that a reader sees
    Count(Count),
    /// Delete keys in every embedder's index
    Delete(Delete),
    /// Show a space's embedders, and how far each is
    Show {
        space: CollectionName,
        #[command(flatten)]
        reader: Reader,
    },
    /// Find out whether an embedder is still the one that filled the space
    Canaries(canaries::Canaries),
    /// Put a table of your own in PostgreSQL under the visibility rule, so that a rollback takes its rows back, too
    Adopt(adopt::Adopt),
    /// Make an adopted table a plain one again
    Unadopt(adopt::Unadopt),
    /// List adopted tables, and what deployments wrote there
    Adopted(adopt::Adopted),
}

#[derive(Debug, clap::Args)]
struct Count {
    space: CollectionName,
    /// Only these: a condition on payloads, as JSON
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    filter: Option<Value>,
    #[command(flatten)]
    embedder: Which,
    #[command(flatten)]
    reader: Reader,
}

#[derive(Debug, clap::Args)]
struct Delete {
    space: CollectionName,
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<StateKey>,
    #[command(flatten)]
    writer: Writer,
}

/// Whose vectors they are.
#[derive(Clone, Debug, clap::Args)]
struct Which {
    /// The embedder: a JSON file with its contract, or the first digits of its id [default: what the release pins, else
    /// the space's only one]
    #[arg(long, value_name = "FILE.json|ID")]
    embedder: Option<String>,
}

/// Does what was asked for; false when canary texts show another embedder.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<bool> {
    match &args.what {
        What::Upsert(args) => upsert::run(args, context)?,
        What::Search(args) => search::run(args, context)?,
        What::Count(args) => count(args, context)?,
        What::Delete(args) => delete(args, context)?,
        What::Show { space, reader } => show::run(space, reader, context)?,
        What::Canaries(args) => return canaries::run(args, context),
        What::Adopt(args) => adopt::run_adopt(args, context)?,
        What::Unadopt(args) => adopt::run_unadopt(args, context)?,
        What::Adopted(args) => adopt::run_adopted(args, context)?,
    }
    Ok(true)
}

fn count(args: &Count, context: &Context) -> anyhow::Result<()> {
    let by = args.reader.by();
    let wish = CountVectors {
        run: by.run,
        deployment: by.deployment,
        as_of: by.as_of,
        embedder: args.embedder.read()?,
        filter: args.filter.clone(),
    };
    let client = args.reader.client(context);
    let reply = client.post::<VectorsCounted>(&path(&args.space, "/count"), &wish)?;
    context.out.reply(&reply, |counted| counted.count.to_string())?;
    Ok(())
}

fn delete(args: &Delete, context: &Context) -> anyhow::Result<()> {
    let by = args.writer.by();
    let wish = DeleteVectors {
        run: by.run,
        deployment: by.deployment,
        external: by.external,
        keys: args.keys.clone(),
    };
    let client = args.writer.client(context);
    let reply = client.post::<VectorsDeleted>(&path(&args.space, "/delete"), &wish)?;
    context.out.reply(&reply, |deleted| match deleted.ended {
        0 => "the writer sees none of them: nothing changed".to_owned(),
        ended => format!("{ended} deleted"),
    })?;
    Ok(())
}

impl Which {
    /// A contract from a file, or the digits.
    fn read(&self) -> anyhow::Result<Option<WhichEmbedder>> {
        let Some(named) = &self.embedder else { return Ok(None) };
        if !named.ends_with(".json") && !Path::new(named).is_file() {
            return Ok(Some(WhichEmbedder::Id(named.clone())));
        }
        let text = fs::read_to_string(named).with_context(|| format!("cannot read {named}"))?;
        let contract = serde_json::from_str(&text)
            .with_context(|| format!("{named} is no embedder's contract (docs/state.md shows one)"))?;
        Ok(Some(WhichEmbedder::Contract(Box::new(contract))))
    }
}

fn path(space: &CollectionName, what: &str) -> String {
    format!("/api/v1/vectors/{space}{what}")
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))
}

/// Opens a file, or stdin for `-`.
fn open(file: &str) -> anyhow::Result<(Box<dyn std::io::BufRead>, Option<u64>)> {
    if file == "-" {
        return Ok((Box::new(std::io::stdin().lock()), None));
    }
    let opened = fs::File::open(file).with_context(|| format!("cannot read {file}"))?;
    let facts = opened.metadata().with_context(|| format!("cannot read {file}"))?;
    if facts.is_dir() {
        return Err(Usage(format!("{file} is a folder; name a file of JSON lines")).into());
    }
    let bytes = facts.is_file().then_some(facts.len());
    Ok((Box::new(std::io::BufReader::with_capacity(1 << 20, opened)), bytes))
}

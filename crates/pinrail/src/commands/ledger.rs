//! `pinrail ledger`: shows, verifies and exports the record of every change.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use pinrail_api::Page;
use pinrail_api::ledger::{BrokenAt, Verification};
use pinrail_api::status::Status;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::{Entry, Head};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::paging::with_next;
use crate::cli::Context;
use crate::client::Query;
use crate::output::table::table;
use crate::output::{one_line, talk, time};

/// Show, verify and export the record of every change
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail ledger show                                  the newest entries
  pinrail ledger show --after 0 --limit 20             the first ones
  pinrail ledger verify --expect-head sha256:4f1c…     exit code 4 where that head is not in the chain
  pinrail ledger export > ledger.jsonl
  pinrail ledger verify --file ledger.jsonl            here, with no server

`verify` names the first broken entry. Keep the head that it prints somewhere else: with it, nobody can cut the
ledger's end off unseen.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show entries; without --after the newest ones
    Show {
        /// Only entries after this one
        #[arg(long, value_name = "SEQ")]
        after: Option<u64>,
        #[arg(long, value_name = "N", default_value_t = SHOWN_DEFAULT)]
        limit: u64,
    },
    /// Check the hash chain; exit code 4 when it is broken
    Verify {
        /// A head noted earlier: it must still be in the chain
        #[arg(long, value_name = "HASH")]
        expect_head: Option<Digest>,
        /// Check an exported file here, without a server
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Print all entries, one JSON object a line
    Export,
}

const SHOWN_DEFAULT: u64 = 50;
/// Entries fetched at once for an export.
const PAGE: u64 = 500;
const PATH: &str = "/api/v1/ledger";

/// Returns whether the ledger is whole; always, unless it was asked.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<bool> {
    match &args.what {
        What::Show { after, limit } => show(context, *after, *limit).map(|()| true),
        What::Verify { expect_head, file: Some(file) } => verify_file(context, file, *expect_head),
        What::Verify { expect_head, file: None } => verify(context, *expect_head),
        What::Export => each_entry(context, |_, raw| Ok(context.out.data(raw.get())?)).map(|()| true),
    }
}

fn show(context: &Context, after: Option<u64>, limit: u64) -> anyhow::Result<()> {
    let after = match after {
        Some(after) => after,
        None => context.client.get::<Status>("/api/v1/status")?.value.seq.0.saturating_sub(limit),
    };
    let path = Query::default().add("after", Some(after)).add("limit", Some(limit)).on(PATH);
    let reply = context.client.get::<Page<Entry>>(&path)?;
    context.out.reply(&reply, |page| {
        let rows = page.items.iter().map(|entry| row(entry, context)).collect();
        let text = table(&["seq", "when", "actor", "change", "reason"], rows, "no entries");
        with_next(text, "--after", page.next.as_ref())
    })?;
    Ok(())
}

fn row(entry: &Entry, context: &Context) -> Vec<String> {
    let mut body = serde_json::to_value(&entry.body).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        for long in ["type", "manifest", "spec", "salt"] {
            body.remove(long);
        }
    }
    let facts =
        body.as_object().into_iter().flatten().map(|(name, value)| format!("{name}={}", short(value)));
    let facts = facts.collect::<Vec<_>>().join(" ").replace('"', "");
    vec![
        entry.seq.to_string(),
        time::both(context.now, entry.at),
        entry.actor.to_string(),
        one_line(&format!("{} {facts}", entry.body.kind()), 80),
        one_line(&entry.reason, 60),
    ]
}

/// A value with its digests cut to what people compare.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.parse::<Digest>().map_or_else(|_| text.clone(), |digest| digest.short()),
        Value::Object(object) => {
            let pairs = object.iter().map(|(name, value)| format!("{name}:{}", short(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(" "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    }
}

fn verify(context: &Context, expected: Option<Digest>) -> anyhow::Result<bool> {
    let reply = context.client.get::<Verification>("/api/v1/ledger/verify")?;
    let found = match expected {
        None => None,
        Some(hash) if reply.value.head == Some(hash) => Some(Some(reply.value.entries)),
        Some(hash) => Some(find(context, hash)?),
    };
    context.out.reply(&reply, |verification| describe(verification, expected, found))?;
    if context.out.is_json() && found == Some(None) {
        talk("the expected head is not in the chain");
    }
    Ok(reply.value.whole && found != Some(None))
}

/// Where in the chain an entry with this hash is.
fn find(context: &Context, hash: Digest) -> anyhow::Result<Option<LedgerSeq>> {
    let mut found = None;
    each_entry(context, |entry, _| {
        if entry.hash == hash {
            found = Some(entry.seq);
        }
        Ok(())
    })?;
    Ok(found)
}

fn verify_file(context: &Context, file: &Path, expected: Option<Digest>) -> anyhow::Result<bool> {
    let shown = file.display();
    let reader = BufReader::new(File::open(file).with_context(|| format!("cannot open {shown}"))?);
    let (mut head, mut found, mut broken) = (Head::START, None, None);
    for (index, line) in reader.lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {shown}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let next = serde_json::from_str::<Entry>(&line)
            .map_err(|error| format!("line {} is no entry: {error}", index + 1))
            .and_then(|entry| head.follow(&entry).map_err(|broken| broken.to_string()));
        match next {
            Ok(next) => head = next,
            Err(what) => {
                broken = Some(BrokenAt { seq: head.seq.next(), what });
                break;
            }
        }
        if expected == Some(head.hash) {
            found = Some(head.seq);
        }
    }
    let whole = broken.is_none();
    let hash = (head.seq.0 > 0).then_some(head.hash);
    let verification = Verification { whole, entries: head.seq, head: hash, broken };
    let found = expected.map(|_| found);
    context.out.value(&json!(verification), || describe(&verification, expected, found))?;
    Ok(whole && found != Some(None))
}

fn describe(
    verification: &Verification,
    expected: Option<Digest>,
    found: Option<Option<LedgerSeq>>,
) -> String {
    let head = verification.head.map_or_else(|| "none".to_owned(), |head| head.to_string());
    let mut text = match &verification.broken {
        None => format!("whole: {} entries\nhead {head}", verification.entries),
        Some(BrokenAt { seq, what }) => {
            format!("BROKEN at entry {seq}: {what}\nwhole up to entry {}, head {head}", verification.entries)
        }
    };
    if let (Some(expected), Some(found)) = (expected, found) {
        let expected = expected.short();
        text.push_str(&match found {
            Some(seq) => format!("\nthe expected head {expected} is entry {seq}"),
            None => format!("\nMISSING: the expected head {expected} is not in the chain: its end was cut off or rewritten"),
        });
    }
    text
}

fn each_entry(
    context: &Context,
    mut visit: impl FnMut(&Entry, &RawValue) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let path = Query::default().add("after", Some(after)).add("limit", Some(PAGE)).on(PATH);
        let page = context.client.get::<Page<Box<RawValue>>>(&path)?.value;
        for raw in &page.items {
            let entry: Entry =
                serde_json::from_str(raw.get()).context("the server sent an entry that is not known")?;
            anyhow::ensure!(entry.seq.0 > after, "the server sent entry {} twice", entry.seq);
            after = entry.seq.0;
            visit(&entry, raw)?;
        }
        if page.next.is_none() || page.items.is_empty() {
            return Ok(());
        }
    }
}

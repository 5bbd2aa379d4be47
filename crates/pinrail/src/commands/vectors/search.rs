//! `pinrail vectors search`.

use std::fs;
use std::io::Read as _;

use anyhow::Context as _;
use pinrail_api::vectors::{Components, SearchVectors, VectorFound, VectorsFound};
use pinrail_domain::id::CollectionName;
use serde_json::Value;

use super::super::state_by::Reader;
use super::{Which, parse_json, path};
use crate::cli::Context;
use crate::output::one_line;
use crate::output::table::table;

#[derive(Debug, clap::Args)]
pub struct Search {
    space: CollectionName,
    /// The question: numbers as JSON, or base64 of 32-bit floats; @FILE reads them from a file, - from stdin
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    vector: String,
    /// Results, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Only these: a condition on payloads, as JSON
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    filter: Option<Value>,
    /// Leave out what scores less
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    min_score: Option<f32>,
    /// Compare with everything that is visible
    #[arg(long)]
    exact: bool,
    /// Give the vectors too (with --json)
    #[arg(long)]
    with_vectors: bool,
    #[command(flatten)]
    embedder: Which,
    #[command(flatten)]
    reader: Reader,
}

/// What of a payload is shown.
const PAYLOAD_CHARS: usize = 80;

pub fn run(args: &Search, context: &Context) -> anyhow::Result<()> {
    let by = args.reader.by();
    let wish = SearchVectors {
        run: by.run,
        deployment: by.deployment,
        as_of: by.as_of,
        embedder: args.embedder.read()?,
        vector: read(&args.vector)?,
        top: Some(args.top),
        filter: args.filter.clone(),
        min_score: args.min_score,
        exact: args.exact,
        with_vectors: args.with_vectors,
    };
    let client = args.reader.client(context);
    let reply = client.post::<VectorsFound>(&path(&args.space, "/search"), &wish)?;
    context.out.reply(&reply, shown)?;
    Ok(())
}

fn shown(found: &VectorsFound) -> String {
    let row = |result: &VectorFound| {
        vec![
            format!("{:.6}", result.score),
            result.key.to_string(),
            result.seq.to_string(),
            result.deployment.to_string(),
            one_line(&result.payload.to_string(), PAYLOAD_CHARS),
        ]
    };
    let rows = found.results.iter().map(row).collect();
    let results = table(&["score", "key", "seq", "deployment", "payload"], rows, "nothing is near enough");
    let proof =
        if found.exact { "nothing better is there" } else { "found with an index; --exact compares all" };
    let VectorsFound { matching, visible, moment, .. } = found;
    format!("{results}\n{matching} of {visible} vectors looked at, {proof}; as of {moment}\n")
}

fn read(text: &str) -> anyhow::Result<Components> {
    let text = match text.strip_prefix('@') {
        Some(file) => fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?,
        None if text == "-" => {
            let mut read = String::new();
            std::io::stdin().lock().read_to_string(&mut read).context("cannot read stdin")?;
            read
        }
        None => text.to_owned(),
    };
    let text = text.trim();
    if text.starts_with(['[', '"']) {
        return serde_json::from_str(text).context("--vector is no list of numbers");
    }
    Ok(Components::Base64(text.to_owned()))
}

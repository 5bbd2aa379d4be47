//! `pinrail gate report`: why a gate ended as it did.

use std::path::PathBuf;

use anyhow::Context as _;
use pinrail_domain::id::GateId;

use crate::cli::Context;
use crate::client::Query;
use crate::output::talk;

#[derive(Debug, clap::Args)]
pub struct Args {
    gate: GateId,
    /// text, markdown (for a pull request), junit (for CI), json, or statement (the signed in-toto statement)
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: Format,
    /// Write it to a file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Format {
    Text,
    Markdown,
    Junit,
    Json,
    Statement,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let format = match args.format {
        Format::Text if context.out.is_json() => "json",
        Format::Text => "text",
        Format::Markdown => "markdown",
        Format::Junit => "junit",
        Format::Json => "json",
        Format::Statement => "statement",
    };
    let path =
        Query::default().add("format", Some(format)).on(&format!("/api/v1/gates/{}/report", args.gate));
    let mut text = context.client.text(&path)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    match &args.out {
        Some(file) => {
            std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
            talk(&format!("{} written", file.display()));
        }
        // The server has cleaned it of what would steer a terminal.
        None => context.out.data(&text)?,
    }
    Ok(())
}

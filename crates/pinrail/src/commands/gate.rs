//! `pinrail gate`: whether a candidate has passed its evals, and what to do where it hasn't.

use std::process::ExitCode;

use crate::cli::Context;

mod overrule;
mod record;
mod suite;

/// Evals that a candidate must pass before it is promoted
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail gate record 3 --verdict pass --report results.json
  pinrail gate override 3 --kind safety --reason 'the suite\u{2019}s judge is down; reviewed by hand'
  pinrail gate suite check agents/support/evals/answers.yaml
  pinrail gate second 3 --reason 'seen the review'

A step `gate` of a rollout waits for a pass of its deployment. In tier critical a promotion needs a gate that Pinrail
judged; what `record` says is only noted.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Record a verdict of an eval that was run elsewhere, with the report that it rests on
    Record(record::Args),
    /// Let a promotion do without its gate, or a part of it; in tier critical another key must second it
    Override(overrule::Args),
    /// Check suites' files, without a server
    Suite(suite::Args),
    /// Second an override with another key
    Second(overrule::Second),
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
    match args.what {
        What::Record(args) => done(record::run(args, context)),
        What::Override(args) => done(overrule::run(args, context)),
        What::Suite(args) => suite::run(args, context),
        What::Second(args) => done(overrule::second(args, context)),
    }
}

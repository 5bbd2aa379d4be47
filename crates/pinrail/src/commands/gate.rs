//! `pinrail gate`: whether a candidate has passed its evals, and what to do where it hasn't.

use std::process::ExitCode;

use crate::cli::Context;

mod follow;
mod import;
mod keygen;
mod kind;
mod list;
mod overrule;
mod record;
mod report;
mod rows;
mod run;
mod show;
mod suite;
mod verify;

/// Evals that a candidate must pass before it is promoted
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail gate run 3
  pinrail gate run support --candidate 9b0c7e --dry-run
  pinrail gate list --status running
  pinrail gate rows gate_01mcc5rm1p1460e1g50g1g4084 --flipped
  pinrail gate record 3 --verdict pass --report results.json
  pinrail gate override 3 --kind safety --reason 'the suite\u{2019}s judge is down; reviewed by hand'
  pinrail gate suite check agents/support/evals/answers.yaml
  pinrail gate second 3 --reason 'seen the review'
  pinrail gate import promptfoo new.json old.json --agent support --candidate 4f1c22 --incumbent 9ab01d
  pinrail gate report gate_01k9 --format markdown
  pinrail gate verify statement.json --key public.pem --verdict pass

A step `gate` of a rollout waits for a pass of its deployment. In tier critical a promotion needs a gate that Pinrail
judged; what `record` says is only noted.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Have a candidate and its incumbent answer the suites, and follow that to the verdict
    Run(run::Args),
    /// List gates, newest first
    List(list::Args),
    /// Show a gate: its report, or how far it is
    Show(show::Show),
    /// Show what was answered, case by case
    Rows(rows::Args),
    /// Stop a gate; what it has is kept
    Cancel(show::Act),
    /// Take a gate up again that was stopped or failed
    Resume(show::Act),
    /// Record a verdict of an eval that was run elsewhere, with the report that it rests on
    Record(record::Args),
    /// Let a promotion do without its gate, or a part of it; in tier critical another key must second it
    Override(overrule::Args),
    /// Check suites' files, without a server
    Suite(suite::Args),
    /// Second an override with another key
    Second(overrule::Second),
    /// Judge a candidate by what another tool's eval says
    Import(import::Args),
    /// Print why a gate ended as it did: for people, for a pull request, for CI
    Report(report::Args),
    /// Check a verdict's signed statement, and that it says what is asked; a file needs no server
    Verify(verify::Args),
    /// Make a key that statements are signed with
    Keygen(keygen::Args),
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
    match args.what {
        What::Run(args) => Ok(run::run(args, context)),
        What::List(args) => done(list::run(&args, context)),
        What::Show(args) => done(show::show(&args, context)),
        What::Rows(args) => done(rows::run(&args, context)),
        What::Cancel(args) => done(show::cancel(args, context)),
        What::Resume(args) => done(show::resume(args, context)),
        What::Record(args) => done(record::run(args, context)),
        What::Override(args) => done(overrule::run(args, context)),
        What::Suite(args) => suite::run(args, context),
        What::Second(args) => done(overrule::second(args, context)),
        What::Import(args) => import::run(&args, context),
        What::Report(args) => done(report::run(&args, context)),
        What::Verify(args) => verify::run(&args, context),
        What::Keygen(args) => done(keygen::run(&args, context)),
    }
}

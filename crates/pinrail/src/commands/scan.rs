//! `pinrail scan`: the models that a code base names, and which of them can move, have ended or end soon. Asks no server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use pinrail_domain::model::RETIRING_SOON_DAYS;
use pinrail_domain::time::Timestamp;
use pinrail_scan::baseline::Entry;
use pinrail_scan::report::{github, sarif};
use pinrail_scan::walk::Walk;
use pinrail_scan::{Baseline, Confidence, Finding, Options, Report, Rule};
use serde_json::json;

use crate::config;
use crate::exit::{FAILED, Usage};
use crate::output::{Output, talk};

mod fixes;
mod text;

/// What could not be read makes this of an exit code that would be 0 or 1.
const UNREADABLE: u8 = 3;

/// How many days before its end a model is told, unless told otherwise: a quarter, as teams plan.
const WITHIN_DAYS: u64 = 90;
const _: () = assert!(WITHIN_DAYS >= RETIRING_SOON_DAYS, "a scan warns no later than the rest of Pinrail");

/// Find unpinned, unknown, retired and retiring models in a code base
///
/// Reads source, configuration and notebooks, tells how each id is used and how sure that is, and judges it with the model
/// catalogue. Asks no server and changes nothing without --fix.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail scan                                     this folder
  pinrail scan src config --only floating,retired
  pinrail scan --min-confidence high --fail-on retired,retiring --within 30
  pinrail scan --fix --dry-run                     what pinning would change
  pinrail scan --write-baseline scan-baseline.json && pinrail scan --baseline scan-baseline.json
  pinrail scan --sarif > pinrail.sarif             for a code-scanning page
  pinrail scan --format github                     annotations in a workflow's log

A line is left alone with a comment on it or above it: `pinrail: ignore floating-model -- the reason`.
docs/scan.md tells what is found, how sure, and how to run it in CI.

Exit codes: 0 nothing that --fail-on names, 1 something, 2 the arguments make no sense, 3 something could not be read")]
pub struct Args {
    /// Files and folders
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// text, json, sarif (2.1.0) or github (annotations)
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print SARIF, as --format sarif
    #[arg(long, conflicts_with = "format")]
    sarif: bool,
    /// Write SARIF to this file, too
    #[arg(long, value_name = "FILE")]
    sarif_file: Option<PathBuf>,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    known: Known,
    /// Write the only snapshot that an alias can stand for in its place, where that is certain
    #[arg(long)]
    fix: bool,
    /// With --fix: show the change as a diff and write nothing
    #[arg(long, requires = "fix")]
    dry_run: bool,
    /// Say what was skipped, and what is ignored
    #[arg(short, long)]
    verbose: bool,
    /// Folder of the pinrail.toml that may name a catalogue of your own
    #[arg(short = 'f', long = "dir", value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// What is looked for.
#[derive(Debug, clap::Args)]
struct What {
    /// Show what is at least this sure: low, medium or high
    #[arg(long, value_name = "CONFIDENCE", default_value = "medium")]
    min_confidence: Confidence,
    /// Only these rules: floating, unknown, retired, retiring, bad-ignore
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    only: Vec<Rule>,
    /// All rules but these
    #[arg(long, value_name = "RULE", value_delimiter = ',', conflicts_with = "only")]
    except: Vec<Rule>,
    /// Only ids of this provider, by its name in the catalogue
    #[arg(long)]
    provider: Option<String>,
    /// Tell models that end within so many days
    #[arg(long, value_name = "DAYS", default_value_t = WITHIN_DAYS)]
    within: u64,
    /// Exit with 1 when one of these is found, or `none`
    #[arg(long, value_name = "RULE", value_delimiter = ',', default_value = "floating,retired,bad-ignore")]
    fail_on: Vec<String>,
    /// List pinned ids as well: an inventory of all models
    #[arg(long)]
    all: bool,
    /// Take tests for code like any other; else what stands in them is low
    #[arg(long)]
    tests: bool,
    /// Tell comments that ignore something that isn't there
    #[arg(long)]
    report_unused_ignores: bool,
}

/// Which files are read.
#[derive(Debug, clap::Args)]
struct Files {
    /// Read what .gitignore and .ignore leave out
    #[arg(long)]
    no_ignore: bool,
    /// Read hidden files and folders; .env and .github are read without it
    #[arg(long)]
    hidden: bool,
    /// Read node_modules, vendor and other folders of other people's code
    #[arg(long)]
    vendored: bool,
    /// Skip longer files
    #[arg(long, value_name = "BYTES", default_value_t = pinrail_scan::scan::FILE_BYTES_MAX)]
    max_file_size: u64,
}

/// What is known already.
#[derive(Debug, clap::Args)]
struct Known {
    /// Leave out what this file lists
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write what is found to this file, to be left out from now on; reasons in it are kept
    #[arg(long, value_name = "FILE", conflicts_with = "fix")]
    write_baseline: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
    Github,
}

/// A scan with what is made of it.
struct Done {
    report: Report,
    /// Entries of the baseline that match nothing any more.
    stale: Vec<Entry>,
    catalogue_as_of: Timestamp,
    now: Timestamp,
}

pub fn run(args: &Args, out: Output, now: Timestamp) -> anyhow::Result<ExitCode> {
    let fail_on = fail_on(&args.what.fail_on)?;
    let catalogue = config::server(&args.dir)?.catalogue;
    if let Some(provider) = args.what.provider.as_deref()
        && !catalogue.providers().any(|known| known == provider)
    {
        let all = catalogue.providers().collect::<Vec<_>>().join(", ");
        return Err(Usage(format!("the catalogue has no provider `{provider}`; it has {all}")).into());
    }
    let base = std::env::current_dir().context("cannot tell the current folder")?;
    let options = options(args, base, &catalogue, now, &fail_on);
    let mut done = Done {
        report: pinrail_scan::scan(&options),
        stale: Vec::new(),
        catalogue_as_of: catalogue.as_of(),
        now,
    };
    if let Some(path) = &args.known.baseline {
        let baseline = read_baseline(path)?;
        done.stale = baseline.apply(&mut done.report.findings);
    }
    if let Some(path) = &args.known.write_baseline {
        return write_baseline(path, &done.report, out);
    }
    if args.fix {
        return fixes::run(&done.report, &options.base, args.dry_run, out);
    }
    if let Some(path) = &args.sarif_file {
        let text = serde_json::to_string(&sarif::sarif(&done.report, env!("CARGO_PKG_VERSION")))?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let failed =
        done.report.findings.iter().any(|finding| finding.counts() && fail_on.contains(&finding.rule));
    show(args, &done, failed, out)?;
    Ok(match (done.report.skipped.unreadable.is_empty(), failed) {
        (false, _) => ExitCode::from(UNREADABLE),
        (true, true) => ExitCode::from(FAILED),
        (true, false) => ExitCode::SUCCESS,
    })
}

fn options<'c>(
    args: &Args,
    base: PathBuf,
    catalogue: &'c pinrail_domain::model::Catalogue,
    now: Timestamp,
    fail_on: &BTreeSet<Rule>,
) -> Options<'c> {
    let Args { what, files, .. } = args;
    let is_asked = |rule: &Rule| match rule {
        Rule::PinnedModel => what.all || what.only.contains(rule),
        Rule::UnusedIgnore => {
            what.report_unused_ignores || what.only.contains(rule) || fail_on.contains(rule)
        }
        Rule::RetiredModel
        | Rule::FloatingModel
        | Rule::RetiringModel
        | Rule::UnknownModel
        | Rule::BadIgnore => true,
    };
    let chosen =
        |rule: &Rule| (what.only.is_empty() || what.only.contains(rule)) && !what.except.contains(rule);
    Options {
        walk: Walk {
            roots: args.paths.clone(),
            no_ignore: files.no_ignore,
            hidden: files.hidden,
            vendored: files.vendored,
            file_bytes_max: files.max_file_size,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        },
        leave_out: [&args.known.baseline, &args.known.write_baseline]
            .into_iter()
            .flatten()
            .map(|path| pinrail_scan::scan::shown(path, &base))
            .collect(),
        base,
        catalogue,
        now,
        within_days: what.within,
        rules: Rule::ALL.into_iter().filter(is_asked).filter(chosen).collect(),
        provider: what.provider.clone(),
        min_confidence: what.min_confidence,
        tests: what.tests,
    }
}

fn fail_on(words: &[String]) -> Result<BTreeSet<Rule>, Usage> {
    if words == ["none"] {
        return Ok(BTreeSet::new());
    }
    words.iter().map(|word| word.parse().map_err(Usage)).collect()
}

fn show(args: &Args, done: &Done, failed: bool, out: Output) -> anyhow::Result<()> {
    let format = if args.sarif {
        Format::Sarif
    } else if out.is_json() {
        Format::Json
    } else {
        args.format
    };
    let report = &done.report;
    match format {
        Format::Text => Output::new(false).value(&(), || text::report(done, args.verbose))?,
        Format::Json => {
            let days = done.now.ms_since(done.catalogue_as_of) / 86_400_000;
            let all = json!({
                "catalogue": { "as_of": text::day(done.catalogue_as_of), "age_days": days },
                "findings": report.findings,
                "less_sure": report.less_sure,
                "skipped": report.skipped,
                "stale_baseline": done.stale,
                "failed": failed,
            });
            Output::new(true).value(&all, String::new)?;
        }
        Format::Sarif => {
            out.data(&serde_json::to_string_pretty(&sarif::sarif(report, env!("CARGO_PKG_VERSION")))?)?
        }
        Format::Github => out.data(&crate::output::clean(&github::annotations(&report.findings)))?,
    }
    if format != Format::Text {
        text::warnings(done).iter().for_each(|line| talk(line));
    }
    Ok(())
}

fn read_baseline(path: &Path) -> anyhow::Result<Baseline> {
    let text = fs::read(path).with_context(|| format!("cannot read the baseline {}", path.display()))?;
    Baseline::from_json(&text).with_context(|| format!("cannot use the baseline {}", path.display()))
}

fn write_baseline(path: &Path, report: &Report, out: Output) -> anyhow::Result<ExitCode> {
    let older = if path.exists() { Some(read_baseline(path)?) } else { None };
    let baseline = Baseline::of(&report.findings, older.as_ref());
    fs::write(path, baseline.to_json()).with_context(|| format!("cannot write {}", path.display()))?;
    let (entries, findings) =
        (baseline.entries.len(), baseline.entries.iter().map(|entry| u64::from(entry.count)).sum::<u64>());
    let value = json!({ "file": path, "entries": entries, "findings": findings });
    out.value(&value, || {
        format!(
            "{}: {findings} findings in {entries} entries; write into each `reason` why it may stay",
            path.display()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// How many of the findings count, by rule.
fn counted(findings: &[Finding], rule: Rule) -> usize {
    findings.iter().filter(|finding| finding.counts() && finding.rule == rule).count()
}

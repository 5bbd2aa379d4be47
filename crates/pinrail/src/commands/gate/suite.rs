//! `pinrail gate suite`: suites' files, read as `pinrail apply` reads them, without a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pinrail_domain::gate::SuiteKind;
use pinrail_gate::read::{self, Fault, Folder, ReadSuite};
use pinrail_gate::suite::Assertion;
use serde_json::{Value, json};

use super::kind::Kind;
use crate::cli::Context;
use crate::exit;
use crate::files::project::PROJECT_FILE;
use crate::output::table::pairs;
use crate::output::talk;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Read suites and say what is in them, or all that is wrong
    ///
    /// The digest is what `pinrail apply` pins: the same content has the same digest on every machine.
    Check {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The kind of suites that don't say theirs
        #[arg(long)]
        kind: Option<Kind>,
    },
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let What::Check { files, kind } = args.what;
    let mut all = Vec::with_capacity(files.len());
    let mut shown = Vec::with_capacity(files.len());
    let mut is_whole = true;
    for file in &files {
        match check(file, kind.map(SuiteKind::from)) {
            Ok(suite) => {
                for warning in &suite.warnings {
                    talk(&format!("warning: {}", below(file, warning).display()));
                }
                all.push(told(file, &suite));
                shown.push(lines(file, &suite));
            }
            Err(faults) => {
                is_whole = false;
                all.push(json!({ "file": file, "faults": faults }));
                if !context.out.is_json() {
                    faults.iter().for_each(|fault| talk(&format!("error: {fault}")));
                }
            }
        }
    }
    if !shown.is_empty() || context.out.is_json() {
        context.out.value(&json!({ "suites": all, "whole": is_whole }), || shown.join("\n"))?;
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

/// Reads a suite; its faults name files as this process sees them.
fn check(file: &Path, kind: Option<SuiteKind>) -> Result<ReadSuite, Vec<Fault>> {
    let whole = |what: String| {
        let file = file.display().to_string();
        vec![Fault { file, line: None, column: None, key: String::new(), what }]
    };
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| whole("is no name of a file".to_owned()))?;
    let base = folder_of(file);
    let folder =
        Folder::new(base, &root_of(base)).map_err(|error| whole(format!("cannot be read: {error}")))?;
    let named = |fault: Fault| Fault { file: below(file, &fault.file).display().to_string(), ..fault };
    read::read(name, kind, &folder).map_err(|faults| faults.into_iter().map(named).collect())
}

/// The project that a folder is in; the folder itself where it is in none.
fn root_of(folder: &Path) -> PathBuf {
    let Ok(real) = folder.canonicalize() else { return folder.to_owned() };
    let project = real.ancestors().find(|above| above.join(PROJECT_FILE).is_file());
    project.map_or_else(|| real.clone(), Path::to_owned)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn below(file: &Path, path: &str) -> PathBuf {
    file.parent().map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
}

fn told(file: &Path, read: &ReadSuite) -> Value {
    let ReadSuite { suite, digest, bytes, warnings, files } = read;
    json!({
        "file": file,
        "name": suite.name,
        "kind": suite.kind,
        "cases": suite.cases.len(),
        "turns": suite.cases.iter().map(|case| case.turns.len()).sum::<usize>(),
        "must_pass": must_pass(read),
        "assertions": assertions(read),
        "digest": digest,
        "bytes": bytes.len(),
        "files": files,
        "warnings": warnings,
    })
}

fn lines(file: &Path, read: &ReadSuite) -> String {
    let counts = assertions(read);
    let listed: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    pairs(&[
        ("suite", Some(format!("{} ({})", read.suite.name, file.display()))),
        ("kind", Some(read.suite.kind.to_string())),
        ("cases", Some(read.suite.cases.len().to_string())),
        ("must pass", Some(must_pass(read)).filter(|count| *count > 0).map(|count| count.to_string())),
        ("assertions", Some(if listed.is_empty() { "none".to_owned() } else { listed.join(", ") })),
        ("digest", Some(read.digest.to_string())),
        ("bytes", Some(read.bytes.len().to_string())),
    ])
}

fn must_pass(read: &ReadSuite) -> usize {
    read.suite.cases.iter().filter(|case| case.must_pass).count()
}

/// How many assertions there are of each type, those in sets too.
fn assertions(read: &ReadSuite) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for case in &read.suite.cases {
        count(&case.asserts, &mut counts);
        for turn in &case.turns {
            count(&turn.asserts, &mut counts);
        }
    }
    counts
}

fn count(asserts: &[Assertion], counts: &mut BTreeMap<String, usize>) {
    for assert in asserts {
        let kind = serde_json::to_value(assert.kind).unwrap_or_default();
        let not = if assert.not { "not-" } else { "" };
        *counts.entry(format!("{not}{}", kind.as_str().unwrap_or_default())).or_default() += 1;
        count(&assert.asserts, counts);
    }
}

//! `pinrail scan --fix`: pins what can be pinned without a choice.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use pinrail_scan::fix::{self, Fixed};
use pinrail_scan::{Finding, Report, Rule};
use serde_json::json;

use crate::exit::FAILED;
use crate::output::{Output, talk};

/// Changes the files, or shows what would change. What can't be changed is said, and then the exit code is 1.
pub fn run(report: &Report, base: &Path, dry_run: bool, out: Output) -> anyhow::Result<ExitCode> {
    let mut by_file: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in report.findings.iter().filter(|finding| finding.counts() && finding.fix.is_some()) {
        by_file.entry(&finding.path).or_default().push(finding);
    }
    let (mut files, mut diffs, mut refused) = (Vec::new(), String::new(), 0);
    for (path, findings) in by_file {
        let edits = fix::edits(findings.iter().copied());
        let fixed = fix::prepare(&base.join(path), &edits).and_then(|fixed: Fixed| {
            if !dry_run {
                fix::write(&fixed)?;
            }
            Ok(fixed)
        });
        match fixed {
            Ok(fixed) => {
                let diff = fix::diff(&fixed, path);
                let edits: Vec<_> = findings
                    .iter()
                    .map(|finding| json!({ "line": finding.line, "from": finding.id, "to": finding.fix }))
                    .collect();
                files.push(json!({ "path": path, "edits": edits, "diff": diff }));
                diffs.push_str(&diff);
            }
            Err(error) => {
                refused += 1;
                talk(&format!("not fixed: {:#}", anyhow::Error::new(error)));
            }
        }
    }
    let left = left(report);
    let value = json!({ "files": files, "dry_run": dry_run, "refused": refused, "left": left.len() });
    let edits: usize = files.iter().filter_map(|file| file["edits"].as_array()).map(Vec::len).sum();
    out.value(&value, || diffs)?;
    if !out.is_json() {
        let done = if dry_run { "would be pinned" } else { "pinned" };
        talk(&format!("{edits} {done} in {} files", files.len()));
        for finding in left {
            talk(&format!(
                "left: {}:{}:{} `{}`: {}",
                finding.path,
                finding.line,
                finding.column,
                finding.id,
                why_left(finding)
            ));
        }
    }
    Ok(if refused > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// The floating ids that a person must choose for.
fn left(report: &Report) -> Vec<&Finding> {
    let is_left =
        |finding: &&Finding| finding.counts() && finding.rule == Rule::FloatingModel && finding.fix.is_none();
    report.findings.iter().filter(is_left).collect()
}

fn why_left(finding: &Finding) -> String {
    match finding.pins.as_slice() {
        [] => "the catalogue knows no snapshot of it that is still served".to_owned(),
        [one] => format!("`{one}` may be meant, but that is not certain enough to write it unasked"),
        several => format!("it may be any of {}", several.join(", ")),
    }
}

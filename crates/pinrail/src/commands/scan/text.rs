//! A scan for people: a paragraph per place, then what it adds up to.

use std::fmt::Write as _;

use pinrail_domain::time::Timestamp;
use pinrail_scan::report::sentence;
use pinrail_scan::{Finding, Report, Rule, Suppression};

use super::{Done, counted};
use crate::output::one_line;
use crate::output::time;

/// From this age on the catalogue is said to be stale: providers announce the end of a model about so often.
const STALE_DAYS: u64 = 60;

/// How much of a source line is shown, in characters.
const SNIPPET_CHARS: usize = 100;

/// The whole report.
pub fn report(done: &Done, verbose: bool) -> String {
    let Report { findings, less_sure, .. } = &done.report;
    let mut out = String::new();
    let mut last: Option<(&str, u32, u32)> = None;
    for finding in findings.iter().filter(|finding| finding.counts()) {
        let place = (finding.path.as_str(), finding.line, finding.column);
        if last != Some(place) {
            let gap = if last.is_some() { "\n" } else { "" };
            write(
                &mut out,
                format_args!("{gap}{}\n    {}\n", head(finding), one_line(&finding.snippet, SNIPPET_CHARS)),
            );
        }
        last = Some(place);
        write(&mut out, format_args!("  {}: {}\n", finding.rule, sentence(finding)));
        if let Some(fix) = &finding.fix {
            write(&mut out, format_args!("  --fix writes `{fix}`\n"));
        }
    }
    let gap = if out.is_empty() { "" } else { "\n" };
    write(&mut out, format_args!("{gap}{}\n", summary(done)));
    if *less_sure > 0 {
        let lines = if *less_sure == 1 { "finding is" } else { "findings are" };
        write(
            &mut out,
            format_args!("{less_sure} less sure {lines} not shown: --min-confidence low shows all\n"),
        );
    }
    if verbose {
        suppressed(&mut out, findings);
        skipped(&mut out, done);
    }
    for warning in warnings(done) {
        write(&mut out, format_args!("{warning}\n"));
    }
    out
}

/// What is wrong with the scan itself.
pub fn warnings(done: &Done) -> Vec<String> {
    let mut warnings = Vec::new();
    for entry in &done.stale {
        let (rule, id, path) = (entry.rule, &entry.id, &entry.path);
        let count = if entry.count == 1 { String::new() } else { format!(" ({} times)", entry.count) };
        warnings.push(format!(
            "baseline: {rule} `{id}` in {path} is not there any more{count}; --write-baseline takes it out"
        ));
    }
    let days = done.now.ms_since(done.catalogue_as_of) / 86_400_000;
    if days >= STALE_DAYS {
        warnings.push(format!(
            "the model catalogue is of {}, {days} days ago: what came or ended since then is not known",
            day(done.catalogue_as_of)
        ));
    }
    for (path, why) in &done.report.skipped.unreadable {
        warnings.push(format!("not read: {path}: {why}"));
    }
    warnings
}

pub fn day(at: Timestamp) -> String {
    time::absolute(at).chars().take_while(|c| *c != ' ').collect()
}

fn head(finding: &Finding) -> String {
    let Finding { path, line, column, confidence, because, .. } = finding;
    let cell =
        finding.cell.map(|cell| format!(" (cell {}, line {})", cell.number, cell.line)).unwrap_or_default();
    let sure = if finding.id.is_empty() { String::new() } else { format!("  {confidence}: {because}") };
    format!("{path}:{line}:{column}{cell}{sure}")
}

fn summary(done: &Done) -> String {
    let findings = &done.report.findings;
    let parts: Vec<String> = Rule::ALL
        .into_iter()
        .map(|rule| (rule, counted(findings, rule)))
        .filter(|(_, count)| *count > 0)
        .map(|(rule, count)| format!("{count} {}", rule.id().trim_end_matches("-model")))
        .collect();
    let found = if parts.is_empty() { "nothing found".to_owned() } else { parts.join(", ") };
    let ignored = findings.iter().filter(|finding| !finding.counts()).count();
    let ignored = if ignored == 0 { String::new() } else { format!(", {ignored} ignored") };
    let read = done.report.skipped.counts.read;
    format!("{found}{ignored} in {read} files; catalogue of {}", day(done.catalogue_as_of))
}

fn suppressed(out: &mut String, findings: &[Finding]) {
    for finding in findings {
        let Some(why) = &finding.suppressed else { continue };
        let Finding { path, line, rule, id, .. } = finding;
        let why = match why {
            Suppression::Comment { line, reason } => format!("the comment in line {line}: {reason}"),
            Suppression::Baseline { reason } if reason.is_empty() => {
                "the baseline, which gives no reason".to_owned()
            }
            Suppression::Baseline { reason } => format!("the baseline: {reason}"),
        };
        write(out, format_args!("ignored: {path}:{line} {rule} `{id}` by {why}\n"));
    }
}

fn skipped(out: &mut String, done: &Done) {
    let counts = done.report.skipped.counts;
    let bytes = counts.read_bytes / 1_000_000;
    write(out, format_args!("read {} files, {bytes} MB\n", counts.read));
    let rows = [
        (counts.other, "files that are neither source nor configuration nor notebooks"),
        (counts.lock, "lock files"),
        (counts.minified, "minified files and source maps"),
        (counts.binary, "binary files"),
        (counts.too_large, "files over --max-file-size"),
        (counts.vendored_folders, "folders of other people's code (--vendored reads them)"),
        (counts.hidden, "hidden files and folders (--hidden reads them)"),
        (done.report.skipped.long_lines, "ids in lines too long to be written by people"),
    ];
    for (count, what) in rows.into_iter().filter(|(count, _)| *count > 0) {
        write(out, format_args!("skipped {count} {what}\n"));
    }
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String can't refuse.
    let _ = out.write_fmt(text);
}

//! The report for a terminal.

use super::escape::line;
use super::{Page, lines, sections, verdict};
use crate::verdict::{Notable, Shown, SuiteReport};

/// Cases of each list; a terminal isn't a page.
const LISTED_MAX: usize = 10;
const TEXT_CHARS_MAX: usize = 160;

/// The report as text, with a line break at its end.
#[must_use]
pub fn text(page: &Page<'_>) -> String {
    let Page { report, about, .. } = page;
    let mut out = vec![
        format!("gate {}: {}", about.gate, verdict(report.verdict)),
        page.title(),
        line(&report.why),
        String::new(),
    ];
    let rows: Vec<[String; 8]> = report.suites.iter().map(lines::suite).collect();
    out.extend(table(&lines::HEADS, &rows));
    for suite in &report.suites {
        out.push(String::new());
        out.push(format!("{}: {}", suite.name, line(&suite.why)));
        out.extend(self::suite(suite));
    }
    out.push(String::new());
    out.push(format!("alpha {}, {}, {}", report.alpha, line(&page.served()), page.signature()));
    out.join("\n") + "\n"
}

fn suite(suite: &SuiteReport) -> Vec<String> {
    let mut out = Vec::new();
    let arms = [("candidate", Some(&suite.counts.candidate)), ("incumbent", suite.counts.incumbent.as_ref())];
    for (name, counts) in arms {
        out.extend(
            counts.and_then(|counts| lines::arm(name, counts)).map(|note| format!("  {}", line(&note))),
        );
    }
    if !suite.informs.is_empty() {
        let rows: Vec<[String; 5]> = suite.informs.iter().map(lines::informs).collect();
        out.extend(table(&lines::INFORMS, &rows).into_iter().map(|row| format!("  {row}")));
    }
    for (heading, number, notables) in sections(suite) {
        if number == 0 {
            continue;
        }
        out.push(format!("  {heading}: {number}"));
        out.extend(notables.iter().take(LISTED_MAX).flat_map(notable));
        let more = number.saturating_sub(LISTED_MAX as u64);
        if more > 0 {
            out.push(format!("    and {more} more"));
        }
    }
    out
}

fn notable(notable: &Notable) -> Vec<String> {
    let result = &notable.result;
    let incumbent = result.incumbent.as_ref().map(|tally| format!(", incumbent {}", lines::tally(tally)));
    let mut out = vec![format!(
        "    {}. {}: candidate {}{}",
        result.number,
        name(notable),
        lines::tally(&result.candidate),
        incumbent.unwrap_or_default()
    )];
    out.extend(notable.answers.iter().map(|answer| format!("       {}", shown(answer))));
    out
}

fn shown(shown: &Shown) -> String {
    let failed =
        if shown.failed.is_empty() { String::new() } else { format!(" [{}]", shown.failed.join("; ")) };
    let calls = shown.tool_calls.iter().map(|call| format!(" {}({})", call.name, call.arguments));
    let said = format!("{}{}{failed}", shown.text, calls.collect::<String>());
    let outcome = if shown.pass { "passed" } else { "failed" };
    format!("{} {outcome}: {}", shown.arm.as_str(), short(&said, TEXT_CHARS_MAX))
}

/// What a case is called: its description, else what it was filled with.
pub(super) fn name(notable: &Notable) -> String {
    if !notable.result.description.is_empty() {
        return short(&notable.result.description, TEXT_CHARS_MAX);
    }
    let vars: Vec<String> = notable.vars.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if vars.is_empty() { "case".to_owned() } else { short(&vars.join(", "), TEXT_CHARS_MAX) }
}

fn short(text: &str, chars_max: usize) -> String {
    line(&crate::verdict::bounded(text, chars_max))
}

fn table<const N: usize>(heads: &[&str; N], rows: &[[String; N]]) -> Vec<String> {
    let heads: [String; N] = heads.map(str::to_owned);
    let width = |at: usize| {
        let cells = std::iter::once(&heads).chain(rows).map(|row| row[at].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let row = |cells: &[String; N]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", line(cell)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(&heads).chain(rows).map(row).collect()
}

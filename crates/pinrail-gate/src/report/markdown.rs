//! The report for a pull request.
//!
//! Answers stand in HTML tables, each on one line of the source: inside such a block nothing is Markdown, and without an empty
//! line nothing ends it.

use super::escape::{html, line, markdown as safe};
use super::{Page, lines, sections, verdict};
use crate::verdict::{Notable, Shown, SuiteReport, bounded};

/// Comments hold 65 536 characters; what doesn't fit is counted.
const CHARS_MAX: usize = 60_000;
const LISTED_MAX: usize = 25;
const TEXT_CHARS_MAX: usize = 1_200;

/// The report as GitHub-flavoured Markdown, short enough for a comment.
#[must_use]
pub fn markdown(page: &Page<'_>) -> String {
    let Page { report, about, .. } = page;
    let mut out = format!("### Gate: {}\n\n", verdict(report.verdict));
    out += &format!("`{}`: {}\n\n", page.title(), safe(&report.why));
    out += &table(
        &lines::HEADS,
        "would decide",
        report
            .suites
            .iter()
            .map(|suite| (lines::suite(suite), lines::would_decide(suite).unwrap_or_else(|| "-".to_owned()))),
    );
    let foot = format!(
        "\nGate `{}`, alpha {}, {}, {}.\n",
        about.gate,
        report.alpha,
        safe(&page.served()),
        page.signature()
    );
    for suite in &report.suites {
        let room = CHARS_MAX.saturating_sub(out.len() + foot.len());
        out += &self::suite(suite, room);
    }
    out + &foot
}

fn suite(suite: &SuiteReport, room: usize) -> String {
    let mut out = format!("\n#### {} ({})\n\n{}\n", safe(&suite.name), suite.kind, safe(&suite.why));
    let arms = [("candidate", Some(&suite.counts.candidate)), ("incumbent", suite.counts.incumbent.as_ref())];
    for note in arms.into_iter().filter_map(|(name, counts)| lines::arm(name, counts?)) {
        out += &format!("\n- {}", safe(&note));
    }
    if !suite.informs.is_empty() {
        out += "\n<details><summary>What else was measured (it informs, and doesn't decide)</summary>\n\n";
        let rows = suite.informs.iter().map(|informs| {
            let [metric, rest @ ..] = lines::informs(informs);
            let [candidate, incumbent, difference, at_worst] = rest;
            ([metric, candidate, incumbent, difference], at_worst)
        });
        let [metric, candidate, incumbent, difference, at_worst] = lines::INFORMS;
        out += &table(&[metric, candidate, incumbent, difference], at_worst, rows);
        out += "\n</details>\n";
    }
    if out.len() > room {
        return String::new();
    }
    for (heading, number, notables) in sections(suite) {
        if number == 0 {
            continue;
        }
        let mut shown = 0;
        let mut part = format!("\n**{heading}: {number}**\n\n");
        for notable in notables.iter().take(LISTED_MAX).map(self::notable) {
            if out.len() + part.len() + notable.len() + 100 > room {
                break;
            }
            part += &notable;
            shown += 1;
        }
        if number > shown {
            part += &format!("\n{} more in the whole report.\n", number - shown);
        }
        if out.len() + part.len() <= room {
            out += &part;
        }
    }
    out
}

fn notable(notable: &Notable) -> String {
    let result = &notable.result;
    let incumbent = result.incumbent.as_ref().map(|tally| format!(", incumbent {}", lines::tally(tally)));
    let mut out = format!(
        "<details><summary>{}. <code>{}</code>: candidate {}{}</summary>\n<table>\n",
        result.number,
        html(&super::text::name(notable)),
        lines::tally(&result.candidate),
        incumbent.unwrap_or_default()
    );
    for (name, value) in &notable.vars {
        let (name, value) = (html(&line(name)), html(value));
        out += &format!("<tr><td><code>{name}</code></td><td colspan=\"2\"><pre>{value}</pre></td></tr>\n");
    }
    let cells = |of: &dyn Fn(&Shown) -> String| {
        let cells: Vec<String> =
            notable.answers.iter().map(|answer| format!("<td>{}</td>", of(answer))).collect();
        format!("<td></td>{}", cells.concat())
    };
    let outcome = |answer: &Shown| {
        let outcome = if answer.pass { "passed" } else { "failed" };
        format!("<b>{}, repeat {}: {outcome}</b>", answer.arm.as_str(), answer.repeat + 1)
    };
    out += &format!("<tr>{}</tr>\n<tr>{}</tr>\n", cells(&outcome), cells(&said));
    if notable.answers.iter().any(|answer| !answer.failed.is_empty()) {
        let failed = |answer: &Shown| {
            let each = answer.failed.iter().map(|why| format!("<code>{}</code>", html(&line(why))));
            each.collect::<Vec<_>>().join("<br>")
        };
        out += &format!("<tr>{}</tr>\n", cells(&failed));
    }
    out + "</table>\n</details>\n"
}

fn said(answer: &Shown) -> String {
    let mut out = format!("<pre>{}</pre>", html(&bounded(&answer.text, TEXT_CHARS_MAX)));
    for call in &answer.tool_calls {
        out += &format!("<code>{}({})</code><br>", html(&line(&call.name)), html(&line(&call.arguments)));
    }
    out
}

/// A table, the last column by itself.
fn table<const N: usize>(
    heads: &[&str; N],
    last: &str,
    rows: impl Iterator<Item = ([String; N], String)>,
) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = row(heads.iter().copied().chain([last]).map(str::to_owned).collect());
    out += &row(vec!["---".to_owned(); N + 1]);
    for (cells, last) in rows {
        out += &row(cells.into_iter().chain([last]).map(|cell| safe(&cell)).collect());
    }
    out
}

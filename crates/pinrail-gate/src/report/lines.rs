//! A suite's numbers as a table's cells.

use pinrail_domain::stats::paired::{Needed, Scale};

use crate::verdict::words::{counted, percent};
use crate::verdict::{ArmCounts, Informs, SuiteReport, Tally};

pub(super) const HEADS: [&str; 8] =
    ["suite", "verdict", "candidate", "incumbent", "difference", "at worst", "margin", "cases"];

/// A suite's row, in the order of [`HEADS`].
pub(super) fn suite(suite: &SuiteReport) -> [String; 8] {
    let rate = &suite.pass_rate;
    let (against, margin) = match suite.floor {
        Some(floor) => (format!("floor {}", percent(floor)), "-".to_owned()),
        None => (
            part(rate.incumbent),
            if suite.margin > 0.0 { points(-suite.margin) } else { "better".to_owned() },
        ),
    };
    let compared = suite.counts.compared;
    let cases = if compared == suite.counts.cases {
        compared.to_string()
    } else {
        format!("{compared} of {}", suite.counts.cases)
    };
    [
        format!("{} ({})", suite.name, suite.kind),
        suite.verdict.as_str().to_owned(),
        part(rate.candidate),
        against,
        rate.harm.map(|harm| points(-harm)).unwrap_or_else(none),
        rate.harm_high.map(|harm| points(-harm)).unwrap_or_else(none),
        margin,
        cases,
    ]
}

/// What would decide an undecided suite.
pub(super) fn would_decide(suite: &SuiteReport) -> Option<String> {
    let Needed { cases, repeats } = suite.pass_rate.needed?;
    let cases = cases.map(|cases| format!("about {cases} cases"));
    let repeats = repeats.map(|repeats| format!("about {repeats} repeats of these"));
    let found: Vec<String> = cases.into_iter().chain(repeats).collect();
    (!found.is_empty()).then(|| found.join(", or "))
}

pub(super) const INFORMS: [&str; 5] = ["metric", "candidate", "incumbent", "difference", "at worst"];

/// What informs, in the order of [`INFORMS`].
pub(super) fn informs(informs: &Informs) -> [String; 5] {
    let number = |number: Option<f64>| match number {
        None => none(),
        Some(number) if informs.scale == Scale::Unit => format!("{number:.3}"),
        Some(number) if informs.metric == "cost_usd" => format!("{number:.6}"),
        Some(number) => format!("{number:.1}"),
    };
    let difference = |harm: Option<f64>| match (harm, informs.scale) {
        (None, _) => none(),
        (Some(harm), Scale::Unit) => format!("{:+.3}", -harm + 0.0),
        (Some(harm), Scale::Amount) => format!("{:+.1} %", harm * 100.0 + 0.0),
    };
    let compared = informs.compared.as_ref();
    [
        informs.metric.clone(),
        number(informs.candidate),
        number(informs.incumbent),
        difference(compared.and_then(|compared| compared.harm)),
        difference(compared.and_then(|compared| compared.harm_high)),
    ]
}

/// How an arm's answers were counted, where that isn't all of them as they came.
pub(super) fn arm(name: &str, counts: &ArmCounts) -> Option<String> {
    let ArmCounts { answers, errors, refused, reused, unsaid, retries, reasons, .. } = counts;
    let notes: Vec<String> = [
        (*errors, "errors"),
        (*refused, "refused"),
        (*reused, "reused from earlier gates"),
        (*unsaid, "by nobody knows which model"),
        (*retries, "retries"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| format!("{number} {what}"))
    .collect();
    if notes.is_empty() {
        return None;
    }
    let reasons: Vec<String> =
        reasons.iter().map(|reason| format!("{} ({})", reason.why, reason.answers)).collect();
    let why = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
    Some(format!("{name}: {}: {}{why}", counted(*answers, "answer"), notes.join(", ")))
}

/// Such as `1 of 3`.
pub(super) fn tally(tally: &Tally) -> String {
    format!("{} of {}", tally.passed, tally.counted)
}

fn part(part: Option<f64>) -> String {
    part.map(percent).unwrap_or_else(none)
}

/// A difference in points, above 0 is better.
fn points(difference: f64) -> String {
    let text = format!("{:+.1}", difference * 100.0);
    if text == "-0.0" { "+0.0".to_owned() } else { text }
}

fn none() -> String {
    "-".to_owned()
}

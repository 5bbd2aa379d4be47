//! The report as JUnit XML, in the form that common CI systems read.
//!
//! A test suite per suite, a test case per case, and one named `verdict` that fails unless the suite passed. A case fails
//! when the candidate does worse in it than the incumbent, or fails one that must pass; it is skipped when it couldn't be
//! compared. A gate may pass with some cases worse, within its margin: `verdict` and the exit code say how the gate ended.

use std::collections::BTreeMap;

use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;

use super::escape::{attribute, line, xml};
use super::{Page, lines};
use crate::verdict::{CaseResult, Notable, SuiteReport, bounded};

const NAME_CHARS_MAX: usize = 200;

/// The report as JUnit XML.
#[must_use]
pub fn junit(page: &Page<'_>) -> String {
    let suites: Vec<Xml> = page.report.suites.iter().map(|suite| Xml::new(suite, page)).collect();
    let sum = |of: fn(&Xml) -> u64| suites.iter().map(of).sum::<u64>();
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    out += &format!(
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">\n",
        attribute(&format!("pinrail gate {}", page.about.gate)),
        sum(|suite| suite.tests),
        sum(|suite| suite.failures),
        sum(|suite| suite.skipped),
    );
    for suite in suites {
        out += &suite.text;
    }
    out + "</testsuites>\n"
}

struct Xml {
    text: String,
    tests: u64,
    failures: u64,
    skipped: u64,
}

/// How a case stands.
enum Stands {
    Passed,
    Failed { kind: &'static str, why: String },
    Skipped { why: String },
}

impl Xml {
    fn new(suite: &SuiteReport, page: &Page<'_>) -> Xml {
        let class = format!("{}.{}", suite.kind, suite.name);
        let notables: BTreeMap<Digest, &Notable> = suite
            .notables
            .worse
            .iter()
            .chain(&suite.notables.must_pass)
            .map(|notable| (notable.result.case, notable))
            .collect();
        let mut xml = Xml { text: String::new(), tests: 0, failures: 0, skipped: 0 };
        let verdict = match suite.verdict {
            GateVerdict::Pass => Stands::Passed,
            GateVerdict::Fail => Stands::Failed { kind: "fail", why: suite.why.clone() },
            GateVerdict::Inconclusive => Stands::Failed { kind: "inconclusive", why: suite.why.clone() },
        };
        xml.case(&class, "verdict", 0.0, verdict, None);
        for result in &suite.cases {
            let description = bounded(&result.description, NAME_CHARS_MAX);
            let name = format!("{}. {}", result.number, line(&description));
            let seconds = result.candidate.latency_ms / 1_000.0;
            xml.case(&class, name.trim(), seconds, stands(result), notables.get(&result.case).copied());
        }
        let head = format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" timestamp=\"{}\">\n{}",
            attribute(&class),
            xml.tests,
            xml.failures,
            xml.skipped,
            page.about.at.rfc3339(),
            properties(suite, page),
        );
        xml.text = format!("{head}{}  </testsuite>\n", xml.text);
        xml
    }

    fn case(&mut self, class: &str, name: &str, seconds: f64, stands: Stands, shown: Option<&Notable>) {
        self.tests += 1;
        let head = format!(
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\"",
            attribute(class),
            attribute(name)
        );
        self.text += &head;
        match stands {
            Stands::Passed => self.text += "/>\n",
            Stands::Skipped { why } => {
                self.skipped += 1;
                self.text +=
                    &format!(">\n      <skipped message=\"{}\"/>\n    </testcase>\n", attribute(&why));
            }
            Stands::Failed { kind, why } => {
                self.failures += 1;
                self.text += &format!(
                    ">\n      <failure type=\"{kind}\" message=\"{}\">{}</failure>\n    </testcase>\n",
                    attribute(&why),
                    xml(&shown.map(said).unwrap_or_default())
                );
            }
        }
    }
}

fn properties(suite: &SuiteReport, page: &Page<'_>) -> String {
    let mut properties = vec![
        ("agent", page.about.agent.to_string()),
        ("candidate", page.report.candidate.to_string()),
        ("incumbent", page.report.incumbent.map_or_else(|| "none".to_owned(), |release| release.to_string())),
        ("suite", suite.digest.to_string()),
        ("verdict", suite.verdict.as_str().to_owned()),
        ("why", suite.why.clone()),
        ("statement", page.signature()),
    ];
    properties.extend(lines::would_decide(suite).map(|needed| ("would_decide", needed)));
    let each = properties
        .iter()
        .map(|(name, value)| format!("      <property name=\"{name}\" value=\"{}\"/>\n", attribute(value)));
    format!("    <properties>\n{}    </properties>\n", each.collect::<String>())
}

fn stands(result: &CaseResult) -> Stands {
    let CaseResult { candidate, incumbent, must_pass, .. } = result;
    let beside = incumbent.as_ref().map(|tally| format!(", of the incumbent {}", lines::tally(tally)));
    let answers = format!("{} answers passed{}", lines::tally(candidate), beside.unwrap_or_default());
    if *must_pass && candidate.passed < candidate.counted {
        return Stands::Failed { kind: "must_pass", why: format!("must pass: {answers}") };
    }
    if candidate.counted == 0 || incumbent.as_ref().is_some_and(|arm| arm.counted == 0) {
        let lost = candidate.lost + incumbent.as_ref().map_or(0, |arm| arm.lost);
        return Stands::Skipped { why: format!("no counted answer in both arms ({lost} errors or refused)") };
    }
    let target = incumbent.as_ref().map_or(1.0, |arm| arm.rate());
    if candidate.rate() + 1e-9 < target {
        let kind = if incumbent.is_some() { "worse" } else { "failed" };
        return Stands::Failed { kind, why: answers };
    }
    Stands::Passed
}

fn said(notable: &Notable) -> String {
    let mut out = String::new();
    for (name, value) in &notable.vars {
        out += &format!("{name}: {value}\n");
    }
    for answer in &notable.answers {
        let outcome = if answer.pass { "passed" } else { "failed" };
        out +=
            &format!("{}, repeat {}, {outcome}:\n{}\n", answer.arm.as_str(), answer.repeat + 1, answer.text);
        for call in &answer.tool_calls {
            out += &format!("{}({})\n", call.name, call.arguments);
        }
        for why in &answer.failed {
            out += &format!("- {why}\n");
        }
    }
    out
}

//! SARIF 2.1.0, as code-scanning pages read it.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>; what GitHub asks for beyond it:
//! <https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning>.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::sentence;
use crate::finding::{Confidence, Finding, Suppression};
use crate::rule::{Level, Rule};
use crate::scan::Report;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The lines of a file that look alike, so that each has a fingerprint of its own.
#[derive(Default)]
struct Places<'a>(BTreeMap<(&'a str, &'a str), BTreeSet<u32>>);

/// Writes a report. `version` is the program's, `rules` those that were asked for.
#[must_use]
pub fn sarif(report: &Report, version: &str) -> Value {
    let mut places = Places::default();
    let results: Vec<Value> =
        report.findings.iter().map(|finding| result(finding, places.of(finding))).collect();
    let told = report
        .skipped
        .unreadable
        .iter()
        .map(|(path, why)| json!({ "level": "error", "message": { "text": format!("{path}: {why}") } }));
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "pinrail scan",
                "semanticVersion": version,
                "rules": Rule::ALL.map(rule),
            } },
            "columnKind": "utf16CodeUnits",
            "originalUriBaseIds": { "%SRCROOT%": { "description": { "text": "The folder where the scan was started" } } },
            "invocations": [{
                "executionSuccessful": report.skipped.unreadable.is_empty(),
                "toolExecutionNotifications": told.collect::<Vec<_>>(),
            }],
            "results": results,
        }],
    })
}

impl<'a> Places<'a> {
    /// Which one of them a finding's line is, from 1. Findings come in the order of their lines.
    fn of(&mut self, finding: &'a Finding) -> usize {
        let lines = self.0.entry((finding.path.as_str(), finding.fingerprint.as_str())).or_default();
        lines.insert(finding.line);
        lines.len()
    }
}

fn rule(rule: Rule) -> Value {
    // How often a shown finding is right, as measured: docs/scan.md.
    let precision = match rule {
        Rule::BadIgnore | Rule::UnusedIgnore => "very-high",
        Rule::RetiredModel | Rule::FloatingModel | Rule::RetiringModel | Rule::PinnedModel => "high",
        Rule::UnknownModel => "medium",
    };
    json!({
        "id": rule.id(),
        "name": rule.id().split('-').map(capital).collect::<String>(),
        "shortDescription": { "text": rule.short() },
        "fullDescription": { "text": rule.full() },
        "help": { "text": rule.full() },
        "defaultConfiguration": { "level": level(rule) },
        "properties": {
            "precision": precision,
            "problem.severity": problem(rule),
            "tags": ["reliability", "llm", "model-pinning"],
        },
    })
}

fn result(finding: &Finding, place: usize) -> Value {
    let index = Rule::ALL.iter().position(|rule| *rule == finding.rule);
    let mut region = json!({
        "startLine": finding.line,
        "startColumn": finding.column,
        "endColumn": finding.end_column,
        "snippet": { "text": finding.snippet },
    });
    if finding.id.is_empty() {
        region["endColumn"] = json!(finding.end_column.max(finding.column + 1));
    }
    let mut message = sentence(finding);
    if let Some(cell) = finding.cell {
        message.push_str(&format!(" (cell {}, line {})", cell.number, cell.line));
    }
    let mut result = json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": index,
        "level": level(finding.rule),
        "message": { "text": message },
        "locations": [{ "physicalLocation": { "artifactLocation": artifact(&finding.path), "region": region } }],
        "partialFingerprints": {
            "primaryLocationLineHash": format!("{}:{place}", finding.fingerprint),
            "pinrailModel/v1": format!("{}:{}:{}", finding.rule.id(), finding.id, finding.fingerprint),
        },
        "rank": rank(finding.confidence),
        "properties": { "confidence": finding.confidence, "because": finding.because, "model": finding.id, "pins": finding.pins },
    });
    if let Some(suppressed) = &finding.suppressed {
        result["suppressions"] = json!([suppression(suppressed)]);
    }
    result
}

/// A path inside the source root is told from it; another one as it is.
fn artifact(path: &str) -> Value {
    let uri = uri(path);
    if path.starts_with('/') {
        json!({ "uri": format!("file://{uri}") })
    } else {
        json!({ "uri": uri, "uriBaseId": "%SRCROOT%" })
    }
}

fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=@".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

fn suppression(suppressed: &Suppression) -> Value {
    match suppressed {
        Suppression::Comment { reason, .. } => {
            json!({ "kind": "inSource", "status": "accepted", "justification": reason })
        }
        Suppression::Baseline { reason } => {
            let reason = if reason.is_empty() { "listed in the baseline" } else { reason };
            json!({ "kind": "external", "status": "accepted", "justification": reason })
        }
    }
}

fn level(rule: Rule) -> &'static str {
    match rule.level() {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}

fn problem(rule: Rule) -> &'static str {
    match rule.level() {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "recommendation",
    }
}

/// From 0 to 100: how important it is to look at it.
fn rank(confidence: Confidence) -> f64 {
    match confidence {
        Confidence::Low => 10.0,
        Confidence::Medium => 50.0,
        Confidence::High => 90.0,
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

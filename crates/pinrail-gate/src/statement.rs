//! A verdict as an in-toto statement, for whoever has to believe it without asking Pinrail.
//!
//! The statement is of type `https://in-toto.io/Statement/v1` with the predicate
//! `https://in-toto.io/attestation/test-result/v0.1`: its subject is the candidate, its tests are the suites, its
//! configuration is what they were judged by. `result` is `PASSED` or `FAILED` and never `WARNED`: an inconclusive gate
//! doesn't promote, so whoever reads only `result` must not take it for a pass. What the predicate has no field for
//! (verdict, margins, bounds, the models that answered) is in its extension field `pinrail`, [`Numbers`], as the
//! specification's parsing rules allow: one statement, so that nobody can show half of it.
//!
//! It is wrapped in a DSSE [`Envelope`], signed with Ed25519 where a key is configured.

use std::collections::BTreeMap;

use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::{Source, SuiteKind};
use pinrail_domain::id::{AgentName, GateId, ReleaseId};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::verdict::{Report, SuiteReport};

mod envelope;
mod key;

#[cfg(test)]
mod tests;

pub use envelope::{Envelope, PAYLOAD_TYPE, Signature, VerifyFailed, verify};
pub use key::{NotAKey, PublicKey, SigningKey};

pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
pub const PREDICATE_TYPE: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// What a report doesn't know of its gate.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    pub agent: AgentName,
    pub gate: GateId,
    /// When it ended.
    pub at: Timestamp,
    pub source: Source,
    /// The release that judged `llm-rubric` and `factuality`.
    pub judge: Option<ReleaseId>,
    /// Where the gate can be seen.
    pub url: Option<String>,
}

/// An in-toto statement. Fields that it doesn't know are ignored, as the specification asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    #[serde(rename = "_type")]
    pub kind: String,
    pub subject: Vec<Resource>,
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    pub predicate: TestResult,
}

/// What something is named, and the digests of its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    pub name: String,
    /// Hex digits by algorithm.
    pub digest: BTreeMap<String, String>,
}

/// The predicate `test-result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    pub result: Outcome,
    pub configuration: Vec<Resource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default)]
    pub passed_tests: Vec<String>,
    #[serde(default)]
    pub warned_tests: Vec<String>,
    #[serde(default)]
    pub failed_tests: Vec<String>,
    /// Of another maker's statement there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinrail: Option<Numbers>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    Passed,
    Warned,
    Failed,
}

/// What the verdict rests on. Signed and handed out: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    pub gate: GateId,
    pub agent: AgentName,
    pub at: String,
    pub source: Source,
    pub candidate: ReleaseId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<ReleaseId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<ReleaseId>,
    pub verdict: GateVerdict,
    pub why: String,
    pub alpha: f64,
    pub served: Vec<String>,
    pub suites: Vec<SuiteNumbers>,
    /// The whole report, an artifact: [`report_bytes`].
    pub report: Digest,
}

/// One suite's numbers. Signed and handed out: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteNumbers {
    pub name: String,
    pub kind: SuiteKind,
    pub digest: Digest,
    pub verdict: GateVerdict,
    pub why: String,
    pub margin: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    pub cases: u64,
    pub cases_compared: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm_low: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm_high: Option<f64>,
    /// Answers of the candidate: counted, errors and refused ones, taken over from earlier gates.
    pub counted: u64,
    pub lost: u64,
    pub reused: u64,
}

/// The statement on a gate.
#[must_use]
pub fn statement(report: &Report, about: &About) -> Statement {
    let tests = |verdict: fn(GateVerdict) -> bool| {
        let suites = report.suites.iter().filter(move |suite| verdict(suite.verdict));
        suites.map(test_name).collect::<Vec<_>>()
    };
    let passed = report.verdict == GateVerdict::Pass;
    Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: vec![release(&about.agent, report.candidate)],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: TestResult {
            result: if passed { Outcome::Passed } else { Outcome::Failed },
            configuration: configuration(report, about),
            url: about.url.clone(),
            passed_tests: tests(|verdict| verdict == GateVerdict::Pass),
            warned_tests: Vec::new(),
            failed_tests: tests(|verdict| verdict != GateVerdict::Pass),
            pinrail: Some(numbers(report, about)),
        },
    }
}

/// The report as it is stored: the artifact that the statement names.
#[must_use]
pub fn report_bytes(report: &Report) -> Vec<u8> {
    serde_json::to_vec(report).expect("a report is plain data with texts as keys")
}

impl Statement {
    /// The verdict, where the statement is a gate's.
    #[must_use]
    pub fn verdict(&self) -> Option<GateVerdict> {
        self.predicate.pinrail.as_ref().map(|numbers| numbers.verdict)
    }

    /// What it says that contradicts itself, such as a failed gate whose result is `PASSED`.
    fn contradiction(&self) -> Option<&'static str> {
        let TestResult { result, pinrail: Some(numbers), .. } = &self.predicate else { return None };
        if (*result == Outcome::Passed) != (numbers.verdict == GateVerdict::Pass) {
            return Some("its result isn't its verdict");
        }
        let candidate = numbers.candidate.0.hex();
        let names = |resource: &Resource| resource.digest.get(SHA256) == Some(&candidate);
        (!self.subject.iter().any(names)).then_some("its subject isn't its candidate")
    }
}

/// What a digest's algorithm is called in statements.
pub(crate) const SHA256: &str = "sha256";

fn configuration(report: &Report, about: &About) -> Vec<Resource> {
    let incumbent = report.incumbent.map(|incumbent| resource("incumbent", &about.agent, incumbent));
    let suites = report.suites.iter().map(|suite| Resource {
        name: format!("pinrail:suite:{}:{}", suite.kind, suite.name),
        digest: sha256(&suite.digest),
    });
    let judge =
        about.judge.map(|judge| Resource { name: "pinrail:judge".to_owned(), digest: sha256(&judge.0) });
    incumbent.into_iter().chain(suites).chain(judge).collect()
}

fn numbers(report: &Report, about: &About) -> Numbers {
    let suites = report.suites.iter().map(|suite| SuiteNumbers {
        name: suite.name.clone(),
        kind: suite.kind,
        digest: suite.digest,
        verdict: suite.verdict,
        why: suite.why.clone(),
        margin: suite.margin,
        floor: suite.floor,
        cases: suite.counts.cases,
        cases_compared: suite.counts.compared,
        candidate: suite.pass_rate.candidate,
        incumbent: suite.pass_rate.incumbent,
        harm: suite.pass_rate.harm,
        harm_low: suite.pass_rate.harm_low,
        harm_high: suite.pass_rate.harm_high,
        counted: suite.counts.candidate.counted,
        lost: suite.counts.candidate.errors + suite.counts.candidate.refused,
        reused: suite.counts.candidate.reused,
    });
    Numbers {
        gate: about.gate,
        agent: about.agent.clone(),
        at: about.at.rfc3339(),
        source: about.source,
        candidate: report.candidate,
        incumbent: report.incumbent,
        judge: about.judge,
        verdict: report.verdict,
        why: report.why.clone(),
        alpha: report.alpha,
        served: report.served.clone(),
        suites: suites.collect(),
        report: Digest::of(&report_bytes(report)),
    }
}

fn test_name(suite: &SuiteReport) -> String {
    format!("{}/{}", suite.kind, suite.name)
}

fn release(agent: &AgentName, release: ReleaseId) -> Resource {
    resource("release", agent, release)
}

fn resource(role: &str, agent: &AgentName, release: ReleaseId) -> Resource {
    Resource { name: format!("pinrail:{role}:{agent}"), digest: sha256(&release.0) }
}

fn sha256(digest: &Digest) -> BTreeMap<String, String> {
    BTreeMap::from([(SHA256.to_owned(), digest.hex())])
}

//! Cases as a report shows them: how often each arm passed, and what it said where that is of interest.

use std::collections::BTreeMap;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::arms::{ArmRows, Counted, bounded};
use crate::answer::{Answer, ToolCall};
use crate::row::Score;
use crate::suite::Case;

/// How one case went in both arms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    pub case: Digest,
    /// Its place in the suite, from 1.
    pub number: u64,
    pub description: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub must_pass: bool,
    pub candidate: Tally,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<Tally>,
}

/// An arm's counted answers to a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub passed: u64,
    pub counted: u64,
    /// Errors and refused ones: they count neither way.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// The mean of the counted answers' scores; 0 without any.
    pub score: f64,
    /// The mean time from asking to the last byte; 0 without any.
    pub latency_ms: f64,
}

/// A case that somebody should look at, with what was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notable {
    #[serde(flatten)]
    pub result: CaseResult,
    /// What the case was filled with, as texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, String>,
    /// The answers to look at side by side: of a case that differs, one of the candidate and one of the incumbent; of one
    /// that flips by itself, one that passed and one that failed, of the same arm.
    pub answers: Vec<Shown>,
}

/// Whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    Candidate,
    Incumbent,
}

/// An answer, shortened where it is long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    pub arm: Arm,
    pub repeat: u32,
    pub pass: bool,
    pub score: f64,
    /// What the last turn was answered.
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The assertions that failed, each with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

/// A report is read; the whole answer is in the gate's rows and in its run's journal.
const TEXT_CHARS_MAX: usize = 2_000;
const VAR_CHARS_MAX: usize = 500;
const VARS_MAX: usize = 20;
const TOOL_CALLS_MAX: usize = 10;
const FAILED_MAX: usize = 10;

/// A case with both arms' answers to it.
pub(super) struct Both<'a> {
    pub case: &'a Case,
    pub digest: Digest,
    pub number: u64,
    pub candidate: Vec<Counted<'a>>,
    /// None where there is no incumbent.
    pub incumbent: Option<Vec<Counted<'a>>>,
    pub lost: (u64, u64),
}

impl<'a> Both<'a> {
    pub(super) fn new(
        (case, digest, number): (&'a Case, Digest, u64),
        candidate: &ArmRows<'a>,
        incumbent: Option<&ArmRows<'a>>,
    ) -> Both<'a> {
        let lost = |arm: &ArmRows<'a>| {
            let all = arm.all_of(&digest) as u64;
            all - arm.counted(&digest).count() as u64
        };
        Both {
            case,
            digest,
            number,
            candidate: candidate.counted(&digest).collect(),
            incumbent: incumbent.map(|arm| arm.counted(&digest).collect()),
            lost: (lost(candidate), incumbent.map_or(0, lost)),
        }
    }

    /// Whether every arm that there is has a counted answer.
    pub(super) fn is_compared(&self) -> bool {
        !self.candidate.is_empty() && self.incumbent.as_ref().is_none_or(|arm| !arm.is_empty())
    }

    pub(super) fn result(&self) -> CaseResult {
        CaseResult {
            case: self.digest,
            number: self.number,
            description: bounded(&self.case.description, VAR_CHARS_MAX),
            must_pass: self.case.must_pass,
            candidate: tally(&self.candidate, self.lost.0),
            incumbent: self.incumbent.as_ref().map(|arm| tally(arm, self.lost.1)),
        }
    }

    /// How much worse the candidate is, in passes and then in scores; without an incumbent, how far from passing always.
    pub(super) fn harm(&self) -> (f64, f64) {
        let result = self.result();
        let incumbent = result.incumbent.map_or((1.0, 1.0), |arm| (arm.rate(), arm.score));
        (incumbent.0 - result.candidate.rate(), incumbent.1 - result.candidate.score)
    }

    pub(super) fn fails_must_pass(&self) -> bool {
        self.case.must_pass && self.candidate.iter().any(|answer| !answer.score.pass)
    }

    /// The arm whose answers don't agree with each other, the candidate first.
    pub(super) fn unstable(&self) -> Option<Arm> {
        let flips = |arm: &[Counted<'_>]| {
            arm.iter().any(|answer| answer.score.pass) && arm.iter().any(|answer| !answer.score.pass)
        };
        if flips(&self.candidate) {
            return Some(Arm::Candidate);
        }
        self.incumbent.as_ref().filter(|arm| flips(arm)).map(|_| Arm::Incumbent)
    }

    /// The candidate's answer beside the incumbent's, where the one fails and the other passes.
    pub(super) fn apart(&self, candidate_passes: bool) -> Notable {
        let incumbent = self.incumbent.as_deref().unwrap_or_default();
        let fits = |answer: &&Counted<'_>, passes: bool| answer.score.pass == passes;
        let mut of_candidate = self.candidate.iter().filter(|answer| fits(answer, candidate_passes));
        let same_repeat = of_candidate.clone().find_map(|mine| {
            let theirs = incumbent.iter().find(|answer| answer.row.repeat == mine.row.repeat)?;
            (theirs.score.pass != candidate_passes).then_some((mine, theirs))
        });
        let (mine, theirs) = match same_repeat {
            Some((mine, theirs)) => (Some(mine), Some(theirs)),
            None => (of_candidate.next(), incumbent.iter().find(|answer| fits(answer, !candidate_passes))),
        };
        let mine = mine.or(self.candidate.first()).map(|answer| shown(answer, Arm::Candidate));
        let theirs = theirs.or(incumbent.first()).map(|answer| shown(answer, Arm::Incumbent));
        self.notable(mine.into_iter().chain(theirs))
    }

    /// An answer that passed beside one that failed, of the same arm.
    pub(super) fn flipping(&self, arm: Arm) -> Notable {
        let answers: &[Counted<'_>] = match arm {
            Arm::Candidate => &self.candidate,
            Arm::Incumbent => self.incumbent.as_deref().unwrap_or_default(),
        };
        let first = |passes: bool| answers.iter().find(|answer| answer.score.pass == passes);
        let both = first(true).into_iter().chain(first(false));
        self.notable(both.map(|answer| shown(answer, arm)))
    }

    fn notable(&self, answers: impl Iterator<Item = Shown>) -> Notable {
        let vars = self.case.vars.iter().take(VARS_MAX);
        let vars = vars.map(|(name, value)| (name.clone(), bounded(&text_of(value), VAR_CHARS_MAX)));
        Notable { result: self.result(), vars: vars.collect(), answers: answers.collect() }
    }
}

impl Tally {
    /// The part that passed; 0 without any.
    #[must_use]
    pub fn rate(&self) -> f64 {
        if self.counted == 0 { 0.0 } else { self.passed as f64 / self.counted as f64 }
    }
}

impl Arm {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Arm::Candidate => "candidate",
            Arm::Incumbent => "incumbent",
        }
    }
}

/// The time that all of an answer's turns took together.
pub(super) fn latency_ms(answer: &Counted<'_>) -> f64 {
    answer.row.answers.iter().map(|turn| turn.latency_ms).sum()
}

fn tally(answers: &[Counted<'_>], lost: u64) -> Tally {
    let n = answers.len() as f64;
    let mean = |of: &dyn Fn(&Counted<'_>) -> f64| {
        let sum: f64 = answers.iter().map(of).filter(|number| number.is_finite()).sum();
        if answers.is_empty() { 0.0 } else { sum / n }
    };
    Tally {
        passed: answers.iter().filter(|answer| answer.score.pass).count() as u64,
        counted: answers.len() as u64,
        lost,
        score: mean(&|answer| answer.score.score),
        latency_ms: mean(&latency_ms),
    }
}

fn shown(answer: &Counted<'_>, arm: Arm) -> Shown {
    let last: Option<&Answer> = answer.row.answers.last();
    let calls = answer.row.answers.iter().flat_map(|turn| &turn.tool_calls).take(TOOL_CALLS_MAX);
    let calls = calls.map(|call| ToolCall {
        name: bounded(&call.name, VAR_CHARS_MAX),
        arguments: bounded(&call.arguments, VAR_CHARS_MAX),
        id: None,
    });
    Shown {
        arm,
        repeat: answer.row.repeat,
        pass: answer.score.pass,
        score: answer.score.score,
        text: last.map(|turn| bounded(&turn.text, TEXT_CHARS_MAX)).unwrap_or_default(),
        tool_calls: calls.collect(),
        finish_reason: last.and_then(|turn| turn.finish_reason.clone()),
        failed: failed(answer.score),
        run: answer.row.run,
    }
}

fn failed(score: &Score) -> Vec<String> {
    let parts = score.parts.iter().filter(|part| !part.pass).map(|part| {
        let turn = part.turn.map(|turn| format!(" (turn {turn})")).unwrap_or_default();
        let why = if part.why.is_empty() { String::new() } else { format!(": {}", part.why) };
        bounded(&format!("{}{turn}{why}", part.kind), VAR_CHARS_MAX)
    });
    let mut failed: Vec<String> = parts.take(FAILED_MAX).collect();
    if failed.is_empty() && !score.pass && !score.why.is_empty() {
        failed.push(bounded(&score.why, VAR_CHARS_MAX));
    }
    failed
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

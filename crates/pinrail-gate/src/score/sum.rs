//! Puts judgements together: the weighted mean, and whether that is enough.
//!
//! Conditions: with a threshold, the mean must reach it, whatever single assertions say; without one, every assertion with
//! a weight must pass. Where nothing has a weight, the mean is 0 and all passed; where there is nothing at all, it is 1.

use std::collections::BTreeMap;

use super::CannotScore;
use super::judged::{Judged, clip};
use crate::row::{Part, Score};
use crate::suite::{AssertKind, Assertion};

/// What is put together so far.
#[derive(Default)]
pub(super) struct Sum {
    parts: Vec<Part>,
    scores: f64,
    weights: f64,
    failed: Vec<String>,
    metrics: BTreeMap<String, Metric>,
    judge_cost_nano_usd: u64,
}

/// The scores of one name.
#[derive(Clone, Copy, Default)]
pub(super) struct Metric {
    scores: f64,
    weights: f64,
    /// Of those without weight, which count where no other is there.
    plain: f64,
    count: f64,
}

/// What a sum comes to.
pub(super) struct Summed {
    pub judged: Judged,
    pub parts: Vec<Part>,
}

impl Sum {
    /// Adds how an assertion went. What has no weight is reported and counts for nothing, also where it couldn't be judged.
    pub fn add(
        &mut self,
        assertion: &Assertion,
        turn: Option<u32>,
        went: Result<Summed, CannotScore>,
    ) -> Result<(), CannotScore> {
        let weight = assertion.weight.unwrap_or(1.0).max(0.0);
        let summed = match went {
            Ok(summed) => summed,
            Err(why) if weight == 0.0 => {
                Summed { judged: Judged::failed(format!("it can't be judged: {why}")), parts: Vec::new() }
            }
            Err(why) => return Err(why),
        };
        let Summed { judged, parts } = summed;
        let kind = name(assertion);
        self.scores += judged.score * weight;
        self.weights += weight;
        self.judge_cost_nano_usd = self.judge_cost_nano_usd.saturating_add(judged.judge_cost_nano_usd);
        if let Some(metric) = &assertion.metric {
            self.metric(metric, judged.measured.unwrap_or(judged.score), weight);
        }
        for (metric, (score, its_weight)) in &judged.named {
            if assertion.metric.as_ref() != Some(metric) {
                self.metric(metric, *score, its_weight * weight);
            }
        }
        if !judged.pass && weight > 0.0 {
            self.failed.push(format!("{kind}: {}", clip(&judged.why, FAILED_CHARS_MAX)));
        }
        let why = clip(&judged.why, PART_CHARS_MAX);
        self.parts.push(Part { kind, pass: judged.pass, score: judged.score, why, turn });
        self.parts.extend(parts);
        Ok(())
    }

    /// What it all comes to.
    pub fn end(self, threshold: Option<f64>) -> Summed {
        let score = match (self.parts.is_empty(), self.weights > 0.0) {
            (true, _) => 1.0,
            (false, true) => self.scores / self.weights,
            (false, false) => 0.0,
        };
        let pass = threshold.map_or(self.failed.is_empty(), |threshold| score >= threshold);
        let mut why = Vec::new();
        if !pass {
            why.extend(threshold.map(|threshold| format!("the score {score:.2} is below {threshold}")));
            why.extend(self.failed.iter().take(FAILED_SHOWN).cloned());
            let more = self.failed.len().saturating_sub(FAILED_SHOWN);
            why.extend((more > 0).then(|| format!("and {more} more")));
        }
        let named =
            self.metrics.into_iter().map(|(name, metric)| (name, (metric.mean(), metric.weights))).collect();
        let judge_cost_nano_usd = self.judge_cost_nano_usd;
        let judged = Judged { named, judge_cost_nano_usd, pass, score, why: why.join("; "), measured: None };
        Summed { judged, parts: self.parts }
    }

    fn metric(&mut self, name: &str, score: f64, weight: f64) {
        let metric = self.metrics.entry(name.to_owned()).or_default();
        metric.scores += score * weight;
        metric.weights += weight;
        metric.plain += score;
        metric.count += 1.0;
    }
}

impl Metric {
    fn mean(self) -> f64 {
        if self.weights > 0.0 { self.scores / self.weights } else { self.plain / self.count }
    }
}

impl Summed {
    /// Of one assertion without assertions of its own.
    pub fn one(judged: Judged) -> Summed {
        Summed { judged, parts: Vec::new() }
    }

    /// As the row keeps it.
    pub fn score(self) -> Score {
        let Judged { pass, score, why, named, judge_cost_nano_usd, measured: _ } = self.judged;
        let named = named.into_iter().map(|(name, (mean, _))| (name, mean)).collect();
        Score { pass, score, why, named, parts: self.parts, judge_cost_nano_usd }
    }
}

/// The assertion's type as suites write it.
pub(super) fn name(assertion: &Assertion) -> String {
    let not = if assertion.not { "not-" } else { "" };
    format!("{not}{}", kind(assertion.kind))
}

/// Failures that a sentence names, and how much of each.
const FAILED_SHOWN: usize = 3;
const FAILED_CHARS_MAX: usize = 300;

/// How much of a part's reason is kept.
const PART_CHARS_MAX: usize = 500;

fn kind(kind: AssertKind) -> &'static str {
    match kind {
        AssertKind::Equals => "equals",
        AssertKind::Contains => "contains",
        AssertKind::Icontains => "icontains",
        AssertKind::ContainsAny => "contains-any",
        AssertKind::ContainsAll => "contains-all",
        AssertKind::IcontainsAny => "icontains-any",
        AssertKind::IcontainsAll => "icontains-all",
        AssertKind::StartsWith => "starts-with",
        AssertKind::Regex => "regex",
        AssertKind::IsJson => "is-json",
        AssertKind::ContainsJson => "contains-json",
        AssertKind::Levenshtein => "levenshtein",
        AssertKind::Latency => "latency",
        AssertKind::Cost => "cost",
        AssertKind::FinishReason => "finish-reason",
        AssertKind::IsRefusal => "is-refusal",
        AssertKind::IsValidOpenaiToolsCall => "is-valid-openai-tools-call",
        AssertKind::ToolCallF1 => "tool-call-f1",
        AssertKind::ToolCalls => "tool-calls",
        AssertKind::WordCount => "word-count",
        AssertKind::Javascript => "javascript",
        AssertKind::Python => "python",
        AssertKind::LlmRubric => "llm-rubric",
        AssertKind::Factuality => "factuality",
        AssertKind::Similar => "similar",
        AssertKind::AssertSet => "assert-set",
    }
}

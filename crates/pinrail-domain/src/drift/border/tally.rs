//! What a prompt was answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Longest answer that is kept, in characters: a token's worth.
const ANSWER_CHARS_MAX: usize = 24;
/// Most different answers that are kept per tally; what comes later only counts in the total.
const ANSWERS_MAX: usize = 16;

/// The answers to one prompt, counted. Stored: never rename.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// How many answers there were.
    pub asked: u32,
    /// How many times each was said; with log probabilities, the sum of its probabilities.
    pub answers: BTreeMap<String, f64>,
    /// Calls that gave no answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u32,
}

impl Tally {
    /// Counts a drawn answer.
    pub fn answered(&mut self, text: &str) {
        self.asked += 1;
        self.add(text, 1.0);
    }

    /// Counts an answer whose most likely tokens came with their probabilities.
    pub fn told(&mut self, tokens: &[(String, f64)]) {
        self.asked += 1;
        for (token, probability) in tokens {
            if probability.is_finite() {
                self.add(token, probability.clamp(0.0, 1.0));
            }
        }
    }

    /// Counts a call that gave no answer.
    pub fn failed(&mut self) {
        self.failed += 1;
    }

    /// Adds another tally of the same prompt.
    pub fn join(&mut self, other: &Tally) {
        self.asked += other.asked;
        self.failed += other.failed;
        for (answer, weight) in &other.answers {
            self.add(answer, *weight);
        }
    }

    /// The share of an answer, 0 when nothing was answered.
    #[must_use]
    pub fn share(&self, answer: &str) -> f64 {
        if self.asked == 0 {
            return 0.0;
        }
        (self.answers.get(answer).copied().unwrap_or(0.0) / f64::from(self.asked)).min(1.0)
    }

    /// The two most frequent answers with their shares; ties go by the alphabet.
    #[must_use]
    pub fn top_two(&self) -> [Option<(&str, f64)>; 2] {
        let mut all: Vec<(&str, f64)> = self.answers.keys().map(|a| (a.as_str(), self.share(a))).collect();
        all.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(right.0)));
        [all.first().copied(), all.get(1).copied()]
    }

    /// How far the two most frequent answers are apart: 0 is a tie, 1 is always the same.
    #[must_use]
    pub fn gap(&self) -> f64 {
        let [first, second] = self.top_two();
        first.map_or(1.0, |(_, share)| share - second.map_or(0.0, |(_, other)| other))
    }

    fn add(&mut self, text: &str, weight: f64) {
        let answer = normal(text);
        if self.answers.len() < ANSWERS_MAX || self.answers.contains_key(&answer) {
            *self.answers.entry(answer).or_default() += weight;
        }
    }
}

/// The first word without case and punctuation, so that " Red", "red." and "Red" are one answer; `-` is none at all.
#[must_use]
pub fn normal(text: &str) -> String {
    let word: String = text
        .split_whitespace()
        .map(|word| word.trim_matches(|char: char| !char.is_alphanumeric()))
        .find(|word| !word.is_empty())
        .unwrap_or("-")
        .chars()
        .take(ANSWER_CHARS_MAX)
        .collect();
    word.to_lowercase()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

//! How one assertion went, before it is weighed.

use std::collections::BTreeMap;

use crate::suite::Assertion;

/// What came of one assertion.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Judged {
    pub pass: bool,
    /// From 0 to 1.
    pub score: f64,
    pub why: String,
    /// Scores by name that a script or a set gives, each with its weight.
    pub named: BTreeMap<String, (f64, f64)>,
    /// What goes into the assertion's own metric, where that isn't its score: milliseconds, dollars.
    pub measured: Option<f64>,
    pub judge_cost_nano_usd: u64,
}

/// What an assertion says of the answer, and whether it is so. Negated, it passes where it isn't.
pub(super) struct Claim {
    pub holds: bool,
    /// After "the answer should" or "the answer should not".
    pub says: String,
    /// What is the case instead; may be empty.
    pub but: String,
}

impl Judged {
    /// Neither passes nor scores.
    pub fn failed(why: impl Into<String>) -> Judged {
        Judged { why: why.into(), ..Judged::default() }
    }

    /// Passes, with the whole score.
    pub fn passed() -> Judged {
        Judged { pass: true, score: 1.0, ..Judged::default() }
    }

    /// A judgement with a score of its own, which is kept within 0 to 1. What is no number is 0.
    pub fn graded(pass: bool, score: f64, why: impl Into<String>) -> Judged {
        Judged { pass, score: share(score), why: why.into(), ..Judged::default() }
    }
}

impl Claim {
    pub fn new(holds: bool, says: impl Into<String>) -> Claim {
        Claim { holds, says: says.into(), but: String::new() }
    }

    pub fn but(self, but: impl Into<String>) -> Claim {
        Claim { but: but.into(), ..self }
    }

    /// Judges by it.
    pub fn judge(self, assertion: &Assertion) -> Judged {
        if self.holds != assertion.not {
            return Judged::passed();
        }
        let not = if assertion.not { " not" } else { "" };
        let but =
            if self.but.is_empty() || assertion.not { String::new() } else { format!(": {}", self.but) };
        Judged::failed(format!("the answer should{not} {}{but}", clip(&self.says, SAYS_MAX)))
    }
}

/// Keeps a score within 0 to 1; what is no number is 0.
pub(super) fn share(score: f64) -> f64 {
    if score.is_finite() { score.clamp(0.0, 1.0) } else { 0.0 }
}

/// Cuts a text after so many characters.
pub(super) fn clip(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What fits on two lines of a report.
const SAYS_MAX: usize = 200;

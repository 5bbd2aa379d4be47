//! What was found at one place.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::rule::Rule;

/// How sure it is that a provider is sent this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Data about a model, a comparison, a test: most likely nobody calls the model here.
    Low,
    /// An id in a place that may well be used.
    Medium,
    /// Named as the model of something, or given to a provider's call.
    High,
}

/// Why a finding doesn't count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Suppression {
    /// A comment beside it says so.
    Comment { line: u32, reason: String },
    /// The baseline lists it.
    Baseline { reason: String },
}

/// One rule at one place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub rule: Rule,
    /// From the folder where the scan was started, with `/`; absolute when it lies elsewhere.
    pub path: String,
    /// From 1.
    pub line: u32,
    /// From 1, in UTF-16 code units, as editors and SARIF count.
    pub column: u32,
    /// The column after the last character.
    pub end_column: u32,
    /// In a notebook: the code cell's place among all cells, from 1, and the line in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<Cell>,
    /// The id as it is written, without a provider in front of it.
    pub id: String,
    /// Whose id it is, by the catalogue's names; none when no provider of the catalogue has ids like it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The other providers that may be meant, where they would judge it differently.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub or_provider: Vec<String>,
    /// What is wrong, in a sentence.
    pub why: String,
    /// The pinned ids that are still served and may be meant.
    pub pins: Vec<String>,
    /// The one id that `--fix` would write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    pub confidence: Confidence,
    /// Why it is that sure.
    pub because: String,
    /// The source line, trimmed.
    pub snippet: String,
    /// Which line it is, wherever it stands: a digest of the line without its spaces.
    pub fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppression>,
    /// Where the id stands in the file's bytes.
    #[serde(skip)]
    pub bytes: Range<usize>,
}

/// A place in a notebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    pub number: u32,
    pub line: u32,
}

impl Finding {
    /// Whether it counts: nobody took it out.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.suppressed.is_none()
    }
}

impl Confidence {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Confidence {
    type Err = String;

    fn from_str(text: &str) -> Result<Confidence, String> {
        let all = [Confidence::Low, Confidence::Medium, Confidence::High];
        all.into_iter()
            .find(|confidence| confidence.word() == text)
            .ok_or_else(|| format!("`{text}` is not low, medium or high"))
    }
}

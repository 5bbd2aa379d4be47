//! A baseline: what was there when somebody began to look, and doesn't count until it changes.
//!
//! An entry is known by its rule, path, id and the line it stands in, not by the line's number, so that it stays known when
//! something is written above it. The same line several times is one entry with a count; one more counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::finding::{Finding, Suppression};
use crate::rule::Rule;

/// The version of the file format. Stored: never renumber.
pub const FORMAT_VERSION: u32 = 1;

/// The longest baseline that is read, in bytes: a hundred thousand entries.
pub const BASELINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What is known already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    pub version: u32,
    pub entries: Vec<Entry>,
}

/// One line that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub path: String,
    pub rule: Rule,
    pub id: String,
    pub fingerprint: String,
    pub count: u32,
    /// Why it may stay, in a person's words; empty until somebody writes it.
    #[serde(default)]
    pub reason: String,
}

/// Why a baseline can't be used.
#[derive(Debug, Error)]
pub enum BaselineError {
    #[error("the baseline has {bytes} bytes, more than the {BASELINE_BYTES_MAX} allowed")]
    TooLarge { bytes: usize },
    #[error("the baseline cannot be read")]
    Syntax(#[source] serde_json::Error),
    #[error("the baseline has format version {found}, this build reads {FORMAT_VERSION}")]
    Version { found: u32 },
}

impl Baseline {
    /// Reads a baseline file.
    ///
    /// # Errors
    /// When it is too long, isn't JSON of this form, or is of another version.
    pub fn from_json(text: &[u8]) -> Result<Baseline, BaselineError> {
        if text.len() > BASELINE_BYTES_MAX {
            return Err(BaselineError::TooLarge { bytes: text.len() });
        }
        let baseline: Baseline = serde_json::from_slice(text).map_err(BaselineError::Syntax)?;
        if baseline.version != FORMAT_VERSION {
            return Err(BaselineError::Version { found: baseline.version });
        }
        Ok(baseline)
    }

    /// A baseline of all that counts. Reasons that `older` gives for the same entries are kept.
    #[must_use]
    pub fn of(findings: &[Finding], older: Option<&Baseline>) -> Baseline {
        let mut entries: BTreeMap<_, u32> = BTreeMap::new();
        let is_old = |finding: &&Finding| matches!(finding.suppressed, Some(Suppression::Baseline { .. }));
        for finding in findings.iter().filter(|finding| finding.counts() || is_old(finding)) {
            *entries.entry(key(finding)).or_default() += 1;
        }
        let reasons: BTreeMap<_, &str> = older
            .iter()
            .flat_map(|older| &older.entries)
            .map(|entry| (entry.key(), entry.reason.as_str()))
            .collect();
        let entries = entries.into_iter().map(|(key, count)| {
            let reason = reasons.get(&key).copied().unwrap_or_default().to_owned();
            let (path, rule, id, fingerprint) = key;
            Entry { path, rule, id, fingerprint, count, reason }
        });
        Baseline { version: FORMAT_VERSION, entries: entries.collect() }
    }

    /// As it is written to a file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a baseline of ours is JSON");
        format!("{text}\n")
    }

    /// Marks the findings that are known; gives the entries that match nothing, or less than they count, any more.
    pub fn apply(&self, findings: &mut [Finding]) -> Vec<Entry> {
        let mut left: BTreeMap<_, (u32, &Entry)> =
            self.entries.iter().map(|entry| (entry.key(), (entry.count, entry))).collect();
        for finding in findings.iter_mut().filter(|finding| finding.suppressed.is_none()) {
            if let Some((count, entry)) = left.get_mut(&key(finding)).filter(|(count, _)| *count > 0) {
                *count -= 1;
                finding.suppressed = Some(Suppression::Baseline { reason: entry.reason.clone() });
            }
        }
        let stale = left.into_values().filter(|(count, _)| *count > 0);
        stale.map(|(count, entry)| Entry { count, ..entry.clone() }).collect()
    }
}

impl Entry {
    fn key(&self) -> (String, Rule, String, String) {
        (self.path.clone(), self.rule, self.id.clone(), self.fingerprint.clone())
    }
}

/// Which line it is, without its spaces: 16 hex digits.
#[must_use]
pub fn fingerprint(line: &str) -> String {
    let bare: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    let digest = Sha256::digest(bare.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn key(finding: &Finding) -> (String, Rule, String, String) {
    (finding.path.clone(), finding.rule, finding.id.clone(), finding.fingerprint.clone())
}

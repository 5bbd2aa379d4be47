//! Reports for other programs.

pub mod github;
pub mod sarif;

use crate::finding::Finding;

/// A finding in one sentence, with what to write instead.
#[must_use]
pub fn sentence(finding: &Finding) -> String {
    let mut text = finding.why.clone();
    if !finding.or_provider.is_empty() {
        text.push_str(&format!("; at {} it may be otherwise", finding.or_provider.join(" or ")));
    }
    if !finding.pins.is_empty() {
        text.push_str(&format!(". Pinned: {}", finding.pins.join(", ")));
    }
    text
}

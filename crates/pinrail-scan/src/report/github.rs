//! Annotations of a GitHub Actions log: `::warning file=…,line=…::…`.

use std::fmt::Write as _;

use super::sentence;
use crate::finding::Finding;
use crate::rule::Level;

/// A line per finding that counts.
#[must_use]
pub fn annotations(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings.iter().filter(|finding| finding.counts()) {
        let level = match finding.rule.level() {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "notice",
        };
        let (path, title, text) =
            (property(&finding.path), property(finding.rule.id()), data(&sentence(finding)));
        let (line, column, end) = (finding.line, finding.column, finding.end_column);
        // A String can't refuse.
        let _ = writeln!(
            out,
            "::{level} file={path},line={line},col={column},endColumn={end},title={title}::{text}"
        );
    }
    out
}

/// What a message may not hold is written as GitHub's toolkit does.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_property_is_escaped() {
        assert_eq!(property("a,b:c%\n"), "a%2Cb%3Ac%25%0A");
        assert_eq!(data("a,b:c%\n"), "a,b:c%25%0A");
    }
}

//! `[dial]` of `agent.toml`. A release may be named by its first digits there; which one is meant, the server knows.

use pinrail_domain::dial::{DialSpec, Reply};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{ReleaseId, SegmentName};

use super::section::Section;

/// A fallback that is named by its first digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// None: everywhere.
    pub segment: Option<SegmentName>,
    pub digits: String,
    pub line: Option<usize>,
}

/// With fewer digits, a second release is likely to have the same.
const DIGITS_MIN: usize = 6;
const DIGITS: usize = 64;

/// Reads the table, but for the releases that are named by their first digits: these are noted.
pub fn read(file: &Section<'_>, named: &mut Vec<Named>) -> Option<DialSpec> {
    file.table("dial", |dial| {
        let fallback = fallback(dial, None, named);
        let segments = dial.each("segments", |name, section| {
            let segment = SegmentName::new(name).map_err(|bad| section.refuse_whole(&bad.to_string())).ok();
            let fallback = self::fallback(section, segment.clone(), named);
            Some((segment?, Reply { fallback, canned: section.get("canned") }))
        });
        Some(DialSpec {
            fallback,
            canned: dial.get("canned"),
            retry_after: dial.get("retry_after"),
            approval_expires: dial.get("approval_expires"),
            clients_authorize: dial.get("clients_authorize").unwrap_or_default(),
            segments: segments.into_iter().collect(),
        })
    })
}

fn fallback(
    section: &Section<'_>,
    segment: Option<SegmentName>,
    named: &mut Vec<Named>,
) -> Option<ReleaseId> {
    let text: String = section.get("fallback")?;
    let whole = text.parse::<Digest>().ok().map(ReleaseId);
    if whole.is_none() {
        let digits = text.strip_prefix("sha256:").unwrap_or(&text).to_ascii_lowercase();
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if is_hex && (DIGITS_MIN..=DIGITS).contains(&digits.len()) {
            named.push(Named { segment, digits, line: section.line("fallback") });
        } else {
            section.refuse("fallback", "names no release: give 6 to 64 hex digits of its id");
        }
    }
    whole
}

//! The kinds of entries that there are, taken from the ledger's own definition, so that no list has to be kept.

use std::fmt::{self, Display};
use std::iter;
use std::sync::LazyLock;

use serde::Deserialize as _;
use serde::de::value::MapDeserializer;

use super::Body;

impl Body {
    /// Every kind of entry that this version knows, in the order of the definition: what [`Body::kind`] can return.
    #[must_use]
    pub fn kinds() -> &'static [&'static str] {
        static KINDS: LazyLock<&[&str]> = LazyLock::new(|| {
            // Reading a body of no kind is refused with the list of those that would do.
            let nothing = MapDeserializer::<_, Refused>::new(iter::once(("type", "")));
            Body::deserialize(nothing).err().map_or(&[], |Refused(kinds)| kinds)
        });
        *KINDS
    }
}

/// A refusal to read, with the tags that would have been read.
#[derive(Debug)]
struct Refused(&'static [&'static str]);

impl serde::de::Error for Refused {
    fn custom<T: Display>(_: T) -> Refused {
        Refused(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Refused {
        Refused(expected)
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no kind of entry")
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_there_as_entries_are_tagged() {
        let kinds = Body::kinds();
        assert!(kinds.len() >= 17, "{kinds:?}");
        for kind in ["provider_put", "deployment_rolled_back", "key_revoked", "webhook_put"] {
            assert!(kinds.contains(&kind), "{kind}");
        }
        let removed = Body::WebhookRemoved { webhook: "chat".parse().unwrap() };
        let tagged = serde_json::to_value(&removed).unwrap();
        assert_eq!(tagged["type"], removed.kind());
        assert!(kinds.contains(&removed.kind()));
    }
}

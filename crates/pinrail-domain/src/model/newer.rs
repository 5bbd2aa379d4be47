//! Which newer snapshots there are of a pinned model: dated siblings of its name.
//!
//! A sibling is known from the catalogue, or from a list that the provider gave. When each came out is known from the
//! catalogue, else from the list, else from the date in its name. What was retired is left out, and so is what isn't a
//! pin: another name is another model, and choosing one is a person's act.

use std::collections::BTreeMap;

use super::catalogue::{Catalogue, Provider};
use super::date::Date;
use super::file::Kind;
use super::lifecycle::Lifecycle;
use crate::time::Timestamp;

/// A snapshot that came out after the pinned one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Newer {
    pub id: String,
    /// The day when it came out: `2026-03-01`.
    pub released: String,
    /// Whether the catalogue lists it; else only the provider does.
    pub catalogued: bool,
}

impl Catalogue {
    /// The newer snapshots of a pinned model, newest first. `listed` is what the provider's own list says: ids, and when
    /// each was made, in Unix seconds.
    #[must_use]
    pub fn newer(
        &self,
        provider: &str,
        pinned: &str,
        listed: &BTreeMap<String, Option<u64>>,
        now: Timestamp,
    ) -> Vec<Newer> {
        let Some(known) = self.providers.get(provider) else { return Vec::new() };
        let (region, plain) = known.split_region(pinned);
        let Some(bare) = known.bare_of(plain) else { return Vec::new() };
        let Some(since) = known.born(plain, listed) else { return Vec::new() };
        let of_list = listed.keys().map(|id| known.split_region(id)).filter(|(of, _)| *of == region);
        let of_list = of_list.map(|(_, id)| id).filter(|id| known.bare_of(id) == Some(bare));
        let mut found: Vec<(Timestamp, &str)> = known
            .siblings(bare)
            .chain(of_list.filter(|id| known.classify(id).0 == Kind::Pinned))
            .filter_map(|id| Some((known.born(id, listed)?, id)))
            .filter(|(born, id)| *born > since && !self.is_retired(provider, id, now))
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        let newer = |(born, id): (Timestamp, &str)| Newer {
            id: format!("{region}{id}"),
            released: born.rfc3339()[.."2026-03-01".len()].to_owned(),
            catalogued: known.entries.contains_key(id),
        };
        found.into_iter().map(newer).collect()
    }

    fn is_retired(&self, provider: &str, id: &str, now: Timestamp) -> bool {
        matches!(self.lifecycle(provider, id, now), Lifecycle::Retired { .. })
    }
}

impl Provider {
    fn born(&self, id: &str, listed: &BTreeMap<String, Option<u64>>) -> Option<Timestamp> {
        let stated = self.entries.get(id).and_then(|entry| entry.released);
        let made =
            || listed.get(id).copied().flatten().map(|seconds| Timestamp(seconds.saturating_mul(1_000)));
        stated.or_else(|| self.dated_ending(id)).map(Date::start).or_else(made)
    }

    /// The date at the end of a name, where it has a year, a month and a day.
    fn dated_ending(&self, id: &str) -> Option<Date> {
        let ending = &id[self.bare_of(id)?.len()..];
        let digits: String = ending.chars().filter(char::is_ascii_digit).collect();
        if digits.len() != 8 {
            return None;
        }
        Date::parse(&format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_792_000_000_000); // in October 2026

    fn newer(provider: &str, pinned: &str, listed: &[(&str, Option<u64>)]) -> Vec<String> {
        let listed = listed.iter().map(|(id, made)| ((*id).to_owned(), *made)).collect();
        Catalogue::embedded()
            .newer(provider, pinned, &listed, NOW)
            .into_iter()
            .map(|newer| newer.id)
            .collect()
    }

    #[test]
    fn newer_snapshots_are_dated_siblings_that_live() {
        let none: [&str; 0] = [];
        assert_eq!(newer("openai", "gpt-4o-2024-08-06", &[]), ["gpt-4o-2024-11-20"]);
        assert_eq!(newer("openai", "gpt-4o-2024-11-20", &[]), none);
        // What the provider lists counts, too, if it is a pin of the same name.
        let listed = [
            ("gpt-4o-2027-01-05", Some(1_799_107_200)),
            ("gpt-4o", None),
            ("gpt-4o-mini-2027-02-01", None),
            ("gpt-4o-2024-05-13", None),
        ];
        let found = newer("openai", "gpt-4o-2024-08-06", &listed);
        assert_eq!(found, ["gpt-4o-2027-01-05", "gpt-4o-2024-11-20"]);
        assert_eq!(newer("anthropic", "claude-3-5-sonnet-20240620", &[]), none, "its sibling is retired");
        let dated = [("claude-sonnet-4-20270101", None)];
        assert_eq!(newer("anthropic", "claude-sonnet-4-20250514", &dated), ["claude-sonnet-4-20270101"]);
        // Not a dated name, not a known provider: nobody can say what is newer.
        assert_eq!(newer("openai", "gpt-4o", &[]), none);
        assert_eq!(newer("nobody", "gpt-4o-2024-08-06", &[]), none);
        assert_eq!(newer("openai", "", &[("", None)]), none);
    }
}

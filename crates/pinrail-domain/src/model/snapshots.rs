//! Which snapshots an alias may stand for today, and how old that knowledge is.

use super::catalogue::Catalogue;
use super::lifecycle::Lifecycle;
use crate::time::Timestamp;

impl Catalogue {
    /// The day when the newest part of the catalogue was written: it can't know what came later.
    #[must_use]
    pub fn as_of(&self) -> Timestamp {
        self.as_of.start()
    }

    /// The listed, dated pins of exactly this name that are still served at `now`, in alphabetical order. One means that
    /// the alias can stand for nothing else that is known. Previews are left out: an alias stands for what was released.
    #[must_use]
    pub fn snapshots(&self, provider: &str, id: &str, now: Timestamp) -> Vec<String> {
        let Some(known) = self.providers.get(provider) else { return Vec::new() };
        let (region, plain) = known.split_region(id);
        let served = |pin: &&str| !matches!(self.lifecycle(provider, pin, now), Lifecycle::Retired { .. });
        let released = |pin: &&str| !pin[plain.len()..].contains("preview");
        known.siblings(plain).filter(released).filter(served).map(|pin| format!("{region}{pin}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_stands_for_its_dated_siblings_that_are_served() {
        let now = Timestamp(1_795_219_200_000); // 2026-11-21
        let check = |provider: &str, id: &str, expected: &[&str]| {
            assert_eq!(Catalogue::embedded().snapshots(provider, id, now), expected, "{id}");
        };
        check("openai", "gpt-4.1", &["gpt-4.1-2025-04-14"]);
        check("openai", "gpt-4o", &["gpt-4o-2024-08-06", "gpt-4o-2024-11-20"]);
        check("openai", "gpt-4", &[]);
        check("anthropic", "claude-opus-4-1", &[]);
        check("openai", "gpt-4.1-2025-04-14", &[]);
        check("nobody", "gpt-4.1", &[]);
    }
}
